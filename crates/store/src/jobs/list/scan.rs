//! The statements that find the jobs of one page. Each reads one index, in its order, and is bounded in rows or in time.

use super::{Found, JobFilter, Part, Span};
use crate::{
    Store,
    error::{Error, Result},
};
use chrono::TimeDelta;
use domain::{JobId, ProjectId};
use serde_json::Value;
use sqlx::PgTransaction;

/// For one statement. A page that reads its rows takes a small part of it.
const TIMEOUT: &str = "2s";

/// For the index of labels, which is not in the list's order: all that it finds is read before a page is cut off it.
const LABELS_TIMEOUT: &str = "80ms";

/// One search, with the time that its statements may take.
pub(super) struct Reading<'a> {
    tx: PgTransaction<'static>,
    project: ProjectId,
    filter: &'a JobFilter,
    span: Span,
    wanted: i64,
}

/// Runs a statement with the filter in its middle. The filter's values are its first parameters, project and span the next
/// three, and the jobs are named `j`.
macro_rules! filtered {
    ($reading:ident, $before:literal, $after:literal $(+ $more:literal)* $(, $value:expr)*) => {
        sqlx::query!(
            $before + "(($1::text[] is null or j.state = any($1))
                and ($2::text is null or j.model = $2)
                and ($3::text is null or j.tags @> array[$3])
                and ($4::jsonb is null or j.metadata @> $4)
                and ($5::text is null or j.error_class = $5)
                and ($6::timestamptz is null or j.created_at >= $6)
                and ($7::timestamptz is null or j.created_at < $7))" + $after $(+ $more)*,
            $reading.filter.states.as_deref(),
            $reading.filter.model.as_deref(),
            $reading.filter.tag.as_deref(),
            $reading.filter.metadata.as_ref(),
            $reading.filter.error_class.as_deref(),
            $reading.filter.created_from,
            $reading.filter.created_before,
            $reading.project.0,
            $reading.span.lowest,
            $reading.span.upper
            $(, $value)*
        )
    };
}

/// Reads `rows` rows of an index in order, and keeps those that fit, and the last one.
macro_rules! in_order {
    ($reading:ident, $rows:ident, $part:literal $(, $value:expr)*) => {{
        let rows = filtered!(
            $reading,
            r#"select s.id as "id!: JobId", s.fits as "fits!", s.place = $12 as "is_last!"
               from (select j.id, row_number() over (order by j.id desc) as place, "#,
            " as fits
               from (select j.id, j.state, j.model, j.tags, j.metadata, j.error_class, j.created_at
                     from falconer.jobs j
                     where j.project_id = $8 and j.id >= $9 and j.id < $10 and " + $part + "
                     order by j.id desc
                     limit $12) as j) as s
               where s.fits or s.place = $12
               order by s.id desc
               limit $11",
            $reading.wanted + 1,
            $rows
            $(, $value)*
        )
        .fetch_all(&mut *$reading.tx)
        .await?;
        rows.into_iter().map(|row| (row.id, row.fits, row.is_last)).collect::<Vec<_>>()
    }};
}

impl<'a> Reading<'a> {
    pub(super) async fn begin(
        store: &Store,
        project: ProjectId,
        filter: &'a JobFilter,
        after: Option<JobId>,
        wanted: usize,
    ) -> Result<Self> {
        let mut tx = store.pools.api.begin().await?;
        // Statistics may be of a time when the table was empty: no plan of these may read a whole partition.
        let row = sqlx::query!(
            r#"select set_config('statement_timeout', $1, true) as "timeout!",
                   set_config('enable_seqscan', 'off', true) as "seqscan!",
                   extract(epoch from c.ahead_by)::float8 as "ahead!"
               from falconer.clock c"#,
            TIMEOUT,
        )
        .fetch_one(&mut *tx)
        .await?;
        #[expect(clippy::cast_possible_truncation, reason = "a fraction of a second does not matter beside an hour")]
        let ahead = TimeDelta::seconds(row.ahead as i64);
        let span = Span::of(filter, after, ahead);
        Ok(Self { tx, project, filter, span, wanted: i64::try_from(wanted).unwrap_or(i64::MAX) })
    }

