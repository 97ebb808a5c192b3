//! Jobs as callers see them: one job with all that is told of it, lists, results, histories, and the wait for an end.
//!
//! Everything here reads, but for `refetch`, which records a result that was lost. How jobs come in is
//! [`crate::accept`], how they change is [`crate::settle`].

mod list;
mod refetch;
mod result;
#[cfg(test)]
pub(crate) mod tests;
mod timeline;
mod view;
mod wait;
mod watch;

pub use list::{JobFilter, LIST_MAX, list};
pub use refetch::{RefetchSource, Refetched, insert_refetched, refetch_source, restore_result};
pub use result::{JobInput, JobResult, input, result};
pub use timeline::{TimelineEntry, TimelineKind, timeline};
pub use view::{Cost, JobError, JobView, Waiting, WaitingReason, get, views};
pub use wait::wait;
pub use watch::{Watch, Watcher};
