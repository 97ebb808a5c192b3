//! Attempts whose outcome was unknown for a while: how many, what resolved them, and how long that took. And the callbacks,
//! which resolve most of them.

use super::{nemesis::Done, oracle, site::Site};
use anyhow::{Context as _, Result};
use chrono::{DateTime, Utc};
use serde::Serialize;
use simulator::RequestView;
use std::{
    collections::HashSet,
    time::{Duration, SystemTime},
};
use uuid::Uuid;

/// What became of unknown attempts.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Unknowns {
    pub attempts: usize,
    pub resolved_by_callback: usize,
    pub resolved_by_history: usize,
    /// By fal's own answer, which arrived or was recorded late.
    pub resolved_by_the_answer: usize,
    /// Given up, and of these, how many fal had never been sent: there was nothing to find.
    pub abandoned: usize,
    pub of_these_never_sent: usize,
    /// Neither bound nor abandoned: canceled, or not resolved at all.
    pub otherwise: usize,
    /// Of those that were resolved without being abandoned, in the database's time.
    pub seconds_to_resolve: Spread,
    /// Ran to a good end after a newer attempt had been opened, and gave the job its result.
    pub adopted_late: i64,
    /// The same, but the job had ended already.
    pub late_and_only_charged: i64,
}

/// Webhooks as fal sent them.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Hooks {
    pub tries: usize,
    pub lost_on_the_way: usize,
    /// Before the answer of their submit.
    pub early: usize,
    /// Beyond the first of a request that was answered with 2xx.
    pub duplicates: usize,
    pub conflicting: usize,
    /// Answered with 503, or not at all.
    pub turned_away: usize,
}

/// How soon work goes on after a fault, in seconds.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Recovery {
    /// From a kill to the next claim by anybody.
    pub kill_to_next_claim: Spread,
    /// From the last kill to when what a dead server had claimed, and told nobody of, is taken up.
    pub kill_to_lease_run_out: Spread,
    /// From the return of Postgres to the next claim.
    pub postgres_back_to_claim: Spread,
}

/// Percentiles.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Spread {
    pub count: usize,
    pub p50: f64,
    pub p99: f64,
    pub max: f64,
}

/// Reads what became of unknown attempts.
pub async fn unknowns(site: &Site) -> Result<Unknowns> {
    let rows: Vec<(Uuid, String, Option<String>, Option<f64>)> = sqlx::query_as(
        "select a.id, a.state, a.bound_by, extract(epoch from o.at - u.at)::float8
         from (select job_id, attempt_number, min(at) as at from falconer.transitions
               where attempt_to = 'unknown' and attempt_from is distinct from 'unknown' group by 1, 2) as u
         join falconer.attempts a on a.job_id = u.job_id and a.number = u.attempt_number
         left join lateral (select min(at) as at from falconer.transitions t
               where t.job_id = u.job_id and t.attempt_number = u.attempt_number
                 and t.attempt_from = 'unknown' and t.attempt_to <> 'unknown') as o on true",
    )
    .fetch_all(&site.db)
    .await
    .context("unknown attempts")?;
    let bound = |by: &str| rows.iter().filter(|(_, _, bound_by, _)| bound_by.as_deref() == Some(by)).count();
    let unbound = rows.iter().filter(|(_, _, by, _)| by.is_none());
    let (abandoned, otherwise): (Vec<_>, Vec<_>) = unbound.partition(|(_, state, ..)| state == "abandoned");
    let requests = site.sim.requests();
    let sent: HashSet<Uuid> = oracle::runs(&requests, |_| true)?.iter().map(|run| run.attempt).collect();
    let resolved = rows.iter().filter(|(_, _, by, _)| by.is_some()).filter_map(|(.., seconds)| *seconds);
    let count = async |query| sqlx::query_scalar::<_, i64>(query).fetch_one(&site.db).await.context("late results");
    Ok(Unknowns {
        attempts: rows.len(),
        resolved_by_callback: bound("callback"),
        resolved_by_history: bound("history"),
        resolved_by_the_answer: bound("submit"),
        abandoned: abandoned.len(),
        of_these_never_sent: abandoned.iter().filter(|(attempt, ..)| !sent.contains(attempt)).count(),
        otherwise: otherwise.len(),
        seconds_to_resolve: Spread::of(resolved.collect()),
        adopted_late: count(
            "select count(*) from falconer.attempts a where a.state = 'succeeded' and exists (
                 select from falconer.attempts b
                 where b.job_id = a.job_id and b.number > a.number and b.claimed_at < a.finished_at)",
        )
        .await?,
        late_and_only_charged: count("select count(*) from falconer.attempts where superseded_ok_at is not null")
            .await?,
    })
}

