//! Writes back what a batch changed, set by set: [`rows`] updates what was locked, [`additions`] inserts what is new.

mod additions;
mod rows;

use super::{
    CallbackNews, Disposition, Effects,
    load::{Aggregate, Loaded},
    record::{AttemptRecord, JobRecord},
};
use crate::{
    circuits::{self, Opening},
    credentials,
    error::Result,
};
use bytes::Bytes;
use chrono::{DateTime, Utc};
use domain::{AttemptId, CredentialId, JobId};
use failpoints::Bug;
use rust_decimal::Decimal;
use sqlx::PgConnection;
use std::collections::{BTreeMap, BTreeSet};

/// What a batch adds beside the rows that it changes.
#[derive(Default)]
pub(super) struct Writes {
    pub(super) transitions: Vec<NewTransition>,
    pub(super) results: Vec<NewResult>,
    pub(super) bindings: Vec<NewBinding>,
    pub(super) ledger: Vec<LedgerLine>,
    pub(super) callbacks: Vec<(CallbackNews, Option<JobId>, Disposition)>,
    pub(super) troubles: Vec<Opening>,
    /// Models that fal has just taken work for.
    pub(super) accepted: BTreeSet<(CredentialId, String)>,
    /// Callbacks, by user id, for requests that our own submits bound.
    pub(super) witnesses: BTreeMap<(CredentialId, String), i32>,
    pub(super) effects: Effects,
}

pub(super) struct NewTransition {
    pub(super) job: JobId,
    pub(super) attempt_number: i16,
    pub(super) version: i32,
    pub(super) event: &'static str,
    pub(super) attempt_from: Option<String>,
    pub(super) attempt_to: Option<String>,
    pub(super) job_from: Option<String>,
    pub(super) job_to: Option<String>,
    pub(super) job_version: Option<i32>,
    pub(super) detail: Option<String>,
}

pub(super) struct NewResult {
    pub(super) job: JobId,
    pub(super) attempt: AttemptId,
    pub(super) body: Bytes,
    pub(super) sha256: Vec<u8>,
}

pub(super) struct NewBinding {
    pub(super) credential: CredentialId,
    pub(super) request_id: String,
    pub(super) attempt: AttemptId,
    pub(super) job: JobId,
}

pub(super) struct LedgerLine {
    pub(super) job: JobId,
    pub(super) attempt: AttemptId,
    pub(super) kind: &'static str,
    pub(super) units: Option<Decimal>,
    pub(super) model: String,
    pub(super) estimated: Option<Decimal>,
}

/// Writes the batch and says what others may want to know of it.
pub(super) async fn write(tx: &mut PgConnection, loaded: Loaded) -> Result<Effects> {
    let Loaded { now, jobs, mut writes, .. } = loaded;
    let attempts: Vec<&AttemptRecord> = jobs.values().flat_map(Aggregate::changed_attempts).collect();
    let changed: Vec<&Aggregate> = jobs.values().filter(|aggregate| aggregate.job != aggregate.job_before).collect();
    if !writes.bindings.is_empty() {
        additions::bindings(tx, &writes.bindings, now).await?;
    }
    let now_jobs: Vec<&JobRecord> = changed.iter().map(|aggregate| &aggregate.job).collect();
    if !(attempts.is_empty() && now_jobs.is_empty()) {
        rows::update(tx, &attempts, &now_jobs).await?;
    }
    let ended: Vec<&JobRecord> =
        changed.iter().filter(|aggregate| aggregate.has_just_ended()).map(|aggregate| &aggregate.job).collect();
    let Writes { transitions, results, ledger, .. } = &writes;
    let told = if failpoints::seeded(Bug::NoEvent) { &[] } else { &ended[..] };
    let history = additions::History { transitions, results, ended: told, ledger };
    if !history.is_empty() {
        additions::history(tx, &history, now).await?;
    }
    if !writes.callbacks.is_empty() {
        additions::callbacks(tx, &writes.callbacks, now).await?;
    }
    for ((credential, user_id), count) in &writes.witnesses {
        credentials::witness(tx, *credential, user_id, *count).await?;
    }
    open_and_close_circuits(tx, &mut writes).await?;
    let mut effects = writes.effects;
    effects.jobs_ended = ended.len();
    effects.moved = !(attempts.is_empty() && changed.is_empty());
    effects.dispatch = attempts.iter().any(|attempt| !attempt.is_open()) || !changed.is_empty();
    effects.reconcile = attempts.iter().any(|attempt| attempt.next_look_at.is_some_and(|at| at <= now));
    Ok(effects)
}

/// Runs every statement of a settled callback on nothing, so that this connection has prepared them.
pub(super) async fn warm(tx: &mut PgConnection) -> Result<()> {
    let now = DateTime::<Utc>::UNIX_EPOCH;
    additions::bindings(tx, &[], now).await?;
    rows::update(tx, &[], &[]).await?;
    additions::history(tx, &additions::History::default(), now).await?;
    additions::callbacks(tx, &[], now).await
}

impl Aggregate {
    fn changed_attempts(&self) -> impl Iterator<Item = &AttemptRecord> {
        self.attempts
            .iter()
            .zip(&self.attempts_before)
            .filter(|(after, before)| after != before)
            .map(|(after, _)| after)
    }

    fn has_just_ended(&self) -> bool {
        self.job.finished_at.is_some() && self.job_before.finished_at.is_none()
    }
}

/// Opens the circuits of new troubles, and closes those of models that fal has just taken work for.
async fn open_and_close_circuits(tx: &mut PgConnection, writes: &mut Writes) -> Result<()> {
    let mut by_credential: BTreeMap<CredentialId, Vec<String>> = BTreeMap::new();
    for (credential, model) in std::mem::take(&mut writes.accepted) {
        by_credential.entry(credential).or_default().push(model);
    }
    for (credential, models) in by_credential {
        circuits::close(tx, credential, &models).await?;
    }
    if !writes.troubles.is_empty() {
        circuits::open(tx, &longest_of_each(&writes.troubles)).await?;
    }
    Ok(())
}

/// One opening for each circuit, sorted, with the longest waits of its troubles.
fn longest_of_each(openings: &[Opening]) -> Vec<Opening> {
    let mut longest: BTreeMap<(CredentialId, &str), Opening> = BTreeMap::new();
    for opening in openings {
        let key = (opening.trouble.credential, opening.trouble.model.as_str());
        let kept = longest.entry(key).or_insert_with(|| opening.clone());
        kept.asked = kept.asked.max(opening.asked);
        kept.trouble.pause = kept.trouble.pause.max(opening.trouble.pause);
    }
    longest.into_values().collect()
}

pub(super) fn column<R, T>(rows: &[&R], of: impl Fn(&R) -> T) -> Vec<T> {
    rows.iter().map(|row| of(row)).collect()
}
