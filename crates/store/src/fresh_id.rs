//! Where every time-ordered id comes from.

use uuid::Uuid;

/// Mints a `UUIDv7` by this process's own clock, which a build for tests may set wrong (`failpoints::clock_skew`).
///
/// Its time says which partition holds the row and where a list shows it, to within the error of that clock; nothing is
/// decided by it. What is decided by time asks `falconer.now()`.
pub fn fresh_id() -> Uuid {
    match failpoints::clock_skew() {
        0 => right(),
        wrong_by => skewed(wrong_by),
    }
}

#[expect(clippy::disallowed_methods, reason = "this is the seam")]
fn right() -> Uuid {
    Uuid::now_v7()
}

/// The same random part, at another time.
fn skewed(seconds: i64) -> Uuid {
    /// The bits below the 48 of the time in milliseconds.
    const REST: u128 = (1 << 80) - 1;
    let right = right().as_u128();
    let milliseconds = u64::try_from(right >> 80).expect("48 bits").saturating_add_signed(seconds * 1000);
    Uuid::from_u128((u128::from(milliseconds) << 80) | (right & REST))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(id: Uuid) -> i64 {
        let (seconds, _) = id.get_timestamp().expect("version 7 has a time").to_unix();
        i64::try_from(seconds).unwrap()
    }

    #[test]
    fn an_id_of_a_wrong_clock_is_a_version_7_of_that_clocks_time() {
        for wrong_by in [3_600, -3_600] {
            let (now, id) = (seconds(right()), skewed(wrong_by));

            assert_eq!(id.get_version_num(), 7);
            assert!((seconds(id) - now - wrong_by).abs() <= 1, "{id}");
        }
    }
}
