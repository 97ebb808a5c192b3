//! Any sequence of events on one job keeps the invariants. Each case has a number that repeats it.

use super::{fixture::*, invariants};
use crate::Store;
use crate::accept::NewJob;
use crate::claim::Claimed;
use crate::settle::{AttemptNews, CallbackNews, Entry, Guard, JobNews, KeptCause, Said, Source};
use domain::{AttemptEvent, Charged, ErrorClass, JobEvent, OnUnknown};
use sqlx::PgPool;
use std::time::Duration;

const CASES: u64 = 32;
const STEPS: usize = 24;

/// A small generator, so that a case is its number and nothing else.
struct Draw(u64);

impl Draw {
    /// A number below `end`.
    fn below(&mut self, end: usize) -> usize {
        // Knuth's constants for a linear congruential generator of 64 bits; the high bits are the good ones.
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % end
    }

    fn of<T: Clone>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())].clone()
    }
}

fn event(draw: &mut Draw, id: &str) -> AttemptEvent {
    use AttemptEvent::{
        Bound, CancelConfirmed, GivenUp, LeaseExpired, NoAnswer, NotSent, PushedBack, Refused, ResultError, ResultGone,
        ResultOk,
    };
    let r = || request(id);
    draw.of(&[
        NotSent,
        Refused(PASSING),
        PushedBack { class: ErrorClass::RateLimited },
        NoAnswer,
        NoAnswer,
        LeaseExpired,
        GivenUp,
        Bound(r()),
        Bound(r()),
        ResultOk(r()),
        ResultError(r(), PASSING),
        ResultError(r(), LASTING),
        ResultGone(r()),
        CancelConfirmed(r(), Charged::Perhaps),
    ])
}

async fn entry(store: &Store, pool: &PgPool, draw: &mut Draw, of: &Claimed, ids: &[String]) -> Entry {
    let id = draw.of(ids);
    match draw.below(8) {
        0 => {
            let event = draw.of(&[JobEvent::CancelRequested, JobEvent::UsefulUntilPassed]);
            Entry::Job(JobNews { job: of.job, project: None, event })
        }
        1..=3 => {
            let stale = Said::Unusable(KeptCause::NullPayload);
            let said = draw.of(&[ok("{}"), ok("{ }"), ok("[]"), error(PASSING), error(LASTING), stale]);
            let news = call(store, of.attempt, &id, said).await;
            let user_id = draw.of(&[OURS, OURS, OURS, "user_theirs"]).to_owned();
            let signed_at = news.signed_at - draw.of(&[0, 0, 0, 4000]);
            Entry::Callback(Box::new(CallbackNews { user_id, signed_at, ..news }))
        }
        4 => {
            let guard = Guard::Version(attempt_row(pool, of.attempt).await.version);
            let news = AttemptNews::of(of.attempt, None, guard, Source::Poll);
            Entry::Attempt(Box::new(AttemptNews { supersede_unknown: true, ..news }))
        }
        _ => {
            let event = event(draw, &id);
            let version = attempt_row(pool, of.attempt).await.version;
            let guard = match event.request_id() {
                Some(_) => Guard::Evidence,
                None => draw.of(&[Guard::Lease { fence: of.fence }, Guard::Version(version)]),
            };
            let source = draw.of(&[Source::Submit, Source::Poll, Source::History]);
            Entry::Attempt(Box::new(AttemptNews { guard, ..evidence(of.attempt, event, source) }))
        }
    }
}

/// One job with up to its four attempts; the batches are of one to three entries.
async fn play(store: &Store, pool: &PgPool, case: u64) {
    let mut draw = Draw(case);
    let on_unknown = draw.of(&[OnUnknown::Patient, OnUnknown::Impatient, OnUnknown::Operator]);
    let job = NewJob { on_unknown, attempts_max: 3, ..a_job() };
    let ids: Vec<String> = (0..3).map(|n| format!("r-{case}-{n}")).collect();
    let mut attempts = vec![opened(store, job).await];
    let mut ended: Option<JobRow> = None;
    for _ in 0..STEPS {
        let mut batch = Vec::new();
        for _ in 0..=draw.below(3) {
            let of = draw.of(&attempts);
            batch.push(entry(store, pool, &mut draw, &of, &ids).await);
        }
        settle_all(store, &batch).await;
        advance(store, Duration::from_mins(10)).await;
        attempts.extend(claim_up_to(store, 1000, 1).await);

        let job = job_row(pool, attempts[0].job).await;
        if let Some(ended) = &ended {
            assert_eq!(&job, ended, "case {case}: an ended job never changes");
        } else if ["succeeded", "failed", "canceled"].contains(&job.state.as_str()) {
            ended = Some(job);
        }
    }
    cancel(store, attempts[0].job).await;
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn any_sequence_of_events_keeps_the_invariants(pool: PgPool) {
    let store = store(&pool);
    pin(&store).await;
    for case in 0..CASES {
        play(&store, &pool, case).await;
        eprintln!("case {case} was played");
        invariants::hold(&pool).await;
    }
    // The alphabet is worth nothing if it does not reach the corners.
    for (what, sql, at_least) in [
        ("succeeded", "select count(*) from falconer.jobs where state = 'succeeded'", 5),
        ("failed", "select count(*) from falconer.jobs where state = 'failed'", 2),
        ("canceled", "select count(*) from falconer.jobs where state = 'canceled'", 2),
        ("retried", "select count(*) from falconer.attempts where number > 1", 5),
        ("superseded", "select count(*) from falconer.attempts where superseded_at is not null", 2),
        ("late", "select count(*) from falconer.attempts where superseded_ok_at is not null", 2),
        (
            "adopted",
            "select count(*) from falconer.transitions where attempt_from in ('failed', 'abandoned', 'expired')
            and attempt_to = 'succeeded'",
            1,
        ),
        ("conflicts", "select count(*) from falconer.callbacks where cause = 'conflict'", 2),
        ("repeats", "select count(*) from falconer.callbacks where disposition = 'duplicate'", 5),
    ] {
        let reached = count(&pool, sql).await;
        assert!(reached >= at_least, "{what}: {reached}");
    }
}
