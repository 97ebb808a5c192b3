//! The names under which operations are counted.

use super::ops::{Op, REPLIES, SIGHTS, Twist};
use domain::Resolution;

impl Op {
    /// The name under which it is counted.
    pub(super) fn kind(&self) -> String {
        match self {
            Self::Accept { committed: false, .. } => "accept, rolled back".to_owned(),
            Self::Accept { jobs, .. } if jobs.len() > 1 => "accept, batch".to_owned(),
            Self::Accept { .. } => "accept".to_owned(),
            Self::AcceptAgain { .. } => "accept again".to_owned(),
            Self::Claim { .. } => "claim".to_owned(),
            Self::Post { reply, .. } => format!("post, {reply:?}"),
            Self::Record { .. } => "record".to_owned(),
            Self::Finish { .. } => "finish".to_owned(),
            Self::Call { twist: Twist::OfRun(_), .. } => "call, of another run".to_owned(),
            Self::Call { twist, .. } => format!("call, {twist:?}"),
            Self::Reprocess { .. } => "reprocess".to_owned(),
            Self::Due => "due".to_owned(),
            Self::Look { sight, .. } => format!("look, {sight:?}"),
            Self::Sweep => "sweep".to_owned(),
            Self::Cancel { .. } => "cancel".to_owned(),
            Self::Refetch { .. } => "refetch".to_owned(),
            Self::Resolve { how, .. } => format!("resolve, {how:?}"),
            Self::Repin { .. } => "repin".to_owned(),
            Self::Retain => "retain".to_owned(),
            Self::Wait { .. } => "wait".to_owned(),
            Self::Race(..) => "race".to_owned(),
        }
    }
}

/// Every name that [`Op::kind`] has.
pub(super) fn kinds() -> impl Iterator<Item = String> {
    let twists = [
        Twist::Plain,
        Twist::Spaced,
        Twist::NullPayload,
        Twist::Unreadable,
        Twist::Stale,
        Twist::WrongUser,
        Twist::OtherResult,
        Twist::OtherEnd,
        Twist::OfRun(0),
        Twist::ForNobody,
    ];
    let calls = twists.map(|twist| Op::Call { attempt: 0, twist, copies: 1 }.kind());
    let posts = REPLIES.map(|reply| Op::Post { attempt: 0, reply }.kind());
    let looks = SIGHTS.map(|sight| Op::Look { attempt: 0, sight }.kind());
    let resolves = Resolution::ALL.map(|how| Op::Resolve { job: 0, how }.kind());
    let others = "accept; accept, batch; accept, rolled back; accept again; claim; record; finish; reprocess; due; sweep; \
                  cancel; refetch; repin; retain; wait; race";
    calls.into_iter().chain(posts).chain(looks).chain(resolves).chain(others.split("; ").map(str::to_owned))
}
