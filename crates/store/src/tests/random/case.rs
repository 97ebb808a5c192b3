//! One case: every operation is done by the model and by the store, and both must show the same.

use super::command::Command;
use super::facts::{clean, difference};
use super::invariants;
use super::machine::Machine;
use super::model::{Model, has_ended};
use super::ops::{No, Op};
use super::system::System;
use chrono::{DateTime, Utc};
use proptest_state_machine::StateMachineTest;
use sqlx::PgPool;
use std::{cell::RefCell, collections::BTreeMap, future::Future};
use tokio::runtime::Handle;

/// Operations between two looks at every invariant.
const EVERY: usize = 16;
/// Milliseconds that an operation may take before the model's idea of the time is of no use.
const LATE_MAX: i64 = 1_000;

/// What all cases of a run share, and what they have done.
pub(super) struct Run {
    pub(super) handle: Handle,
    pub(super) pool: PgPool,
    pub(super) start: DateTime<Utc>,
    pub(super) kinds: BTreeMap<String, usize>,
    /// Operations of the drains.
    pub(super) healing: usize,
    pub(super) corners: BTreeMap<&'static str, usize>,
    pub(super) cases: usize,
    /// Cases that a stall of the machine broke off.
    pub(super) broken_off: usize,
}

thread_local! {
    /// The trait of proptest-state-machine hands nothing in.
    pub(super) static RUN: RefCell<Option<Run>> = const { RefCell::new(None) };
}

pub(super) fn with_run<T>(what: impl FnOnce(&mut Run) -> T) -> T {
    RUN.with_borrow_mut(|run| what(run.as_mut().expect("a run is under way")))
}

pub(super) fn wait_for<F: Future>(future: F) -> F::Output {
    let handle = with_run(|run| run.handle.clone());
    handle.block_on(future)
}

pub(super) struct Case {
    pub(super) system: System,
    pub(super) model: Model,
    /// How each job looked when it had ended.
    ended: BTreeMap<No, String>,
    done: usize,
    pub(super) is_late: bool,
    /// The drawn operations are done.
    heals: bool,
}

impl StateMachineTest for Case {
    type SystemUnderTest = Self;
    type Reference = Machine;

    fn init_test(model: &Model) -> Self {
        let (pool, start) = with_run(|run| {
            run.cases += 1;
            (run.pool.clone(), run.start)
        });
        wait_for(clean(&pool, start));
        Self {
            system: System::new(pool, start),
            model: model.clone(),
            ended: BTreeMap::new(),
            done: 0,
            is_late: false,
            heals: false,
        }
    }

    fn apply(mut case: Self, _: &Model, op: Op) -> Self {
        case.run(&op);
        case
    }

    fn teardown(mut case: Self, _: Model) {
        case.heals = true;
        case.heal();
        case.nothing_is_lost();
        case.repeats_change_nothing();
        with_run(|run| {
            run.broken_off += usize::from(case.is_late);
            for (corner, count) in &case.model.corners {
                *run.corners.entry(corner).or_default() += count;
            }
        });
    }
}

impl Case {
    /// Does one operation, and compares all that can be seen.
    pub(super) fn run(&mut self, op: &Op) {
        if self.is_late {
            return;
        }
        let mut model = self.model.clone();
        let command = model.resolve(op);
        self.count(op);
        if matches!(command, Command::Nothing) {
            self.model = model;
            return;
        }
        // A drain is long, and what it does is told by its answers until its next claim.
        let compares = !self.heals || matches!(command, Command::Claim { .. } | Command::Due);
        let (seen, late, facts) = wait_for(async {
            self.system.set_clock(model.now).await;
            let seen = self.system.execute(&command).await;
            let late = self.system.ahead_of(model.now).await;
            (seen, late, if compares { Some(self.system.facts().await) } else { None })
        });
        if late > LATE_MAX {
            self.is_late = true;
            return;
        }
        let explained = model.explain(&command, &seen).unwrap_or_else(|reason| panic!("{op:?}: {reason}"));
        let Some(facts) = facts else {
            self.model = explained[0].clone();
            return;
        };
        let Some(model) = explained.iter().find(|model| model.facts() == facts) else {
            panic!("{op:?} was answered {seen:?}, and left{}", difference(&explained[0].facts(), &facts));
        };
        self.model = model.clone();
        self.the_ended_stay(&facts);
        if self.done.is_multiple_of(EVERY) {
            wait_for(invariants::hold(&self.system.pool));
        }
    }

    fn count(&mut self, op: &Op) {
        self.done += 1;
        with_run(|run| {
            if self.heals {
                run.healing += 1;
            } else {
                *run.kinds.entry(op.kind()).or_default() += 1;
            }
        });
        if let Op::Race(one, other) = op {
            self.count(one);
            self.count(other);
        }
    }

    fn the_ended_stay(&mut self, facts: &BTreeMap<String, String>) {
        self.ended.retain(|no, _| self.model.jobs.contains_key(no));
        for (no, job) in self.model.jobs.iter().filter(|(_, job)| has_ended(job)) {
            let line = &facts[&format!("job {no}")];
            let was = self.ended.entry(*no).or_insert_with(|| line.clone());
            assert_eq!(was, line, "job {no} had ended as {}", job.state);
        }
    }
}
