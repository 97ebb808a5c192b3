//! `falconer jobs submit` of many jobs.

use super::{Folder, Said, falconer, jobs, lines, run, run_with};
use serde_json::Value;
use std::{collections::BTreeSet, process::Stdio};
use testkit::{World, wait};

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_line_keeps_no_other_from_being_made_and_is_told_by_its_place() {
    let world = World::start().await;
    let folder = Folder::new();
    let file = folder.file(
        "jobs.ndjson",
        "{\"model\":\"fal-ai/flux/dev\",\"input\":{}}\n\n{\"model\":\"fal-ai/flux/dev\",\"input\":7}\n\
         {\"input\":{\"prompt\":\"an owl\",\"seed\":17454220438242315174},\"tags\":[\"own\"]}\n",
    );

    let said =
        run(&world, &["jobs", "submit", &file, "--model", "fal-ai/flux/schnell", "--tag", "all", "-o", "jsonl"]).await;

    assert_eq!(said.code, 4, "{said:#?}");
    let answers = said.lines();
    assert_eq!(answers.iter().map(|line| line["index"].as_u64().unwrap()).collect::<Vec<_>>(), [0, 1, 2]);
    assert_eq!(answers[1]["problem"]["errors"][0]["field"], "input");
    assert!(said.err.contains("jobs.ndjson:3: input: must be a JSON object"), "{said:#?}");
    assert!(said.err.contains("2 jobs accepted, 1 refused"), "{said:#?}");
    assert_eq!(answers[2]["job"]["model"], "fal-ai/flux/schnell");
    assert_eq!(answers[2]["job"]["tags"], serde_json::json!(["own", "all"]));
    let id = answers[2]["job"]["id"].as_str().unwrap().parse().unwrap();
    world.wait_ended_as(id, "succeeded").await;
    let input: String = sqlx::query_scalar("select convert_from(input, 'utf8') from falconer.jobs where id = $1")
        .bind(id)
        .fetch_one(world.db())
        .await
        .unwrap();
    assert!(input.contains("17454220438242315174"), "no number is rounded: {input}");
    world.drain_and_check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_lines_of_standard_input_are_waited_for_and_their_results_taken_home() {
    let world = World::builder().slots(200).start().await;
    let folder = Folder::new();
    let out = folder.0.join("results");

    let args = ["jobs", "submit", "-o", "jsonl", "--wait", "--out", &out.display().to_string()];
    let said = run_with(&world, &args, &lines(1_000)).await;

    assert_eq!(said.code, 0, "{}", said.err);
    assert!(said.err.contains("1000 jobs accepted, 0 refused"), "{}", said.err);
    assert!(said.err.contains("1000 done, 0 failed, 0 still open"), "{}", said.err);
    let ended = said.lines();
    assert!(ended.iter().all(|line| line["job"]["state"] == "succeeded"));
    let ids: BTreeSet<&str> = ended.iter().filter_map(|line| line["job"]["id"].as_str()).collect();
    assert_eq!(ids.len(), 1_000);
    for id in ids {
        let kept = std::fs::read(out.join(format!("{id}.json"))).unwrap();
        serde_json::from_slice::<Value>(&kept).unwrap();
    }
    assert_eq!(std::fs::read_dir(&out).unwrap().count(), 1_000, "and nothing half written");
    assert_eq!(jobs(&world).await, 1_000);
    world.drain_and_check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_fails_is_told_by_the_exit_code() {
    let world = World::start().await;
    let folder = Folder::new();
    let file = folder.file(
        "jobs.json",
        "[\n  {\"input\": {\"prompt\": \"an owl\"}},\n  {\"input\": {\"prompt\": \"too late\"}}\n]\n",
    );
    let late =
        ["jobs", "submit", &file, "--model", "fal-ai/flux/dev", "--useful-until", "2020-01-01T00:00:00Z", "--wait"];

    let said = run(&world, &late).await;

    assert_eq!(said.code, 5, "{said:#?}");
    assert!(said.out.contains("canceled") && said.err.contains("0 done, 2 failed"), "{said:#?}");
    world.drain_and_check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_names_every_broken_rule_and_sends_nothing() {
    let world = World::start().await;
    let folder = Folder::new();
    let file = folder.file("jobs.ndjson", &format!("{}{{\"model\":\"m\",\"colour\":1}}\n{{broken\n", lines(3)));

    let said = run(&world, &["jobs", "submit", &file, "--dry-run"]).await;

    assert_eq!(said.code, 4, "{said:#?}");
    for told in ["jobs.ndjson:4: model:", "jobs.ndjson:4: colour: is not a field of a job", "jobs.ndjson:5: body:"] {
        assert!(said.err.contains(told), "{told}: {said:#?}");
    }
    assert!(said.err.contains("5 jobs read: 3 valid, 2 not; nothing was sent"), "{said:#?}");
    let flags = ["jobs", "submit", "--model", "fal-ai/flux/dev", "--input", "7", "--dry-run"];
    let said = run(&world, &flags).await;
    assert!(said.code == 4 && said.err.contains("input: must be a JSON object"), "{said:#?}");
    assert_eq!(jobs(&world).await, 0);
    world.check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_files_make_the_same_jobs_where_that_is_asked() {
    let world = World::start().await;
    let folder = Folder::new();
    let file = folder.file("jobs.ndjson", &lines(5));
    let ids = |said: &Said| -> Vec<String> {
        said.lines().iter().map(|line| line["job"]["id"].as_str().unwrap().to_owned()).collect()
    };

    let args = ["jobs", "submit", &file, "--idempotent", "-o", "jsonl"];
    let (first, second) = (run(&world, &args).await, run(&world, &args).await);
    assert_eq!((first.code, ids(&first)), (second.code, ids(&second)), "{first:#?}{second:#?}");
    assert_eq!(jobs(&world).await, 5);

    let other = run(&world, &[&args[..], &["--priority", "3"]].concat()).await;
    assert_eq!(other.code, 0, "{other:#?}");
    assert_eq!(jobs(&world).await, 10, "other jobs, under another key");
    world.drain_and_check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_dies_in_the_middle_costs_no_job_and_doubles_none() {
    const JOBS: usize = 5_000;
    // Nothing runs, so that nothing changes while it is counted.
    let mut world = World::builder().roles("api").start().await;
    let folder = Folder::new();
    let file = folder.file("jobs.ndjson", &lines(JOBS));
    let args = ["jobs", "submit", &file, "--idempotency-key", "nightly", "-o", "jsonl"];

    let mut command = falconer(&world, &args);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    wait::until("some of the jobs", async || match jobs(&world).await {
        0 => Err("none yet"),
        _ => Ok(()),
    })
    .await;
    world.kill_9().await;
    let made = jobs(&world).await;
    assert!((1..5_000).contains(&made), "it died in the middle: {made}");
    world.restart().await;

    let said = Said::of(child.wait_with_output().await.unwrap());
    assert_eq!(said.code, 0, "{}", said.err);
    assert_eq!(distinct(&said), JOBS, "it went on by itself");
    assert_eq!(jobs(&world).await, 5_000);
    let again = run(&world, &args).await;
    assert_eq!((again.code, distinct(&again)), (0, JOBS), "{}", again.err);
    assert_eq!(jobs(&world).await, 5_000, "and not one more");
    world.check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_who_goes_away_ends_no_submission() {
    let world = World::start().await;
    let folder = Folder::new();
    let file = folder.file("jobs.ndjson", &lines(300));

    let mut command = falconer(&world, &["jobs", "submit", &file, "-o", "jsonl"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let said = Said::of(child.wait_with_output().await.unwrap());

    assert_eq!(said.code, 0, "{said:#?}");
    assert_eq!(jobs(&world).await, 300);
    world.drain_and_check().await;
}

/// Different jobs that were told of.
fn distinct(said: &Said) -> usize {
    let lines = said.lines();
    lines.iter().filter_map(|line| line["job"]["id"].as_str()).collect::<BTreeSet<_>>().len()
}