    /// The parts of one index that hold every job that fits; none where no job can.
    ///
    /// Few jobs fail, so a class or a state that most jobs pass through comes before a model, which comes before `succeeded`.
    pub(super) async fn parts(&mut self) -> Result<Vec<Part>> {
        if let Some(class) = &self.filter.error_class {
            return Ok(vec![Part::ErrorClass(class.clone())]);
        }
        let mut states = self.filter.states.clone().unwrap_or_default();
        states.sort_unstable();
        states.dedup();
        if self.filter.model.is_some() && (states.is_empty() || states.iter().any(|state| state == "succeeded")) {
            return self.lanes().await;
        }
        if states.is_empty() {
            return Ok(vec![Part::Project]);
        }
        Ok(states.into_iter().map(Part::State).collect())
    }

    /// The lanes of the model: one for each account that the project has used it with.
    async fn lanes(&mut self) -> Result<Vec<Part>> {
        let lanes = sqlx::query_scalar!(
            "select id from falconer.lanes where project_id = $1 and model = $2",
            self.project.0,
            self.filter.model.as_deref(),
        )
        .fetch_all(&mut *self.tx)
        .await?;
        Ok(lanes.into_iter().map(Part::Lane).collect())
    }

    /// Reads up to `rows` rows of all parts together, newest first.
    pub(super) async fn parts_in_order(&mut self, parts: &[Part], rows: usize) -> Result<Found> {
        let rows = i64::try_from(rows / parts.len().max(1)).unwrap_or(i64::MAX).max(1);
        let mut found = Vec::with_capacity(parts.len());
        for part in parts {
            found.push(self.part(part, rows).await?);
        }
        Ok(Found::merge(found))
    }

    async fn part(&mut self, part: &Part, rows: i64) -> Result<Found> {
        let read = match part {
            Part::Project => in_order!(self, rows, "true"),
            Part::State(state) => in_order!(self, rows, "j.state = $13", state),
            Part::Lane(lane) => in_order!(self, rows, "j.lane_id = $13", lane),
            Part::ErrorClass(class) => in_order!(self, rows, "j.error_class = $13", class),
        };
        let stopped_at = read.iter().find(|(_, _, is_last)| *is_last).map(|(id, _, _)| *id);
        Ok(Found { ids: read.into_iter().filter(|(_, fits, _)| *fits).map(|(id, _, _)| id).collect(), stopped_at })
    }

    /// Finds every job with these labels that fits; nothing where there are too many to be read in time.
    pub(super) async fn by_labels(mut self, labels: &Value) -> Result<Option<Found>> {
        sqlx::query!(r#"select set_config('statement_timeout', $1, true) as "timeout!""#, LABELS_TIMEOUT)
            .fetch_one(&mut *self.tx)
            .await?;
        // Project and span are left out of what the index is asked for: the label holds the project, and an index of ids
        // beside this one would be read from end to end.
        let rows = filtered!(
            self,
            r#"with hits as materialized (
                   select j.id, j.project_id, j.state, j.model, j.tags, j.metadata, j.error_class, j.created_at
                   from falconer.jobs j
                   where falconer.labels(j.project_id, j.tags, j.metadata) @> $12
                     and (j.tags <> '{}' or j.metadata <> '{}'))
               select j.id as "id: JobId" from hits as j
               where j.project_id = $8 and j.id >= $9 and j.id < $10 and "#,
            " order by j.id desc limit $11",
            self.wanted,
            labels
        )
        .fetch_all(&mut *self.tx)
        .await;
        match rows.map_err(Error::from) {
            Ok(rows) => Ok(Some(Found { ids: rows.into_iter().map(|row| row.id).collect(), stopped_at: None })),
            Err(error) if is_timeout(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Finds the jobs that fal knows by `request_id`: one for each account.
    pub(super) async fn by_request_id(mut self, request_id: &str) -> Result<Found> {
        let rows = filtered!(
            self,
            r#"select j.id as "id: JobId"
               from falconer.credentials c
               join falconer.request_bindings b on b.credential_id = c.id and b.request_id = $12
               cross join lateral (select * from falconer.jobs j where j.id = b.job_id offset 0) as j
               where j.project_id = $8 and j.id >= $9 and j.id < $10 and "#,
            " order by j.id desc limit $11",
            self.wanted,
            request_id
        )
        .fetch_all(&mut *self.tx)
        .await?;
        Ok(Found { ids: rows.into_iter().map(|row| row.id).collect(), stopped_at: None })
    }
}

/// Whether Postgres ended the statement because its time was over.
fn is_timeout(error: &Error) -> bool {
    match error {
        Error::Unavailable(sqlx::Error::Database(refusal)) => refusal.code().as_deref() == Some("57014"),
        _ => false,
    }
}
