//! Where a test switches on a bug of settling. Nothing of this is in a release build.

use super::{AttemptNews, Source, load::Aggregate};
use domain::{AttemptEvent, AttemptState};
use failpoints::Bug;

/// Takes an attempt that has ended for one that fal still runs, where a bug says so.
pub(super) fn forget_end(aggregate: &mut Aggregate, index: usize, news: &AttemptNews) {
    let attempt = &mut aggregate.life.attempts[index];
    let repeats = news.source == Source::Callback
        && matches!(
            (&attempt.state, &news.event),
            (AttemptState::Succeeded { .. }, Some(AttemptEvent::ResultOk(_)))
                | (AttemptState::Failed(_), Some(AttemptEvent::ResultError(..)))
        );
    let forgets = failpoints::seeded(Bug::NoStateGuard) || repeats && failpoints::seeded(Bug::NoDeduplication);
    if let Some(request_id) = attempt.request_id.clone()
        && attempt.state.is_terminal()
        && forgets
    {
        attempt.state = AttemptState::Submitted { request_id };
    }
}
