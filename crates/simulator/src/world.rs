//! The simulated accounts: their requests, queues and slots. All of it behind one lock, none of it asynchronous.
//!
//! What is started here is only marked so; [`crate::run`] lets it run.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::sync::oneshot;

use crate::account::Account;
use crate::error::SimulatorError;
use crate::faults::Faults;
use crate::request::{Finished, Request, RequestState};
use crate::script::Scripts;
use crate::signer::JwksMode;
use crate::truth::{Truth, TruthEvent};
use crate::view::{Counts, RequestView, View};

/// Results from this size on are kept for the shorter time.
pub(crate) const LARGE_RESULT: usize = 10_000;

/// A moment on both clocks.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Moment {
    pub(crate) wall: DateTime<Utc>,
    pub(crate) up: Duration,
}

/// All that fal holds.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) accounts: Vec<Account>,
    pub(crate) requests: Vec<Request>,
    pub(crate) faults: Faults,
    pub(crate) scripts: Scripts,
    pub(crate) jwks: JwksMode,
    pub(crate) counts: Counts,
    pub(crate) truth: Truth,
    /// Requests that are over, in the order of their ends.
    pub(crate) ended: Vec<usize>,
    /// Webhooks that wait for another one to go first.
    pub(crate) parked: Vec<oneshot::Sender<()>>,
    /// POSTs that were authorised so far.
    pub(crate) posts: u64,
    by_id: HashMap<Arc<str>, usize>,
    tickets: u64,
    retention: Retention,
}

/// How long results stay, in real time, and those whose time will come.
#[derive(Debug)]
pub(crate) struct Retention {
    small: Duration,
    large: Duration,
    small_queue: VecDeque<usize>,
    large_queue: VecDeque<usize>,
}

impl Retention {
    pub(crate) fn new(small: Duration, large: Duration) -> Self {
        Self { small, large, small_queue: VecDeque::new(), large_queue: VecDeque::new() }
    }
}

impl World {
    pub(crate) fn new(accounts: Vec<Account>, faults: Faults, retention: Retention, truth: Truth) -> Self {
        Self {
            accounts,
            requests: Vec::new(),
            faults,
            scripts: Scripts::default(),
            jwks: JwksMode::Up,
            counts: Counts::default(),
            truth,
            ended: Vec::new(),
            parked: Vec::new(),
            posts: 0,
            by_id: HashMap::new(),
            tickets: 0,
            retention,
        }
    }

    pub(crate) fn index_of(&self, request_id: &str) -> Result<usize, SimulatorError> {
        let found = self.by_id.get(request_id).copied();
        found.ok_or_else(|| SimulatorError::UnknownRequest(request_id.to_owned()))
    }

    /// Takes a new request in and puts it at the end of the queue.
    pub(crate) fn admit(&mut self, request: Request, now: Moment) -> usize {
        let index = self.requests.len();
        self.by_id.insert(request.id.clone(), index);
        self.requests.push(request);
        self.enqueue(index, now);
        self.counts.accepted += 1;
        index
    }

    /// Gives each account's free slots to its longest waiting requests and returns those.
    pub(crate) fn pump(&mut self, now: Moment) -> Vec<usize> {
        let mut started = Vec::new();
        for account in &mut self.accounts {
            while account.meter.has_free() {
                let Some((_, index)) = account.queue.pop_front().or_else(|| account.low_queue.pop_front()) else {
                    break;
                };
                let slot = account.meter.take(now.up);
                let request = &mut self.requests[index];
                request.state = RequestState::InProgress;
                request.slot = Some(slot);
                request.starts += 1;
                (request.started_at, request.started) = (Some(now.wall), Some(now.up));
                self.truth.write(now.wall, Some(&request.id), TruthEvent::Started { slot });
                started.push(index);
            }
            account.meter.set_queued(account.queued(), now.up);
        }
        started
    }

