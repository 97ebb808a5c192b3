//! A POST whose outcome nobody knows is never repeated blindly, and is resolved by callback, by history or by time.
#![expect(clippy::unwrap_used, reason = "a story's helpers may fail the story")]

use serde_json::json;
use simulator::{Fault, Faults, HistoryMode, Script, SimulatorConfig};
use std::time::Duration;
use testkit::{JobId, World};

fn held(fault: Fault) -> Script {
    Script { hold: true, faults: Some(Faults::only(fault)), ..Script::default() }
}

/// Time goes by until two more looks have found nothing.
async fn looked_at_twice_more(world: &World, id: JobId) {
    let query = "select max(looks) from falconer.attempts where job_id = $1";
    let looks = async || sqlx::query_scalar::<_, i32>(query).bind(id).fetch_one(world.db()).await.unwrap();
    let before = looks().await;
    testkit::wait::until("two more looks", async || {
        world.advance_clock(Duration::from_mins(1)).await;
        let after = looks().await;
        if after > before + 1 { Ok(()) } else { Err(after) }
    })
    .await;
}

async fn wait_unknown(world: &World, id: JobId) {
    let job = world.wait_job(id, "to be unknown", |job| job["waiting"]["reason"] == "unknown_outcome").await;
    assert_eq!(job["state"], "running");
}

