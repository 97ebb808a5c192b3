//! Bills against attempts, without fal.

use super::{
    Billed, Dismissed, OrphanFilter, Page, Recorded, candidates, dismiss,
    fit::{self, Lost},
    list, mark, prune, read_from, record, resolve_bound,
};
use crate::{Store, audit::By, callbacks::Reader, tests::fixture::*};
use chrono::{DateTime, TimeDelta, Utc};
use domain::{AttemptEvent, AttemptId, CredentialId};
use sqlx::PgPool;
use std::time::Duration;

const OURS_ALONE: CredentialId = CredentialId::DEFAULT;

fn charge(request_id: &str, billed_at: DateTime<Utc>) -> Billed {
    Billed {
        request_id: request_id.to_owned(),
        endpoint: "fal-ai/flux/dev".to_owned(),
        billed_at,
        units: "2".parse().unwrap(),
        unit: "images".to_owned(),
        unit_price: "0.025".parse().unwrap(),
        amount: "0.05".parse().unwrap(),
        currency: "USD".to_owned(),
    }
}

async fn bill(store: &Store, request_ids: &[&str], grace: Duration) -> Recorded {
    let now = store.now().await.unwrap();
    let billed: Vec<Billed> = request_ids.iter().map(|id| charge(id, now)).collect();
    record(store, &Page { credential: OURS_ALONE, billed: &billed, grace }).await.unwrap()
}

async fn resolutions(pool: &PgPool) -> Vec<(String, Option<String>)> {
    let rows = "select request_id, resolution from falconer.orphan_charges order by request_id";
    sqlx::query_as(rows).fetch_all(pool).await.unwrap()
}