    /// Ends a request, whether it waits or runs.
    pub(crate) fn end(&mut self, index: usize, finished: Finished, expires_at_once: bool, now: Moment) {
        self.leave(index, now);
        let large = finished.body.len() >= LARGE_RESULT;
        let kept = if large { self.retention.large } else { self.retention.small };
        let request = &mut self.requests[index];
        request.state = RequestState::Completed;
        request.completed_at = Some(now.wall);
        request.expires = Some(if expires_at_once { now.up } else { now.up.saturating_add(kept) });
        let event = TruthEvent::Completed {
            outcome: finished.kind,
            status_code: finished.status,
            error_type: finished.error_type.clone(),
            result_sha256: finished.result_sha256.clone(),
            payload_sha256: finished.payload_sha256.clone(),
            billable_units: finished.units,
            cost: finished.cost,
        };
        self.truth.write(now.wall, Some(&request.id), event);
        request.finished = Some(finished);
        self.ended.push(index);
        self.counts.completed += 1;
        if large { &mut self.retention.large_queue } else { &mut self.retention.small_queue }.push_back(index);
        self.sweep(now.up);
    }

    /// Puts a running request back into the queue, as fal does when it retries inside.
    pub(crate) fn requeue(&mut self, index: usize, gateway_id: Arc<str>, now: Moment) {
        self.leave(index, now);
        let request = &mut self.requests[index];
        request.state = RequestState::InQueue;
        request.gateway_id = gateway_id;
        let event = TruthEvent::Requeued { gateway_request_id: request.gateway_id.to_string() };
        self.truth.write(now.wall, Some(&request.id), event);
        self.enqueue(index, now);
    }

    /// How many requests of its account are ahead of a waiting one.
    pub(crate) fn position(&self, index: usize) -> usize {
        let request = &self.requests[index];
        let account = &self.accounts[request.account];
        let ahead = |queue: &VecDeque<(u64, usize)>| queue.partition_point(|waiting| waiting.0 < request.ticket);
        if request.low_priority { account.queue.len() + ahead(&account.low_queue) } else { ahead(&account.queue) }
    }

    /// How many requests wait for one endpoint.
    pub(crate) fn queued_at(&self, endpoint: &str) -> usize {
        let waiting = self.accounts.iter().flat_map(|account| account.queue.iter().chain(&account.low_queue));
        waiting.filter(|(_, index)| self.requests[*index].endpoint == endpoint).count()
    }

    pub(crate) fn counts(&self) -> Counts {
        let busy: u32 = self.accounts.iter().map(|account| account.meter.busy()).sum();
        let in_queue = self.accounts.iter().map(Account::queued).sum();
        Counts { in_queue, in_progress: usize::try_from(busy).unwrap_or(usize::MAX), ..self.counts }
    }

    pub(crate) fn view(&self) -> View {
        View { counts: self.counts(), requests: self.requests.iter().map(RequestView::from).collect() }
    }

    fn enqueue(&mut self, index: usize, now: Moment) {
        self.tickets += 1;
        let request = &mut self.requests[index];
        request.ticket = self.tickets;
        let account = &mut self.accounts[request.account];
        account.line(request.low_priority).push_back((self.tickets, index));
        account.meter.set_queued(account.queued(), now.up);
    }

    /// Takes a request out of the queue or of its slot. Its slot number stays on record.
    fn leave(&mut self, index: usize, now: Moment) {
        let request = &self.requests[index];
        let account = &mut self.accounts[request.account];
        match (request.state, request.slot) {
            (RequestState::InProgress, Some(slot)) => account.meter.give(slot, now.up),
            (RequestState::InQueue, _) => {
                let queue = account.line(request.low_priority);
                if let Ok(place) = queue.binary_search_by_key(&request.ticket, |waiting| waiting.0) {
                    queue.remove(place);
                }
                account.meter.set_queued(account.queued(), now.up);
            }
            _ => {}
        }
    }

    /// Frees the memory of results whose time is over.
    fn sweep(&mut self, now: Duration) {
        for queue in [&mut self.retention.small_queue, &mut self.retention.large_queue] {
            while let Some(index) = queue.front().copied() {
                let request = &mut self.requests[index];
                if !request.is_gone(now) {
                    break;
                }
                if let Some(finished) = &mut request.finished {
                    finished.body.clear();
                    finished.payload.clear();
                }
                queue.pop_front();
            }
        }
    }
}