/// Counts webhooks.
pub fn hooks(requests: &[RequestView]) -> Hooks {
    let mut hooks = Hooks::default();
    for request in requests {
        let tries = &request.webhook_tries;
        let delivered = tries.iter().filter(|seen| seen.delivered()).count();
        let fault = |name: &str| tries.iter().filter(|seen| seen.fault.as_deref() == Some(name)).count();
        hooks.tries += tries.len();
        hooks.lost_on_the_way += fault("lost");
        hooks.conflicting += fault("conflicting");
        hooks.duplicates += delivered.saturating_sub(1);
        hooks.early += usize::from(delivered > 0 && request.faults.contains(&simulator::Fault::CallbackBeforeAnswer));
        let unheard = tries.iter().filter(|seen| seen.fault.as_deref() != Some("lost") && seen.status.is_none());
        hooks.turned_away += unheard.count() + tries.iter().filter(|seen| seen.status == Some(503)).count();
    }
    hooks
}

/// Measures how soon work went on.
pub async fn recovery(site: &Site, done: &Done, calm_from: SystemTime) -> Result<Recovery> {
    let claims: Vec<DateTime<Utc>> =
        sqlx::query_scalar("select claimed_at from falconer.attempts order by 1").fetch_all(&site.db).await?;
    let ran_out: Vec<(DateTime<Utc>, DateTime<Utc>)> = sqlx::query_as(
        "select a.claimed_at, t.at from falconer.transitions t
         join falconer.attempts a on a.job_id = t.job_id and a.number = t.attempt_number where t.event = 'lease_expired'",
    )
    .fetch_all(&site.db)
    .await?;
    let calm_from = DateTime::<Utc>::from(calm_from);
    let next_claims = |moments: &[SystemTime]| {
        let moments = moments.iter().map(|at| DateTime::<Utc>::from(*at));
        let waits = moments.filter_map(|at| Some(seconds(at, *claims.iter().find(|claim| **claim > at)?)));
        Spread::of(waits.collect())
    };
    let mut taken_up = Vec::new();
    // Once the storm is over, time is moved.
    for (claimed, at) in ran_out.into_iter().filter(|(_, at)| *at < calm_from) {
        let kills = done.killed_at.iter().map(|killed| DateTime::<Utc>::from(*killed));
        taken_up.extend(
            kills.filter(|killed| (claimed..at).contains(killed)).map(|killed| seconds(killed, at)).reduce(f64::min),
        );
    }
    Ok(Recovery {
        kill_to_next_claim: next_claims(&done.killed_at),
        kill_to_lease_run_out: Spread::of(taken_up),
        postgres_back_to_claim: next_claims(&done.postgres_back_at),
    })
}

fn seconds(from: DateTime<Utc>, until: DateTime<Utc>) -> f64 {
    (until - from).to_std().unwrap_or(Duration::ZERO).as_secs_f64()
}

impl Spread {
    fn of(mut values: Vec<f64>) -> Self {
        values.sort_by(f64::total_cmp);
        let at = |percent: usize| {
            let place = (values.len() * percent).div_ceil(100).saturating_sub(1);
            values.get(place).map_or(0.0, |value| (value * 100.0).round() / 100.0)
        };
        Self { count: values.len(), p50: at(50), p99: at(99), max: at(100) }
    }
}
