//! A process that is told to stop, and dies over it. It stops once in its life, so the later hits come in later lives.

use super::{
    clients::Clients,
    home::come_home,
    sweep::{HITS, all_is_well, died, print_head, print_row},
    work::Kind,
};
use failpoints::Point;
use serde_json::json;
use simulator::Faults;
use std::time::{Duration, Instant};
use testkit::World;

pub(super) const POINTS: &[Point] = &[Point::ShutdownBeforeDrain, Point::ShutdownAfterDrain];

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_while_stopping_loses_nothing() {
    print_head();
    for point in POINTS {
        for hit in HITS {
            die_in_life(*point, hit).await;
        }
    }
}

async fn die_in_life(point: Point, life: u32) {
    let mut world = if life == 1 { armed(point).start().await } else { Kind::AtOnce.world().start().await };
    world.sim().set_faults(Faults {
        submit_slow: 1.0,
        submit_slow_by: Duration::from_millis(100),
        ..Faults::default()
    });
    let mut clients = Clients::default();
    for number in 1..life {
        work(&world, &mut clients).await;
        assert!(world.terminate().await.1, "life {number} ends in order:\n{}", world.server().log_tail(20));
        if number + 1 == life {
            world.server_mut().set(failpoints::POINT_VARIABLE, &format!("{}:1", point.name()));
        }
        world.restart().await;
    }
    work(&world, &mut clients).await;
    let began = Instant::now();
    world.server().signal("TERM").await.expect("the server runs");
    died(&mut world, point, life).await;
    let died_after = began.elapsed();

    let began = Instant::now();
    world.server_mut().set(failpoints::POINT_VARIABLE, "");
    world.restart().await;
    clients.insist(&world).await;
    come_home(&world).await;
    all_is_well(&world, &clients).await;
    print_row(point.name(), life, died_after, began.elapsed());
}

fn armed(point: Point) -> testkit::WorldBuilder {
    Kind::AtOnce.world().setting(failpoints::POINT_VARIABLE, &format!("{}:1", point.name()))
}

/// Hands in a few jobs, and returns when fal has one that it has not answered for yet.
async fn work(world: &World, clients: &mut Clients) {
    let before = world.sim().submissions();
    let job = json!({ "model": "fal-ai/flux/schnell", "input": { "prompt": "an owl" } });
    clients.call(world, "/v1/jobs/batch", json!([job, job, job])).await;
    world.sim().wait_until(|view| view.counts.accepted > before).await.expect("fal gets one");
}
