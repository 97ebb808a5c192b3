//! Which operations may follow which, for proptest to draw and to shrink.

use super::choices::choices;
use super::model::Model;
use super::ops::{Op, Twist};
use proptest::{
    prelude::*,
    strategy::{BoxedStrategy, Union},
};
use proptest_state_machine::ReferenceStateMachine;

/// Until when a case may wait: retention makes the partitions of the time between.
const DAYS_MAX: i64 = 25;

pub(super) struct Machine;

impl ReferenceStateMachine for Machine {
    type State = Model;
    type Transition = Op;

    fn init_state() -> BoxedStrategy<Model> {
        Just(Model { pinned: Some(true), ..Model::default() }).boxed()
    }

    fn transitions(model: &Model) -> BoxedStrategy<Op> {
        let racing: Vec<_> = choices(model).into_iter().filter(|(_, _, races)| *races).collect();
        let pairs = |choices: &[(u32, BoxedStrategy<Op>, bool)]| {
            Union::new_weighted(choices.iter().map(|(weight, op, _)| (*weight, op.clone())).collect())
        };
        let two = (pairs(&racing), pairs(&racing)).prop_map(|(one, other)| Op::Race(Box::new(one), Box::new(other)));
        let same = pairs(&racing).prop_map(|one| Op::Race(Box::new(one.clone()), Box::new(one)));
        let mut choices: Vec<_> = choices(model).into_iter().map(|(weight, op, _)| (weight, op)).collect();
        choices.push((6, two.boxed()));
        choices.push((2, same.boxed()));
        Union::new_weighted(choices).boxed()
    }

    fn apply(mut model: Model, op: &Op) -> Model {
        let command = model.resolve(op);
        model.presume(&command);
        model
    }

    fn preconditions(model: &Model, op: &Op) -> bool {
        match op {
            Op::Accept { .. } | Op::Claim { .. } | Op::Due | Op::Sweep | Op::Repin { .. } | Op::Retain => true,
            Op::AcceptAgain { first } => model.batches.contains_key(first),
            Op::Post { attempt, .. } => model.may_post(*attempt),
            Op::Record { attempt } => model.attempts.get(attempt).is_some_and(|attempt| attempt.reply.is_some()),
            Op::Finish { run, .. } => model.runs.get(run) == Some(&None),
            Op::Call { attempt, twist, .. } => {
                let run = if let Twist::OfRun(run) = twist { run } else { attempt };
                model.attempts.contains_key(attempt) && matches!(model.runs.get(run), Some(Some(_)))
            }
            Op::Reprocess { callback } => model.callbacks.contains_key(callback),
            Op::Look { attempt, .. } => model.held.contains_key(attempt),
            Op::Cancel { job, .. } | Op::Refetch { job } | Op::Resolve { job, .. } => model.jobs.contains_key(job),
            Op::Wait { seconds } => model.now + seconds * 1000 < DAYS_MAX * 86_400_000,
            Op::Race(one, other) => Self::preconditions(model, one) && Self::preconditions(model, other),
        }
    }
}
