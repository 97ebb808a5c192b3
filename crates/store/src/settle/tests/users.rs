//! Whose account fal signs for: pinned, or learnt from callbacks that our own submits vouch for.

use crate::settle::{CallbackNews, Disposition, KeptCause, RejectedCause};
use crate::tests::{fixture::*, invariants};
use domain::AttemptEvent;
use sqlx::PgPool;

const UNPINNED: Disposition = Disposition::Kept(KeptCause::UserUnpinned);

async fn pinned(pool: &PgPool) -> (Option<String>, Option<String>, i32) {
    sqlx::query_as("select user_id, user_id_source, seen_count from falconer.credentials")
        .fetch_one(pool)
        .await
        .unwrap()
}

/// One more run that fal answered and calls back for, in the name of `user`.
async fn witness(store: &crate::Store, n: u32, user: &str) -> Disposition {
    let id = format!("r-{user}-{n}");
    let claimed = submitted(store, a_job(), &id).await;
    let news = call(store, claimed.attempt, &id, ok("{}")).await;
    receive(store, CallbackNews { user_id: user.to_owned(), ..news }).await
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn a_callback_for_another_account_is_turned_away(pool: PgPool) {
    let store = store(&pool);
    pin(&store).await;
    let claimed = submitted(&store, a_job(), "r-1").await;
    let news = call(&store, claimed.attempt, "r-1", ok("{}")).await;
    let theirs = CallbackNews { user_id: "user_theirs".to_owned(), ..news };
    assert_eq!(receive(&store, theirs).await, Disposition::Rejected(RejectedCause::WrongUser));
    assert_eq!(attempt_row(&pool, claimed.attempt).await.state, "submitted");
    let cause: Option<String> =
        sqlx::query_scalar("select cause from falconer.callbacks").fetch_one(&pool).await.unwrap();
    assert_eq!(cause.as_deref(), Some("wrong_user"));
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn a_stranger_cannot_bind_an_attempt_either(pool: PgPool) {
    let store = store(&pool);
    pin(&store).await;
    let claimed = unknown(&store, a_job()).await;
    let news = call(&store, claimed.attempt, "r-1", ok("{}")).await;
    let theirs = CallbackNews { user_id: "user_theirs".to_owned(), signed_at: 0, ..news };
    assert_eq!(receive(&store, theirs).await, Disposition::Rejected(RejectedCause::WrongUser));
    assert_eq!(attempt_row(&pool, claimed.attempt).await.request_id, None);
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn three_witnesses_that_agree_pin_the_user(pool: PgPool) {
    let store = store(&pool);
    for n in 1..=3 {
        assert_eq!(pinned(&pool).await, (None, None, i32::try_from(n).unwrap() - 1));
        assert_eq!(witness(&store, n, OURS).await, Disposition::Applied, "fal gave us its request id itself");
    }
    let (user, source, _) = pinned(&pool).await;
    assert_eq!((user.as_deref(), source.as_deref()), (Some(OURS), Some("learnt")));
    assert_eq!(witness(&store, 4, "user_theirs").await, Disposition::Rejected(RejectedCause::WrongUser));
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn a_witness_that_differs_starts_the_count_again(pool: PgPool) {
    let store = store(&pool);
    for (n, user) in [(1, OURS), (2, OURS), (3, "user_theirs"), (4, OURS), (5, OURS)] {
        witness(&store, n, user).await;
        assert_eq!(pinned(&pool).await.0, None);
    }
    witness(&store, 6, OURS).await;
    assert_eq!(pinned(&pool).await.0.as_deref(), Some(OURS));
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn repeats_of_one_callback_are_one_witness(pool: PgPool) {
    let store = store(&pool);
    let claimed = submitted(&store, a_job(), "r-1").await;
    for _ in 0..4 {
        receive(&store, call(&store, claimed.attempt, "r-1", ok("{}")).await).await;
    }
    assert_eq!(pinned(&pool).await, (None, None, 1));
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn three_witnesses_of_one_batch_pin_the_user(pool: PgPool) {
    let store = store(&pool);
    let mut batch = Vec::new();
    for n in 0..3 {
        let id = format!("r-{n}");
        let claimed = submitted(&store, a_job(), &id).await;
        batch.push(call(&store, claimed.attempt, &id, ok("{}")).await);
    }
    receive_all(&store, batch).await;
    assert_eq!(pinned(&pool).await.0.as_deref(), Some(OURS));
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn what_only_a_callback_or_history_bound_is_no_witness(pool: PgPool) {
    let store = store(&pool);
    let claimed = unknown(&store, a_job()).await;
    let found = evidence(claimed.attempt, AttemptEvent::Bound(request("r-1")), crate::settle::Source::History);
    tell(&store, found).await;
    assert_eq!(receive(&store, call(&store, claimed.attempt, "r-1", ok("{}")).await).await, Disposition::Applied);
    assert_eq!(pinned(&pool).await, (None, None, 0));
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn an_early_callback_is_kept_and_named_as_a_candidate_while_nobody_is_pinned(pool: PgPool) {
    let store = store(&pool);
    let claimed = unknown(&store, a_job()).await;
    assert_eq!(receive(&store, call(&store, claimed.attempt, "r-1", ok("{}")).await).await, UNPINNED);
    let attempt = attempt_row(&pool, claimed.attempt).await;
    assert_eq!((attempt.state.as_str(), attempt.request_id), ("unknown", None), "fal has not told us so");
    assert_eq!(attempt.candidate_request_id.as_deref(), Some("r-1"));
    assert!(attempt.next_look_at.unwrap() <= store.now().await.unwrap());
    assert_eq!(count(&pool, "select count(*) from falconer.request_bindings").await, 0);
    invariants::hold(&pool).await;
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn a_submit_that_confirms_the_candidate_has_fal_asked_at_once(pool: PgPool) {
    let store = store(&pool);
    let claimed = opened(&store, a_job()).await;
    receive(&store, call(&store, claimed.attempt, "r-1", ok("{}")).await).await;
    let news = crate::settle::AttemptNews {
        next_look: Some(std::time::Duration::from_mins(10)),
        ..evidence(claimed.attempt, AttemptEvent::Bound(request("r-1")), crate::settle::Source::Submit)
    };
    tell(&store, news).await;
    let attempt = attempt_row(&pool, claimed.attempt).await;
    assert_eq!(attempt.state, "submitted");
    assert!(attempt.next_look_at.unwrap() <= store.now().await.unwrap(), "its callback has been here already");
}
