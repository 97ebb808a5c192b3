//! What becomes of a charge that no attempt explains.

use super::{
    audited, billed, call_as, count, foreign_run, ledger, lost, orphans, wait_audits, wait_orphans, wait_unknown,
};
use crate::orphans::MODEL;
use serde_json::{Value, json};
use simulator::{Fault, Faults, Script};
use std::time::Duration;
use testkit::{World, ok_body};

/// Puts a job back to where it stood before its first claim, as a restore from an older backup does.
async fn forget_all_since_it_was_accepted(world: &World, job: testkit::JobId) {
    for table in ["attempts", "results", "transitions", "job_events", "ledger", "request_bindings"] {
        let forget = format!("delete from falconer.{table} where job_id = $1");
        sqlx::query(sqlx::AssertSqlSafe(forget)).bind(job).execute(world.db()).await.expect("rows can be deleted");
    }
    let restore = "update falconer.jobs set state = 'queued', version = 1, attempts_opened = 0, attempts_made = 0,
        started_at = null, finished_at = null, winner = null where id = $1";
    sqlx::query(restore).bind(job).execute(world.db()).await.expect("the job can be restored");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_a_restored_database_has_forgotten_is_an_orphan_charge() {
    let mut world = audited().start().await;
    let lost = Faults::only(Fault::CallbackAllLost);
    world.sim().script_next(Script { faults: Some(lost), ..Script::default() });
    let id = world.submit_prompt("an owl").await;
    world.wait_ended_as(id, "succeeded").await;
    world.kill_9().await;
    forget_all_since_it_was_accepted(&world, id).await;

    world.restart().await;
    world.wait_ended_as(id, "succeeded").await;

    let operator = world.operator_key().await;
    let found = wait_orphans(&world, &operator, "state=open", 1).await;
    let forgotten = &world.sim().requests()[0];
    assert_eq!(found[0]["request_id"], forgotten.request_id.as_str());
    assert_eq!(found[0]["endpoint_id"], MODEL);
    assert_eq!(found[0]["amount"], forgotten.cost.expect("fal billed it").normalize().to_string());
    assert_eq!(found[0]["resolved_at"], Value::Null);
    assert!(world.server().log().contains("fal billed 1 requests that no attempt explains"));
    assert_eq!(orphans(&world, "", "").await.len(), 0, "a project sees nothing of the account");
    world.drain_and_check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_audit_that_runs_again_and_beside_another_adds_nothing() {
    let mut world = audited().start().await;
    world.second_server().await;
    let id = world.submit_prompt("an owl").await;
    foreign_run(&world, MODEL).await;
    world.wait_ended_as(id, "succeeded").await;
    let operator = world.operator_key().await;
    wait_orphans(&world, &operator, "", 1).await;

    wait_audits(&world, 3).await;

    assert_eq!(orphans(&world, &operator, "").await.len(), 1);
    assert_eq!(count(&world, "select count(*) from falconer.account_events where type = 'charge.orphaned'").await, 1);
    assert_eq!(ledger(&world, id).await, ["charge"]);
    world.drain_and_check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_callback_resolves_the_orphan_that_its_attempt_had_left() {
    // History will tell, in an hour.
    let world = audited().sim(|sim| sim.history_lag = Duration::from_hours(1)).start().await;
    world.sim().script_next(lost());
    let id = world.submit_prompt("an owl").await;
    wait_unknown(&world, id).await;
    let operator = world.operator_key().await;
    wait_orphans(&world, &operator, "state=open", 1).await;

    let request = world.sent("an owl").await;
    let result = world.fal_result(&request).await;
    assert_eq!(world.forge(&request, ok_body(&request.request_id, &result)).await, 200);

    let job = world.wait_ended_as(id, "succeeded").await;
    let resolved = wait_orphans(&world, &operator, "state=resolved", 1).await;
    assert_eq!(resolved[0]["resolution"], "bound");
    assert_eq!(resolved[0]["job_id"], job["id"]);
    assert_eq!(orphans(&world, &operator, "state=open").await.len(), 0);
    assert_eq!(orphans(&world, "", "").await, resolved, "now it is known whose it is");
    assert_eq!(world.sim().submissions(), 1);
    world.drain_and_check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_fal_bills_of_an_attempt_that_brought_nothing_is_added_to_the_ledger() {
    let world = audited().sim(|sim| sim.history_lag = Duration::from_hours(1)).start().await;
    world.sim().script_next(lost());
    let id = world.submit_prompt("an owl").await;
    wait_unknown(&world, id).await;
    world.post(&format!("/v1/jobs/{id}/resolve"), &json!({ "action": "give_up" })).await;
    world.wait_ended_as(id, "failed").await;
    assert_eq!(ledger(&world, id).await, ["possible_charge"]);

    // A callback too old to be believed still says whose request it is.
    let request = world.sent("an owl").await;
    assert_eq!(world.forge_stale(&request, ok_body(&request.request_id, b"{}")).await, 200);
    testkit::wait::until("the line of money", async || {
        let lines = ledger(&world, id).await;
        if lines == ["possible_charge", "superseded_charge"] { Ok(()) } else { Err(lines) }
    })
    .await;
    wait_audits(&world, 2).await;

    let query = "select amount from falconer.ledger where job_id = $1 and kind = 'superseded_charge'";
    let amount: rust_decimal::Decimal = sqlx::query_scalar(query).bind(id).fetch_one(world.db()).await.unwrap();
    assert_eq!(Some(amount), billed(&world, 1).await[0].cost);
    let job = world.job(id).await;
    assert_eq!(job["cost"]["charged"], amount.normalize().to_string());
    let operator = world.operator_key().await;
    assert_eq!(orphans(&world, &operator, "state=open").await.len(), 0);
    world.drain_and_check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_dismisses_a_charge_once_and_says_why() {
    let world = audited().start().await;
    let request = foreign_run(&world, MODEL).await;
    let operator = world.operator_key().await;
    wait_orphans(&world, &operator, "state=open", 1).await;
    let path = format!("/v1/orphan-charges/{request}/dismiss");

    for (body, field) in
        [(json!({}), "reason"), (json!({ "reason": " " }), "reason"), (json!({ "cause": "x" }), "cause")]
    {
        let answer = call_as(&world, &operator, "POST", &path, body).await;
        assert_eq!((answer.status, &answer.json()["errors"][0]["field"]), (400, &json!(field)));
    }
    let told = world.post(&path, &json!({ "reason": "a run by hand" })).await;
    assert_eq!(told.json()["type"], "/errors/orphan-charge-not-found", "the account's is no project's");
    let told = call_as(&world, &operator, "POST", &path, json!({ "reason": "a run by hand" })).await;
    assert_eq!(told.status, 200);
    assert_eq!((&told.json()["resolution"], &told.json()["reason"]), (&json!("dismissed"), &json!("a run by hand")));
    let again = call_as(&world, &operator, "POST", &path, json!({ "reason": "another" })).await;
    assert_eq!((again.status, &again.json()["type"]), (409, &json!("/errors/orphan-charge-resolved")));
    let none = "/v1/orphan-charges/none/dismiss";
    assert_eq!(call_as(&world, &operator, "POST", none, json!({ "reason": "x" })).await.status, 404);

    wait_audits(&world, 2).await;
    assert_eq!(orphans(&world, &operator, "state=open").await.len(), 0, "it is not found again");
    world.drain_and_check().await;
}
