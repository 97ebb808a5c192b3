//! Memory that all bodies of a listener may take together.
//!
//! A connection is bounded, and so are connections; their product is more than a machine has. The first bytes of every body
//! are free, so that those who send small ones do not suffer from those who hold large ones: the bound of the whole is the
//! budget and [`FREE`] for each connection.

use bytes::{Bytes, BytesMut};
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Bytes of each body that are not counted.
pub(crate) const FREE: usize = 64 * 1024;

/// Bytes that bodies may take at once. Clones share them.
#[derive(Clone, Debug)]
pub struct Budget(Arc<Semaphore>);

/// A body, or its beginning, with the room that it takes.
#[derive(Debug)]
pub(crate) struct Held {
    bytes: BytesMut,
    room: Option<OwnedSemaphorePermit>,
    budget: Budget,
}

/// There is no room.
#[derive(Debug)]
pub(crate) struct NoRoom;

impl Budget {
    pub fn new(bytes: usize) -> Self {
        Self(Arc::new(Semaphore::new(bytes.min(Semaphore::MAX_PERMITS))))
    }

    #[cfg(test)]
    pub(crate) fn left(&self) -> usize {
        self.0.available_permits()
    }

    pub(crate) fn hold(&self) -> Held {
        Held { bytes: BytesMut::new(), room: None, budget: self.clone() }
    }
}

impl Held {
    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Appends `data`. What is allocated is counted, which may be twice of what is there.
    pub(crate) fn extend(&mut self, data: &[u8]) -> Result<(), NoRoom> {
        self.bytes.extend_from_slice(data);
        let taken = self.room.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
        let more = self.bytes.capacity().saturating_sub(FREE).saturating_sub(taken);
        if more == 0 {
            return Ok(());
        }
        let more = u32::try_from(more).map_err(|_| NoRoom)?;
        let more = Arc::clone(&self.budget.0).try_acquire_many_owned(more).map_err(|_| NoRoom)?;
        match &mut self.room {
            Some(room) => room.merge(more),
            room => *room = Some(more),
        }
        Ok(())
    }

    /// The whole body, which gives its room back when the last clone and the last slice of it are gone.
    pub(crate) fn freeze(self) -> Bytes {
        if self.room.is_none() { self.bytes.freeze() } else { Bytes::from_owner(self) }
    }
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}
