//! Requests that were under way before Falconer knew of them.

use super::{adopt, adopt_as, attempt, count, ledger, problem, send};
use reqwest::Method;
use serde_json::{Value, json};
use simulator::{Outcome, Script};
use testkit::World;

#[tokio::test(flavor = "multi_thread")]
async fn a_running_request_is_adopted_and_its_result_fetched() {
    let world = World::start().await;
    world.sim().script_next(Script { hold: true, ..Script::default() });
    let request = send(&world, "an owl", None).await;

    let answer = adopt(&world, &request).await;
    assert_eq!(answer.status, 202, "{}", String::from_utf8_lossy(&answer.body));
    let (id, job) = (answer.job_id(), answer.json());
    assert_eq!((&job["state"], &job["request_id"]), (&json!("running"), &json!(request)));
    world.sim().release_held();
    world.wait_ended_as(id, "succeeded").await;

    let result: Value = serde_json::from_slice(&world.result(id).await).unwrap();
    assert_eq!(result["prompt"], "an owl");
    assert_eq!(attempt(&world, id).await, ("succeeded".to_owned(), Some("adopt".to_owned())));
    assert_eq!(ledger(&world, id).await, ["charge"]);
    assert!(world.events(id).await.contains(&"adopted".to_owned()), "{:?}", world.events(id).await);
    assert_eq!(world.sim().submissions(), 1);
    world.drain_and_check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_has_ended_is_fetched_at_once() {
    let world = World::start().await;
    let good = send(&world, "an owl", None).await;
    let outcome = Some(Outcome::ModelError("content_policy_violation".to_owned()));
    world.sim().script_next(Script { outcome, ..Script::default() });
    let bad = send(&world, "a crow", None).await;
    world.sim().wait_until(|view| view.counts.completed == 2).await.unwrap();

    let good = adopt(&world, &good).await.job_id();
    let bad = adopt(&world, &bad).await.job_id();

    world.wait_ended_as(good, "succeeded").await;
    let failed = world.wait_ended_as(bad, "failed").await;
    assert_eq!(failed["error"]["class"], "content_policy");
    let again = world.post(&format!("/v1/jobs/{good}/regenerate"), &json!({})).await;
    assert_eq!((again.status, problem(&again)), (409, "input-unknown".to_owned()));
    world.drain_and_check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_fal_does_not_know_or_does_not_say_is_not_stored() {
    let world = World::start().await;
    let absent = adopt(&world, "00000000-0000-4000-8000-000000000000").await;
    assert_eq!((absent.status, problem(&absent)), (404, "request-not-found".to_owned()));
    let request = send(&world, "an owl", None).await;
    world.sim().wait_until(|view| view.counts.completed == 1).await.unwrap();

    world.sim().shutdown().await;
    let key = [("idempotency-key", "order-4711")];
    let body = json!({ "model": super::MODEL, "request_id": request }).to_string();
    let away = world.call(Method::POST, "/v1/jobs/adopt", &key, body).await;

    assert_eq!((away.status, problem(&away)), (502, "fal-unavailable".to_owned()));
    for table in ["jobs", "attempts", "request_bindings", "idempotency_keys", "transitions"] {
        assert_eq!(count(&world, table).await, 0, "{table}");
    }
    world.check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_is_one_jobs_however_often_it_is_adopted() {
    let world = World::start().await;
    world.sim().script_next(Script { hold: true, ..Script::default() });
    let request = send(&world, "an owl", None).await;

    let answers = futures::future::join_all((0..16).map(|_| adopt(&world, &request))).await;
    let first = answers[0].job_id();
    assert!(answers.iter().all(|answer| answer.status == 202 && answer.job_id() == first));
    let made = answers.iter().filter(|answer| answer.header("idempotency-replayed").is_empty()).count();
    assert_eq!(made, 1);

    // A repeat needs no fal, and a key that comes with it leads to the same job from then on.
    world.sim().release_held();
    world.wait_ended_as(first, "succeeded").await;
    world.sim().forget(&request).unwrap();
    let body = json!({ "model": super::MODEL, "request_id": request }).to_string();
    for _ in 0..2 {
        let repeat = world.call(Method::POST, "/v1/jobs/adopt", &[("idempotency-key", "k")], body.clone()).await;
        assert_eq!((repeat.status, repeat.header("idempotency-replayed"), repeat.job_id()), (202, "true", first));
    }
    let other = json!({ "model": super::MODEL, "request_id": "another" }).to_string();
    let other = world.call(Method::POST, "/v1/jobs/adopt", &[("idempotency-key", "k")], other).await;
    assert_eq!((other.status, problem(&other)), (422, "idempotency-key-reused".to_owned()));
    assert_eq!((count(&world, "jobs").await, count(&world, "request_bindings").await), (1, 1));
    world.drain_and_check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_falconer_sent_is_answered_with_its_own_job() {
    let world = World::start().await;
    let id = world.submit_prompt("an owl").await;
    let job = world.wait_ended_as(id, "succeeded").await;

    let answer = adopt(&world, job["request_id"].as_str().unwrap()).await;

    assert_eq!((answer.status, answer.job_id(), answer.header("idempotency-replayed")), (202, id, "true"));
    assert_eq!(count(&world, "jobs").await, 1);
    world.drain_and_check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_projects_request_is_answered_as_one_that_fal_does_not_know() {
    let world = World::start().await;
    let stranger = world.stranger_key("other").await.unwrap();
    let request = send(&world, "an owl", None).await;
    let id = adopt(&world, &request).await.job_id();

    let taken = adopt_as(&world, &stranger, &request).await;
    let absent = adopt_as(&world, &stranger, "00000000-0000-4000-8000-000000000000").await;

    assert_eq!((taken.status, problem(&taken)), (404, "request-not-found".to_owned()));
    assert_eq!((taken.status, &taken.body), (absent.status, &absent.body));
    world.wait_ended_as(id, "succeeded").await;
    assert_eq!(count(&world, "jobs").await, 1);
    world.drain_and_check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancel_of_an_adopted_job_is_passed_on_to_fal() {
    let world = World::start().await;
    world.sim().script_next(Script { hold: true, ..Script::default() });
    let request = send(&world, "an owl", None).await;
    let id = adopt(&world, &request).await.job_id();

    assert_eq!(world.cancel(id).await.status, 202);
    world.sim().wait_until(|view| view.request(&request).is_some_and(|request| request.canceled)).await.unwrap();
    world.wait_ended_as(id, "canceled").await;
    world.drain_and_check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_adopted_run_takes_a_place_of_the_account_as_it_does_at_fal() {
    let world = World::builder().slots(1).setting("FALCONER_SUBMITTER__IN_FLIGHT_MARGIN", "0").start().await;
    world.sim().script_next(Script { hold: true, ..Script::default() });
    let request = send(&world, "an owl", None).await;
    let adopted = adopt(&world, &request).await.job_id();

    let waiting = world.submit_prompt("a crow").await;
    let beside = world.submit_prompt("a jay").await;
    let job = world.wait_job(waiting, "to wait for a slot", |job| job["waiting"]["reason"] == "slots").await;
    assert_eq!((job["state"].as_str(), world.sim().submissions()), (Some("queued"), 1));

    world.sim().release_held();
    world.wait_all_succeeded(&[adopted, waiting, beside]).await;
    world.drain_and_check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_adopted_request_explains_its_orphan_charge() {
    let world = World::builder()
        .setting("FALCONER_AUDIT__AT", "* * * * * *")
        .setting("FALCONER_AUDIT__GRACE", "0s")
        .start()
        .await;
    let request = send(&world, "an owl", None).await;
    let resolution = async || -> Option<Option<String>> {
        let query = "select resolution from falconer.orphan_charges where request_id = $1";
        sqlx::query_scalar(query).bind(&request).fetch_optional(world.db()).await.unwrap()
    };
    testkit::wait::until("the orphan charge", async || {
        let found = resolution().await;
        if found == Some(None) { Ok(()) } else { Err(found) }
    })
    .await;

    let id = adopt(&world, &request).await.job_id();

    assert_eq!(resolution().await, Some(Some("bound".to_owned())));
    world.wait_ended_as(id, "succeeded").await;
    world.drain_and_check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_commands_mint_and_adopt_as_the_api_does() {
    let world = World::start().await;
    let run = async |args: &[&str]| {
        let ran = world.server().command(world.api_key(), args).await.expect("the command runs");
        assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
        String::from_utf8(ran.stdout).expect("commands print text")
    };
    let create = ["callback-urls", "create", "--model", super::MODEL, "--metadata", "order=4711", "-o", "json"];
    let told = run(&[&create[..], &["--dry-run"]].concat()).await;
    assert!(told.contains("/v1/callback-urls") && count(&world, "jobs").await == 0, "{told}");
    let minted: Value = serde_json::from_str(&run(&create).await).unwrap();
    assert_eq!(minted["metadata"]["order"], "4711");
    let request = send(&world, "an owl", minted["callback_url"].as_str()).await;
    let id = minted["id"].as_str().unwrap().parse().unwrap();
    assert_eq!(world.wait_ended_as(id, "succeeded").await["request_id"], request.as_str());

    let request = send(&world, "a crow", None).await;
    let adopt = ["jobs", "adopt", "--model", super::MODEL, "--request-id", &request, "-o", "json"];
    let adopted: Value = serde_json::from_str(&run(&adopt).await).unwrap();
    world.wait_ended_as(adopted["id"].as_str().unwrap().parse().unwrap(), "succeeded").await;
    world.drain_and_check().await;
}
