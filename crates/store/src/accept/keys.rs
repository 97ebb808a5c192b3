//! Idempotency keys and unique keys: whoever inserts one first makes the job.

use super::{Accepted, KEY_LIFE, NewJob};
use crate::error::Result;
use domain::{JobId, ProjectId};
use sqlx::PgConnection;
use std::collections::HashMap;

type Key = (ProjectId, String);

/// A key that was there before us.
struct Held {
    job: JobId,
    fingerprint: Vec<u8>,
}

/// Takes the idempotency keys of `jobs`, and answers for those that were taken.
///
/// A concurrent holder makes this wait until it has committed, so nobody ever sees a key in progress.
pub(crate) async fn take_idempotency(tx: &mut PgConnection, jobs: &[NewJob], answers: &mut [Accepted]) -> Result<()> {
    let mut firsts: HashMap<Key, &NewJob> = HashMap::new();
    for job in jobs {
        if let Some(wanted) = &job.idempotency {
            firsts.entry((job.project, wanted.key.clone())).or_insert(job);
        }
    }
    if firsts.is_empty() {
        return Ok(());
    }
    free_outlived(tx, &firsts).await?;
    let held = insert_or_find(tx, &firsts).await?;
    for (job, answer) in jobs.iter().zip(answers) {
        let Some(wanted) = &job.idempotency else { continue };
        let key = (job.project, wanted.key.clone());
        let (holder, fingerprint) = if let Some(held) = held.get(&key) {
            (held.job, held.fingerprint.as_slice())
        } else {
            let first = firsts[&key];
            (first.id, first.idempotency.as_ref().map_or(&[][..], |first| &first.fingerprint))
        };
        *answer = if holder == job.id {
            Accepted::Created(job.id)
        } else if fingerprint == wanted.fingerprint {
            Accepted::Replayed(holder)
        } else {
            Accepted::KeyReused(holder)
        };
    }
    Ok(())
}

/// Deletes keys whose time is over, and those whose job failed where the caller asked for that.
async fn free_outlived(tx: &mut PgConnection, wanted: &HashMap<Key, &NewJob>) -> Result<()> {
    let mut rows: Vec<(&Key, bool)> =
        wanted.iter().map(|(key, job)| (key, job.idempotency.as_ref().is_some_and(|i| i.reset_failed))).collect();
    rows.sort();
    let projects: Vec<uuid::Uuid> = rows.iter().map(|(key, _)| key.0.0).collect();
    let keys: Vec<String> = rows.iter().map(|(key, _)| key.1.clone()).collect();
    let resets: Vec<bool> = rows.iter().map(|(_, reset)| *reset).collect();
    sqlx::query!(
        "delete from falconer.idempotency_keys k
         using unnest($1::uuid[], $2::text[], $3::bool[]) as w (project_id, key, reset)
         where k.project_id = w.project_id and k.key = w.key
           and (k.expires_at <= falconer.now()
                or w.reset and exists (select from falconer.jobs j where j.id = k.job_id and j.state = 'failed'))",
        &projects,
        &keys,
        &resets,
    )
    .execute(tx)
    .await?;
    Ok(())
}

async fn insert_or_find(tx: &mut PgConnection, wanted: &HashMap<Key, &NewJob>) -> Result<HashMap<Key, Held>> {
    let mut rows: Vec<(&Key, &NewJob)> = wanted.iter().map(|(key, job)| (key, *job)).collect();
    rows.sort_by(|a, b| a.0.cmp(b.0));
    let projects: Vec<uuid::Uuid> = rows.iter().map(|(key, _)| key.0.0).collect();
    let keys: Vec<String> = rows.iter().map(|(key, _)| key.1.clone()).collect();
    let fingerprints: Vec<Vec<u8>> = rows
        .iter()
        .map(|(_, job)| job.idempotency.as_ref().map(|wanted| wanted.fingerprint.to_vec()).unwrap_or_default())
        .collect();
    let ids: Vec<uuid::Uuid> = rows.iter().map(|(_, job)| job.id.0).collect();
    let made = sqlx::query!(
        "insert into falconer.idempotency_keys (project_id, key, fingerprint, job_id, created_at, expires_at)
         select w.*, clock.now, clock.now + make_interval(secs => $5)
         from unnest($1::uuid[], $2::text[], $3::bytea[], $4::uuid[]) as w,
              (select falconer.now() as now offset 0) as clock
         on conflict do nothing",
        &projects,
        &keys,
        &fingerprints,
        &ids,
        KEY_LIFE.as_secs_f64(),
    )
    .execute(&mut *tx)
    .await?;
    if made.rows_affected() == rows.len() as u64 {
        return Ok(HashMap::new());
    }
    let held = sqlx::query!(
        r#"select k.project_id as "project: ProjectId", k.key, k.fingerprint, k.job_id as "job: JobId"
           from unnest($1::uuid[], $2::text[]) as w (project_id, key)
           join falconer.idempotency_keys k using (project_id, key)"#,
        &projects,
        &keys,
    )
    .fetch_all(tx)
    .await?;
    Ok(held
        .into_iter()
        .map(|row| ((row.project, row.key), Held { job: row.job, fingerprint: row.fingerprint }))
        .collect())
}

