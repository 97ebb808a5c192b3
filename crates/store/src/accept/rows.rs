//! The rows of new jobs.

use super::{Born, NewJob};
use crate::{
    error::Result,
    lanes::{self, Lane, LaneKey},
};
use chrono::{DateTime, Utc};
use domain::JobId;
use sqlx::PgConnection;
use std::collections::HashMap;
use uuid::Uuid;

/// How much sooner one level of priority makes a job start: its claim key moves back by this much, so that a job at the
/// lowest level overtakes one at the highest that came twenty steps later.
const PRIORITY_STEP_SECONDS: f64 = 60.0;

/// Inserts the jobs, and makes the lanes that they need. A job whose id is there already is left as it is, and is not
/// among the answers.
pub(super) async fn insert(tx: &mut PgConnection, jobs: &[&NewJob]) -> Result<HashMap<JobId, Born>> {
    let mut keys: Vec<LaneKey> = jobs.iter().map(|job| lane_of(job)).collect();
    keys.sort();
    keys.dedup();
    let lanes = lanes::find_or_insert(tx, &keys).await?;
    let columns = Columns::of(jobs, &lanes);
    let rows = sqlx::query!(
        r#"with clock as materialized (select falconer.now() as now)
         insert into falconer.jobs (id, project_id, credential_id, lane_id, model, input, input_sha256, mints_seed,
             state, priority, run_at, claim_key, useful_until, on_unknown, attempts_max, tags, metadata, created_at,
             regenerated_from, estimated)
         select n.id, n.project_id, n.credential_id, n.lane_id, n.model, n.input, n.input_sha256, n.mints_seed,
             case when n.run_at > clock.now then 'scheduled' else 'queued' end,
             n.priority,
             greatest(coalesce(n.run_at, clock.now), clock.now),
             greatest(coalesce(n.run_at, clock.now), clock.now) - make_interval(secs => n.priority * $17::float8),
             n.useful_until, n.on_unknown, n.attempts_max,
             case when n.tags is null then '{}' else array(select jsonb_array_elements_text(n.tags)) end,
             n.metadata, clock.now, n.regenerated_from, n.estimated
         from clock, unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::int[], $5::text[], $6::bytea[], $7::bytea[],
             $8::bool[], $9::smallint[], $10::timestamptz[], $11::timestamptz[], $12::text[], $13::smallint[],
             $14::jsonb[], $15::jsonb[], $16::uuid[], $18::numeric[])
             as n (id, project_id, credential_id, lane_id, model, input, input_sha256, mints_seed, priority, run_at,
                 useful_until, on_unknown, attempts_max, tags, metadata, regenerated_from, estimated)
         on conflict do nothing
         returning id as "id: JobId", state, created_at, run_at"#,
        &columns.ids,
        &columns.projects,
        &columns.credentials,
        &columns.lanes,
        &columns.models,
        &columns.inputs as &[&[u8]],
        &columns.input_hashes as &[&[u8]],
        &columns.mints_seed,
        &columns.priorities,
        &columns.run_at as &[Option<DateTime<Utc>>],
        &columns.useful_until as &[Option<DateTime<Utc>>],
        &columns.on_unknown,
        &columns.attempts_max,
        &columns.tags as &[Option<serde_json::Value>],
        &columns.metadata,
        &columns.regenerated_from as &[Option<Uuid>],
        PRIORITY_STEP_SECONDS,
        &columns.estimated as &[Option<rust_decimal::Decimal>],
    )
    .fetch_all(tx)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| (row.id, Born { state: row.state, created_at: row.created_at, run_at: row.run_at }))
        .collect())
}

fn lane_of(job: &NewJob) -> LaneKey {
    LaneKey { credential: job.credential, project: job.project, model: job.model.clone() }
}

/// The jobs turned on their side, as `unnest` wants them.
struct Columns<'a> {
    ids: Vec<Uuid>,
    projects: Vec<Uuid>,
    credentials: Vec<Uuid>,
    lanes: Vec<i32>,
    models: Vec<String>,
    inputs: Vec<&'a [u8]>,
    input_hashes: Vec<&'a [u8]>,
    mints_seed: Vec<bool>,
    priorities: Vec<i16>,
    run_at: Vec<Option<DateTime<Utc>>>,
    useful_until: Vec<Option<DateTime<Utc>>>,
    on_unknown: Vec<String>,
    attempts_max: Vec<i16>,
    tags: Vec<Option<serde_json::Value>>,
    metadata: Vec<serde_json::Value>,
    regenerated_from: Vec<Option<Uuid>>,
    estimated: Vec<Option<rust_decimal::Decimal>>,
}

impl<'a> Columns<'a> {
    fn of(jobs: &[&'a NewJob], lanes: &HashMap<LaneKey, Lane>) -> Self {
        let each = || jobs.iter();
        Self {
            ids: each().map(|job| job.id.0).collect(),
            projects: each().map(|job| job.project.0).collect(),
            credentials: each().map(|job| lanes[&lane_of(job)].credential.0).collect(),
            lanes: each().map(|job| lanes[&lane_of(job)].id).collect(),
            models: each().map(|job| job.model.clone()).collect(),
            inputs: each().map(|job| &job.input[..]).collect(),
            input_hashes: each().map(|job| &job.input_sha256[..]).collect(),
            mints_seed: each().map(|job| job.mints_seed).collect(),
            priorities: each().map(|job| job.priority.level()).collect(),
            run_at: each().map(|job| job.run_at).collect(),
            useful_until: each().map(|job| job.useful_until).collect(),
            on_unknown: each().map(|job| job.on_unknown.as_str().to_owned()).collect(),
            attempts_max: each().map(|job| i16::try_from(job.attempts_max).unwrap_or(i16::MAX)).collect(),
            tags: each().map(|job| (!job.tags.is_empty()).then(|| job.tags.clone().into())).collect(),
            metadata: each().map(|job| job.metadata.clone()).collect(),
            regenerated_from: each().map(|job| job.regenerated_from.map(|id| id.0)).collect(),
            estimated: each().map(|job| job.estimated).collect(),
        }
    }
}
