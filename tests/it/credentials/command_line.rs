//! `falconer credentials`, as an operator with the database's URL types it.
#![expect(clippy::unwrap_used, reason = "a story's helpers may fail the story")]

use super::*;
use testkit::CALLBACK_SECRET;

/// Runs a command with `input` on its standard input; returns its exit code, what it printed and what it told.
async fn run(world: &World, args: &[&str], input: &str) -> (i32, String, String) {
    let args = [&["credentials"], args].concat();
    let output = world.server().database_command_with(&args, input).await.unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code().unwrap(), text(&output.stdout), text(&output.stderr))
}

async fn shown(world: &World) -> Value {
    let (code, text, told) = run(world, &["show", "studio", "-o", "json"], "").await;
    assert_eq!(code, 0, "{told}");
    serde_json::from_str(&text).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_is_added_changed_and_taken_out_of_use_without_a_key_on_the_command_line() {
    let world = two_accounts(5).start().await;
    let key = world.stranger_key("studio").await.unwrap();
    let create = ["create", "--name", "studio", "--slots", "5", "--project", "studio", "--user-id", STUDIO_USER];

    let (code, id, told) = run(&world, &create, &format!("{STUDIO_KEY}\n")).await;
    assert_eq!(code, 0, "{told}");
    assert!(!told.contains("studio-secret"), "{told}");
    let studio = Studio { key, admin: world.operator_key().await, id: id.trim().to_owned() };
    assert_eq!(run(&world, &create, STUDIO_KEY).await.0, 4, "the name is taken");
    let job = studio.submit(&world, "a studio portrait").await;
    studio.wait_succeeded(&world, job).await;
    assert_eq!(world.sent("a studio portrait").await.key_id, "studio-id");

    assert_eq!(run(&world, &["rotate", "studio"], STUDIO_NEW_KEY).await.0, 0);
    let (_, changed, told) = run(&world, &["set-slots", "studio", "7", "-o", "json"], "").await;
    let changed: Value = serde_json::from_str(&changed).unwrap_or_else(|_| panic!("{changed} {told}"));
    assert_eq!((&changed["name"], &changed["slots"]), (&json!("studio"), &json!(7)));
    assert_eq!(run(&world, &["disable", "studio"], "").await.0, 0);
    let changed = shown(&world).await;
    assert_eq!(
        (&changed["key_hint"], &changed["slots"], &changed["project"]),
        (&json!("9e0f"), &json!(7), &json!("studio"))
    );
    assert!(changed["disabled_at"].is_string());
    assert_eq!(run(&world, &["enable", "studio"], "").await.0, 0);
    assert!(shown(&world).await["disabled_at"].is_null());
    world.drain_and_check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_done_is_refused_with_its_reason_and_changes_nothing() {
    let world = two_accounts(5).start().await;
    let bad = "no colon, and a canary";
    for (args, input, code) in [
        (&["create", "--name", "studio"][..], bad, 2),
        (&["create", "--name", "Studio!"], STUDIO_KEY, 2),
        (&["create", "--name", "studio", "--project", "nobody"], STUDIO_KEY, 3),
        (&["create", "--name", "studio", "--dry-run"], STUDIO_KEY, 0),
        (&["rotate", "default"], STUDIO_KEY, 4),
        (&["rotate", "nobody"], STUDIO_KEY, 3),
        (&["assign", "default", "--project", "nobody"], "", 3),
        (&["set-slots", "default", "0"], "", 2),
        (&["reseal"], "", 0),
    ] {
        let (ended, _, told) = run(&world, args, input).await;
        assert_eq!(ended, code, "{args:?}: {told}");
        assert!(!told.contains("canary"), "{args:?}: {told}");
    }
    let rows: i64 =
        sqlx::query_scalar("select count(*) from falconer.credentials").fetch_one(world.db()).await.unwrap();
    assert_eq!(rows, 1);
    world.check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sealed_keys_survive_the_rotation_of_the_secret() {
    const OLD_SECRET: &str = "an old secret of this world which no other may know";
    let mut world = two_accounts(5).setting("FALCONER_SECRET", OLD_SECRET).start().await;
    let studio = Studio::set_up(&world, 5).await;

    let both = format!("{CALLBACK_SECRET},{OLD_SECRET}");
    world.server_mut().set("FALCONER_SECRET", &both);
    world.kill_9().await;
    world.restart().await;
    let during = studio.submit(&world, "during the rotation").await;
    studio.wait_succeeded(&world, during).await;
    let (code, _, told) = run(&world, &["reseal"], "").await;
    assert_eq!((code, told.contains("sealed 1 keys anew")), (0, true), "{told}");
    let (_, again, _) = run(&world, &["reseal", "-o", "json"], "").await;
    assert_eq!(serde_json::from_str::<Value>(&again).unwrap(), json!({"sealed": 0, "unreadable": []}));

    world.server_mut().set("FALCONER_SECRET", CALLBACK_SECRET);
    world.kill_9().await;
    world.restart().await;
    let after = studio.submit(&world, "after the rotation").await;
    studio.wait_succeeded(&world, after).await;
    assert_eq!(world.sent("after the rotation").await.key_id, "studio-id");
    world.drain_and_check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_doctor_names_an_account_whose_key_the_secret_does_not_open() {
    let mut world = two_accounts(5).start().await;
    Studio::set_up(&world, 5).await;
    assert_eq!(sealed_keys(&world).await["status"], "ok");

    world.server_mut().set("FALCONER_SECRET", "a secret that has sealed nothing of this world");
    let finding = sealed_keys(&world).await;
    assert_eq!(finding["status"], "fail");
    assert!(finding["found"].as_str().unwrap().contains("studio"), "{finding}");
    world.check().await;
}

/// What the doctor says of the sealed keys.
async fn sealed_keys(world: &World) -> Value {
    let output = world.server().database_command_with(&["doctor", "-o", "jsonl"], "").await.unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let mut findings = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    findings.find(|finding| finding["check"] == "sealed keys").unwrap_or_else(|| panic!("not checked: {text}"))
}