async fn lost(pool: &PgPool, attempt: AttemptId) -> Lost<'static> {
    let row = attempt_row(pool, attempt).await;
    let claimed_at: DateTime<Utc> = sqlx::query_scalar("select claimed_at from falconer.attempts where id = $1")
        .bind(attempt.0)
        .fetch_one(pool)
        .await
        .unwrap();
    let runs_for = row.run_deadline - claimed_at;
    let billed = (claimed_at, claimed_at + TimeDelta::minutes(2));
    Lost { attempt, credential: OURS_ALONE, model: "fal-ai/flux/dev", runs_for, billed }
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn a_page_is_recorded_once_however_often_it_is_read(pool: PgPool) {
    let store = store(&pool);
    submitted(&store, a_job(), "r-known").await;

    // A request that the page names twice is one charge.
    let first = bill(&store, &["r-known", "r-stray", "r-stray"], Duration::ZERO).await;
    let again = bill(&store, &["r-known", "r-stray"], Duration::ZERO).await;

    let orphaned = vec!["r-stray".to_owned()];
    assert_eq!(first, Recorded { matched: 1, orphaned, waiting: 0, ledger_lines: 0 });
    assert_eq!(again, Recorded { matched: 1, orphaned: Vec::new(), waiting: 1, ledger_lines: 0 });
    assert_eq!(count(&pool, "select count(*) from falconer.orphan_charges").await, 1);
    let told = "select count(*) from falconer.account_events e join falconer.orphan_charges o
        on o.request_id = e.request_id and o.xmin = e.xmin where e.type = 'charge.orphaned'";
    assert_eq!(count(&pool, told).await, 1, "one event, from the transaction that found it");
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn a_young_charge_waits_for_its_attempt(pool: PgPool) {
    let store = store(&pool);
    assert_eq!(bill(&store, &["r-1"], Duration::from_mins(1)).await.waiting, 1);
    assert_eq!(resolutions(&pool).await, []);
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn binding_resolves_the_orphan_in_the_same_transaction_even_a_dismissed_one(pool: PgPool) {
    let store = store(&pool);
    let (one, two) = (unknown(&store, a_job()).await, unknown(&store, a_job()).await);
    bill(&store, &["r-1", "r-2"], Duration::ZERO).await;
    let by = &By::command_line("a test");
    assert!(matches!(dismiss(&store, "r-2", by, "ours?").await.unwrap(), Dismissed::Done(_)));
    assert!(matches!(dismiss(&store, "r-2", by, "again").await.unwrap(), Dismissed::Resolved(_)));
    assert_eq!(dismiss(&store, "r-3", by, "none").await.unwrap(), Dismissed::NotFound);

    for (claimed, name) in [(&one, "r-1"), (&two, "r-2")] {
        learn(&store, claimed.attempt, AttemptEvent::Bound(request(name))).await;
    }

    let bound = |name: &str| (name.to_owned(), Some("bound".to_owned()));
    assert_eq!(resolutions(&pool).await, [bound("r-1"), bound("r-2")]);
    let page = list(&store, Reader::Project(ME), OrphanFilter { open: Some(false) }, None, 10).await.unwrap();
    let attempts: Vec<_> = page.items.iter().map(|charge| charge.attempt).collect();
    assert!(attempts.contains(&Some(one.attempt)) && attempts.contains(&Some(two.attempt)), "{attempts:?}");
    let stranger = another_project(&store).await;
    let theirs = list(&store, Reader::Project(stranger), OrphanFilter::default(), None, 10).await.unwrap();
    assert!(theirs.items.is_empty());
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn an_orphan_found_while_its_attempt_was_bound_is_resolved_by_the_next_reading(pool: PgPool) {
    let store = store(&pool);
    submitted(&store, a_job(), "r-1").await;
    bill(&store, &["r-2"], Duration::ZERO).await;
    // As if two transactions had not seen each other.
    run(&pool, "update falconer.orphan_charges set request_id = 'r-1'").await;

    assert_eq!(resolve_bound(&store).await.unwrap(), 1);
    assert_eq!(resolutions(&pool).await, [("r-1".to_owned(), Some("bound".to_owned()))]);
    assert_eq!(resolve_bound(&store).await.unwrap(), 0);
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn a_bill_confirms_what_an_unproved_callback_named(pool: PgPool) {
    let store = store(&pool);
    let claimed = unknown(&store, a_job()).await;
    let news = call(&store, claimed.attempt, "r-1", ok("{}")).await;
    receive(&store, news).await;
    let now = store.now().await.unwrap();

    let found = candidates(&store, OURS_ALONE, &[charge("r-0", now), charge("r-1", now)]).await.unwrap();

    assert_eq!(found, [(claimed.attempt, request("r-1"))]);
    let other = another_credential(&pool).await;
    assert_eq!(candidates(&store, other, &[charge("r-1", now)]).await.unwrap(), []);
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn only_what_nobody_owns_or_has_dismissed_may_be_given_to_an_attempt(pool: PgPool) {
    let store = store(&pool);
    submitted(&store, a_job(), "r-owned").await;
    bill(&store, &["r-open", "r-dismissed"], Duration::ZERO).await;
    dismiss(&store, "r-dismissed", &By::command_line("a test"), "by hand").await.unwrap();

    let asked = ["r-owned", "r-open", "r-dismissed", "r-new"].map(str::to_owned);
    let mut free = fit::free_among(&store, OURS_ALONE, &asked).await.unwrap();
    free.sort();

    assert_eq!(free, ["r-new", "r-open"]);
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn an_attempt_is_alone_only_while_no_other_without_a_name_could_be_meant(pool: PgPool) {
    let store = store(&pool);
    submitted(&store, a_job(), "r-named").await;
    let claimed = unknown(&store, a_job()).await;
    let is_alone = async || fit::is_alone(&store, &lost(&pool, claimed.attempt).await).await.unwrap();
    assert!(is_alone().await, "a named one is another's");

    let mut elsewhere = a_job();
    elsewhere.model = "fal-ai/flux/schnell".to_owned();
    unknown(&store, elsewhere).await;
    assert!(is_alone().await, "another model's is none");

    let other = unknown(&store, a_job()).await;
    assert!(!is_alone().await, "open");
    give_up(&store, &pool, other.attempt).await;
    assert!(!is_alone().await, "given up, and perhaps run");
    learn(&store, other.attempt, AttemptEvent::Bound(request("r-late"))).await;
    assert!(is_alone().await, "named after all");
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn how_far_was_read_never_goes_back(pool: PgPool) {
    let store = store(&pool);
    let from = read_from(&store, OURS_ALONE).await.unwrap().unwrap();
    assert_eq!((from.read_until, from.whole_at), (None, None));
    let until = from.now.date_naive().and_hms_opt(0, 0, 0).unwrap().and_utc();

    mark(&store, OURS_ALONE, until, true).await.unwrap();
    mark(&store, OURS_ALONE, until - TimeDelta::hours(1), false).await.unwrap();

    let from = read_from(&store, OURS_ALONE).await.unwrap().unwrap();
    assert_eq!((from.read_until, from.whole_at), (Some(until), Some(until)));
    mark(&store, OURS_ALONE, until + TimeDelta::hours(1), false).await.unwrap();
    let from = read_from(&store, OURS_ALONE).await.unwrap().unwrap();
    assert_eq!(from.whole_at, Some(until), "a partial reading is no whole one");
    assert_eq!(read_from(&store, CredentialId(crate::fresh_id())).await.unwrap(), None);
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn what_fal_bills_of_a_lost_run_is_paid_once_even_when_its_result_comes_after(pool: PgPool) {
    let store = store(&pool);
    let mut job = a_job();
    job.attempts_max = 1;
    let claimed = unknown(&store, job).await;
    give_up(&store, &pool, claimed.attempt).await;
    learn(&store, claimed.attempt, AttemptEvent::Bound(request("r-1"))).await;

    assert_eq!(bill(&store, &["r-1"], Duration::ZERO).await.ledger_lines, 1);
    assert_eq!(bill(&store, &["r-1"], Duration::ZERO).await.ledger_lines, 0);
    learn(&store, claimed.attempt, AttemptEvent::ResultOk(request("r-1"))).await;

    assert_eq!(kinds(&pool, claimed.attempt).await, ["possible_charge", "superseded_charge"]);
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn a_job_that_may_yet_adopt_the_result_is_left_alone(pool: PgPool) {
    let store = store(&pool);
    let claimed = unknown(&store, a_job()).await;
    give_up(&store, &pool, claimed.attempt).await;
    learn(&store, claimed.attempt, AttemptEvent::Bound(request("r-1"))).await;
    assert_eq!(bill(&store, &["r-1"], Duration::ZERO).await.ledger_lines, 0);
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn text_that_postgres_cannot_store_spoils_no_page(pool: PgPool) {
    let store = store(&pool);
    let now = store.now().await.unwrap();
    let odd = Billed { unit: "\0".repeat(3), ..charge(&format!("r-\0{}", "x".repeat(9_000)), now) }.storable();
    let page = Page { credential: OURS_ALONE, billed: &[odd, charge("r-1", now)], grace: Duration::ZERO };
    assert_eq!(record(&store, &page).await.unwrap().orphaned.len(), 2);
    assert_eq!(resolutions(&pool).await.len(), 2);
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn only_resolved_charges_that_fal_cannot_list_again_are_forgotten(pool: PgPool) {
    let store = store(&pool);
    bill(&store, &["r-open", "r-resolved"], Duration::ZERO).await;
    dismiss(&store, "r-resolved", &By::command_line("a test"), "by hand").await.unwrap();
    assert_eq!(prune(&store).await.unwrap(), 0);

    advance(&store, Duration::from_hours(181 * 24)).await;

    assert_eq!(prune(&store).await.unwrap(), 1);
    assert_eq!(resolutions(&pool).await, [("r-open".to_owned(), None)]);
    assert_eq!(count(&pool, "select count(*) from falconer.account_events").await, 1);
}
