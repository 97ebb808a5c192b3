//! fal's history, read once for all attempts that are looked for in it at the same time.
//!
//! After a crash hundreds of attempts are unknown at once, most of them of one model. Each names the window of its look;
//! windows are widened to a grid, so that those of attempts that were sent together are the same, and looks with the same
//! window share a reading: its pages are read newest first, as far as one of them needs, and each page once. A reading
//! that has begun before a look counts for it only while it is fresh, and never where the attempt is younger.
//!
//! Of an item is kept what a match needs. Who owns a request is not known here, since that changes meanwhile.

mod window;

pub(crate) use window::{Place, Window};

use crate::refusals::Refusals;
use chrono::{DateTime, TimeDelta, Utc};
use domain::CredentialId;
use fal::{
    EndpointId, QueueClient,
    client::{HistoryItem, ListingOutcome},
};
use serde_json::Value;
use std::{
    collections::HashMap,
    hash::{BuildHasher as _, RandomState},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};
use store::looks::DueLook;

/// Readings that are kept for looks to come.
const KEPT_MAX: usize = 64;

/// Where the history of one account is read. Clones share what was read and whether fal lists it at all.
#[derive(Clone, Debug)]
pub struct History {
    fal: Arc<QueueClient>,
    /// While fal's refusal to list the history of a model is believed, nobody asks for it again.
    refused: Refusals,
    readings: Arc<Readings>,
    /// Two, since 64 bits are few to deliver an image by.
    hashers: [RandomState; 2],
}

/// What says whether two inputs are the same JSON. Of use within this process alone.
pub(crate) type Fingerprint = [u64; 2];

/// A request of fal's history whose input is known.
#[derive(Debug)]
pub(crate) struct Item {
    pub(crate) request_id: Box<str>,
    pub(crate) sent_at: Option<DateTime<Utc>>,
    pub(crate) ended_at: Option<DateTime<Utc>>,
    pub(crate) input: Fingerprint,
}

/// One page. Items of other endpoints and without an input are left out.
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) items: Vec<Item>,
    /// When the first and the last of its items ended; nothing where fal did not say so of every one.
    pub(crate) ended: Option<(DateTime<Utc>, DateTime<Utc>)>,
    pub(crate) is_last: bool,
}

/// What comes next in a reading.
#[derive(Clone, Debug)]
pub(crate) enum Next {
    Page(Arc<Page>),
    /// The last page was read before, or fal lists no history for this key.
    End,
    Unanswered,
}

/// One walk through the history of an endpoint, by whoever takes part in it.
#[derive(Debug)]
pub(crate) struct Reading {
    window: Window,
    /// The database's time of the look that began it, which is before it began.
    began: DateTime<Utc>,
    pages: tokio::sync::Mutex<Pages>,
}

#[derive(Debug, Default)]
struct Pages {
    read: Vec<Arc<Page>>,
    cursor: Option<String>,
    /// Set once there are no more.
    over: Option<Next>,
}

impl History {
    /// What was read less than `fresh` ago counts for a look.
    pub fn new(fal: Arc<QueueClient>, fresh: Duration) -> Self {
        let fresh = TimeDelta::from_std(fresh).unwrap_or_default();
        let readings = Arc::new(Readings { fresh, kept: Mutex::default() });
        Self { fal, refused: Refusals::default(), readings, hashers: Default::default() }
    }

    /// Whether fal may list the history of this model for our key.
    pub(crate) fn is_listed(&self, model: &str) -> bool {
        !self.refused.stand(model, Instant::now())
    }

    pub(crate) fn fingerprint(&self, input: &Value) -> Fingerprint {
        fingerprint(&self.hashers, input)
    }

    /// Returns the reading that a look takes part in, which covers its window.
    pub(crate) fn reading(&self, due: &DueLook, window: Window) -> Arc<Reading> {
        self.readings.find(due, window.widened())
    }

    /// Returns one page of a reading, from 0, once those before it were returned to anybody. Nobody asks fal for what
    /// another has read, and what fal did not answer to one it is not asked again in this reading.
    pub(crate) async fn page(&self, reading: &Reading, endpoint: &EndpointId, number: usize) -> Next {
        let mut pages = reading.pages.lock().await;
        if let Some(page) = pages.read.get(number) {
            return Next::Page(Arc::clone(page));
        }
        if let Some(over) = &pages.over {
            return over.clone();
        }
        let Window { start, end } = reading.window;
        let over = match self.fal.history(endpoint, start, end, pages.cursor.as_deref()).await {
            ListingOutcome::Page { items, next_cursor } => {
                let page = Arc::new(self.page_of(&items, endpoint, next_cursor.is_none()));
                pages.read.push(Arc::clone(&page));
                pages.over = next_cursor.is_none().then_some(Next::End);
                pages.cursor = next_cursor;
                return Next::Page(page);
            }
            ListingOutcome::Refused { status, .. } => {
                self.note_refusal(endpoint.as_str(), status);
                Next::End
            }
            ListingOutcome::Unavailable { .. } => Next::Unanswered,
        };
        pages.over = Some(over.clone());
        over
    }

    fn page_of(&self, items: &[HistoryItem], endpoint: &EndpointId, is_last: bool) -> Page {
        let ends: Option<Vec<_>> = items.iter().map(|item| item.ended_at).collect();
        let ended = ends.and_then(|ends| Some((*ends.iter().min()?, *ends.iter().max()?)));
        let known = items.iter().filter(|item| item.endpoint_id == endpoint.as_str()).filter_map(|item| {
            let input: Value = serde_json::from_str(item.json_input.as_ref()?.get()).ok()?;
            let (sent_at, ended_at) = (item.sent_at, item.ended_at);
            Some(Item {
                request_id: item.request_id.as_str().into(),
                sent_at,
                ended_at,
                input: self.fingerprint(&input),
            })
        });
        Page { items: known.collect(), ended, is_last }
    }

    fn note_refusal(&self, model: &str, status: u16) {
        if self.refused.note(model, Instant::now()) {
            tracing::warn!(
                status,
                model,
                "fal lists no history of this model for this key: unknown attempts are left to callbacks, bills and time"
            );
        }
    }
}

fn fingerprint(hashers: &[RandomState; 2], input: &Value) -> Fingerprint {
    hashers.each_ref().map(|hasher| hasher.hash_one(input))
}

/// The readings that looks may still take part in.
#[derive(Debug)]
struct Readings {
    fresh: TimeDelta,
    kept: Mutex<HashMap<(CredentialId, String, Window), Arc<Reading>>>,
}

impl Readings {
    fn find(&self, due: &DueLook, window: Window) -> Arc<Reading> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|_, reading| (due.now - reading.began).abs() <= self.fresh);
        let key = (due.credential, due.model.clone(), window);
        if let Some(reading) = kept.get(&key).filter(|reading| reading.began >= due.claimed_at) {
            return Arc::clone(reading);
        }
        let reading = Arc::new(Reading { window, began: due.now, pages: tokio::sync::Mutex::default() });
        if kept.len() < KEPT_MAX {
            kept.insert(key, Arc::clone(&reading));
        }
        reading
    }
}

#[cfg(test)]
mod tests;
