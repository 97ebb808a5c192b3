//! Lets `domain` decide what a person says of an attempt of which nobody knows what became.

use super::{AttemptNews, Guard, ResolveNews, Source, carry, decide::Before, load::Loaded};
use domain::{AttemptEvent, Resolution, RetryPolicy, Unresolvable, lifecycle::Circumstances};

/// What a person's decision did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResolveOutcome {
    Done,
    /// There is nothing to decide; nothing was changed.
    Refused(Unresolvable),
    /// No such job, or another project's.
    NotFound,
}

/// Needs no version of the row: the person decides about whatever attempt is unknown once the job is locked.
pub(super) fn decide(loaded: &mut Loaded, retry: RetryPolicy, news: &ResolveNews) -> ResolveOutcome {
    let now = loaded.now;
    let Some(aggregate) = loaded.jobs.get_mut(&news.job).filter(|found| found.job.project == news.project) else {
        return ResolveOutcome::NotFound;
    };
    // No wait is drawn: who says so has waited.
    let around = Circumstances { now, retry, retry_after: None, dice: 0.0 };
    let (attempt, recorded) = match aggregate.life.resolve(news.how, &around) {
        Ok(done) => done,
        Err(why) => return ResolveOutcome::Refused(why),
    };
    let Some(index) = aggregate.attempts.iter().position(|record| record.id == attempt) else {
        return ResolveOutcome::NotFound;
    };
    let told = AttemptNews {
        message: Some(message(news)),
        ..AttemptNews::of(attempt, Some(AttemptEvent::GivenUp), Guard::Evidence, Source::Poll)
    };
    let before = Before::of(aggregate, index);
    carry::extras(&mut aggregate.attempts[index], &told, now, true);
    loaded.job_of.insert(attempt, news.job);
    carry::all(loaded, &told, index, &recorded, &before);
    ResolveOutcome::Done
}

fn message(news: &ResolveNews) -> String {
    let what = match news.how {
        Resolution::Resubmit => "an operator had the job sent again",
        Resolution::GiveUp => "an operator gave it up",
    };
    format!("{what}, by key {}", news.by)
}
