//! The life of an admitted request: it runs, is retried, cancelled or timed out, and ends.

use std::collections::VecDeque;
use std::sync::Arc;

use uuid::Uuid;

use crate::callback;
use crate::core::Core;
use crate::ending;
use crate::faults::Fault;
use crate::output::Making;
use crate::request::{Finished, RequestState};
use crate::truth::TruthEvent;

/// How a cancel is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CancelAnswer {
    /// It was waiting and is gone.
    Ok,
    /// It runs; it may still finish.
    Requested,
    /// It was over.
    AlreadyCompleted,
}

impl CancelAnswer {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Ok => "OK",
            Self::Requested => "CANCELLATION_REQUESTED",
            Self::AlreadyCompleted => "ALREADY_COMPLETED",
        }
    }
}

/// The states of a request that is not over.
const OPEN: [RequestState; 2] = [RequestState::InQueue, RequestState::InProgress];

impl Core {
    /// Cancels a request if it can be.
    pub(crate) fn cancel(self: &Arc<Self>, index: usize) -> CancelAnswer {
        let (now, mut world) = (self.now(), self.world());
        let request = &mut world.requests[index];
        let (answer, ends) = match request.state {
            RequestState::Completed => (CancelAnswer::AlreadyCompleted, false),
            RequestState::InQueue => (CancelAnswer::Ok, true),
            RequestState::InProgress => (CancelAnswer::Requested, !request.plan.has(Fault::CancelIgnored)),
        };
        request.cancel_asked |= answer != CancelAnswer::AlreadyCompleted;
        let id = request.id.clone();
        world.truth.write(now.wall, Some(&id), TruthEvent::CancelAsked { answer: answer.word().to_owned() });
        drop(world);
        if ends {
            let started = self.end(index, &OPEN, ending::canceled(), self.config.webhook_on_cancel);
            self.launch(started);
        }
        self.touch();
        answer
    }

    /// Lets started requests run, and those that start in their place.
    pub(crate) fn launch(self: &Arc<Self>, started: Vec<usize>) {
        let mut started = VecDeque::from(started);
        while let Some(index) = started.pop_front() {
            let (run_time, hold, start) = {
                let world = self.world();
                let request = &world.requests[index];
                (request.plan.run_time, request.plan.hold, request.starts)
            };
            if run_time.is_zero() && !hold {
                started.extend(self.finish_run(index, start));
                continue;
            }
            let core = self.clone();
            self.spawn(async move {
                core.clock.sleep(run_time).await;
                core.until_released(index).await;
                let started = core.finish_run(index, start);
                core.launch(started);
            });
        }
    }

    /// Ends the run that began with the given start, unless something else has ended it.
    fn finish_run(self: &Arc<Self>, index: usize, start: u32) -> Vec<usize> {
        let now = self.now();
        let finished = {
            let mut world = self.world();
            let request = &world.requests[index];
            if request.state != RequestState::InProgress || request.starts != start {
                return Vec::new();
            }
            if start == 1 && request.plan.has(Fault::RunnerRetried) {
                world.requeue(index, Uuid::new_v4().to_string().into(), now);
                let started = world.pump(now);
                drop(world);
                self.touch();
                return started;
            }
            let making = Making {
                media_url: &format!("{}/media", self.url),
                request_id: &request.id,
                hash: self.dice.bits(request.ordinal, "seed", 0),
                run_seconds: now.up.saturating_sub(request.started.unwrap_or(now.up)).as_secs_f64(),
                pad_to: self.config.pictures_pad_to.unwrap_or(0),
            };
            ending::planned(request, &making)
        };
        self.end(index, &[RequestState::InProgress], finished, true)
    }

    /// Ends a request whose start deadline has passed, if it has not started.
    pub(crate) fn miss_start(self: &Arc<Self>, index: usize) {
        let waiting = [RequestState::InQueue];
        let started = self.end(index, &waiting, ending::start_timeout(), self.config.webhook_on_start_timeout);
        self.launch(started);
    }

    /// Ends a request that is in one of the given states, starts what its slot allows, and sends its webhook.
    fn end(self: &Arc<Self>, index: usize, from: &[RequestState], finished: Finished, tells: bool) -> Vec<usize> {
        let now = self.now();
        let (started, calls) = {
            let mut world = self.world();
            let request = &world.requests[index];
            if !from.contains(&request.state) {
                return Vec::new();
            }
            let gone = request.plan.has(Fault::CompletedGone);
            let calls = tells && !gone && request.webhook.is_some();
            world.end(index, finished, gone, now);
            (world.pump(now), calls)
        };
        if calls {
            self.spawn(callback::deliver(self.clone(), index));
        } else {
            self.world().requests[index].first_try.take();
        }
        self.touch();
        started
    }

    async fn until_released(&self, index: usize) {
        let mut changes = self.changes();
        while self.world().requests[index].plan.hold {
            if changes.changed().await.is_err() {
                return;
            }
        }
    }
}
