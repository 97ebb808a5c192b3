//! fal's signature says for which account it calls, and no account may end another's attempts.
#![expect(clippy::unwrap_used, reason = "a story's helpers may fail the story")]

use super::*;
use bytes::Bytes;
use simulator::Script;
use testkit::ok_body;

/// Posts a callback to a request's own URL, signed by fal for some account.
async fn signed_for(world: &World, user_id: &str, request: &RequestView, body: &Bytes) -> u16 {
    let now: i64 = world.sim().sign(&request.request_id, body).timestamp.parse().unwrap();
    let headers = world.sim().sign_as(&request.request_id, user_id, now, body);
    let url = request.webhook_url.as_deref().unwrap();
    world.sim().post_callback(url, &headers, body.clone()).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn callbacks_for_one_account_do_not_settle_attempts_of_the_other() {
    let world = two_accounts(5).start().await;
    let studio = Studio::set_up(&world, 5).await;
    world.sim().script_prompt("held", Script { hold: true, ..Script::default() });
    let ours = world.submit_prompt("a held lighthouse").await;
    let theirs = studio.submit(&world, "a held portrait").await;
    let (of_ours, of_theirs) = (world.sent("a held lighthouse").await, world.sent("a held portrait").await);
    world.wait_job(ours, "to be sent", |job| job["request_id"].is_string()).await;
    studio.wait_job(&world, theirs, "to be sent", |job| job["request_id"].is_string()).await;
    let forged = |request: &RequestView| ok_body(&request.request_id, br#"{"images": []}"#);

    let first_account = world.sim().user_id().to_owned();
    assert_eq!(signed_for(&world, &first_account, &of_theirs, &forged(&of_theirs)).await, 401);
    assert_eq!(signed_for(&world, STUDIO_USER, &of_ours, &forged(&of_ours)).await, 401);
    // The other's callback, sent to a URL that is not its own.
    let crossed = RequestView { webhook_url: of_ours.webhook_url.clone(), ..of_theirs.clone() };
    assert_eq!(signed_for(&world, STUDIO_USER, &crossed, &forged(&of_theirs)).await, 401);

    assert_eq!(world.job(ours).await["state"], "running");
    studio.wait_job(&world, theirs, "still to run", |job| job["state"] == "running").await;
    world.sim().release_held();
    world.wait_ended_as(ours, "succeeded").await;
    studio.wait_succeeded(&world, theirs).await;
    world.drain_and_check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_account_learns_its_own_user_id() {
    let world = two_accounts(5).user_id_unknown().start().await;
    let studio = Studio::set_up(&world, 5).await;
    studio.change(&world, "repin", &json!({ "forget": true })).await;

    for number in 0..4 {
        let ours = world.submit_prompt(&format!("a lighthouse {number}")).await;
        let theirs = studio.submit(&world, &format!("a studio portrait {number}")).await;
        world.wait_ended_as(ours, "succeeded").await;
        studio.wait_succeeded(&world, theirs).await;
    }

    let pinned: Vec<(String, Option<String>)> =
        sqlx::query_as("select name, user_id from falconer.credentials order by name")
            .fetch_all(world.db())
            .await
            .unwrap();
    let expected = [("default", world.sim().user_id()), ("studio", STUDIO_USER)];
    assert_eq!(pinned, expected.map(|(name, user)| (name.to_owned(), Some(user.to_owned()))));
    world.drain_and_check().await;
}
