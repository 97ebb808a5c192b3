//! What a job was given and what it gave.

use super::view::{JobError, get};
use crate::{Store, error::Result};
use bytes::Bytes;
use chrono::{DateTime, Utc};
use domain::{CredentialId, JobId, ProjectId};

/// What there is of a job's result.
#[derive(Clone, Debug, PartialEq)]
pub enum JobResult {
    /// fal's output, byte for byte.
    Found(Bytes),
    /// The job has not ended.
    Open,
    Failed(JobError),
    Canceled,
    /// The job succeeded and its result is not stored.
    Lost,
    /// No such job, or another project's.
    Missing,
}

/// A job's own input with what else a repeat of it needs.
#[derive(Clone, Debug)]
pub struct JobInput {
    pub credential: CredentialId,
    pub model: String,
    /// As the caller sent it.
    pub input: Bytes,
    pub priority: i16,
    pub useful_until: Option<DateTime<Utc>>,
    pub on_unknown: String,
    pub attempts_max: i16,
    pub tags: Vec<String>,
    pub metadata: serde_json::Value,
    pub estimated: Option<rust_decimal::Decimal>,
}

/// Reads a job's result.
pub async fn result(store: &Store, project: Option<ProjectId>, id: JobId) -> Result<JobResult> {
    let row = sqlx::query!(
        r#"select j.state as "state!", r.body as "body?"
           from falconer.jobs j
           left join falconer.results r on r.job_id = j.id and r.attempt_id = j.winner
           where j.id = $1 and ($2::uuid is null or j.project_id = $2)"#,
        id.0,
        project.map(|id| id.0),
    )
    .fetch_optional(&store.pools.api)
    .await?;
    Ok(match row {
        None => JobResult::Missing,
        Some(row) => match (row.state.as_str(), row.body) {
            ("succeeded", Some(body)) => JobResult::Found(body.into()),
            ("succeeded", None) => JobResult::Lost,
            ("canceled", _) => JobResult::Canceled,
            ("failed", _) => match get(store, project, id).await?.and_then(|job| job.error) {
                Some(error) => JobResult::Failed(error),
                // A retention run has dropped it between the two reads.
                None => JobResult::Missing,
            },
            _ => JobResult::Open,
        },
    })
}

/// Reads what a job was given; nothing where it is not there or is another project's.
pub async fn input(store: &Store, project: Option<ProjectId>, id: JobId) -> Result<Option<JobInput>> {
    let row = sqlx::query_as!(
        JobInput,
        r#"select credential_id as "credential: CredentialId", model, input as "input: Vec<u8>", priority, useful_until,
               on_unknown, attempts_max, tags, metadata, estimated
           from falconer.jobs where id = $1 and ($2::uuid is null or project_id = $2)"#,
        id.0,
        project.map(|id| id.0),
    )
    .fetch_optional(&store.pools.api)
    .await?;
    Ok(row)
}