async fn bound_by(world: &World, id: JobId) -> Vec<Option<String>> {
    let query = "select bound_by from falconer.attempts where job_id = $1 order by number";
    sqlx::query_scalar(query).bind(id).fetch_all(world.db()).await.expect("the database answers")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reset_after_accepting_is_unknown_until_the_callback_binds_it() {
    let world = World::start().await;
    world.sim().script_next(held(Fault::AcceptThenReset));
    let id = world.submit_prompt("an owl").await;
    wait_unknown(&world, id).await;

    world.sim().release_held();
    let job = world.wait_ended_as(id, "succeeded").await;

    assert_eq!(job["attempts_made"], 1);
    assert_eq!(bound_by(&world, id).await, [Some("callback".to_owned())]);
    assert_eq!(world.sim().submissions(), 1);
    world.drain_and_check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_of_an_ingress_is_unknown_and_not_a_failure() {
    let world = World::start().await;
    world.sim().script_next(held(Fault::AcceptThen502));
    let id = world.submit_prompt("an owl").await;
    wait_unknown(&world, id).await;

    world.sim().release_held();
    world.wait_ended_as(id, "succeeded").await;

    assert_eq!(world.sim().submissions(), 1);
    world.drain_and_check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_attempt_whose_callbacks_are_lost_is_found_in_history() {
    let faults = Faults::only(Fault::AcceptThenReset).with(Fault::CallbackAllLost, 1.0);
    let world = World::builder().faults(faults).start().await;

    // Two equal inputs, told apart by the seeds that were minted for them.
    let ids = [world.submit_prompt("an owl").await, world.submit_prompt("an owl").await];
    world.wait_all_succeeded(&ids).await;

    for id in ids {
        assert_eq!(bound_by(&world, id).await, [Some("history".to_owned())]);
    }
    assert_eq!(world.sim().submissions(), 2);
    world.drain_and_check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn before_it_is_given_up_an_unknown_attempt_is_looked_for_behind_all_that_ended_since() {
    // Nobody looks before a thousand others have ended, as after an outage of ours.
    let world = World::builder().setting("FALCONER_RECONCILER__HISTORY_AFTER", "1h").slots(40).start().await;
    let lost = Faults::only(Fault::AcceptThenReset).with(Fault::CallbackAllLost, 1.0);
    world.sim().script_next(Script { faults: Some(lost), ..Script::default() });
    let id = world.submit_prompt("an owl").await;
    wait_unknown(&world, id).await;
    world.sim().wait_until(|view| view.counts.completed == 1).await.unwrap();
    strangers_run(&world, 1_100).await;
    world.sim().wait_until(|view| view.counts.completed == 1_101).await.unwrap();

    world.advance_clock(Duration::from_hours(4)).await;
    let job = world.wait_ended_as(id, "succeeded").await;

    assert_eq!(job["attempts_made"], 1);
    assert_eq!(bound_by(&world, id).await, [Some("history".to_owned())]);
    world.drain_and_check().await;
}

/// As after a crash: all of them are due at once, and what ended since stands before them in the list.
#[tokio::test(flavor = "multi_thread")]
async fn many_unknown_attempts_are_looked_for_in_one_reading_of_history() {
    let world = World::builder()
        .setting("FALCONER_RECONCILER__HISTORY_AFTER", "1h")
        .setting("FALCONER_RECONCILER__POLL_MAX", "15s")
        .slots(60)
        .start()
        .await;
    let lost = Faults::only(Fault::AcceptThenReset).with(Fault::CallbackAllLost, 1.0);
    world.sim().script_prompt("owl", Script { faults: Some(lost), ..Script::default() });
    let ids = world.submit_many(50, "owl").await;
    for id in &ids {
        wait_unknown(&world, *id).await;
    }
    world.sim().wait_until(|view| view.counts.completed == 50).await.unwrap();
    strangers_run(&world, 500).await;
    world.sim().wait_until(|view| view.counts.completed == 550).await.unwrap();
    assert_eq!(world.sim().counts().history_pages, 0);

    world.advance_clock(Duration::from_hours(2)).await;
    world.wait_all_succeeded(&ids).await;

    let pages = world.sim().counts().history_pages;
    eprintln!("50 unknown attempts behind 500 other runs were found with {pages} pages of history");
    for id in ids {
        assert_eq!(bound_by(&world, id).await, [Some("history".to_owned())]);
    }
    assert!(pages <= 60, "{pages} pages were read, where one look alone takes six");
    world.drain_and_check().await;
}

/// Runs that somebody else asks fal for with our key.
async fn strangers_run(world: &World, count: usize) {
    let (client, url) = (testkit::http_client(), format!("{}/fal-ai/flux/schnell", world.sim().queue_url()));
    for _ in 0..count / 100 {
        let posts = (0..100).map(|_| {
            let post =
                client.post(&url).header("authorization", "Key id:secret").json(&json!({ "prompt": "a stranger" }));
            post.send()
        });
        assert!(
            futures::future::join_all(posts)
                .await
                .into_iter()
                .all(|answer| answer.is_ok_and(|answer| answer.status().is_success()))
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_history_and_callbacks_a_patient_job_is_sent_again_after_abandon_after() {
    for mode in [HistoryMode::Off, HistoryMode::Refused] {
        let world = World::builder().sim(|sim| (sim.history, sim.billing) = (mode, mode)).start().await;
        let lost = Faults::only(Fault::AcceptThenReset).with(Fault::CallbackAllLost, 1.0);
        world.sim().script_next(Script { faults: Some(lost), ..Script::default() });
        let id = world.submit_prompt("an owl").await;
        wait_unknown(&world, id).await;
        world.advance_clock(Duration::from_mins(179)).await;
        wait_unknown(&world, id).await;
        assert_eq!(world.sim().submissions(), 1, "{mode:?}");

        // A look that began before the time was moved may come after it, and so put off the next one.
        testkit::wait::until("the attempt to be given up", async || {
            world.advance_clock(Duration::from_mins(2)).await;
            let events = world.events(id).await;
            if events.contains(&"given_up".to_owned()) { Ok(()) } else { Err(events) }
        })
        .await;
        let job = world.wait_ended_as(id, "succeeded").await;

        assert_eq!(job["attempts_made"], 2);
        assert_eq!(world.sim().submissions(), 2);
        let query = "select kind from falconer.ledger where job_id = $1 order by at";
        let money: Vec<String> = sqlx::query_scalar(query).bind(id).fetch_all(world.db()).await.unwrap();
        assert_eq!(money, ["possible_charge", "charge"]);
        world.drain_and_check().await;
    }
}

/// fal ran it, and its callbacks were lost: only history knows.
#[tokio::test(flavor = "multi_thread")]
async fn a_history_that_does_not_answer_lets_nothing_be_sent_again() {
    let world = World::builder().sim(|sim| sim.history = HistoryMode::Down).start().await;
    let lost = Faults::only(Fault::AcceptThenReset).with(Fault::CallbackAllLost, 1.0);
    world.sim().script_next(Script { faults: Some(lost), ..Script::default() });
    let id = world.submit_prompt("an owl").await;
    wait_unknown(&world, id).await;

    world.advance_clock(Duration::from_mins(181)).await;
    looked_at_twice_more(&world, id).await;

    wait_unknown(&world, id).await;
    assert_eq!(world.sim().submissions(), 1);
    world.check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operators_job_waits_for_a_person() {
    let blind = |sim: &mut SimulatorConfig| (sim.history, sim.billing) = (HistoryMode::Off, HistoryMode::Off);
    let world = World::builder().sim(blind).start().await;
    let lost = Faults::only(Fault::AcceptThenReset).with(Fault::CallbackAllLost, 1.0);
    world.sim().script_next(Script { faults: Some(lost), ..Script::default() });
    let id = world.submit(json!({ "on_unknown": "operator" })).await;
    wait_unknown(&world, id).await;

    world.advance_clock(Duration::from_hours(24)).await;
    looked_at_twice_more(&world, id).await;

    wait_unknown(&world, id).await;
    assert_eq!(world.sim().submissions(), 1);
    world.check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_result_of_the_first_attempt_is_adopted_while_the_job_is_open() {
    let world = World::start().await;
    world.sim().script_next(held(Fault::AcceptThenReset));
    world.sim().script_next(Script { run_time: Some(Duration::from_mins(5)), ..Script::default() });
    let id = world.submit(json!({ "on_unknown": "impatient" })).await;
    world.sim().wait_until(|view| view.counts.accepted == 2).await.unwrap();

    world.sim().release_held();
    let job = world.wait_ended_as(id, "succeeded").await;

    let first = &world.sim().requests()[0].request_id;
    assert_eq!(job["request_id"], first.as_str());
    // The newer attempt is superseded, and fal is asked to stop it.
    world.sim().wait_until(|view| view.requests[1].canceled).await.unwrap();
    testkit::wait::until("the newer attempt to end", async || {
        let query = "select state from falconer.attempts where job_id = $1 and number = 2";
        let state: String = sqlx::query_scalar(query).bind(id).fetch_one(world.db()).await.unwrap();
        if state == "canceled" { Ok(()) } else { Err(state) }
    })
    .await;
    world.drain_and_check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_result_for_an_ended_job_is_noted_and_paid_and_changes_nothing() {
    let world = World::start().await;
    world.sim().script_next(held(Fault::AcceptThenReset));
    let id = world.submit(json!({ "on_unknown": "impatient" })).await;
    let job = world.wait_ended_as(id, "succeeded").await;
    let result = world.result(id).await;

    world.sim().release_held();
    testkit::wait::until("the late result to be noted", async || {
        let query = "select kind from falconer.ledger where job_id = $1 order by kind";
        let money: Vec<String> = sqlx::query_scalar(query).bind(id).fetch_all(world.db()).await.unwrap();
        if money == ["charge", "superseded_charge"] { Ok(()) } else { Err(money) }
    })
    .await;

    let after = world.job(id).await;
    assert_eq!(after["finished_at"], job["finished_at"]);
    assert_eq!(after["request_id"], job["request_id"]);
    assert_eq!(world.result(id).await, result);
    assert_eq!(world.sim().submissions(), 2);
    world.drain_and_check().await;
}
