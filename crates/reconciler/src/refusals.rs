//! What fal has refused to list, and for how long that is believed.
//!
//! A refusal may be of one endpoint alone, of a key that is exchanged, or an error of fal's. So it is remembered by what was
//! asked for, and not for ever.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

/// How long a refusal is believed. Asking once an hour costs nothing, and what a wrong one hides is found within hours.
const BELIEVED: Duration = Duration::from_hours(1);

/// What was refused, and when. Clones share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Refusals {
    kept: Arc<Mutex<HashMap<String, Instant>>>,
}

impl Refusals {
    /// Whether fal has refused this within the last hour.
    pub(crate) fn stand(&self, what: &str, now: Instant) -> bool {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.get(what).is_some_and(|at| is_believed(*at, now))
    }

    /// Remembers a refusal; returns whether it is news. What has run out is forgotten, so no more is kept than was asked
    /// for within an hour.
    pub(crate) fn note(&self, what: &str, now: Instant) -> bool {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|_, at| is_believed(*at, now));
        kept.insert(what.to_owned(), now).is_none()
    }
}

fn is_believed(at: Instant, now: Instant) -> bool {
    now.saturating_duration_since(at) < BELIEVED
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_of_one_thing_and_is_believed_for_an_hour() {
        let (refusals, began) = (Refusals::default(), Instant::now());
        assert!(refusals.note("fal-ai/flux/dev", began), "the first is news");
        assert!(!refusals.note("fal-ai/flux/dev", began));

        assert!(refusals.stand("fal-ai/flux/dev", began + Duration::from_mins(59)));
        assert!(!refusals.stand("fal-ai/flux/schnell", began));
        assert!(!refusals.stand("fal-ai/flux/dev", began + Duration::from_hours(1)));
        assert!(refusals.note("fal-ai/flux/dev", began + Duration::from_hours(1)), "it is news again");
    }

    #[test]
    fn refusals_that_have_run_out_are_forgotten() {
        let (refusals, began) = (Refusals::default(), Instant::now());
        for number in 0..100 {
            refusals.note(&number.to_string(), began);
        }
        refusals.note("another", began + Duration::from_hours(2));
        assert_eq!(refusals.kept.lock().unwrap().len(), 1);
    }
}
