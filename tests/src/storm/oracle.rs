//! Judges a drained storm: jobs and money, each compared with what the callers were told and what fal knows. All that must
//! be zero is zero, or the storm has failed.

use super::{
    load::{self, Known, Outcome},
    plan::Plan,
    site::Site,
};
use anyhow::{Context as _, Result};
use domain::TokenKeys;
use rust_decimal::Decimal;
use serde::Serialize;
use simulator::{Fault, OutcomeKind, RequestView};
use std::collections::{BTreeMap, HashMap, HashSet};
use testkit::{CALLBACK_SECRET, invariants, truth};
use uuid::Uuid;

/// What became of jobs.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Jobs {
    pub sent: usize,
    pub acknowledged: usize,
    pub refused: usize,
    /// Callers who found nobody to speak to, however often they tried.
    pub not_sent: usize,
    /// Callers who never learnt whether there is a job, and whether there is.
    pub never_learnt: usize,
    pub never_learnt_and_made: usize,
    pub never_learnt_and_not_made: usize,
    /// Requests without an answer whose caller asked again and then learnt it.
    pub unknown_and_learnt_later: usize,
    /// Acknowledged, and not there or not ended.
    pub lost: usize,
    /// Acknowledged under one id, while its key leads to another; or there although it was refused or never sent.
    pub told_otherwise: usize,
    /// Jobs that no caller's key leads to.
    pub made_twice: i64,
    pub ended_twice: i64,
    /// Ended jobs with more or fewer than one event of their end.
    pub events_not_one: i64,
    pub results_altered: usize,
    pub succeeded: i64,
    pub not_succeeded: i64,
}

/// What became of money, for jobs of one policy.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Money {
    pub jobs: usize,
    pub paid_runs: usize,
    pub dollars: Decimal,
    /// Jobs that were paid for more than once, the runs beyond the first, and what those cost.
    pub jobs_paid_twice: usize,
    pub second_paid_runs: usize,
    pub second_paid_dollars: Decimal,
    /// Of these runs, those after a first one that nobody could know of: every webhook lost, and no history.
    pub of_runs_nobody_could_find: usize,
    pub paid_without_ledger_line: usize,
    pub ledger_line_without_paid_run: usize,
    /// Lines of runs that failed and were not billed, but of which fal signed an OK as well.
    pub contradicted_by_fal: usize,
    /// Lines that say themselves that they may be wrong.
    pub possible_charges: usize,
}

/// Everything that is judged.
#[derive(Clone, Debug, Default)]
pub struct Verdict {
    pub jobs: Jobs,
    pub money: BTreeMap<String, Money>,
    /// Invariants with rows.
    pub broken: Vec<String>,
}

/// Judges.
pub async fn judge(site: &Site, plan: &Plan, known: &[Known]) -> Result<Verdict> {
    let acknowledged: Vec<Uuid> = known.iter().filter_map(acknowledged).collect();
    let mut broken = invariants::broken(&site.db, &invariants::after_drain()).await?;
    broken.extend(truth::broken(&site.db, &site.sim, &acknowledged, &[]).await?);
    let altered = broken.iter().filter(|broken| broken.id == "I10").map(|broken| broken.rows.len()).sum();
    let mut jobs = jobs(site, known, &acknowledged).await?;
    jobs.results_altered = altered;
    let broken = broken.into_iter().map(|broken| format!("{}: not {}: {:?}", broken.id, broken.holds, broken.rows));
    Ok(Verdict { jobs, money: money(site, plan).await?, broken: broken.collect() })
}

fn acknowledged(known: &Known) -> Option<Uuid> {
    if let Outcome::Acknowledged(id) = known.outcome { Some(id) } else { None }
}

async fn jobs(site: &Site, known: &[Known], acknowledged: &[Uuid]) -> Result<Jobs> {
    let keys: Vec<(String, Uuid)> = sqlx::query_as("select key, job_id from falconer.idempotency_keys")
        .fetch_all(&site.db)
        .await
        .context("keys")?;
    let keys: HashMap<String, Uuid> = keys.into_iter().collect();
    let ended: Vec<Uuid> =
        sqlx::query_scalar("select id from falconer.jobs where finished_at is not null").fetch_all(&site.db).await?;
    let ended: HashSet<Uuid> = ended.into_iter().collect();
    let never: Vec<bool> = known
        .iter()
        .filter(|known| known.outcome == Outcome::Unknown)
        .map(|known| keys.contains_key(&load::key(known.number)))
        .collect();
    let otherwise = |known: &&Known| is_otherwise(known, &keys);
    let learnt_later = |known: &&Known| known.unknown_tries > 0 && known.outcome != Outcome::Unknown;
    let count = async |query| sqlx::query_scalar::<_, i64>(query).fetch_one(&site.db).await.context("a count");
    Ok(Jobs {
        sent: known.len(),
        acknowledged: acknowledged.len(),
        refused: known.iter().filter(|known| matches!(known.outcome, Outcome::Refused(_))).count(),
        not_sent: known.iter().filter(|known| known.outcome == Outcome::NotSent).count(),
        never_learnt: never.len(),
        never_learnt_and_made: never.iter().filter(|made| **made).count(),
        never_learnt_and_not_made: never.iter().filter(|made| !**made).count(),
        unknown_and_learnt_later: known.iter().filter(learnt_later).count(),
        lost: acknowledged.iter().filter(|id| !ended.contains(*id)).count(),
        told_otherwise: known.iter().filter(otherwise).count(),
        made_twice: count(
            "select count(*) from falconer.jobs j
             where not exists (select from falconer.idempotency_keys k where k.job_id = j.id)",
        )
        .await?,
        ended_twice: count(
            "select count(*) from (select job_id from falconer.transitions
             where job_to in ('succeeded', 'failed', 'canceled') group by job_id having count(*) > 1) as twice",
        )
        .await?,
        events_not_one: count(
            "select count(*) from falconer.jobs j where j.finished_at is not null and 1 <> (
                 select count(*) from falconer.job_events e where e.job_id = j.id
                 and e.type in ('job.succeeded', 'job.failed', 'job.canceled'))",
        )
        .await?,
        results_altered: 0,
        succeeded: count("select count(*) from falconer.jobs where state = 'succeeded'").await?,
        not_succeeded: count("select count(*) from falconer.jobs where state <> 'succeeded'").await?,
    })
}

