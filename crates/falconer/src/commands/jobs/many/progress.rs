//! How far a submission is, on a terminal; nothing elsewhere.

use super::report::Counts;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::IsTerminal;

/// Frames a second, at the most.
const HERTZ: u8 = 10;

/// One bar on standard error.
#[derive(Clone, Debug)]
pub(super) struct Bar(ProgressBar);

impl Bar {
    /// While jobs are sent: along the bytes of files, or only counting.
    pub(super) fn sending(bytes: Option<u64>) -> Self {
        match bytes {
            Some(bytes) => Self::new(Some(bytes), "submitting {bar:30.blue/dim} {msg}"),
            None => Self::new(None, "submitting {spinner} {msg}"),
        }
    }

    /// While jobs run.
    pub(super) fn waiting(jobs: u64) -> Self {
        Self::new(Some(jobs), "waiting    {bar:30.green/dim} {msg}")
    }

    fn new(length: Option<u64>, template: &str) -> Self {
        let target = if std::io::stderr().is_terminal() {
            ProgressDrawTarget::stderr_with_hz(HERTZ)
        } else {
            ProgressDrawTarget::hidden()
        };
        let bar = ProgressBar::with_draw_target(length, target);
        bar.set_style(ProgressStyle::with_template(template).expect("a constant template").progress_chars("█▉▊▋▌▍▎▏·"));
        Self(bar)
    }

    pub(super) fn sent(&self, bytes: u64, counts: Counts) {
        self.0.set_position(bytes);
        self.0.set_message(format!("{} accepted, {} refused", counts.accepted, counts.refused));
        self.0.tick();
    }

    pub(super) fn waited(&self, counts: Counts) {
        let (done, failed) = (counts.succeeded, counts.failed);
        self.0.set_position(done + failed);
        let open = self.0.length().unwrap_or_default().saturating_sub(done + failed);
        self.0.set_message(format!("{done} done, {failed} failed, {open} open"));
    }

    /// Lets `write` write to standard output while the bar is not there, if both are on a terminal.
    pub(super) fn aside<T>(&self, write: impl FnOnce() -> T) -> T {
        if std::io::stdout().is_terminal() { self.0.suspend(write) } else { write() }
    }

    /// Lets `write` write to standard error while the bar is not there.
    pub(super) fn clear_of<T>(&self, write: impl FnOnce() -> T) -> T {
        self.0.suspend(write)
    }

    pub(super) fn end(&self) {
        self.0.finish_and_clear();
    }
}
