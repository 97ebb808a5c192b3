//! The audit: every charge on fal's bill must be explained by an attempt. What is not becomes an orphan charge, with an
//! event and a warning: a request that fal took and we have forgotten, or somebody else's use of the account.
//!
//! A reading goes back only as far as fal may list late; once in a while all that fal lists is read after it, and never
//! instead: a long reading that breaks off again and again must not keep new charges from being seen. How far was read is
//! kept in the database, a reading is paged and cut into days, no transaction spans a call to fal, and two processes may
//! read at once: nothing is recorded twice.

mod reading;

use crate::bills::Bills;
use chrono::TimeDelta;
use domain::CredentialId;
use std::{sync::Arc, time::Duration};
use store::{Store, error::Result, log_limit::LogLimit, orphans, settle::Settler};

/// fal lists its bills this far back (fal-protocol, billing events).
const LISTED: TimeDelta = TimeDelta::days(90);
/// fal's clock and ours may differ by this much.
const CLOCK_SKEW: TimeDelta = TimeDelta::minutes(5);

/// How the audit goes about it.
#[derive(Clone, Copy, Debug)]
pub struct AuditSettings {
    /// How late fal may list a charge: so much of what was read before is read again.
    pub overlap: Duration,
    /// How old a charge must be before it is called an orphan.
    pub grace: Duration,
    /// How often all that fal lists is read.
    pub whole_every: Duration,
}

/// What an audit works with. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Audit {
    pub settings: AuditSettings,
    pub credential: CredentialId,
    pub store: Store,
    pub settler: Settler,
    pub bills: Bills,
    alarms: Arc<LogLimit>,
}

/// How an audit ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Audited {
    /// The bills were read up to now.
    Done(Found),
    /// fal lists no bills for this key.
    Refused,
    /// fal could not be asked, or lists more than is read at once; what was read is recorded.
    Interrupted { message: String },
}

/// What an audit found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    pub pages: u64,
    /// Charges of requests that are bound to an attempt.
    pub matched: u64,
    /// Attempts that the bills gave their request ids.
    pub bound: u64,
    /// New orphan charges.
    pub orphaned: u64,
    /// Lines of money that our ledger lacked.
    pub ledger_lines: u64,
}

impl Audit {
    pub fn new(
        settings: AuditSettings,
        credential: CredentialId,
        store: &Store,
        settler: &Settler,
        bills: &Bills,
    ) -> Self {
        let (store, settler, bills) = (store.clone(), settler.clone(), bills.clone());
        Self { settings, credential, store, settler, bills, alarms: Arc::default() }
    }

    /// Reads the bills since the last reading, then all that fal lists if that is due, and records what they show.
    ///
    /// # Errors
    /// When the database cannot be asked. What was recorded before stays; the next audit reads on.
    pub async fn run(&self) -> Result<Audited> {
        let Some(from) = orphans::read_from(&self.store, self.credential).await? else {
            return Ok(Audited::Done(Found::default()));
        };
        let audited = self.read_due(&from).await?;
        orphans::resolve_bound(&self.store).await?;
        let open = orphans::count_open(&self.store).await?;
        #[expect(clippy::cast_precision_loss, reason = "a gauge is a float")]
        metrics::gauge!("falconer_orphan_charges_open").set(open as f64);
        metrics::counter!("falconer_audits_total", "outcome" => audited.name()).increment(1);
        Ok(audited)
    }

    async fn read_due(&self, from: &orphans::ReadFrom) -> Result<Audited> {
        let earliest = (from.now - LISTED).max(from.account_since - CLOCK_SKEW);
        let since = from.read_until.map_or(earliest, |until| (until - delta(self.settings.overlap)).max(earliest));
        let recent = self.read(since, from.now, since == earliest).await?;
        if since == earliest || !self.is_whole_due(from) || !matches!(recent, Audited::Done(_)) {
            return Ok(recent);
        }
        self.read(earliest, from.now, true).await
    }

    fn is_whole_due(&self, from: &orphans::ReadFrom) -> bool {
        from.whole_at.is_none_or(|at| from.now - at >= delta(self.settings.whole_every))
    }
}

impl Audited {
    /// The name in metrics.
    const fn name(&self) -> &'static str {
        match self {
            Self::Done(_) => "done",
            Self::Refused => "refused",
            Self::Interrupted { .. } => "interrupted",
        }
    }
}

fn delta(span: Duration) -> TimeDelta {
    TimeDelta::from_std(span).unwrap_or(TimeDelta::MAX)
}
