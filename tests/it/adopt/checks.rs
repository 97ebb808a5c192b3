//! The checks that every story ends with notice what would go wrong with requests that somebody else sends.
#![expect(clippy::unwrap_used, reason = "a story's helpers may fail the story")]

use super::{mint, send, send_by};
use serde_json::json;
use testkit::{FAL_KEY, World, invariants, truth};

#[tokio::test(flavor = "multi_thread")]
async fn the_checks_of_what_somebody_else_sends_can_fail() {
    let mut world = World::start().await;
    let (id, url) = mint(&world, json!({})).await;
    send(&world, "an owl", Some(&url)).await;
    world.wait_ended_as(id, "succeeded").await;
    let (_, unused) = mint(&world, json!({})).await;
    world.check().await;
    world.kill_9().await;

    for (holds, statement) in [
        ("begins with a claim", "update falconer.transitions set event = 'claimed' where event = 'minted'"),
        (
            "is looked after when it expires",
            "update falconer.attempts set next_look_at = next_look_at + interval '1 hour'
            where state = 'unknown'",
        ),
    ] {
        assert!(!found(&world, holds).await, "{holds}");
        sqlx::raw_sql(statement).execute(world.db()).await.unwrap();
        assert!(found(&world, holds).await, "{holds}");
    }
    let posted = "every accepted POST belongs to one attempt";
    assert!(!found(&world, posted).await);
    send_by(&world, FAL_KEY, "a crow", Some(&unused)).await;
    assert!(found(&world, posted).await, "it was sent with our key");
}

/// Whether a check whose text holds this finds something.
async fn found(world: &World, holds: &str) -> bool {
    let mut broken = invariants::broken(world.db(), &invariants::always()).await.unwrap();
    broken.extend(truth::broken(world.db(), world.sim(), &[], &[]).await.unwrap());
    broken.iter().any(|broken| broken.holds.contains(holds))
}
