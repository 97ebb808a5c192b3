//! How many streams are open, of each key and of all. A stream takes a connection for as long as a job takes.

use crate::ApiLimits;
use domain::KeyId;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// The open streams of this process. Cheap to clone; all clones count together.
#[derive(Clone, Debug, Default)]
pub struct Streams {
    open: Arc<Mutex<HashMap<KeyId, usize>>>,
}

/// The right to one stream, given back when it is dropped.
#[derive(Debug)]
pub struct Place {
    key: KeyId,
    streams: Streams,
}

impl Streams {
    /// Takes a place, where the key and all keys together have one left.
    pub fn take(&self, key: KeyId, limits: &ApiLimits) -> Option<Place> {
        let mut open = self.open();
        let all: usize = open.values().sum();
        let own = open.entry(key).or_default();
        if *own >= limits.streams_of_key_max || all >= limits.streams_max {
            return None;
        }
        *own += 1;
        Some(Place { key, streams: self.clone() })
    }

    fn open(&self) -> MutexGuard<'_, HashMap<KeyId, usize>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.streams.open();
        if let Some(own) = open.get_mut(&self.key) {
            *own -= 1;
        }
        open.retain(|_, own| *own > 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_has_its_share_and_all_keys_have_theirs() {
        let [one, other] = [1, 2].map(|bits| KeyId(uuid::Uuid::from_u128(bits)));
        let limits = ApiLimits { streams_of_key_max: 2, streams_max: 3, ..ApiLimits::default() };
        let streams = Streams::default();
        let first = streams.take(one, &limits).unwrap();
        let _second = streams.take(one, &limits).unwrap();
        assert!(streams.take(one, &limits).is_none(), "its share");
        let _third = streams.take(other, &limits).unwrap();
        assert!(streams.take(other, &limits).is_none(), "everybody's share");
        drop(first);
        assert!(streams.take(other, &limits).is_some());
    }
}
