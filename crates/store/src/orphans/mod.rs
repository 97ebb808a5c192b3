//! What fal bills against what our attempts explain: the bills of an account are recorded page by page, and a request that
//! no attempt owns becomes an *orphan charge*, until an attempt turns up or somebody dismisses it.
//!
//! [`record`] takes a page, [`read_from`] and [`mark`] keep how far was read, [`fit`] says whether a bill names the one
//! attempt of which nobody knows what became, and [`list`] and [`dismiss`] are for operators. Nothing here asks fal, and
//! everything may run in two processes at once.

mod bills;
mod cursor;
pub mod fit;
mod operators;

pub use bills::{Billed, Page, Recorded, candidates, count_open, record, resolve_bound};
pub use cursor::{ReadFrom, mark, read_from};
pub use operators::{Dismissed, OrphanCharge, OrphanFilter, dismiss, list, prune};

#[cfg(test)]
mod tests;
