//! The callbacks as they arrived, to be listed, read, checked and processed again.
//!
//! What a genuine one does is [`crate::settle`], which also writes its row; those that were turned away are written by
//! [`crate::rejected`].

use crate::{Page, Store, error::Result};
use chrono::{DateTime, Utc};
use domain::{AttemptId, CallbackId, CredentialId, JobId, ProjectId};

/// Rows that one page may read, as in the lists of jobs.
const SCAN_MAX: i64 = 20_000;
/// The most callbacks that one page holds.
const LIST_MAX: u32 = 200;

/// Who asks: a project sees the callbacks of its own attempts, an operator sees all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reader {
    Project(ProjectId),
    Operator,
}

/// Which callbacks are wanted. What is not said does not matter.
#[derive(Clone, Debug, Default)]
pub struct CallbackFilter {
    pub disposition: Option<String>,
    pub cause: Option<String>,
    pub attempt: Option<AttemptId>,
    pub job: Option<JobId>,
    /// As the call itself said, proved or not.
    pub request_id: Option<String>,
}

/// One callback without its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallbackView {
    pub id: CallbackId,
    pub received_at: DateTime<Utc>,
    pub job: Option<JobId>,
    pub attempt: Option<AttemptId>,
    pub request_id: Option<String>,
    pub user_id: Option<String>,
    /// Seconds since 1970, as the call said.
    pub signed_at: Option<i64>,
    /// As it stood in the header.
    pub signature: Option<String>,
    pub disposition: String,
    pub cause: Option<String>,
    pub body_bytes: i64,
    pub body_sha256: Option<Vec<u8>>,
}

/// One callback with its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredCallback {
    pub view: CallbackView,
    pub credential: Option<CredentialId>,
    /// The user id pinned for its credential.
    pub pinned_user_id: Option<String>,
    /// The request id that its attempt is bound to.
    pub bound_request_id: Option<String>,
    /// Empty where the bytes were not kept.
    pub body: Option<Vec<u8>>,
}

/// Lists callbacks whose ids come before `after`, newest first. A page may be short and still have a successor.
///
/// Reads `callbacks_by_attempt` where an attempt or a job is named, else `callbacks_by_disposition` or the primary key.
pub async fn list(
    store: &Store,
    reader: Reader,
    filter: &CallbackFilter,
    after: Option<CallbackId>,
    limit: u32,
) -> Result<Page<CallbackView, CallbackId>> {
    let limit = usize::try_from(limit.clamp(1, LIST_MAX)).unwrap_or(1);
    let items = matching(store, reader, filter, after, limit + 1).await?;
    let mut page = Page::cut(items, limit, |item| item.id);
    if page.next.is_none() && filter.attempt.is_none() && filter.job.is_none() {
        page.next = last_scanned(store, filter, after).await?;
    }
    Ok(page)
}

/// Reads one callback with its bytes; nothing where it is not there or the reader may not see it. A repeat of bytes that
/// an earlier row holds is read from there.
pub async fn get(store: &Store, reader: Reader, id: CallbackId) -> Result<Option<StoredCallback>> {
    let row = sqlx::query!(
        r#"
        select c.id as "id!: CallbackId", c.received_at as "received_at!", c.job_id as "job: JobId",
            c.attempt_id as "attempt: AttemptId", c.request_id, c.user_id, c.signed_at, c.signature,
            c.disposition as "disposition!", c.cause, c.body_bytes as "body_bytes!", c.body_sha256,
            c.credential_id as "credential: CredentialId", k.user_id as "pinned_user_id?",
            a.request_id as "bound_request_id?",
            coalesce(c.body, (
                select e.body from falconer.callbacks e
                where e.attempt_id = c.attempt_id and e.body_sha256 = c.body_sha256 and e.body is not null
                limit 1
            )) as body
        from falconer.callbacks c
        left join falconer.attempts a on a.id = c.attempt_id
        left join falconer.credentials k on k.id = c.credential_id
        where c.id = $1 and ($2::uuid is null or a.project_id = $2)
        "#,
        id.0,
        reader.project(),
    )
    .fetch_optional(&store.pools.api)
    .await?;
    Ok(row.map(|row| StoredCallback {
        view: CallbackView {
            id: row.id,
            received_at: row.received_at,
            job: row.job,
            attempt: row.attempt,
            request_id: row.request_id,
            user_id: row.user_id,
            signed_at: row.signed_at,
            signature: row.signature,
            disposition: row.disposition,
            cause: row.cause,
            body_bytes: row.body_bytes,
            body_sha256: row.body_sha256,
        },
        credential: row.credential,
        pinned_user_id: row.pinned_user_id,
        bound_request_id: row.bound_request_id,
        body: row.body,
    }))
}

