//! Waiting for a state, with a name for what is waited for and an end to the patience.

use std::{
    fmt::Debug,
    future::Future,
    time::{Duration, Instant},
};

/// How long anything may take before the test is given up.
pub const PATIENCE: Duration = Duration::from_secs(30);
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(10);

/// Looks until `look` finds something, and returns it.
///
/// # Panics
/// When nothing is found within [`PATIENCE`]; the message names `what` and holds the last thing seen.
pub async fn until<T, S, F>(what: &str, mut look: impl FnMut() -> F) -> T
where
    F: Future<Output = Result<T, S>>,
    S: Debug,
{
    let began = Instant::now();
    loop {
        match look().await {
            Ok(found) => return found,
            Err(seen) if began.elapsed() > PATIENCE => panic!("waited in vain for {what}; last seen: {seen:#?}"),
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
    }
}

/// Looks until `look` says yes, for as long as `patience`; whether it did. For stories that go on without it.
pub async fn whether<F>(patience: Duration, mut look: impl FnMut() -> F) -> bool
where
    F: Future<Output = bool>,
{
    let began = Instant::now();
    loop {
        if look().await {
            return true;
        }
        if began.elapsed() > patience {
            return false;
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Lets a fault or a measurement last for `span`. Never a wait for what the fault does: that is a state.
pub async fn let_pass(span: Duration) {
    tokio::time::sleep(span).await;
}
