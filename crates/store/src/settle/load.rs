//! Reads and locks what a batch is about: jobs in order of id, then their attempts.

use super::{
    Entry,
    record::{AttemptRecord, JobRecord},
    write::Writes,
};
use crate::error::Result;
use chrono::{DateTime, Utc};
use domain::{AttemptId, CredentialId, JobId, Lifecycle, ProjectId, RequestId};
use sqlx::PgConnection;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use uuid::Uuid;

/// Everything that a batch thinks with, and what it has decided so far.
pub(super) struct Loaded {
    pub(super) now: DateTime<Utc>,
    pub(super) jobs: BTreeMap<JobId, Aggregate>,
    pub(super) job_of: HashMap<AttemptId, JobId>,
    /// The pinned user id of each credential that has one.
    pub(super) user_ids: HashMap<CredentialId, String>,
    /// Which attempt a request id belongs to, of those that the batch speaks of.
    pub(super) bound: HashMap<(CredentialId, RequestId), AttemptId>,
    /// Stored results of attempts that are told of a result again: SHA-256 and bytes.
    pub(super) results: HashMap<AttemptId, (Vec<u8>, Vec<u8>)>,
    pub(super) writes: Writes,
}

/// A job with its attempts, as locked and as decided.
pub(super) struct Aggregate {
    pub(super) life: Lifecycle,
    pub(super) job: JobRecord,
    pub(super) job_before: JobRecord,
    pub(super) attempts: Vec<AttemptRecord>,
    pub(super) attempts_before: Vec<AttemptRecord>,
}

/// Locks the jobs of `entries` and their attempts, and reads what else is needed to decide.
pub(super) async fn load(tx: &mut PgConnection, entries: &[Entry]) -> Result<Loaded> {
    let (read_at, job_of) = find_jobs(tx, entries).await?;
    let mut ids: Vec<Uuid> =
        job_of.values().map(|id| id.0).chain(entries.iter().filter_map(|entry| entry.job().map(|id| id.0))).collect();
    ids.sort_unstable();
    ids.dedup();
    let jobs = lock(tx, &ids).await?;
    let now = not_before(read_at, &jobs);
    let user_ids = read_user_ids(tx, entries).await?;
    let bound = read_bound(tx, entries, &jobs, &job_of).await?;
    let results = read_results(tx, entries, &jobs, &job_of).await?;
    Ok(Loaded { now, jobs, job_of, user_ids, bound, results, writes: Writes::default() })
}

/// Runs the statements that every batch of callbacks runs on nothing, so that this connection has prepared them.
pub(super) async fn warm(tx: &mut PgConnection) -> Result<()> {
    find_jobs(tx, &[]).await?;
    lock(tx, &[]).await?;
    user_ids_of(tx, &[]).await?;
    holders(tx, &[], &[]).await?;
    Ok(())
}

/// The clock was read before the wait for the locks: what their last holders wrote may be later, and is not overtaken.
fn not_before(read_at: DateTime<Utc>, jobs: &BTreeMap<JobId, Aggregate>) -> DateTime<Utc> {
    let attempts = jobs.values().flat_map(|aggregate| &aggregate.attempts);
    let written = attempts.flat_map(|attempt| [Some(attempt.claimed_at), attempt.submitted_at, attempt.finished_at]);
    written.flatten().fold(read_at, DateTime::max)
}

async fn find_jobs(tx: &mut PgConnection, entries: &[Entry]) -> Result<(DateTime<Utc>, HashMap<AttemptId, JobId>)> {
    let ids: Vec<Uuid> = entries.iter().filter_map(|entry| entry.attempt().map(|id| id.0)).collect();
    let rows = sqlx::query!(
        r#"select clock.now as "now!", a.id as "id?: AttemptId", a.job_id as "job?: JobId"
           from (select falconer.now() as now offset 0) as clock
           left join (
               unnest($1::uuid[]) as w (id)
               cross join lateral (select a.id, a.job_id from falconer.attempts a where a.id = w.id offset 0) as a
           ) on true"#,
        &ids,
    )
    .fetch_all(tx)
    .await?;
    let now = rows.first().map_or(DateTime::UNIX_EPOCH, |row| row.now);
    Ok((now, rows.into_iter().filter_map(|row| row.id.zip(row.job)).collect()))
}

/// Locks in the order of `ids`, one lookup by key after the other: each reads only the partition that may hold the job.
/// The attempts come in a statement of their own, which sees what the last holder of a job's lock has added.
async fn lock(tx: &mut PgConnection, ids: &[Uuid]) -> Result<BTreeMap<JobId, Aggregate>> {
    let jobs = sqlx::query_as!(
        JobRecord,
        r#"select j.id as "id: JobId", project_id as "project: ProjectId", model, state, version, run_at, on_unknown,
               attempts_made, attempts_max, cancel_requested_at, finished_at, winner as "winner: AttemptId",
               error_class, error_message, error_charged, estimated
           from unnest($1::uuid[]) as w (id)
           cross join lateral (select * from falconer.jobs where id = w.id for update) as j"#,
        ids,
    )
    .fetch_all(&mut *tx)
    .await?;
    let attempts = sqlx::query_as!(
        AttemptRecord,
        r#"select job_id as "job: JobId", id as "id: AttemptId", credential_id as "credential: CredentialId", number,
               state, version, counted, fence, posted_by, claimed_at, submitted_at, finished_at, next_look_at, request_id,
               gateway_request_id, bound_by, candidate_request_id, superseded_at, superseded_ok_at,
               cancel_requested_at, error_class, error_message, charged, billable_units, result_from
           from unnest($1::uuid[]) as w (of_job)
           cross join lateral (
               select * from falconer.attempts where job_id = w.of_job order by number for update
           ) as a"#,
        ids,
    )
    .fetch_all(tx)
    .await?;
    let mut of_job: HashMap<JobId, Vec<AttemptRecord>> = HashMap::new();
    for attempt in attempts {
        of_job.entry(attempt.job).or_default().push(attempt);
    }
    jobs.into_iter()
        .map(|job| {
            let attempts = of_job.remove(&job.id).unwrap_or_default();
            let life = Lifecycle {
                job: job.to_domain()?,
                attempts: attempts.iter().map(AttemptRecord::to_domain).collect::<Result<_>>()?,
            };
            let aggregate = Aggregate {
                life,
                job_before: job.clone(),
                attempts_before: attempts.clone(),
                job: job.clone(),
                attempts,
            };
            Ok((job.id, aggregate))
        })
        .collect()
}