/// Reads a callback that is to be processed again, whoever asks.
pub async fn for_reprocess(store: &Store, id: CallbackId) -> Result<Option<StoredCallback>> {
    get(store, Reader::Operator, id).await
}

impl Reader {
    pub(crate) fn project(self) -> Option<uuid::Uuid> {
        match self {
            Self::Project(id) => Some(id.0),
            Self::Operator => None,
        }
    }
}

async fn matching(
    store: &Store,
    reader: Reader,
    filter: &CallbackFilter,
    after: Option<CallbackId>,
    limit: usize,
) -> Result<Vec<CallbackView>> {
    let after = after.map_or(uuid::Uuid::max(), |id| id.0);
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    if filter.attempt.is_some() || filter.job.is_some() {
        let rows = sqlx::query_as!(
            CallbackView,
            r#"
            select c.id as "id: CallbackId", c.received_at, c.job_id as "job: JobId",
                c.attempt_id as "attempt: AttemptId", c.request_id, c.user_id, c.signed_at, c.signature, c.disposition,
                c.cause, c.body_bytes, c.body_sha256
            from falconer.attempts a
            join falconer.callbacks c on c.attempt_id = a.id
            where ($1::uuid is null or a.id = $1) and ($2::uuid is null or a.job_id = $2)
              and ($3::uuid is null or a.project_id = $3)
              and c.id < $4
              and ($5::text is null or c.disposition = $5) and ($6::text is null or c.cause = $6)
              and ($7::text is null or c.request_id = $7)
            order by c.id desc
            limit $8
            "#,
            filter.attempt.map(|id| id.0),
            filter.job.map(|id| id.0),
            reader.project(),
            after,
            filter.disposition.as_deref(),
            filter.cause.as_deref(),
            filter.request_id.as_deref(),
            limit,
        )
        .fetch_all(&store.pools.api)
        .await?;
        return Ok(rows);
    }
    let rows = sqlx::query_as!(
        CallbackView,
        r#"
        select c.id as "id!: CallbackId", c.received_at as "received_at!", c.job_id as "job: JobId",
            c.attempt_id as "attempt: AttemptId", c.request_id, c.user_id, c.signed_at, c.signature,
            c.disposition as "disposition!", c.cause, c.body_bytes as "body_bytes!", c.body_sha256
        from (
            select id, received_at, job_id, attempt_id, request_id, user_id, signed_at, signature, disposition, cause,
                body_bytes, body_sha256
            from falconer.callbacks
            where ($1::text is null or disposition = $1) and id < $2
            order by id desc
            limit $3
        ) as c
        where ($4::text is null or c.cause = $4) and ($5::text is null or c.request_id = $5)
          and ($6::uuid is null
               or exists (select from falconer.attempts a where a.id = c.attempt_id and a.project_id = $6))
        order by c.id desc
        limit $7
        "#,
        filter.disposition.as_deref(),
        after,
        SCAN_MAX,
        filter.cause.as_deref(),
        filter.request_id.as_deref(),
        reader.project(),
        limit,
    )
    .fetch_all(&store.pools.api)
    .await?;
    Ok(rows)
}

async fn last_scanned(store: &Store, filter: &CallbackFilter, after: Option<CallbackId>) -> Result<Option<CallbackId>> {
    let id = sqlx::query_scalar!(
        r#"select id as "id: CallbackId" from falconer.callbacks
           where ($1::text is null or disposition = $1) and id < $2 order by id desc offset $3 limit 1"#,
        filter.disposition.as_deref(),
        after.map_or(uuid::Uuid::max(), |id| id.0),
        SCAN_MAX - 1,
    )
    .fetch_optional(&store.pools.api)
    .await?;
    Ok(id)
}

#[cfg(test)]
mod tests;
