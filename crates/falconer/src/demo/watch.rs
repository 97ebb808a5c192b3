//! Follows the jobs until the last one is home.

use super::{bars::Display, fire::Fired, stage::Stage};
use anyhow::{Context, Result};
use simulator::Occupancy;
use std::time::{Duration, Instant};
use store::report::{self, Progress};

/// Between two readings, at the least.
const SHORTEST: Duration = Duration::from_millis(100);
/// When no job has come home for so long, no more is expected to.
const STALLED: Duration = Duration::from_secs(90);
/// fal may still be running what nobody waits for.
const SETTLES_WITHIN: Duration = Duration::from_secs(15);

/// One reading.
#[derive(Clone, Copy, Debug)]
pub(super) struct Frame {
    pub(super) acknowledged: u32,
    pub(super) progress: Progress,
    /// Slots in use, by the simulated fal.
    pub(super) busy: u32,
    pub(super) elapsed: Duration,
}

/// Why the watching ended.
#[derive(Clone, Copy, Debug)]
pub(super) enum Seen {
    AllHome,
    /// Nothing moved any more.
    Stalled,
    Interrupted,
}

/// What was seen.
#[derive(Debug)]
pub(super) struct Watched {
    pub(super) seen: Seen,
    /// The use of the slots from the first POST to the last reading at which jobs still waited to be sent.
    pub(super) occupancy: Option<Occupancy>,
}

/// Reads and shows how far the jobs are until all are home, none moves any more, or somebody wants an end.
pub(super) async fn until_home(stage: &Stage, fired: &Fired, jobs: u32, display: &Display) -> Result<Watched> {
    let (began, stop) = (Instant::now(), stage.server.told_to_stop());
    let mut occupancy = None;
    let mut moved = (0, Instant::now());
    let seen = loop {
        let read_began = Instant::now();
        let (acknowledged, busy) = (fired.acknowledged(), stage.simulator.occupancy());
        let progress = report::progress(&stage.store).await.context("failed to read how far the jobs are")?;
        display.show(&Frame { acknowledged, progress, busy: busy.busy, elapsed: began.elapsed() });
        if progress.waiting > 0 {
            occupancy = Some(busy);
        }
        if moved.0 != progress.home() || acknowledged < jobs {
            moved = (progress.home(), Instant::now());
        }
        if acknowledged == jobs && progress.home() == i64::from(jobs) {
            break Seen::AllHome;
        }
        if moved.1.elapsed() > STALLED {
            break Seen::Stalled;
        }
        if fired.failed() || stop.is_cancelled() {
            break Seen::Interrupted;
        }
        let pause = SHORTEST.max(read_began.elapsed() * 5);
        let _ = tokio::time::timeout(pause, stop.cancelled()).await;
    };
    if let Seen::AllHome = seen {
        let idle =
            stage.simulator.wait_until_for(SETTLES_WITHIN, |view| view.counts.in_queue + view.counts.in_progress == 0);
        idle.await.context("fal still runs something although every job is home")?;
    }
    Ok(Watched { seen, occupancy })
}