/// Takes the unique keys of the jobs that are still to be made, and answers for those that were taken.
pub(super) async fn take_unique(tx: &mut PgConnection, jobs: &[NewJob], answers: &mut [Accepted]) -> Result<()> {
    let mut rows: Vec<(Key, &NewJob, f64)> = Vec::new();
    for (job, answer) in jobs.iter().zip(answers.iter()) {
        if let (Some(wanted), Accepted::Created(_)) = (&job.unique, answer) {
            rows.push(((job.project, wanted.key.clone()), job, wanted.period.as_secs_f64()));
        }
    }
    if rows.is_empty() {
        return Ok(());
    }
    rows.sort_by(|a, b| a.0.cmp(&b.0));
    rows.dedup_by(|b, a| a.0 == b.0);
    let projects: Vec<uuid::Uuid> = rows.iter().map(|row| row.0.0.0).collect();
    let keys: Vec<String> = rows.iter().map(|row| row.0.1.clone()).collect();
    let ids: Vec<uuid::Uuid> = rows.iter().map(|row| row.1.id.0).collect();
    let periods: Vec<f64> = rows.iter().map(|row| row.2).collect();
    // A key whose time is over is taken over in place; one that still holds stays as it is.
    sqlx::query!(
        "insert into falconer.unique_keys as k (project_id, key, job_id, expires_at)
         select w.project_id, w.key, w.job_id, clock.now + make_interval(secs => w.period)
         from unnest($1::uuid[], $2::text[], $3::uuid[], $4::float8[]) as w (project_id, key, job_id, period),
              (select falconer.now() as now offset 0) as clock
         on conflict (project_id, key) do update set job_id = excluded.job_id, expires_at = excluded.expires_at
         where k.expires_at <= falconer.now()",
        &projects,
        &keys,
        &ids,
        &periods,
    )
    .execute(&mut *tx)
    .await?;
    let holders = sqlx::query!(
        r#"select k.project_id as "project: ProjectId", k.key, k.job_id as "job: JobId"
           from unnest($1::uuid[], $2::text[]) as w (project_id, key)
           join falconer.unique_keys k using (project_id, key)"#,
        &projects,
        &keys,
    )
    .fetch_all(tx)
    .await?;
    let holders: HashMap<Key, JobId> = holders.into_iter().map(|row| ((row.project, row.key), row.job)).collect();
    for (job, answer) in jobs.iter().zip(answers) {
        if let (Some(wanted), Accepted::Created(_)) = (&job.unique, &answer)
            && let Some(holder) = holders.get(&(job.project, wanted.key.clone()))
            && *holder != job.id
        {
            *answer = Accepted::NotUnique(*holder);
        }
    }
    Ok(())
}

/// Lets the idempotency keys of jobs that were not made lead to the job that holds their unique key. Otherwise a repeat
/// would be answered with a job that does not exist.
pub(super) async fn lead_to_holders(tx: &mut PgConnection, jobs: &[NewJob], answers: &mut [Accepted]) -> Result<()> {
    let mut rows: Vec<(Key, JobId, JobId)> = Vec::new();
    for (job, answer) in jobs.iter().zip(answers.iter()) {
        if let (Some(wanted), Accepted::NotUnique(holder)) = (&job.idempotency, answer) {
            rows.push(((job.project, wanted.key.clone()), job.id, *holder));
        }
    }
    if rows.is_empty() {
        return Ok(());
    }
    rows.sort();
    sqlx::query!(
        "update falconer.idempotency_keys k set job_id = n.holder
         from unnest($1::uuid[], $2::text[], $3::uuid[], $4::uuid[]) as n (project_id, key, unmade, holder)
         where k.project_id = n.project_id and k.key = n.key and k.job_id = n.unmade",
        &rows.iter().map(|row| row.0.0.0).collect::<Vec<_>>(),
        &rows.iter().map(|row| row.0.1.clone()).collect::<Vec<_>>(),
        &rows.iter().map(|row| row.1.0).collect::<Vec<_>>(),
        &rows.iter().map(|row| row.2.0).collect::<Vec<_>>(),
    )
    .execute(tx)
    .await?;
    let led: HashMap<JobId, JobId> = rows.into_iter().map(|(_, unmade, holder)| (unmade, holder)).collect();
    for answer in answers {
        if let Accepted::Replayed(id) | Accepted::KeyReused(id) = answer {
            *id = led.get(id).copied().unwrap_or(*id);
        }
    }
    Ok(())
}
