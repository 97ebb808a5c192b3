//! How long fal takes, as each process learns it and shares it.

use super::*;
use crate::tests::fixture::*;
use sqlx::PgPool;

fn runs(ms: impl IntoIterator<Item = u64>) -> Vec<(String, u64)> {
    ms.into_iter().map(|ms| ("m".to_owned(), ms)).collect()
}

#[test]
fn nothing_is_said_of_a_model_before_there_are_enough_runs() {
    let stats = ModelStats::default();
    stats.note(&runs(0..SAMPLES_MIN as u64 - 1));
    assert_eq!(stats.latency("m"), None);
    stats.note(&runs([9]));
    assert!(stats.latency("m").is_some());
}

#[test]
fn the_window_forgets_and_ranks() {
    let stats = ModelStats::default();
    stats.note(&runs(std::iter::repeat_n(1_000_000, 10)));
    stats.note(&runs(1..=WINDOW as u64));
    let latency = stats.latency("m").unwrap();
    let share = |percent: u64| Duration::from_millis(WINDOW as u64 * percent / 100 + 1);
    assert_eq!(latency, Latency { p50: share(50), p95: share(95), p99: share(99) });
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn a_process_without_runs_of_its_own_takes_over_what_others_learnt(pool: PgPool) {
    let store = store(&pool);
    let (busy, idle) = (ModelStats::default(), ModelStats::default());
    busy.note(&runs([10, 20, 30, 40, 50]));
    busy.exchange(&store).await.unwrap();
    idle.exchange(&store).await.unwrap();
    assert!(idle.latency("m").is_some());
    assert_eq!(idle.latency("m"), busy.latency("m"));

    let own = ModelStats::default();
    own.note(&runs([1, 1, 1, 1, 1]));
    own.exchange(&store).await.unwrap();
    assert_eq!(own.latency("m").unwrap().p50, Duration::from_millis(1), "what one saw itself is nearer");
}
