//! What callbacks do: once, however often and in whatever order they come.

use crate::settle::{Disposition, Entry, KeptCause, RejectedCause, load};
use crate::tests::{fixture::*, invariants};
use domain::{AttemptEvent, CallbackId};
use sqlx::PgPool;
use std::time::Duration;

const CONFLICT: Disposition = Disposition::Kept(KeptCause::Conflict);
const STALE: Disposition = Disposition::Kept(KeptCause::StaleStamp);
const WRONG_REQUEST: Disposition = Disposition::Rejected(RejectedCause::WrongRequest);
const BODIES: &str = "select count(body) from falconer.callbacks";

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn a_callback_ends_its_attempt_and_its_job(pool: PgPool) {
    let store = store(&pool);
    pin(&store).await;
    let claimed = submitted(&store, a_job(), "r-1").await;
    let news = call(&store, claimed.attempt, "r-1", ok(r#"{"images": []}"#)).await;
    assert_eq!(receive(&store, news).await, Disposition::Applied);
    assert_eq!(states(&pool, claimed.job, claimed.attempt).await, ("succeeded".into(), "succeeded".into()));
    assert_eq!(attempt_row(&pool, claimed.attempt).await.result_from.as_deref(), Some("callback"));
    assert_eq!(job_row(&pool, claimed.job).await.winner, Some(claimed.attempt.0));
    invariants::hold(&pool).await;
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn repeats_in_one_batch_and_later_change_nothing(pool: PgPool) {
    let store = store(&pool);
    pin(&store).await;
    let claimed = submitted(&store, a_job(), "r-1").await;
    let first = call(&store, claimed.attempt, "r-1", ok("{}")).await;
    let again = || {
        let mut news = first.clone();
        news.id = CallbackId(crate::fresh_id());
        news
    };
    let batch = receive_all(&store, vec![first.clone(), again(), again()]).await;
    assert_eq!(batch, [Disposition::Applied, Disposition::Duplicate, Disposition::Duplicate]);
    let version = job_row(&pool, claimed.job).await.version;
    let bodies = count(&pool, BODIES).await;

    assert_eq!(receive(&store, again()).await, Disposition::Duplicate);
    assert_eq!(job_row(&pool, claimed.job).await.version, version);
    assert_eq!(count(&pool, BODIES).await, bodies, "the same bytes are not stored again");
    assert_eq!(count(&pool, "select count(*) from falconer.callbacks").await, 4);
    invariants::hold(&pool).await;
}

/// A batch of 200 copies does not bring 200 results into memory.
#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn copies_in_one_batch_read_the_stored_result_once(pool: PgPool) {
    let store = store(&pool);
    pin(&store).await;
    let claimed = submitted(&store, a_job(), "r-1").await;
    let news = call(&store, claimed.attempt, "r-1", ok("{}")).await;
    receive(&store, news.clone()).await;

    let copies = vec![Entry::Callback(Box::new(news)); 3];
    let mut tx = pool.begin().await.unwrap();
    let loaded = load::load(&mut tx, &copies).await.unwrap();
    let read: Vec<_> = load::told_again(&copies, &loaded.jobs, &loaded.job_of).into_iter().collect();
    assert_eq!(read, [(claimed.job.0, claimed.attempt.0)]);
    assert_eq!(loaded.results.len(), 1);
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn an_error_after_the_result_is_kept_as_a_conflict(pool: PgPool) {
    let store = store(&pool);
    pin(&store).await;
    let claimed = submitted(&store, a_job(), "r-1").await;
    receive(&store, call(&store, claimed.attempt, "r-1", ok("{}")).await).await;
    assert_eq!(receive(&store, call(&store, claimed.attempt, "r-1", error(PASSING)).await).await, CONFLICT);
    assert_eq!(states(&pool, claimed.job, claimed.attempt).await, ("succeeded".into(), "succeeded".into()));
    invariants::hold(&pool).await;
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn a_result_after_an_error_rescues_the_job_that_is_open(pool: PgPool) {
    let store = store(&pool);
    pin(&store).await;
    let claimed = submitted(&store, a_job(), "r-1").await;
    receive(&store, call(&store, claimed.attempt, "r-1", error(PASSING)).await).await;
    assert_eq!(states(&pool, claimed.job, claimed.attempt).await, ("failed".into(), "queued".into()));
    let rescued = receive(&store, call(&store, claimed.attempt, "r-1", ok("{}")).await).await;
    assert_eq!(rescued, Disposition::Applied);
    assert_eq!(states(&pool, claimed.job, claimed.attempt).await, ("succeeded".into(), "succeeded".into()));
    let attempt = attempt_row(&pool, claimed.attempt).await;
    assert_eq!((attempt.error_class, attempt.error_message, attempt.charged), (None, None, None));
    invariants::hold(&pool).await;
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn every_order_of_four_messages_ends_the_job_once(pool: PgPool) {
    let store = store(&pool);
    pin(&store).await;
    let mut orders = 0;
    for order in permutations() {
        orders += 1;
        let id = format!("r-{orders}");
        let claimed = submitted(&store, a_job(), &id).await;
        let said = [ok(r#"{"a": 1}"#), ok(r#"{"a":1}"#), ok(r#"{"a":2}"#), error(LASTING)];
        for message in order {
            receive(&store, call(&store, claimed.attempt, &id, said[message].clone()).await).await;
        }
        let first_is_error = order[0] == 3;
        let expected = if first_is_error { ("failed", "failed") } else { ("succeeded", "succeeded") };
        let is = states(&pool, claimed.job, claimed.attempt).await;
        assert_eq!((is.0.as_str(), is.1.as_str()), expected, "{order:?}");
        assert_eq!(attempt_row(&pool, claimed.attempt).await.superseded_ok_at.is_some(), first_is_error, "{order:?}");
    }
    assert_eq!(orders, 24);
    invariants::hold(&pool).await;
}

fn permutations() -> impl Iterator<Item = [usize; 4]> {
    (0..256usize).map(|n| [n / 64, n / 16 % 4, n / 4 % 4, n % 4]).filter(|order| {
        let mut sorted = *order;
        sorted.sort_unstable();
        sorted == [0, 1, 2, 3]
    })
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn white_space_is_no_difference_and_another_value_is_a_conflict(pool: PgPool) {
    let store = store(&pool);
    pin(&store).await;
    let claimed = submitted(&store, a_job(), "r-1").await;
    receive(&store, call(&store, claimed.attempt, "r-1", ok(r#"{"a":[1,2]}"#)).await).await;
    let spaced = call(&store, claimed.attempt, "r-1", ok(r#"{ "a": [ 1, 2 ] }"#)).await;
    assert_eq!(receive(&store, spaced).await, Disposition::Duplicate);
    let other = call(&store, claimed.attempt, "r-1", ok(r#"{"a":[1,3]}"#)).await;
    assert_eq!(receive(&store, other).await, CONFLICT);
    let stored: Vec<u8> = sqlx::query_scalar("select body from falconer.results").fetch_one(&pool).await.unwrap();
    assert_eq!(stored, br#"{"a":[1,2]}"#, "the first stands");
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn two_different_results_in_one_batch_are_a_conflict(pool: PgPool) {
    let store = store(&pool);
    pin(&store).await;
    let claimed = submitted(&store, a_job(), "r-1").await;
    let one = call(&store, claimed.attempt, "r-1", ok("1")).await;
    let two = call(&store, claimed.attempt, "r-1", ok("2")).await;
    assert_eq!(receive_all(&store, vec![one, two]).await, [Disposition::Applied, CONFLICT]);
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn a_callback_of_one_request_cannot_be_posted_to_another_attempt(pool: PgPool) {
    let store = store(&pool);
    pin(&store).await;
    let bound = submitted(&store, a_job(), "r-1").await;
    let other = submitted(&store, a_job(), "r-2").await;
    let unbound = opened(&store, a_job()).await;
    for attempt in [other.attempt, unbound.attempt] {
        assert_eq!(receive(&store, call(&store, attempt, "r-1", ok("{}")).await).await, WRONG_REQUEST);
    }
    assert_eq!(receive(&store, call(&store, bound.attempt, "r-2", ok("{}")).await).await, WRONG_REQUEST);
    let stranger = call(&store, bound.attempt, "r-unheard-of", ok("{}")).await;
    assert_eq!(receive(&store, stranger).await, WRONG_REQUEST);
    assert_eq!(count(&pool, "select count(*) from falconer.results").await, 0);
    invariants::hold(&pool).await;
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn a_callback_that_overtakes_the_answer_binds_and_completes(pool: PgPool) {
    let store = store(&pool);
    pin(&store).await;
    let claimed = opened(&store, a_job()).await;
    assert_eq!(receive(&store, call(&store, claimed.attempt, "r-1", ok("{}")).await).await, Disposition::Applied);
    let late = learn(&store, claimed.attempt, AttemptEvent::Bound(request("r-1"))).await;
    assert!(!late.attempt_changed && !late.conflict);
    decide(&store, &claimed, AttemptEvent::NoAnswer).await;
    let attempt = attempt_row(&pool, claimed.attempt).await;
    assert_eq!((attempt.state.as_str(), attempt.bound_by.as_deref()), ("succeeded", Some("callback")));
    invariants::hold(&pool).await;
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn a_stale_stamp_binds_and_has_fal_asked_at_once(pool: PgPool) {
    let store = store(&pool);
    pin(&store).await;
    for (off, n) in [(-301, 1), (302, 2)] {
        let claimed = unknown(&store, a_job()).await;
        let mut news = call(&store, claimed.attempt, &format!("r-{n}"), ok("{}")).await;
        news.signed_at += off;
        assert_eq!(receive(&store, news.clone()).await, STALE, "{off}");
        let attempt = attempt_row(&pool, claimed.attempt).await;
        assert_eq!((attempt.state.as_str(), attempt.bound_by.as_deref()), ("submitted", Some("callback")));
        assert!(attempt.next_look_at.unwrap() <= store.now().await.unwrap());

        let again = crate::settle::CallbackNews { again: true, ..news };
        assert_eq!(receive(&store, again).await, Disposition::Applied, "an operator may have it applied");
    }
    let kept = "select count(*) from falconer.callbacks where disposition = 'applied' and cause is null";
    assert_eq!(count(&pool, kept).await, 2, "the row says what became of it in the end");
    invariants::hold(&pool).await;
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn a_stamp_within_the_leeway_is_fresh(pool: PgPool) {
    let store = store(&pool);
    pin(&store).await;
    let claimed = submitted(&store, a_job(), "r-1").await;
    let mut news = call(&store, claimed.attempt, "r-1", ok("{}")).await;
    news.signed_at -= 290;
    assert_eq!(receive(&store, news).await, Disposition::Applied);
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn what_cannot_be_applied_binds_and_is_looked_at(pool: PgPool) {
    let store = store(&pool);
    pin(&store).await;
    let causes = [KeptCause::NullPayload, KeptCause::UnreadableBody, KeptCause::UnknownStatus];
    for (n, cause) in causes.into_iter().enumerate() {
        let claimed = opened(&store, a_job()).await;
        let news = call(&store, claimed.attempt, &format!("r-{n}"), crate::settle::Said::Unusable(cause)).await;
        assert_eq!(receive(&store, news).await, Disposition::Kept(cause));
        let attempt = attempt_row(&pool, claimed.attempt).await;
        assert_eq!(attempt.state, "submitted");
        assert!(attempt.next_look_at.unwrap() <= store.now().await.unwrap());
    }
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn a_callback_for_no_attempt_of_ours_is_kept(pool: PgPool) {
    let store = store(&pool);
    pin(&store).await;
    let nobody = domain::AttemptId(crate::fresh_id());
    let unknown = Disposition::Kept(KeptCause::UnknownAttempt);
    assert_eq!(receive(&store, call(&store, nobody, "r-1", ok("{}")).await).await, unknown);
    let claimed = submitted(&store, a_job(), "r-2").await;
    let elsewhere = another_credential(&pool).await;
    let news = call(&store, claimed.attempt, "r-2", ok("{}")).await;
    let news = crate::settle::CallbackNews { credential: elsewhere, ..news };
    assert_eq!(receive(&store, news).await, unknown, "a token of another account's");
    assert_eq!(attempt_row(&pool, claimed.attempt).await.state, "submitted");
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn a_poke_does_not_make_a_submitting_attempt_due_before_its_lease_ends(pool: PgPool) {
    let store = store(&pool);
    let claimed = opened(&store, a_job()).await;
    let lease_ends = attempt_row(&pool, claimed.attempt).await.next_look_at;
    receive(&store, call(&store, claimed.attempt, "r-1", ok("{}")).await).await;
    assert_eq!(attempt_row(&pool, claimed.attempt).await.next_look_at, lease_ends, "nobody could look at it");
    assert!(crate::looks::next_due_in(&store).await.unwrap().unwrap() > Duration::from_secs(20));

    decide(&store, &claimed, AttemptEvent::NoAnswer).await;
    let attempt = attempt_row(&pool, claimed.attempt).await;
    assert!(attempt.next_look_at.unwrap() <= store.now().await.unwrap(), "the candidate is asked about at once");
}
