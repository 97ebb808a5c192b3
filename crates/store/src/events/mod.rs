//! The feed: events of a project in an order that never changes behind a reader, read page by page and acknowledged.
//!
//! An event's place is its [`Position`]. A transaction takes its number early and commits at its leisure, so rows become
//! visible out of order; therefore only what lies below the oldest transaction that still runs is shown (ADR 0006), and
//! nothing can appear behind a position that was handed out. Events are written by [`crate::settle`].

mod consumers;
mod epoch;
mod health;
mod missed;
mod page;
mod position;
#[cfg(test)]
mod tests;
mod view;
mod wait;

pub use consumers::{
    Acknowledged, Acknowledgement, CONSUMERS_MAX, Consumer, Created, StartAt, UNREAD_MAX, acknowledge, create, delete,
    find, find_or_create, list,
};
pub use epoch::ensure_epoch;
pub use health::{FeedHealth, health};
pub(crate) use missed::note_missed;
pub use page::{Feed, PAGE_MAX, Page, read};
pub use position::Position;
pub use view::{EventView, INLINE_MAX, ResultPart, get};
pub use wait::wait;

/// The types of events that a project's feed has. The names are part of the outside contract.
pub const TYPES: [&str; 3] = ["job.succeeded", "job.failed", "job.canceled"];
