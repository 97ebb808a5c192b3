//! Ids that say their numbers.

use super::model::DICE;
use super::ops::No;
use chrono::{DateTime, Utc};
use domain::{AttemptId, CallbackId, JobId};
use uuid::Uuid;

pub(super) fn job_id(start: DateTime<Utc>, no: No) -> JobId {
    JobId(id(start, no, [0; 4]))
}

pub(super) fn attempt_id(start: DateTime<Utc>, no: No) -> AttemptId {
    AttemptId(id(start, no, dice_bytes()))
}

pub(super) fn callback_id(start: DateTime<Utc>, no: No) -> CallbackId {
    CallbackId(id(start, no, [1; 4]))
}

/// A UUID of version 7 that says its number: all of a case are of one instant, in the order of their numbers.
fn id(start: DateTime<Utc>, no: No, last: [u8; 4]) -> Uuid {
    let millis = u64::try_from(start.timestamp_millis()).unwrap() << 16;
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&millis.to_be_bytes());
    bytes[6] = 0x70;
    bytes[8] = 0x80;
    bytes[10..12].copy_from_slice(&no.to_be_bytes());
    bytes[12..].copy_from_slice(&last);
    Uuid::from_bytes(bytes)
}

pub(super) fn number(id: Uuid) -> No {
    let bytes = id.as_bytes();
    No::from_be_bytes([bytes[10], bytes[11]])
}

/// The last bytes of an attempt's id, from which its back-off is drawn.
fn dice_bytes() -> [u8; 4] {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "DICE is between 0 and 1")]
    let drawn = (DICE * f64::from(u32::MAX)) as u32;
    drawn.to_be_bytes()
}
