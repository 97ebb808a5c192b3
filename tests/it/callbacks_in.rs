//! What fal's callbacks may do, and what others may not do by them.

use futures::future::join_all;
use simulator::{Fault, Faults, Script};
use std::collections::BTreeMap;
use testkit::{JobId, World, error_body, ok_body, wait};

fn hold() -> Script {
    Script { hold: true, ..Script::default() }
}

/// How often each disposition, or its cause, stands among the callbacks of a job.
pub(crate) async fn dispositions(world: &World, id: JobId) -> BTreeMap<String, usize> {
    let mut found = BTreeMap::new();
    for callback in world.callbacks(&format!("job_id={id}&limit=100")).await {
        let name = callback["cause"]
            .as_str()
            .or(callback["disposition"].as_str())
            .expect("a callback has a disposition")
            .to_owned();
        *found.entry(name).or_default() += 1;
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn a_callback_signed_for_another_account_is_refused() {
    let world = World::builder().faults(Faults::only(Fault::CallbackWrongUser)).start().await;

    let id = world.submit_prompt("an owl").await;
    world.wait_ended_as(id, "succeeded").await;

    let tries = world.sim().requests()[0].webhook_tries.clone();
    assert_eq!(tries[0].status, Some(401));
    let rejected = world.callbacks("disposition=rejected").await;
    assert_eq!(rejected[0]["cause"], "wrong_user");
    world.drain_and_check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tampered_callback_is_refused_and_its_bytes_are_kept() {
    let world = World::builder().faults(Faults::only(Fault::CallbackTampered)).start().await;

    let id = world.submit_prompt("an owl").await;
    world.wait_ended_as(id, "succeeded").await;

    assert_eq!(world.sim().requests()[0].webhook_tries[0].status, Some(401));
    let rejected = wait::until("the rejected call to be kept", async || {
        world.callbacks("disposition=rejected").await.pop().ok_or("none")
    })
    .await;
    assert_eq!(rejected["cause"], "signature");
    world.drain_and_check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_callback_posted_to_another_attempts_url_is_refused() {
    let world = World::start().await;
    world.sim().script_prompt("bound", hold());
    let reset = Script { hold: true, faults: Some(Faults::only(Fault::AcceptThenReset)), ..Script::default() };
    world.sim().script_prompt("unbound", reset);
    let mut ids = Vec::new();
    for prompt in ["bound 1", "bound 2", "unbound"] {
        ids.push(world.submit_prompt(prompt).await);
    }
    let requests = [world.sent("bound 1").await, world.sent("bound 2").await, world.sent("unbound").await];
    let has_id = |job: &serde_json::Value| job["request_id"].is_string();
    world.wait_job(ids[0], "to be bound", has_id).await;
    world.wait_job(ids[1], "to be bound", has_id).await;
    world.wait_job(ids[2], "to be unknown", |job| job["waiting"]["reason"] == "unknown_outcome").await;

    for (spoken_of, request) in requests.iter().enumerate() {
        for (posted_to, owner) in requests.iter().enumerate().filter(|(posted_to, _)| *posted_to != spoken_of) {
            // Nobody knows yet whose the id of the unbound one is: where it is bound already, it is refused there.
            let body = ok_body(&request.request_id, br#"{"images": []}"#);
            let headers = world.sim().sign(&request.request_id, &body);
            let url = owner.webhook_url.as_deref().unwrap();
            let status = world.sim().post_callback(url, &headers, body).await.unwrap();
            assert_eq!(status, 401, "request {spoken_of} posted to attempt {posted_to}");
        }
    }
    world.sim().release_held();
    world.wait_all_succeeded(&ids).await;
    assert!(world.callbacks("disposition=rejected&cause=wrong_request").await.len() >= 6);
    world.drain_and_check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_speaks_of_another_request_than_its_header_is_refused() {
    let world = World::start().await;
    world.sim().script_next(hold());
    let id = world.submit_prompt("an owl").await;
    let request = world.sent("an owl").await;

    let body = ok_body("00000000-0000-4000-8000-000000000000", b"{}");
    assert_eq!(world.forge(&request, body).await, 400);
    let url = request.webhook_url.clone().unwrap();
    let body = ok_body(&request.request_id, b"{}");
    let headers = world.sim().sign(&request.request_id, &body);
    for junk in [format!("{url}x"), url.replace("/hooks/fal/", "/hooks/fal/AAAA"), url.replace("/hooks/", "/hook/")] {
        assert_eq!(world.sim().post_callback(&junk, &headers, body.clone()).await.unwrap(), 404);
    }

    world.sim().release_held();
    world.wait_ended_as(id, "succeeded").await;
    world.drain_and_check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_callback_may_come_before_the_submits_answer() {
    let world = World::builder().faults(Faults::only(Fault::CallbackBeforeAnswer)).start().await;

    let ids = world.submit_many(5, "an owl").await;
    world.wait_all_succeeded(&ids).await;

    for id in ids {
        assert_eq!(world.job(id).await["attempts_made"], 1);
    }
    assert_eq!(world.sim().submissions(), 5);
    world.drain_and_check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn thirty_two_copies_at_once_change_things_once() {
    let lost = Faults::only(Fault::CallbackAllLost);
    let world = World::builder().faults(lost).setting("FALCONER_RECONCILER__FIRST_LOOK", "1m").start().await;
    let id = world.submit_prompt("an owl").await;
    world.sim().wait_until(|view| view.counts.completed == 1).await.unwrap();
    let request = world.sent("an owl").await;
    let body = ok_body(&request.request_id, &world.fal_result(&request).await);

    let answers = join_all((0..32).map(|_| world.forge(&request, body.clone()))).await;

    assert_eq!(answers, [200; 32]);
    world.wait_ended_as(id, "succeeded").await;
    let expected = BTreeMap::from([("applied".to_owned(), 1), ("duplicate".to_owned(), 31)]);
    assert_eq!(dispositions(&world, id).await, expected);
    world.drain_and_check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_conflicting_callbacks_the_first_end_wins_in_every_order() {
    let world = World::builder().slots(40).start().await;
    world.sim().script_prompt("an owl", hold());
    let orders = orders_of_four();
    for (number, order) in orders.iter().enumerate() {
        let prompt = format!("an owl {number}");
        let job = serde_json::json!({ "input": { "prompt": prompt }, "max_attempts": 1 });
        let id = world.submit(job).await;
        world.wait_job(id, "to be sent", |job| job["request_id"].is_string()).await;
        let request = world.sent(&prompt).await;
        let messages = |kind: usize| match kind {
            0 => ok_body(&request.request_id, br#"{"seed": 1}"#),
            1 => ok_body(&request.request_id, br#"{"seed": 2}"#),
            2 => error_body(&request.request_id, 422),
            _ => ok_body(&request.request_id, b"null"),
        };

        for kind in order {
            assert_eq!(world.forge(&request, messages(*kind)).await, 200, "{order:?}");
        }

        let first_end = *order.iter().find(|kind| **kind != 3).unwrap();
        let expected = if first_end == 2 { "failed" } else { "succeeded" };
        let job = world.wait_ended_as(id, expected).await;
        if first_end < 2 {
            assert_eq!(world.result(id).await, format!(r#"{{"seed": {}}}"#, first_end + 1), "{order:?}");
        }
        let stored = world.callbacks(&format!("job_id={id}")).await;
        assert_eq!(stored.len(), 4, "{order:?}");
        let applied = stored.iter().filter(|callback| callback["disposition"] == "applied").count();
        assert!(applied >= 1, "{order:?}");
        let conflicts = stored.iter().filter(|callback| callback["cause"] == "conflict").count();
        assert_eq!(conflicts, if first_end == 2 { 0 } else { 2 }, "{order:?}");
        assert_eq!(world.job(id).await["finished_at"], job["finished_at"]);
        let late: bool =
            sqlx::query_scalar("select superseded_ok_at is not null from falconer.attempts where job_id = $1")
                .bind(id)
                .fetch_one(world.db())
                .await
                .unwrap();
        assert_eq!(late, first_end == 2, "a late OK is noted: {order:?}");
    }
    world.drain_and_check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ok_after_an_error_rescues_a_job_that_is_still_open() {
    let world = World::builder()
        .setting("FALCONER_SUBMITTER__BACKOFF_FIRST", "5m")
        .setting("FALCONER_SUBMITTER__BACKOFF_LONGEST", "5m")
        .start()
        .await;
    world.sim().script_next(hold());
    let id = world.submit_prompt("an owl").await;
    world.wait_job(id, "to be sent", |job| job["request_id"].is_string()).await;
    let request = world.sent("an owl").await;

    assert_eq!(world.forge(&request, error_body(&request.request_id, 500)).await, 200);
    world.wait_job(id, "to be in back-off", |job| job["waiting"]["reason"] == "backoff").await;
    assert_eq!(world.forge(&request, ok_body(&request.request_id, br#"{"seed": 1}"#)).await, 200);

    world.wait_ended_as(id, "succeeded").await;
    assert_eq!(world.result(id).await, r#"{"seed": 1}"#);
    assert_eq!(world.sim().submissions(), 1);
    world.drain_and_check().await;
}

fn orders_of_four() -> Vec<[usize; 4]> {
    let mut orders = Vec::new();
    for code in 0..256_usize {
        let order = [code & 3, (code >> 2) & 3, (code >> 4) & 3, (code >> 6) & 3];
        if (0..4).all(|kind| order.contains(&kind)) {
            orders.push(order);
        }
    }
    assert_eq!(orders.len(), 24);
    orders
}
