//! When a look searches, and what of a wider reading lies in it.

use super::{Item, Page};
use chrono::{DateTime, DurationRound as _, TimeDelta, Utc};

/// How far a window's start is widened at most. The last look reads all of that, so it is little beside a run deadline.
const START_GRID: TimeDelta = TimeDelta::minutes(5);
/// How far a window's end is widened at most. What ended there is read first, so it is less.
const END_GRID: TimeDelta = TimeDelta::minutes(1);

/// From when to when a look searches, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Window {
    pub(crate) start: DateTime<Utc>,
    pub(crate) end: DateTime<Utc>,
}

/// Where a page of the list stands to a window.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// All of it ended earlier.
    Before,
    /// Some of it may be meant.
    Within,
    /// All of it ended later.
    Behind,
}

impl Window {
    /// Returns the window of the reading that looks with such a window share.
    pub(super) fn widened(self) -> Self {
        let start = self.start.duration_trunc(START_GRID).unwrap_or(self.start);
        let end = self.end.duration_trunc(END_GRID).map_or(self.end, |end| end + END_GRID);
        Self { start, end }
    }

    /// Whether fal would have listed this for the window itself, and it was not sent before. What fal gives no time of is
    /// taken for listed.
    pub(crate) fn holds(self, item: &Item) -> bool {
        let not_before = item.sent_at.or(item.ended_at).is_none_or(|at| at >= self.start);
        not_before && item.ended_at.is_none_or(|at| at <= self.end)
    }

    pub(crate) fn place(self, page: &Page) -> Place {
        match page.ended {
            Some((_, last)) if last < self.start => Place::Before,
            Some((first, _)) if first > self.end => Place::Behind,
            _ => Place::Within,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::seconds(seconds)
    }

    fn window(start: i64, end: i64) -> Window {
        Window { start: at(start), end: at(end) }
    }

    #[test]
    fn windows_that_nearly_meet_become_one_and_none_loses_anything() {
        assert_eq!(window(600, 730).widened(), window(600, 780));
        assert_eq!(window(899, 720).widened(), window(600, 780));
        for second in 0..1_000 {
            let asked = window(second, second + 100);
            let read = asked.widened();
            assert!(read.start <= asked.start && asked.start - read.start < START_GRID, "{second}");
            assert!(read.end >= asked.end && read.end - asked.end <= END_GRID, "{second}");
        }
    }

    #[test]
    fn of_a_wider_reading_only_what_is_in_the_window_of_the_look_is_held() {
        for (sent_at, ended_at, held) in [
            (Some(10), Some(20), true),
            (Some(9), Some(15), false),
            (Some(15), Some(21), false),
            (None, Some(9), false),
            (None, Some(10), true),
            (Some(9), None, false),
            (None, None, true),
        ] {
            let item =
                Item { request_id: "r-1".into(), sent_at: sent_at.map(at), ended_at: ended_at.map(at), input: [1, 2] };
            assert_eq!(window(10, 20).holds(&item), held, "{sent_at:?} {ended_at:?}");
        }
    }

    #[test]
    fn pages_beside_the_window_are_told_from_those_within() {
        for (ended, expected) in [
            (Some((5, 9)), Place::Before),
            (Some((5, 10)), Place::Within),
            (Some((20, 25)), Place::Within),
            (Some((21, 25)), Place::Behind),
            (Some((5, 25)), Place::Within),
            (None, Place::Within),
        ] {
            let ended = ended.map(|(first, last)| (at(first), at(last)));
            let page = Page { items: Vec::new(), ended, is_last: false };
            assert_eq!(window(10, 20).place(&page), expected, "{ended:?}");
        }
    }
}
