//! fal's bills of one account, and whether it lists them at all.

use crate::refusals::Refusals;
use chrono::{DateTime, Utc};
use fal::{
    QueueClient,
    client::{BillingEvent, ListingOutcome},
};
use std::{sync::Arc, time::Instant};

/// What refusals are remembered by: fal lists the bills of all models or of none.
const ALL_MODELS: &str = "";

/// Where the bills of one account are read. Clones share what was learnt of it.
#[derive(Clone, Debug)]
pub struct Bills {
    fal: Arc<QueueClient>,
    /// While fal's refusal to list bills for this key is believed, nobody asks again.
    refused: Refusals,
}

/// One page of the bills, or why there is none.
#[derive(Debug)]
pub(crate) enum BillsPage {
    Read { charges: Vec<BillingEvent>, next: Option<String> },
    Refused,
    Unavailable { message: String },
}

/// Why there are no bills to judge by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoBills {
    /// fal lists none for this key.
    Refused,
    /// Some were not read, and may be had later.
    Unanswered,
}

impl Bills {
    pub fn new(fal: Arc<QueueClient>) -> Self {
        Self { fal, refused: Refusals::default() }
    }

    /// Whether fal may still list bills for this key.
    pub(crate) fn are_listed(&self) -> bool {
        !self.refused.stand(ALL_MODELS, Instant::now())
    }

    /// Reads one page of what was billed between two times.
    pub(crate) async fn page(&self, start: DateTime<Utc>, end: DateTime<Utc>, cursor: Option<&str>) -> BillsPage {
        if !self.are_listed() {
            return BillsPage::Refused;
        }
        match self.fal.billing_events(start, end, cursor).await {
            ListingOutcome::Page { items, next_cursor } => BillsPage::Read { charges: items, next: next_cursor },
            ListingOutcome::Refused { status, .. } => {
                self.note_refusal(status);
                BillsPage::Refused
            }
            ListingOutcome::Unavailable { message } => BillsPage::Unavailable { message },
        }
    }

    /// Reads all that was billed between two times.
    ///
    /// # Errors
    /// When any of it cannot be had within `pages_max` pages.
    pub(crate) async fn all(
        &self,
        start: DateTime<Utc>,
        end: DateTime<Utc>,
        pages_max: u32,
    ) -> Result<Vec<BillingEvent>, NoBills> {
        let (mut all, mut cursor) = (Vec::new(), None::<String>);
        for _ in 0..pages_max {
            match self.page(start, end, cursor.as_deref()).await {
                BillsPage::Read { charges, next } => {
                    all.extend(charges);
                    cursor = next;
                }
                BillsPage::Refused => return Err(NoBills::Refused),
                BillsPage::Unavailable { .. } => return Err(NoBills::Unanswered),
            }
            if cursor.is_none() {
                return Ok(all);
            }
        }
        Err(NoBills::Unanswered)
    }

    fn note_refusal(&self, status: u16) {
        if self.refused.note(ALL_MODELS, Instant::now()) {
            tracing::warn!(status, "fal lists no bills for this key: charges that no attempt explains are not found");
        }
    }
}
