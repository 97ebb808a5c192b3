//! Which looks share a reading, and what makes two inputs the same.

use super::*;
use domain::{AttemptId, JobId, OnUnknown};
use store::looks::Stage;
use uuid::Uuid;

const FRESH: TimeDelta = TimeDelta::seconds(3);

fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + TimeDelta::seconds(seconds)
}

/// A look at `now`, in seconds, at an attempt that was claimed at 600.
fn due(now: i64) -> DueLook {
    DueLook {
        attempt: AttemptId(Uuid::nil()),
        job: JobId(Uuid::nil()),
        credential: CredentialId::DEFAULT,
        model: "fal-ai/flux/dev".to_owned(),
        stage: Stage::Unknown { candidate: None, seed: None, input: Vec::new() },
        version: 2,
        looks: 0,
        claimed_at: at(600),
        submitted_at: None,
        run_deadline: at(4_800),
        abandon_at: at(10_800),
        cancel_wanted: false,
        superseded: false,
        on_unknown: OnUnknown::Patient,
        estimated: None,
        now: at(now),
        late_seconds: 0.0,
    }
}

fn readings() -> Readings {
    Readings { fresh: FRESH, kept: Mutex::default() }
}

fn window(start: i64, end: i64) -> Window {
    Window { start: at(start), end: at(end) }
}

#[test]
fn looks_at_the_same_time_share_a_reading() {
    let (readings, window) = (readings(), window(600, 1_200));
    let first = readings.find(&due(1_000), window);
    assert!(Arc::ptr_eq(&first, &readings.find(&due(1_003), window)));
    assert!(Arc::ptr_eq(&first, &readings.find(&due(999), window)), "it was due before, and has not begun before");
}

#[test]
fn other_windows_models_and_accounts_are_read_by_themselves() {
    let (readings, here) = (readings(), window(600, 1_200));
    let first = readings.find(&due(1_000), here);
    let elsewhere = DueLook { credential: CredentialId(Uuid::max()), ..due(1_000) };
    let another = DueLook { model: "fal-ai/flux/schnell".to_owned(), ..due(1_000) };
    for (look, window) in [(elsewhere, here), (another, here), (due(1_000), window(600, 1_260))] {
        assert!(!Arc::ptr_eq(&first, &readings.find(&look, window)));
    }
    assert!(Arc::ptr_eq(&first, &readings.find(&due(1_000), here)));
}

#[test]
fn a_reading_that_began_too_long_ago_or_before_the_attempt_counts_for_no_look() {
    let (readings, window) = (readings(), window(600, 1_200));
    let first = readings.find(&due(1_000), window);
    let young = DueLook { claimed_at: at(1_001), ..due(1_002) };
    let second = readings.find(&young, window);
    assert!(!Arc::ptr_eq(&first, &second), "older than the attempt");
    let third = readings.find(&due(1_006), window);
    assert!(!Arc::ptr_eq(&second, &third), "stale");
    // A clock that was set back must not keep a reading fresh.
    assert!(!Arc::ptr_eq(&third, &readings.find(&due(700), window)));
}

#[test]
fn what_is_stale_is_forgotten_and_no_more_is_kept_than_is_bounded() {
    let readings = readings();
    for number in 0..200 {
        readings.find(&due(1_000), window(600, 1_200 + number));
    }
    assert_eq!(readings.kept.lock().unwrap().len(), KEPT_MAX);
    readings.find(&due(1_004), window(600, 1_200));
    assert_eq!(readings.kept.lock().unwrap().len(), 1);
}

#[test]
fn inputs_are_the_same_when_their_json_is() {
    let hashers: [RandomState; 2] = Default::default();
    let print = |text: &str| fingerprint(&hashers, &serde_json::from_str(text).unwrap());
    assert_eq!(print(r#"{"a":1,"b":[0.5,null]}"#), print(r#" { "b":[5e-1, null], "a":1 }"#));
    assert_eq!(print(r#"{"a":"\u0061"}"#), print(r#"{"a":"a"}"#));
    for other in [r#"{"a":2}"#, r#"{"a":1.0}"#, r#"{"a":"1"}"#, r#"{"b":1}"#, r#"{"a":1,"seed":7}"#, "[1]"] {
        assert_ne!(print(r#"{"a":1}"#), print(other), "{other}");
    }
}
