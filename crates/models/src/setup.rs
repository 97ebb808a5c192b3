//! What differs from one variant of a model to the next: how the world treats us, and which mistake is built in.

use domain::OnUnknown;

/// Whether fal tells which requests it has taken from us.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum History {
    /// Every run is listed at once.
    Complete,
    /// A run is listed some time after fal took it, and in any case before an attempt may be given up.
    Lagging,
    /// As [`Self::Lagging`], and any look may get no answer.
    Silent,
    /// The key may not list.
    Refused,
}

/// A mistake that somebody might make. A model with one of them must fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Broken {
    /// A callback finds its attempt by fal's request id, and is dropped where that is not known.
    BindsByRequestIdAlone,
    /// A POST whose answer was lost is sent again at once, as official clients do.
    RetriesBlindly,
    /// News are applied whatever state the attempt and its job are in.
    NoStateGuard,
    /// Who holds the lease is not asked: a stale holder's decision meets the row as it was at the claim.
    NoFence,
    /// Whoever finds a lease that ran out sends the attempt again.
    RescueSends,
    /// Whoever finds a lease that ran out puts the job back into the queue.
    RescueRequeues,
    /// A wish for the end ends a running job at once, without waiting for what fal says.
    CancelDoesNotWait,
    /// Whatever fal answers to a cancel is taken for its confirmation, also where the run had come to its result.
    CancelIgnoresResult,
    /// A good result that comes late is adopted by a job that has ended.
    LateResultReopens,
    /// Giving up does not wait until nothing can be running any more.
    GivesUpEarly,
    /// Silence of fal's history is taken for "there is no such request".
    SilenceIsAbsence,
    /// A superseded attempt's result is thrown away, and with it the line of money.
    LateResultIsDropped,
    /// The rows are read without a lock, and written back as they were decided.
    NoRowLock,
    /// A claim does not look again at the row after it got the lock.
    ClaimWithoutRecheck,
    /// The end of the lease is not looked at before sending.
    SendsWithoutDeadline,
}

/// One variant of the model of an attempt and its cancel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setup {
    pub on_unknown: OnUnknown,
    pub history: History,
    /// The input carries a seed of its own, so that history tells two attempts at one job apart.
    pub seeded: bool,
    /// The account's user id is known, so that a callback alone may bind.
    pub pinned: bool,
    /// fal's bill is compared with the attempts.
    pub audit: bool,
    /// Attempts that may be claimed, and the job's `attempts_max`.
    pub attempts: u8,
    /// How often fal calls before it gives up.
    pub tries: u8,
    pub limits: Limits,
    pub broken: Option<Broken>,
}

/// How often the environment may do what it need not do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Limits {
    pub crashes: u8,
    pub cancels: u8,
    /// Words of a person on an attempt of which nobody knows what became.
    pub words: u8,
    /// Runs that end with an error.
    pub errors: u8,
    /// POSTs that provably did not leave, or that fal pushed back.
    pub not_sent: u8,
    /// Leases that end while their holder has not sent yet.
    pub pauses: u8,
    /// Calls of fal that never reach us; [`Self::ANY`] where every one may be lost.
    pub losses: u8,
    /// Callbacks whose stamp is too old to be believed at once.
    pub stale: u8,
    /// Commits of which nobody learns whether they happened.
    pub doubts: u8,
    /// Results that fal forgets.
    pub forgotten: u8,
}

impl Limits {
    /// As often as it likes.
    pub const ANY: u8 = u8::MAX;
}

impl Setup {
    /// What is shipped, with all that fal offers: a signed token in the URL, a pinned user id, history, the audit.
    pub fn shipped(on_unknown: OnUnknown) -> Self {
        Self {
            on_unknown,
            history: History::Lagging,
            seeded: true,
            pinned: true,
            audit: true,
            attempts: 2,
            tries: 2,
            limits: Limits::default(),
            broken: None,
        }
    }

    #[must_use]
    pub fn but(mut self, broken: Broken) -> Self {
        self.broken = Some(broken);
        self
    }

    /// With these limits, and every call of fal may be lost.
    #[must_use]
    pub fn with(self, limits: Limits) -> Self {
        Self { limits: Limits { losses: Limits::ANY, ..limits }, ..self }
    }

    pub(crate) fn is(&self, broken: Broken) -> bool {
        self.broken == Some(broken)
    }
}
