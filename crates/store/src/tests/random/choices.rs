//! What may happen next, and how often it is drawn.

use super::corners;
use super::draws::{accept, call, cancel, finish, look, post, resolve};
use super::model::{Model, has_ended, is_open};
use super::ops::{End, No, Op, Twist};
use proptest::{prelude::*, sample::select, strategy::BoxedStrategy};

/// Jobs of one case: enough to meet each other, few enough to be met again.
const JOBS_MAX: No = 12;
const DAY: i64 = 86_400_000;

/// Weight, operation, and whether two of its kind may run at the same time.
pub(super) type Choice = (u32, BoxedStrategy<Op>, bool);

/// What may happen by itself, given what there is.
pub(super) fn choices(model: &Model) -> Vec<Choice> {
    let mut choices = of_workers(model);
    choices.extend(of_time(model));
    choices.extend([of_senders(model), of_fal(model), of_people(model), corners::deeper(model)].into_iter().flatten());
    choices
}

/// One of `of`, where there is any.
pub(super) fn on(weight: u32, of: Vec<No>, to: fn(No) -> BoxedStrategy<Op>, races: bool) -> Option<Choice> {
    (!of.is_empty()).then(|| (weight, select(of).prop_flat_map(to).boxed(), races))
}

pub(super) fn one(weight: u32, op: Op, races: bool) -> Choice {
    (weight, Just(op).boxed(), races)
}

fn of_workers(model: &Model) -> Vec<Choice> {
    let jobs = || model.jobs.values();
    // What would find nothing to do is tried now and then.
    let weight = |busy: bool, weight| if busy { weight } else { 1 };
    let ready = jobs().any(|job| job.state == "queued" && job.run_at <= model.now);
    let due = model.attempts.keys().any(|no| model.may_be_due(*no));
    let swept = jobs().any(|job| job.state == "scheduled" || job.useful_until.is_some() && job.state == "queued");
    let claims = (1u16..4, select(vec![1u16, 3, 100, 100])).prop_map(|(room, places)| Op::Claim { room, places });
    let mut choices = vec![
        (weight(ready, 14), claims.boxed(), true),
        one(weight(due, 9), Op::Due, true),
        one(weight(swept, 5), Op::Sweep, true),
    ];
    choices.extend(on(14, model.held.keys().copied().collect(), look, true));
    if model.now > DAY {
        choices.push(one(if model.now > 9 * DAY && jobs().all(has_ended) { 80 } else { 1 }, Op::Retain, false));
    }
    choices
}

fn of_time(model: &Model) -> Vec<Choice> {
    let wait = |seconds: Vec<i64>| select(seconds).prop_map(|seconds| Op::Wait { seconds }).boxed();
    let mut choices = vec![(6, wait(vec![10, 35, 125, 125, 700, 4_300, 11_000]), false)];
    if model.now < 15 * DAY {
        let idle = !model.jobs.is_empty() && model.jobs.values().all(has_ended);
        choices.push((if idle { 9 } else { 2 }, wait(vec![90_000, 864_000]), false));
    }
    choices
}

fn of_senders(model: &Model) -> Vec<Choice> {
    let attempts = || model.attempts.iter();
    let to_post = attempts().map(|(no, _)| *no).filter(|no| model.may_post(*no));
    let replied = attempts().filter(|(_, attempt)| attempt.reply.is_some());
    let waiting = replied.clone().filter(|(_, attempt)| is_open(attempt.state) && attempt.request_id.is_none());
    let record = |attempt| Just(Op::Record { attempt }).boxed();
    let choices = [
        on(30, to_post.collect(), post, false),
        on(2, replied.map(|(no, _)| *no).collect(), record, true),
        on(20, waiting.map(|(no, _)| *no).collect(), record, true),
    ];
    choices.into_iter().flatten().collect()
}

fn of_fal(model: &Model) -> Vec<Choice> {
    let running = model.runs.iter().filter(|(_, end)| end.is_none()).map(|(no, _)| *no);
    let ended: Vec<No> = model.runs.iter().filter(|(_, end)| end.is_some()).map(|(no, _)| *no).collect();
    let callable: Vec<No> = ended.iter().copied().filter(|no| model.attempts.contains_key(no)).collect();
    let mut choices: Vec<Choice> =
        [on(9, running.collect(), finish, false), on(11, callable, call, true)].into_iter().flatten().collect();
    let attempts: Vec<No> = model.attempts.keys().copied().collect();
    if !attempts.is_empty() && !ended.is_empty() {
        let crossed = (select(attempts), select(ended)).prop_map(|(attempt, run)| Op::Call {
            attempt,
            twist: Twist::OfRun(run),
            copies: 1,
        });
        choices.push((1, crossed.boxed(), true));
    }
    choices
}

fn of_people(model: &Model) -> Vec<Choice> {
    let mut choices = vec![(1, prop::bool::weighted(0.3).prop_map(|known| Op::Repin { known }).boxed(), false)];
    if model.minted.jobs < JOBS_MAX {
        choices.push((if model.jobs.values().all(has_ended) { 40 } else { 6 }, accept().boxed(), true));
    }
    let holds_result = |job: No| {
        let mut attempts = model.attempts.iter();
        attempts.any(|(no, attempt)| attempt.job == job && matches!(model.runs.get(no), Some(Some(End::Ok(_)))))
    };
    let failed = model.jobs.iter().filter(|(_, job)| job.state == "failed").map(|(no, _)| *no);
    let unknown = model
        .attempts
        .values()
        .filter(|attempt| attempt.state == "unknown" && !attempt.superseded)
        .map(|attempt| attempt.job);
    let more = [
        on(1, model.batches.keys().copied().collect(), |first| Just(Op::AcceptAgain { first }).boxed(), true),
        on(2, model.callbacks.keys().copied().collect(), |callback| Just(Op::Reprocess { callback }).boxed(), true),
        on(2, model.jobs.keys().copied().collect(), cancel, true),
        on(1, model.jobs.keys().copied().collect(), resolve, true),
        on(10, unknown.collect(), resolve, true),
        on(30, failed.filter(|no| holds_result(*no)).collect(), |job| Just(Op::Refetch { job }).boxed(), false),
    ];
    choices.extend(more.into_iter().flatten());
    choices
}
