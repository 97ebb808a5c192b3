//! Wakes across processes: a hint over LISTEN and NOTIFY, sent by a connection of its own, never inside a transaction
//! that writes, and at most once in a few milliseconds.

use super::{Engine, Role, Roles};
use std::time::Duration;
use store::wake::Bridge;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

const DEBOUNCE: Duration = Duration::from_millis(5);
/// Whoever waits for an end in another process looks no oftener.
const ENDED_DEBOUNCE: Duration = Duration::from_millis(50);

/// Starts sending where this process makes work that it does not do itself, and listening where it does work.
pub(crate) fn start(engine: &Engine, roles: &Roles, tasks: &TaskTracker, stop: &CancellationToken) {
    let bridge = Bridge::new(engine.store.clone(), engine.wakes.clone());
    if !roles.has(Role::Submitter) {
        tasks.spawn(bridge.clone().send(DEBOUNCE, stop.clone()));
    }
    tasks.spawn(bridge.clone().send_ended(ENDED_DEBOUNCE, stop.clone()));
    if roles.has(Role::Submitter) || roles.has(Role::Api) {
        tasks.spawn(bridge.listen(roles.has(Role::Submitter), stop.clone()));
    }
}
