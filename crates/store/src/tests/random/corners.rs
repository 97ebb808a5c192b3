//! The rare corners are a few steps deep, so each step is drawn more often once the one before it was.

use super::choices::{Choice, on, one};
use super::model::{Model, has_ended, is_open};
use super::ops::{End, No, Op, Sight, Twist};
use domain::OnUnknown;
use proptest::{prelude::*, sample::select, strategy::BoxedStrategy};

pub(super) fn deeper(model: &Model) -> Vec<Choice> {
    let held = |fits: fn(&Model, No) -> bool| model.held.keys().copied().filter(|no| fits(model, *no)).collect();
    let runs = model.runs.keys().copied().filter(|no| model.may_be_adopted(*no));
    let (ended, running): (Vec<No>, Vec<No>) = runs.partition(|no| model.runs[no].is_some());
    let mut choices: Vec<Choice> = [
        on(60, held(Model::may_be_given_up), find_nothing, true),
        on(40, held(Model::may_miss_a_result), miss, true),
        on(20, running, end_well, false),
        on(20, ended, tell_at_last, true),
    ]
    .into_iter()
    .flatten()
    .collect();
    if model.attempts.keys().any(|no| model.may_be_given_up(*no)) {
        choices.push(one(3, Op::Wait { seconds: 11_000 }, false));
    }
    if model.attempts.keys().any(|no| model.may_be_gambled_on(*no)) {
        choices.extend([one(30, Op::Wait { seconds: 35 }, false), one(30, Op::Due, true)]);
    }
    if model.attempts.keys().any(|no| model.is_gambled_on(*no)) {
        choices.push(one(60, Op::Claim { room: 3, places: 100 }, true));
    }
    choices
}

impl Model {
    /// Whether a look that finds nothing may let a second run go beside the first, or after it.
    fn may_be_given_up(&self, no: No) -> bool {
        self.attempts.get(&no).is_some_and(|attempt| {
            let policy = self.jobs[&attempt.job].on_unknown;
            policy != OnUnknown::Operator && attempt.state == "unknown" && self.runs.contains_key(&no)
        })
    }

    /// Whether a second run may come to go beside the first.
    fn may_be_gambled_on(&self, no: No) -> bool {
        self.may_be_given_up(no) && {
            let job = &self.jobs[&self.attempts[&no].job];
            job.on_unknown == OnUnknown::Impatient && job.made < job.max && job.state == "running"
        }
    }

    fn is_gambled_on(&self, no: No) -> bool {
        self.may_be_given_up(no)
            && self.attempts[&no].superseded
            && self.jobs[&self.attempts[&no].job].state == "queued"
    }

    /// Whether a look may find that fal does not hand a result out.
    fn may_miss_a_result(&self, no: No) -> bool {
        let submitted = self.attempts.get(&no).is_some_and(|attempt| attempt.state == "submitted");
        submitted && matches!(self.runs.get(&no), Some(Some(End::Ok(_))))
    }

    /// Whether an attempt has ended without the result that fal makes or has made, while its job goes on.
    fn may_be_adopted(&self, no: No) -> bool {
        let missed = self.attempts.get(&no).is_some_and(|attempt| {
            !is_open(attempt.state) && attempt.state != "succeeded" && !has_ended(&self.jobs[&attempt.job])
        });
        missed && matches!(self.runs.get(&no), Some(None | Some(End::Ok(_))))
    }
}

fn find_nothing(attempt: No) -> BoxedStrategy<Op> {
    Just(Op::Look { attempt, sight: Sight::NoHistory }).boxed()
}

fn miss(attempt: No) -> BoxedStrategy<Op> {
    select(vec![Sight::Gone, Sight::TooLarge]).prop_map(move |sight| Op::Look { attempt, sight }).boxed()
}

fn end_well(run: No) -> BoxedStrategy<Op> {
    (0u8..3).prop_map(move |result| Op::Finish { run, end: End::Ok(result) }).boxed()
}

fn tell_at_last(attempt: No) -> BoxedStrategy<Op> {
    Just(Op::Call { attempt, twist: Twist::Plain, copies: 1 }).boxed()
}