/// Whether the database contradicts what a caller was told.
fn is_otherwise(known: &Known, keys: &HashMap<String, Uuid>) -> bool {
    let there = keys.get(&load::key(known.number));
    match known.outcome {
        Outcome::Acknowledged(id) => there != Some(&id),
        Outcome::Refused(_) | Outcome::NotSent => there.is_some(),
        Outcome::Unknown => false,
    }
}

/// One run, as fal knows it.
pub struct Run<'a> {
    pub attempt: Uuid,
    pub request: &'a RequestView,
}

async fn money(site: &Site, plan: &Plan) -> Result<BTreeMap<String, Money>> {
    let attempts: Vec<(Uuid, Uuid, String)> = sqlx::query_as(
        "select a.id, j.id, j.on_unknown from falconer.attempts a join falconer.jobs j on j.id = a.job_id",
    )
    .fetch_all(&site.db)
    .await
    .context("attempts")?;
    let attempts: HashMap<Uuid, (Uuid, String)> =
        attempts.into_iter().map(|(id, job, policy)| (id, (job, policy))).collect();
    let lines: Vec<(Uuid, String)> =
        sqlx::query_as("select attempt_id, kind from falconer.ledger").fetch_all(&site.db).await.context("ledger")?;
    let requests = site.sim.requests();
    let (paid, said_paid) = (runs(&requests, |run| run.cost.is_some())?, runs(&requests, said_ok_of_a_failed_run)?);
    let mut money: BTreeMap<String, Money> = BTreeMap::new();
    let mut by_job: BTreeMap<(String, Uuid), Vec<&Run<'_>>> = BTreeMap::new();
    for run in &paid {
        // A run of no attempt is invariant I18's affair.
        let Some((job, policy)) = attempts.get(&run.attempt) else { continue };
        by_job.entry((policy.clone(), *job)).or_default().push(run);
        let sums = money.entry(policy.clone()).or_default();
        sums.paid_without_ledger_line += usize::from(!lines.iter().any(|(attempt, _)| *attempt == run.attempt));
    }
    for ((policy, _), runs) in &by_job {
        money.entry(policy.clone()).or_default().add(runs, plan);
    }
    let ids = |runs: &[Run<'_>]| runs.iter().map(|run| run.attempt).collect::<HashSet<Uuid>>();
    let (paid, said_paid) = (ids(&paid), ids(&said_paid));
    for (attempt, kind) in &lines {
        let Some((_, policy)) = attempts.get(attempt) else { continue };
        let sums = money.entry(policy.clone()).or_default();
        let is_sure = kind != "possible_charge";
        sums.possible_charges += usize::from(!is_sure);
        let unpaid = is_sure && !paid.contains(attempt);
        sums.contradicted_by_fal += usize::from(unpaid && said_paid.contains(attempt));
        sums.ledger_line_without_paid_run += usize::from(unpaid && !said_paid.contains(attempt));
    }
    Ok(money)
}

/// The runs that are `wanted`, oldest first, each with the attempt whose token its webhook carries.
pub fn runs(requests: &[RequestView], wanted: impl Fn(&RequestView) -> bool) -> Result<Vec<Run<'_>>> {
    let keys = TokenKeys::derive(CALLBACK_SECRET).context("the secret of tests")?;
    let attempt = |request: &RequestView| {
        let token = request.webhook_url.as_deref()?.rsplit('/').next()?;
        keys.verify(token).map(|(_, attempt)| attempt.0)
    };
    let wanted = requests.iter().filter(|request| wanted(request));
    let mut runs: Vec<Run<'_>> =
        wanted.filter_map(|request| Some(Run { attempt: attempt(request)?, request })).collect();
    runs.sort_by_key(|run| run.request.posted_at);
    Ok(runs)
}

fn said_ok_of_a_failed_run(request: &RequestView) -> bool {
    request.outcome != Some(OutcomeKind::Ok) && request.faults.contains(&Fault::CallbackConflicting)
}

impl Money {
    /// Adds the paid runs of one job, oldest first.
    fn add(&mut self, runs: &[&Run<'_>], plan: &Plan) {
        let cost = |run: &&&Run<'_>| run.request.cost.unwrap_or_default();
        self.jobs += 1;
        self.paid_runs += runs.len();
        self.dollars += runs.iter().map(|run| cost(&run)).sum::<Decimal>();
        self.jobs_paid_twice += usize::from(runs.len() > 1);
        self.second_paid_runs += runs.len() - 1;
        self.second_paid_dollars += runs.iter().skip(1).map(|run| cost(&run)).sum::<Decimal>();
        let is_hidden = |run: &Run<'_>| {
            !plan.history.lists() && !run.request.webhook_tries.iter().any(simulator::TryView::delivered)
        };
        let hidden = runs.iter().filter(|run| is_hidden(run)).count();
        self.of_runs_nobody_could_find += hidden.min(runs.len() - 1);
    }
}
