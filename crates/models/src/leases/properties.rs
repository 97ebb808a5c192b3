//! What must hold, in every state or in every state in which nothing more happens by itself.

use super::{Action, Leases, State, Task, actions};
use crate::fal::Phase;
use domain::JobState;
use stateright::{Model, Property};

/// The properties by name.
pub mod named {
    pub use crate::protocol::named::{
        ENDS, HOLDER_WRITES, NO_REGRESS, NOT_LOST, ONE_EVENT, ONE_POST, PAID_ONCE, REACHES_SUCCESS,
    };
    pub const ONE_LIVE: &str = "one live attempt per job";
    pub const SENT_IN_LEASE: &str = "nothing is sent after the lease";
    pub const REACHES_VOID: &str = "reached: an attempt is rescued while its holder still has something to say";
}

pub(super) fn all() -> Vec<Property<Leases>> {
    vec![
        Property::always(named::ONE_EVENT, |_, state: &State| {
            state.db.ends.len() == usize::from(state.db.job().state.is_terminal())
        }),
        Property::always(named::NO_REGRESS, |_, state: &State| {
            state.db.ends.first().is_none_or(|end| *end == state.db.job().state.as_str())
        }),
        Property::always(named::NOT_LOST, |setup: &Leases, state: &State| {
            let good = state.runs.iter().any(|run| run.phase == Phase::Good);
            !good || state.db.job().state == JobState::Succeeded || !is_quiet(setup, state)
        }),
        Property::always(named::PAID_ONCE, |_, state: &State| state.runs.iter().filter(|run| run.costs()).count() <= 1),
        Property::always(named::ONE_POST, |_, state: &State| {
            (0..state.db.rows.len())
                .all(|attempt| state.runs.iter().filter(|run| usize::from(run.by) == attempt).count() <= 1)
        }),
        Property::always(named::ONE_LIVE, |_, state: &State| {
            let is_live = |attempt: &&domain::Attempt| !attempt.state.is_terminal() && !attempt.superseded;
            state.db.attempts().iter().filter(is_live).count() <= 1
        }),
        Property::always(named::HOLDER_WRITES, |_, state: &State| !state.db.overwritten),
        Property::always(named::SENT_IN_LEASE, |_, state: &State| !state.sent_late),
        Property::always(named::ENDS, |setup, state: &State| {
            let ended = state.db.job().state.is_terminal() && state.db.open().next().is_none();
            ended || !is_quiet(setup, state)
        }),
        Property::sometimes(named::REACHES_SUCCESS, |_, state: &State| state.db.job().state == JobState::Succeeded),
        Property::sometimes(named::REACHES_VOID, |_, state: &State| {
            let stale = |task: &Task| matches!(task, Task::Tells(news) if !state.db.is_submitting(news.attempt) && matches!(news.guard, crate::store::Guard::Lease { .. }));
            state.processes.iter().any(stale)
        }),
    ]
}

/// Whether nothing more happens by itself: crashes apart, all that is left is to look again and find nothing.
fn is_quiet(setup: &Leases, state: &State) -> bool {
    if state.processes.iter().any(|task| *task != Task::Idle) {
        return false;
    }
    let mut possible = Vec::new();
    actions::all(setup, state, &mut possible);
    possible.into_iter().all(|action| match action {
        Action::Crashes(_) => true,
        Action::Reads(_, attempt) => actions::answers(state, attempt) == [super::Answer::Nothing],
        _ => setup.next_state(state, action).is_none(),
    })
}
