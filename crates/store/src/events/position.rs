//! The place of an event in the feed.

use uuid::Uuid;

/// The place of an event in the feed; places compare as their fields do, from the first to the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// Rises where the database was moved to a cluster that counts its transactions anew.
    pub epoch: i16,
    /// The number of the transaction that wrote the event.
    pub xact: u64,
    /// The event.
    pub id: Uuid,
}

impl Position {
    /// Before every event.
    pub const BEGINNING: Self = Self { epoch: 0, xact: 0, id: Uuid::nil() };

    /// The transaction's number as Postgres reads it.
    pub(super) fn xact_text(&self) -> String {
        self.xact.to_string()
    }

    /// Reads the fields of a row, where the transaction's number is text: no type of ours holds an `xid8`.
    pub(super) fn of_row(epoch: i16, xact: &str, id: Uuid) -> crate::error::Result<Self> {
        let xact = xact.parse().map_err(|_| crate::Error::Inconsistent {
            table: "job_events",
            id: id.to_string(),
            what: "its transaction has no number",
        })?;
        Ok(Self { epoch, xact, id })
    }
}
