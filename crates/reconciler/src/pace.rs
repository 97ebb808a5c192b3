//! How soon an attempt is looked at again.

use std::time::Duration;
use store::model_stats::Latency;

/// The shortest wait between two looks at one attempt.
const SHORTEST: Duration = Duration::from_millis(200);

/// Returns the wait before look number `looks + 1` at a run that fal has not finished.
///
/// Looks follow the model's own pace: an eighth of its usual 95th percentile apart at first, growing by half each time, at
/// most `longest`. So a run that is merely slow costs few looks, and one whose callback was lost is found within a
/// fraction of its own length. `jitter`, from 0 to 1, spreads looks that began together.
pub fn wait(looks: u32, latency: Option<Latency>, first_look: Duration, longest: Duration, jitter: f64) -> Duration {
    let usual = latency.map_or(first_look, |latency| latency.p95);
    let base = (usual / 8).max(SHORTEST);
    let grown = base.mul_f64(1.5f64.powi(i32::try_from(looks.min(20)).unwrap_or(20)));
    grown.min(longest).max(SHORTEST).mul_f64(0.8 + 0.4 * jitter.clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONGEST: Duration = Duration::from_secs(15);
    const FIRST: Duration = Duration::from_secs(2);

    fn latency(p95_ms: u64) -> Latency {
        let p95 = Duration::from_millis(p95_ms);
        Latency { p50: p95 / 2, p95, p99: p95 * 2 }
    }

    #[test]
    fn looks_follow_the_pace_of_the_model() {
        assert_eq!(wait(0, Some(latency(2_000)), FIRST, LONGEST, 0.5), Duration::from_millis(250));
        assert_eq!(wait(0, Some(latency(60_000)), FIRST, LONGEST, 0.5), Duration::from_millis(7_500));
        assert_eq!(wait(0, Some(latency(10)), FIRST, LONGEST, 0.5), SHORTEST);
    }

    #[test]
    fn looks_grow_apart_and_never_beyond_the_longest() {
        let waits: Vec<Duration> =
            (0..12).map(|looks| wait(looks, Some(latency(2_000)), FIRST, LONGEST, 0.5)).collect();
        assert!(waits.is_sorted());
        assert_eq!(waits[11], LONGEST);
    }
}
