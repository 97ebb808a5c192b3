//! A callback URL for somebody who sends the request himself.

use super::{
    Told,
    rows::{self, Times},
};
use crate::{Store, accept::Accepted, error::Result};
use chrono::{DateTime, TimeDelta, Utc};
use domain::{Adoption, AttemptId, CredentialId, Timeouts};
use std::time::Duration;

/// A callback URL that is wanted.
#[derive(Clone, Debug)]
pub struct NewMint {
    pub told: Told,
    /// Until when its callback is waited for; nothing means as long as for any attempt of which nothing is known.
    pub expires_at: Option<DateTime<Utc>>,
    /// How soon and how late it may expire, from now.
    pub expires_within: (Duration, Duration),
    pub timeouts: Timeouts,
}

/// What became of a wish for a callback URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mint {
    Made(Minted),
    /// The time does not lie where it may. Nothing was made.
    ExpiresTooSoonOrLate,
    /// The same key came before with another body. Nothing was made.
    KeyReused,
}

/// A job that waits for its callback, and what its URL is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Minted {
    pub accepted: Accepted,
    pub credential: CredentialId,
    pub attempt: AttemptId,
    pub expires_at: DateTime<Utc>,
}

/// Makes a job of which somebody else may send the request, or finds the one that its idempotency key made.
///
/// Nobody looks at it before it expires, unless a callback asks for that: there is nothing that fal could be asked.
pub async fn mint(store: &Store, new: &NewMint) -> Result<Mint> {
    let mut tx = store.pools.api.begin().await?;
    let accepted = new.told.take_key(&mut tx).await?;
    if let Accepted::KeyReused(_) = accepted {
        return Ok(Mint::KeyReused);
    }
    if accepted != Accepted::Created(new.told.job) {
        let found = sqlx::query!(
            r#"select a.credential_id as "credential: CredentialId", a.id as "attempt: AttemptId", a.abandon_at
               from falconer.attempts a where a.job_id = $1 and a.number = 1"#,
            accepted.job().0,
        )
        .fetch_one(&mut *tx)
        .await?;
        let (credential, attempt, expires_at) = (found.credential, found.attempt, found.abandon_at);
        return Ok(Mint::Made(Minted { accepted, credential, attempt, expires_at }));
    }
    let now = rows::now(&mut tx).await?;
    let Some(times) = new.times(now) else { return Ok(Mint::ExpiresTooSoonOrLate) };
    let lane = rows::lane(&mut tx, &new.told).await?;
    let credential = rows::insert(&mut tx, &new.told, &Adoption::Minted, lane, times).await?;
    tx.commit().await?;
    let expires_at = times.abandon_at;
    Ok(Mint::Made(Minted { accepted, credential, attempt: new.told.attempt, expires_at }))
}

impl NewMint {
    /// Nothing where it would expire too soon or too late.
    fn times(&self, now: DateTime<Utc>) -> Option<Times> {
        let expires_at = match self.expires_at {
            None => self.timeouts.abandon_at(now),
            Some(at) => {
                let (soonest, latest) = self.expires_within;
                let ahead = (at - now).to_std().ok()?;
                (soonest..=latest).contains(&ahead).then_some(at)?
            }
        };
        // It may be sent at the last moment, and run from then on.
        let run_deadline = self.timeouts.run_deadline(expires_at);
        // Postgres keeps microseconds: what it would round up would be looked for a moment too soon.
        let next_look_at = expires_at + TimeDelta::microseconds(1);
        Some(Times { now, run_deadline, abandon_at: expires_at, next_look_at })
    }
}
