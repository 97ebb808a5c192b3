//! fal as far as it matters here: runs that it took, how they end, and what it tells of them.

use crate::setup::History;
use domain::{Charged, ErrorClass, Failure};

/// A failed run after which another attempt is worth its while, and which may have cost money.
pub(crate) const FAILURE: Failure = Failure { class: ErrorClass::ModelError, charged: Charged::Perhaps };

/// One run that fal took, or is about to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[expect(clippy::struct_excessive_bools, reason = "what fal knows of a run: facts that do not depend on each other")]
pub struct Run {
    /// The attempt whose callback URL it carries.
    pub by: u8,
    pub phase: Phase,
    pub cancel_asked: bool,
    /// Calls that fal has left.
    pub calls: u8,
    /// fal's history lists it.
    pub listed: bool,
    /// fal no longer holds its result.
    pub forgotten: bool,
    /// The audit found no attempt for it, and wrote the charge down as an orphan.
    pub orphan_charge: bool,
}

/// Where a run stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Phase {
    /// The request is still on its way, though its sender has stopped waiting.
    Flying,
    InQueue,
    Running,
    Good,
    Bad,
    Canceled,
}

/// How a run that fal works on ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ending {
    Good,
    Bad,
    Canceled,
}

impl Run {
    pub fn new(by: u8, phase: Phase, history: History) -> Self {
        Self {
            by,
            phase,
            cancel_asked: false,
            calls: 0,
            listed: history == History::Complete,
            forgotten: false,
            orphan_charge: false,
        }
    }

    /// Whether it can still begin or go on.
    pub fn is_live(&self) -> bool {
        matches!(self.phase, Phase::Flying | Phase::InQueue | Phase::Running)
    }

    /// Whether fal bills it, or may yet.
    pub fn costs(&self) -> bool {
        matches!(self.phase, Phase::InQueue | Phase::Running | Phase::Good)
    }

    pub fn end(&mut self, ending: Ending, tries: u8) {
        self.phase = match ending {
            Ending::Good => Phase::Good,
            Ending::Bad => Phase::Bad,
            Ending::Canceled => Phase::Canceled,
        };
        // Whether fal calls about a cancelled run is not documented; here it does not.
        self.calls = if ending == Ending::Canceled { 0 } else { tries };
    }

    /// What fal answers to a cancel, done.
    pub fn cancel(&mut self) -> bool {
        match self.phase {
            Phase::InQueue => {
                self.phase = Phase::Canceled;
                true
            }
            Phase::Running => {
                self.cancel_asked = true;
                false
            }
            Phase::Flying | Phase::Good | Phase::Bad | Phase::Canceled => false,
        }
    }
}
