//! How fal's bills are read: page by page, late, refused, and not at all.

use super::{audited, billed, call_as, count, foreign_run, orphans, wait_audits, wait_orphans};
use crate::orphans::MODEL;
use serde_json::{Value, json};
use simulator::HistoryMode;
use std::{collections::BTreeSet, time::Duration};
use testkit::World;

#[tokio::test(flavor = "multi_thread")]
async fn a_bill_of_many_pages_is_read_to_its_end_and_listed_by_pages() {
    let world = audited().slots(100).start().await;
    // fal gives fifty to a page, and so does the API.
    let mut ours = BTreeSet::new();
    for _ in 0..60 {
        ours.insert(foreign_run(&world, MODEL).await);
    }
    billed(&world, 60).await;
    let operator = world.operator_key().await;

    testkit::wait::until("all of them", async || {
        let found = count(&world, "select count(*) from falconer.orphan_charges").await;
        if found == 60 { Ok(()) } else { Err(found) }
    })
    .await;

    let first = call_as(&world, &operator, "GET", "/v1/orphan-charges", Value::Null).await.json();
    let cursor = first["next_cursor"].as_str().expect("there is more");
    let rest = orphans(&world, &operator, &format!("cursor={cursor}")).await;
    let listed = first["items"].as_array().unwrap().iter().chain(&rest);
    let listed: Vec<String> = listed.map(|item| item["request_id"].as_str().unwrap().to_owned()).collect();
    assert_eq!(listed.len(), 60);
    assert_eq!(listed.into_iter().collect::<BTreeSet<_>>(), ours);
    let wrong = call_as(&world, &operator, "GET", "/v1/orphan-charges?state=lost", Value::Null).await;
    assert_eq!((wrong.status, &wrong.json()["errors"][0]["field"]), (400, &json!("state")));
    world.drain_and_check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_charge_that_is_listed_late_is_found_behind_the_mark() {
    let world = audited().sim(|sim| sim.billing_lag = Duration::from_secs(4)).start().await;
    foreign_run(&world, MODEL).await;
    let billed_at = billed(&world, 1).await[0].completed_at.expect("it has ended");
    let operator = world.operator_key().await;

    testkit::wait::until("an audit that reads past it", async || {
        let query = "select read_until > $1 from falconer.billing_cursors";
        let past: Option<bool> = sqlx::query_scalar(query).bind(billed_at).fetch_optional(world.db()).await.unwrap();
        if past == Some(true) { Ok(()) } else { Err(past) }
    })
    .await;
    assert_eq!(orphans(&world, &operator, "").await, Vec::<Value>::new());

    wait_orphans(&world, &operator, "state=open", 1).await;
    world.drain_and_check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_young_charge_is_no_orphan_yet() {
    let world = audited().setting("FALCONER_AUDIT__GRACE", "10m").start().await;
    foreign_run(&world, MODEL).await;
    billed(&world, 1).await;
    wait_audits(&world, 2).await;
    let operator = world.operator_key().await;
    assert_eq!(orphans(&world, &operator, "").await, Vec::<Value>::new());

    world.advance_clock(Duration::from_mins(11)).await;

    wait_orphans(&world, &operator, "state=open", 1).await;
    world.drain_and_check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn where_fal_lists_no_bills_one_warning_says_so_and_jobs_go_on() {
    for mode in [HistoryMode::Refused, HistoryMode::Off] {
        let world = audited().sim(|sim| sim.billing = mode).start().await;
        foreign_run(&world, MODEL).await;
        wait_log(&world, "fal lists no bills for this key").await;

        let id = world.submit_prompt("an owl").await;
        world.wait_ended_as(id, "succeeded").await;

        let log = world.server().log();
        assert_eq!(log.matches("fal lists no bills for this key").count(), 1, "{mode:?}");
        assert_eq!(count(&world, "select count(*) from falconer.billing_cursors").await, 0, "{mode:?}");
        world.drain_and_check().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn while_fal_is_away_nothing_is_marked_as_read() {
    let dead = "http://127.0.0.1:9";
    let mut world = audited().setting("FALCONER_FAL__PLATFORM_URL", dead).start().await;
    foreign_run(&world, MODEL).await;
    wait_log(&world, "fal's bills cannot be audited").await;
    assert_eq!(count(&world, "select count(*) from falconer.billing_cursors").await, 0);

    let platform_url = world.sim().platform_url();
    world.server_mut().set("FALCONER_FAL__PLATFORM_URL", &platform_url);
    world.kill_9().await;
    world.restart().await;

    let operator = world.operator_key().await;
    wait_orphans(&world, &operator, "state=open", 1).await;
    world.drain_and_check().await;
}

async fn wait_log(world: &World, line: &str) {
    testkit::wait::until(&format!("the line `{line}`"), async || {
        let log = world.server().log();
        if log.contains(line) { Ok(()) } else { Err(world.server().log_tail(5)) }
    })
    .await;
}
