//! The jobs that have not ended: what is new, and what has begun to run.

use crate::commands::{
    client::{Call, Client, read},
    jobs::{tail::End, view::Job},
};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

/// Between two looks.
const EVERY: Duration = Duration::from_secs(1);
/// Pages of one look. More than they hold is seen when it ends.
const PAGES_MAX: usize = 10;
const PAGE: u32 = 200;

/// What is known of them.
pub(super) struct Open<'a> {
    client: &'a Client,
    /// The states that were told, by id.
    told: HashMap<String, String>,
    /// The newest job that was seen; nothing before the first look.
    newest: Option<String>,
    looked_at: Option<Instant>,
}

#[derive(Deserialize)]
struct Page {
    items: Vec<Box<RawValue>>,
    next_cursor: Option<String>,
}

impl<'a> Open<'a> {
    pub(super) fn new(client: &'a Client) -> Self {
        Self { client, told: HashMap::new(), newest: None, looked_at: None }
    }

    /// Gives the jobs that are in another state than when they were last given, if it is time for a look. The first look
    /// gives none: it is only where the next one begins.
    pub(super) async fn changes(&mut self) -> Result<Vec<String>, End> {
        if self.looked_at.is_some_and(|at| at.elapsed() < EVERY) {
            return Ok(Vec::new());
        }
        let newest = self.newest.clone();
        let mut seen = match &newest {
            Some(newest) => self.pages(None, |job| job.id > *newest).await?,
            None => self.page(None, None, 1).await?.0,
        };
        seen.reverse();
        let top = seen.last().map(|(job, _)| job.id.clone());
        seen.extend(self.pages(Some("running"), |_| true).await?);
        self.newest = Some(top.or(self.newest.take()).unwrap_or_default());
        self.looked_at = Some(Instant::now());
        let mut changes = Vec::new();
        for (job, json) in seen {
            // The feed tells of every end, and only once.
            if !job.has_ended() && self.told.insert(job.id, job.state.clone()).as_ref() != Some(&job.state) {
                changes.push(json);
            }
        }
        Ok(if newest.is_some() { changes } else { Vec::new() })
    }

    /// Forgets a job that has ended.
    pub(super) fn forget(&mut self, id: &str) {
        self.told.remove(id);
    }

    async fn pages(&self, state: Option<&str>, wanted: impl Fn(&Job) -> bool) -> Result<Vec<(Job, String)>, End> {
        let (mut all, mut cursor) = (Vec::new(), None);
        for _ in 0..PAGES_MAX {
            let (page, next) = self.page(state, cursor.as_deref(), PAGE).await?;
            let whole = page.len();
            let mut page: Vec<_> = page.into_iter().take_while(|(job, _)| wanted(job)).collect();
            let is_last = page.len() < whole || next.is_none();
            all.append(&mut page);
            if is_last {
                break;
            }
            cursor = next;
        }
        Ok(all)
    }

    /// One page, newest first.
    async fn page(
        &self,
        state: Option<&str>,
        cursor: Option<&str>,
        limit: u32,
    ) -> Result<(Vec<(Job, String)>, Option<String>), End> {
        let call = Call::get("/v1/jobs").query("state", state).query("cursor", cursor).query("limit", Some(limit));
        let page: Page = read(&self.client.try_send(&call).await?)?;
        let mut jobs = Vec::new();
        for item in page.items {
            jobs.push((read(item.get().as_bytes())?, item.get().to_owned()));
        }
        Ok((jobs, page.next_cursor))
    }
}
