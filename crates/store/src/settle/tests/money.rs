//! The ledger: what was billed, what may have been, and what each amount stands on.

use crate::accept::NewJob;
use crate::settle::{AttemptNews, Disposition, Source};
use crate::tests::{fixture::*, invariants};
use domain::{AttemptEvent, Charged, ErrorClass, Failure};
use sqlx::PgPool;

type Line = (String, Option<String>, String);

fn line(kind: &str, amount: Option<&str>, basis: &str) -> Vec<Line> {
    vec![(kind.to_owned(), amount.map(str::to_owned), basis.to_owned())]
}

async fn price(pool: &PgPool) {
    run(pool, "insert into falconer.model_prices values ('fal-ai/flux/dev', 'image', 0.025, 'USD', falconer.now())")
        .await;
}

/// Ends a run of `job` with a result that fal bills at `units`.
async fn billed(store: &crate::Store, job: NewJob, id: &str, units: Option<&str>) -> domain::AttemptId {
    let claimed = submitted(store, job, id).await;
    let news = evidence(claimed.attempt, AttemptEvent::ResultOk(request(id)), Source::Poll);
    tell(store, AttemptNews { billable_units: units.map(|units| units.parse().unwrap()), ..news }).await;
    claimed.attempt
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn what_fal_bills_counts_else_our_estimate_else_nobody_knows(pool: PgPool) {
    let store = store(&pool);
    let unpriced = billed(&store, a_job(), "r-1", Some("4")).await;
    assert_eq!(money(&pool, unpriced).await, line("charge", Some("0.05"), "estimate"));
    let blind = billed(&store, NewJob { estimated: None, ..a_job() }, "r-2", None).await;
    assert_eq!(money(&pool, blind).await, line("charge", None, "unknown"));

    price(&pool).await;
    let units = billed(&store, a_job(), "r-3", Some("4")).await;
    assert_eq!(money(&pool, units).await, line("charge", Some("0.1"), "billable_units"));
    let silent = billed(&store, a_job(), "r-4", None).await;
    assert_eq!(money(&pool, silent).await, line("charge", Some("0.05"), "estimate"));
    invariants::hold(&pool).await;
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn a_failure_costs_what_its_charge_says(pool: PgPool) {
    let store = store(&pool);
    let cases = [(Charged::No, vec![]), (Charged::Perhaps, vec!["possible_charge"]), (Charged::Yes, vec!["charge"])];
    for (n, (charged, expected)) in cases.into_iter().enumerate() {
        let id = format!("r-{n}");
        let claimed = submitted(&store, a_job(), &id).await;
        let failure = Failure { class: ErrorClass::ContentPolicy, charged };
        find(&store, claimed.attempt, AttemptEvent::ResultError(request(&id), failure)).await;
        assert_eq!(kinds(&pool, claimed.attempt).await, expected, "{charged:?}");
    }
    invariants::hold(&pool).await;
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn what_never_ran_costs_nothing(pool: PgPool) {
    let store = store(&pool);
    for event in [AttemptEvent::NotSent, AttemptEvent::PushedBack { class: ErrorClass::RateLimited }] {
        let claimed = opened(&store, a_job()).await;
        decide(&store, &claimed, event).await;
        cancel(&store, claimed.job).await;
    }
    assert_eq!(count(&pool, "select count(*) from falconer.ledger").await, 0);
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn a_run_that_may_have_been_billed_and_was_is_paid_for_once(pool: PgPool) {
    let store = store(&pool);
    let claimed = unknown(&store, a_job()).await;
    give_up(&store, &pool, claimed.attempt).await;
    find(&store, claimed.attempt, AttemptEvent::ResultOk(request("r-1"))).await;
    assert_eq!(kinds(&pool, claimed.attempt).await, ["charge", "possible_charge"], "lines are added, never changed");
    let cost = crate::jobs::get(&store, None, claimed.job).await.unwrap().unwrap().cost;
    assert_eq!(cost.charged, Some("0.05".parse().unwrap()));
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn an_expired_result_that_comes_after_all_is_not_charged_twice(pool: PgPool) {
    let store = store(&pool);
    pin(&store).await;
    let claimed = submitted(&store, a_job(), "r-1").await;
    find(&store, claimed.attempt, AttemptEvent::ResultGone(request("r-1"))).await;
    assert_eq!(job_row(&pool, claimed.job).await.state, "failed");
    let late = receive(&store, call(&store, claimed.attempt, "r-1", ok("{}")).await).await;
    assert_eq!(late, Disposition::Applied);
    assert_eq!(kinds(&pool, claimed.attempt).await, ["charge"]);
    invariants::hold(&pool).await;
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn latencies_run_from_the_submit_to_the_callback(pool: PgPool) {
    let store = store(&pool);
    pin(&store).await;
    let overtaken = opened(&store, a_job()).await;
    advance(&store, std::time::Duration::from_secs(3)).await;
    let early = call(&store, overtaken.attempt, "r-1", ok("{}")).await;
    let entry = crate::settle::Entry::Callback(Box::new(early));
    let batch = crate::settle::settle(&pool, RETRY, &[entry]).await.unwrap();
    let [(model, took)] = &batch.effects.latencies[..] else { panic!("{:?}", batch.effects) };
    assert_eq!(model, "fal-ai/flux/dev");
    assert!((3000..10_000).contains(took), "{took} ms");

    let polled = submitted(&store, a_job(), "r-2").await;
    let found = evidence(polled.attempt, AttemptEvent::ResultOk(request("r-2")), Source::Poll);
    let entry = crate::settle::Entry::Attempt(Box::new(found));
    let batch = crate::settle::settle(&pool, RETRY, &[entry]).await.unwrap();
    assert_eq!(batch.effects.latencies, [], "it came when we looked");
}
