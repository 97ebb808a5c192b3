//! One job, with everything that the API tells of it.

mod row;

use crate::{
    Store,
    accept::{Born, NewJob},
    error::Result,
};
use chrono::{DateTime, Utc};
use domain::{JobId, ProjectId};
use row::Row;
use rust_decimal::Decimal;
use uuid::Uuid;

/// A job as callers see it.
#[derive(Clone, Debug, PartialEq)]
pub struct JobView {
    pub id: JobId,
    pub project: ProjectId,
    pub state: String,
    /// Grows with every change of the job's state, from 1.
    pub version: i32,
    pub model: String,
    pub priority: i16,
    pub tags: Vec<String>,
    pub metadata: serde_json::Value,
    pub attempts_made: i16,
    pub attempts_max: i16,
    /// fal's name for the attempt that won, or else for the newest.
    pub request_id: Option<String>,
    pub created_at: DateTime<Utc>,
    pub run_at: DateTime<Utc>,
    pub started_at: Option<DateTime<Utc>>,
    pub finished_at: Option<DateTime<Utc>>,
    pub error: Option<JobError>,
    pub waiting: Option<Waiting>,
    pub cost: Cost,
    pub regenerated_from: Option<JobId>,
    pub refetched_from: Option<JobId>,
}

/// Why a job failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobError {
    /// One of the names of `domain::ErrorClass`.
    pub class: String,
    pub message: Option<String>,
    /// Nothing where only fal's bill will tell.
    pub charged: Option<bool>,
}

/// What an open job waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    pub reason: WaitingReason,
    pub since: DateTime<Utc>,
    /// Where it is known.
    pub expected_start_at: Option<DateTime<Utc>>,
}

/// Why an open job does not move. The names are part of the outside contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WaitingReason {
    /// Its time has not come.
    Scheduled,
    /// An attempt failed, and the next one waits.
    Backoff,
    /// It is ready, and others hold the account's slots.
    Slots,
    /// An operator has paused its lane, or disabled its credential.
    Paused,
    /// fal refuses the key, or the model keeps failing.
    CircuitOpen,
    /// Nobody knows whether fal has its attempt.
    UnknownOutcome,
}

/// What a job costs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cost {
    pub currency: String,
    pub estimated: Option<Decimal>,
    pub reserved: Decimal,
    /// Nothing where something was charged and nobody knows how much.
    pub charged: Option<Decimal>,
}

impl WaitingReason {
    /// The name in the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Scheduled => "scheduled",
            Self::Backoff => "backoff",
            Self::Slots => "slots",
            Self::Paused => "paused",
            Self::CircuitOpen => "circuit_open",
            Self::UnknownOutcome => "unknown_outcome",
        }
    }
}

impl JobView {
    /// How a job looks that was made a moment ago.
    pub(crate) fn of_new(job: &NewJob, born: &Born) -> Self {
        let scheduled = born.state == "scheduled";
        let reason = if scheduled { WaitingReason::Scheduled } else { WaitingReason::Slots };
        let expected_start_at = scheduled.then_some(born.run_at);
        Self {
            id: job.id,
            project: job.project,
            state: born.state.clone(),
            version: 1,
            model: job.model.clone(),
            priority: job.priority.level(),
            tags: job.tags.clone(),
            metadata: job.metadata.clone(),
            attempts_made: 0,
            attempts_max: i16::try_from(job.attempts_max).unwrap_or(i16::MAX),
            request_id: None,
            created_at: born.created_at,
            run_at: born.run_at,
            started_at: None,
            finished_at: None,
            error: None,
            waiting: Some(Waiting { reason, since: born.created_at, expected_start_at }),
            cost: Cost {
                currency: "USD".to_owned(),
                estimated: job.estimated,
                reserved: job.estimated.unwrap_or_default(),
                charged: Some(Decimal::ZERO),
            },
            regenerated_from: job.regenerated_from,
            refetched_from: None,
        }
    }

    pub fn is_terminal(&self) -> bool {
        self.finished_at.is_some()
    }
}

/// Reads one job; nothing where it is not there or is another project's.
pub async fn get(store: &Store, project: Option<ProjectId>, id: JobId) -> Result<Option<JobView>> {
    Ok(views(store, project, &[id]).await?.pop())
}

/// Reads jobs in the order of `ids`, and leaves out those that are not there or are another project's.
pub async fn views(store: &Store, project: Option<ProjectId>, ids: &[JobId]) -> Result<Vec<JobView>> {
    let ids: Vec<Uuid> = ids.iter().map(|id| id.0).collect();
    // Each id is looked up by itself, so that only the partition that may hold it is read.
    let rows = sqlx::query_as!(
        Row,
        r#"
        with clock as materialized (select falconer.now() as now)
        select clock.now as "now!", j.id as "id: JobId", j.project_id as "project: ProjectId", j.state, j.version, j.model,
            j.priority, j.tags, j.metadata, j.attempts_made, j.attempts_max, j.created_at, j.run_at, j.started_at,
            j.finished_at, j.error_class, j.error_message, j.error_charged, j.estimated,
            j.regenerated_from as "regenerated_from: JobId", j.refetched_from as "refetched_from: JobId",
            a.request_id as "request_id?", a.finished_at as "attempt_finished_at?",
            least(l.paused_at, k.disabled_at) as "paused_at?",
            c.opened_at as "circuit_opened_at?", c.open_until as "circuit_open_until?",
            case when j.state = 'running' and a.state = 'unknown' and a.superseded_at is null then coalesce(
                (select max(t.at) from falconer.transitions t where t.job_id = j.id and t.attempt_to = 'unknown'),
                a.claimed_at) end as unknown_since,
            m.lines as "ledger_lines!", m.amount as "charged?", m.currency as "currency?"
        from clock
        cross join unnest($1::uuid[]) with ordinality as w (id, place)
        cross join lateral (
            select * from falconer.jobs j where j.id = w.id and ($2::uuid is null or j.project_id = $2) offset 0
        ) as j
        left join lateral (
            select a.request_id, a.state, a.superseded_at, a.claimed_at, a.finished_at
            from falconer.attempts a
            where a.job_id = w.id
            order by coalesce(a.id = j.winner, false) desc, a.number desc
            limit 1
        ) as a on true
        left join falconer.lanes l on l.id = j.lane_id and j.state = 'queued'
        left join falconer.credentials k on k.id = j.credential_id and j.state = 'queued'
        left join lateral (
            select min(c.opened_at) as opened_at, max(c.open_until) as open_until
            from falconer.circuits c
            where c.credential_id = j.credential_id and c.model in ('', j.model) and c.open_until > clock.now
        ) as c on j.state = 'queued'
        cross join lateral (
            select count(*) as lines, sum(m.amount) as amount, max(m.currency) as currency
            from falconer.ledger m
            where m.job_id = w.id
              -- What may have been charged was, once the attempt has a line that says so.
              and not (m.kind = 'possible_charge' and exists (
                  select from falconer.ledger o
                  where o.job_id = m.job_id and o.attempt_id = m.attempt_id and o.kind <> 'possible_charge'))
        ) as m
        order by w.place
        "#,
        &ids,
        project.map(|id| id.0),
    )
    .fetch_all(&store.pools.api)
    .await?;
    Ok(rows.into_iter().map(JobView::from).collect())
}