async fn read_user_ids(tx: &mut PgConnection, entries: &[Entry]) -> Result<HashMap<CredentialId, String>> {
    let mut ids: Vec<Uuid> = entries
        .iter()
        .filter_map(|entry| match entry {
            Entry::Callback(news) => Some(news.credential.0),
            Entry::Attempt(_) | Entry::Job(_) | Entry::Resolve(_) => None,
        })
        .collect();
    ids.sort_unstable();
    ids.dedup();
    if ids.is_empty() { Ok(HashMap::new()) } else { user_ids_of(tx, &ids).await }
}

async fn user_ids_of(tx: &mut PgConnection, ids: &[Uuid]) -> Result<HashMap<CredentialId, String>> {
    let rows = sqlx::query!(
        r#"select id as "id: CredentialId", user_id as "user_id!" from falconer.credentials
           where id = any($1) and user_id is not null"#,
        ids,
    )
    .fetch_all(tx)
    .await?;
    Ok(rows.into_iter().map(|row| (row.id, row.user_id)).collect())
}

/// Reads who holds the request ids that attempts without one are told of.
async fn read_bound(
    tx: &mut PgConnection,
    entries: &[Entry],
    jobs: &BTreeMap<JobId, Aggregate>,
    job_of: &HashMap<AttemptId, JobId>,
) -> Result<HashMap<(CredentialId, RequestId), AttemptId>> {
    let (mut credentials, mut request_ids) = (Vec::new(), Vec::new());
    for entry in entries {
        if let (Some(id), Some(request_id)) = (entry.attempt(), entry.request_id())
            && let Some(attempt) = find(jobs, job_of, id)
            && attempt.request_id.is_none()
        {
            credentials.push(attempt.credential.0);
            request_ids.push(request_id.0.clone());
        }
    }
    if request_ids.is_empty() { Ok(HashMap::new()) } else { holders(tx, &credentials, &request_ids).await }
}

async fn holders(
    tx: &mut PgConnection,
    credentials: &[Uuid],
    request_ids: &[String],
) -> Result<HashMap<(CredentialId, RequestId), AttemptId>> {
    let rows = sqlx::query!(
        r#"select b.credential_id as "credential: CredentialId", b.request_id, b.attempt_id as "attempt: AttemptId"
           from unnest($1::uuid[], $2::text[]) as w (credential_id, request_id)
           join falconer.request_bindings b using (credential_id, request_id)"#,
        credentials,
        request_ids,
    )
    .fetch_all(tx)
    .await?;
    Ok(rows.into_iter().map(|row| ((row.credential, RequestId(row.request_id)), row.attempt)).collect())
}

/// Job and attempt of those that succeeded and are told of a result again: each once, however often it is told, since each
/// row is a whole result.
pub(super) fn told_again(
    entries: &[Entry],
    jobs: &BTreeMap<JobId, Aggregate>,
    job_of: &HashMap<AttemptId, JobId>,
) -> BTreeSet<(Uuid, Uuid)> {
    let told = entries.iter().filter_map(|entry| match entry {
        Entry::Callback(news) => find(jobs, job_of, news.attempt),
        Entry::Attempt(_) | Entry::Job(_) | Entry::Resolve(_) => None,
    });
    told.filter(|attempt| attempt.state == "succeeded").map(|attempt| (attempt.job.0, attempt.id.0)).collect()
}

/// Reads the stored results of attempts that succeeded and are told of a result again.
async fn read_results(
    tx: &mut PgConnection,
    entries: &[Entry],
    jobs: &BTreeMap<JobId, Aggregate>,
    job_of: &HashMap<AttemptId, JobId>,
) -> Result<HashMap<AttemptId, (Vec<u8>, Vec<u8>)>> {
    let (of_jobs, attempts): (Vec<Uuid>, Vec<Uuid>) = told_again(entries, jobs, job_of).into_iter().unzip();
    if attempts.is_empty() {
        return Ok(HashMap::new());
    }
    let rows = sqlx::query!(
        r#"select r.attempt_id as "attempt: AttemptId", r.body_sha256, r.body
           from unnest($1::uuid[], $2::uuid[]) as w (job_id, attempt_id)
           join falconer.results r using (job_id, attempt_id)"#,
        &of_jobs,
        &attempts,
    )
    .fetch_all(tx)
    .await?;
    Ok(rows.into_iter().map(|row| (row.attempt, (row.body_sha256, row.body))).collect())
}

fn find<'a>(
    jobs: &'a BTreeMap<JobId, Aggregate>,
    job_of: &HashMap<AttemptId, JobId>,
    id: AttemptId,
) -> Option<&'a AttemptRecord> {
    jobs.get(job_of.get(&id)?)?.attempts.iter().find(|attempt| attempt.id == id)
}
