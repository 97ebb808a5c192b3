//! What may happen, as data: an operation says who does what, never what comes of it.

use domain::{Charged, ErrorClass, Failure, OnUnknown, Resolution};

/// Jobs, attempts, callbacks and fal's runs by number. A run has the number of the attempt whose POST began it.
pub(super) type No = u16;

#[derive(Clone, Debug)]
pub(super) enum Op {
    /// Hands jobs in, in one transaction, which is rolled back where it is not `committed`.
    Accept {
        jobs: Vec<Spec>,
        committed: bool,
    },
    /// The same jobs by the same ids, from a caller whose COMMIT got no answer.
    AcceptAgain {
        first: No,
    },
    Claim {
        room: u16,
        places: u16,
    },
    /// The POST of an attempt, and what its sender hears. Nothing is recorded.
    Post {
        attempt: No,
        reply: Reply,
    },
    /// The sender records what it heard, however late.
    Record {
        attempt: No,
    },
    /// A run ends at fal.
    Finish {
        run: No,
        end: End,
    },
    /// fal calls back about `attempt`'s run, `copies` times in one batch.
    Call {
        attempt: No,
        twist: Twist,
        copies: u8,
    },
    /// An operator has a stored callback processed again.
    Reprocess {
        callback: No,
    },
    /// A reconciler takes what is due. What it makes of each is an operation of its own, so others may come between.
    Due,
    /// A reconciler that took an attempt with [`Op::Due`] records what it saw.
    Look {
        attempt: No,
        sight: Sight,
    },
    /// What only time moves.
    Sweep,
    Cancel {
        job: No,
        ours: bool,
    },
    Refetch {
        job: No,
    },
    /// An operator decides about the unknown attempt of a job.
    Resolve {
        job: No,
        how: Resolution,
    },
    /// Our user id at fal is forgotten, or set.
    Repin {
        known: bool,
    },
    Retain,
    Wait {
        seconds: i64,
    },
    /// Two transactions at the same time.
    Race(Box<Op>, Box<Op>),
}

#[derive(Clone, Debug)]
pub(super) struct Spec {
    pub(super) on_unknown: OnUnknown,
    pub(super) attempts_max: u16,
    pub(super) priority: i64,
    /// Seconds from the accept; none of them is a multiple of [`super::model::TICK`].
    pub(super) delay: Option<i64>,
    pub(super) useful: Option<i64>,
    pub(super) key: Option<Key>,
    pub(super) unique: Option<u8>,
}

#[derive(Clone, Debug)]
pub(super) struct Key {
    pub(super) name: u8,
    pub(super) body: u8,
    pub(super) reset: bool,
}

/// What fal makes of a POST, and whether we hear of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reply {
    Takes,
    /// fal takes it, and its answer is lost.
    TakesUnheard,
    /// It never came to fal, and nobody can tell.
    Lost,
    Refuses,
    /// A 5xx that fal itself marked.
    Fails,
    Busy,
    BadKey,
    Unreachable,
}

/// How a run ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// With one of the results of [`End::result`].
    Ok(u8),
    Passing,
    Lasting,
    Billed,
    Stopped,
}

/// How a callback differs from the one that fal should send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Twist {
    Plain,
    /// The same result with other white space.
    Spaced,
    NullPayload,
    Unreadable,
    Stale,
    WrongUser,
    /// Another result than the run had.
    OtherResult,
    /// An error where there was a result.
    OtherEnd,
    /// Genuine, of another run.
    OfRun(No),
    /// For an attempt that was never made.
    ForNobody,
}

/// What a look sees of the truth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sight {
    Truth,
    /// fal does not answer.
    Away,
    /// fal's history does not list the run.
    NoHistory,
    /// What has ended is not there any more.
    Gone,
    TooLarge,
    /// A cancel that is asked for works.
    Stops,
}

pub(super) const REPLIES: [Reply; 8] = [
    Reply::Takes,
    Reply::TakesUnheard,
    Reply::Lost,
    Reply::Refuses,
    Reply::Fails,
    Reply::Busy,
    Reply::BadKey,
    Reply::Unreachable,
];
pub(super) const SIGHTS: [Sight; 6] =
    [Sight::Truth, Sight::Away, Sight::NoHistory, Sight::Gone, Sight::TooLarge, Sight::Stops];

impl Reply {
    pub(super) fn begins_a_run(self) -> bool {
        matches!(self, Self::Takes | Self::TakesUnheard)
    }
}

impl End {
    /// The bytes of a good end: numbers that no float holds, escapes that Postgres' own JSON refuses, and no JSON at all.
    pub(super) fn result(self) -> Option<&'static [u8]> {
        match self {
            Self::Ok(0) => Some(br#"{"images": [{"seed": 17454220438242315174}]}"#),
            Self::Ok(1) => Some(br#"{"text": "\u0000 \ud800", "n": 1e131071}"#),
            Self::Ok(_) => Some(b"\xff\x00 not JSON"),
            _ => None,
        }
    }

    /// Bytes that say the same as [`Self::result`], where there are any.
    pub(super) fn respaced(self) -> Option<&'static [u8]> {
        match self {
            Self::Ok(0) => Some(b"{\"images\":\n[{\"seed\":17454220438242315174}]}"),
            _ => self.result(),
        }
    }

    pub(super) fn failure(self) -> Failure {
        let (class, charged) = match self {
            Self::Ok(_) => (ErrorClass::Internal, Charged::Perhaps),
            Self::Passing => (ErrorClass::Infrastructure, Charged::No),
            Self::Lasting => (ErrorClass::ContentPolicy, Charged::Perhaps),
            Self::Billed => (ErrorClass::ModelError, Charged::Yes),
            Self::Stopped => (ErrorClass::Canceled, Charged::Perhaps),
        };
        Failure { class, charged }
    }
}
