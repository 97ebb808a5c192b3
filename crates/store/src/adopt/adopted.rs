//! A request that fal has already, taken over.

use super::{
    Told,
    rows::{self, Times},
};
use crate::{Store, accept::Accepted, error::Result};
use domain::{Adoption, CredentialId, JobId, RequestId, Timeouts};
use sqlx::{PgConnection, Postgres, Transaction};

/// A request that is to be taken over.
#[derive(Clone, Debug)]
pub struct NewAdoption {
    pub told: Told,
    pub request_id: RequestId,
    pub timeouts: Timeouts,
    /// At which account fal was asked for it and knew it; nothing where [`must_ask`] said that it need not be.
    pub asked: Option<CredentialId>,
}

/// What became of an adoption.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Adopted {
    /// Made, or found by its key or by its request id.
    Taken(Accepted),
    /// Another project's job holds the request. Nothing was made.
    NotOurs,
    /// Things have changed since [`must_ask`] was asked: ask it again. Nothing was made.
    AskAgain,
}

/// Says at which account fal must be asked for the request before it is adopted: the one that pays for the project. Nothing
/// where the key or a job of the project holds it already, so that a repeat is answered while fal is away.
pub async fn must_ask(store: &Store, told: &Told, request_id: &RequestId) -> Result<Option<CredentialId>> {
    let key = told.idempotency.as_ref().filter(|wanted| !wanted.reset_failed).map(|wanted| wanted.key.as_str());
    let row = sqlx::query!(
        r#"select coalesce(p.credential_id, $4) as "payer!: CredentialId",
               exists (select from falconer.idempotency_keys k
                   where k.project_id = p.id and k.key = $2 and k.expires_at > falconer.now()) as "keyed!",
               exists (select from falconer.credentials c
                   join falconer.request_bindings b on b.credential_id = c.id and b.request_id = $3
                   cross join lateral (select j.project_id from falconer.jobs j where j.id = b.job_id offset 0) as j
                   where j.project_id = p.id) as "held!"
           from falconer.projects p where p.id = $1"#,
        told.project.0,
        key,
        request_id.0,
        CredentialId::DEFAULT.0,
    )
    .fetch_one(&store.pools.api)
    .await?;
    Ok((!row.keyed && !row.held).then_some(row.payer))
}

/// Makes a job that is bound to a request which fal has, and is due for a look at once. Where a job of the project holds the
/// request already, that one is found, and an idempotency key leads to it from here on.
pub async fn adopt(store: &Store, new: &NewAdoption) -> Result<Adopted> {
    let mut tx = store.pools.api.begin().await?;
    let accepted = new.told.take_key(&mut tx).await?;
    if accepted != Accepted::Created(new.told.job) {
        return Ok(Adopted::Taken(accepted));
    }
    if let Some(holder) = held_by(&mut tx, new).await? {
        return found(tx, &new.told, holder).await;
    }
    let Some(asked) = new.asked else { return Ok(Adopted::AskAgain) };
    let lane = rows::lane(&mut tx, &new.told).await?;
    if lane.credential != asked {
        return Ok(Adopted::AskAgain);
    }
    if !bind(&mut tx, new, asked).await? {
        // Whoever bound it at this moment was waited for.
        return match held_by(&mut tx, new).await? {
            Some(holder) => found(tx, &new.told, holder).await,
            None => Ok(Adopted::NotOurs),
        };
    }
    let now = rows::now(&mut tx).await?;
    let times = Times {
        now,
        run_deadline: new.timeouts.run_deadline(now),
        abandon_at: new.timeouts.abandon_at(now),
        next_look_at: now,
    };
    let adoption = Adoption::Adopted { request_id: new.request_id.clone() };
    rows::insert(&mut tx, &new.told, &adoption, lane, times).await?;
    tx.commit().await?;
    Ok(Adopted::Taken(accepted))
}

/// Finds the job of the project that holds the request, by whichever account it was sent.
async fn held_by(tx: &mut PgConnection, new: &NewAdoption) -> Result<Option<JobId>> {
    let found = sqlx::query_scalar!(
        r#"select b.job_id as "job: JobId"
           from falconer.credentials c
           join falconer.request_bindings b on b.credential_id = c.id and b.request_id = $1
           cross join lateral (select j.project_id from falconer.jobs j where j.id = b.job_id offset 0) as j
           where j.project_id = $2
           order by b.bound_at limit 1"#,
        new.request_id.0,
        new.told.project.0,
    )
    .fetch_optional(tx)
    .await?;
    Ok(found)
}

/// Lets the key lead to the job that was there: the one it was taken for is never made.
async fn found(mut tx: Transaction<'_, Postgres>, told: &Told, holder: JobId) -> Result<Adopted> {
    if let Some(idempotency) = &told.idempotency {
        sqlx::query!(
            "update falconer.idempotency_keys set job_id = $3 where project_id = $1 and key = $2 and job_id = $4",
            told.project.0,
            idempotency.key,
            holder.0,
            told.job.0,
        )
        .execute(&mut *tx)
        .await?;
    }
    tx.commit().await?;
    Ok(Adopted::Taken(Accepted::Replayed(holder)))
}

/// Binds the request to the new attempt, and explains its charge where that was an orphan. Answers whether it was free.
async fn bind(tx: &mut PgConnection, new: &NewAdoption, credential: CredentialId) -> Result<bool> {
    let bound = sqlx::query!(
        "with bound as (
             insert into falconer.request_bindings (credential_id, request_id, attempt_id, job_id, bound_at)
             values ($1, $2, $3, $4, falconer.now())
             on conflict do nothing
             returning credential_id, request_id, attempt_id, job_id, bound_at
         ),
         explained as (
             update falconer.orphan_charges o
             set resolution = 'bound', resolved_at = b.bound_at, attempt_id = b.attempt_id, job_id = b.job_id
             from bound b
             where o.credential_id = b.credential_id and o.request_id = b.request_id
               and o.resolution is distinct from 'bound'
         )
         select request_id from bound",
        credential.0,
        new.request_id.0,
        new.told.attempt.0,
        new.told.job.0,
    )
    .fetch_optional(tx)
    .await?;
    Ok(bound.is_some())
}
