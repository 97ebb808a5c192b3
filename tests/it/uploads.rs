//! Batches as lines: accepted and answered while they are sent, by callers of every kind.

mod caller;

use caller::{Caller, ids, numbered, prompt};
use serde_json::Value;
use std::{collections::HashSet, time::Duration};
use testkit::{World, wait};

/// Lines of the story that measures memory. A million is measured by `falconer bench ndjson`.
const MANY: usize = 200_000;
/// What a server may take beyond what it took before, in bytes.
const MEMORY: u64 = 64 << 20;

/// A server that accepts and does nothing else, so that what it takes is taken by accepting.
async fn desk() -> World {
    World::builder().roles("api").start().await
}

async fn jobs(world: &World) -> usize {
    let count = sqlx::query_scalar("select count(*) from falconer.jobs").fetch_one(world.db()).await;
    let jobs: i64 = count.expect("the database answers");
    usize::try_from(jobs).expect("a count")
}

fn resident_bytes(world: &World) -> u64 {
    let pid = world.server().pid().expect("the server runs");
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("a status");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a line of memory");
    line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") * 1024
}

#[tokio::test(flavor = "multi_thread")]
async fn any_number_of_lines_is_answered_in_order_in_memory_that_does_not_grow() {
    let world = desk().await;
    // What a server takes once and keeps is taken by a first upload.
    let mut first = Caller::connect(&world).await;
    first.begin(None, None).await;
    first.send(&numbered(0..2000)).await;
    first.end().await;
    first.answers().await;
    let before = resident_bytes(&world);

    let (mut sender, mut reader) = {
        let mut caller = Caller::connect(&world).await;
        caller.begin(None, None).await;
        caller.split()
    };
    let sending = async {
        for start in (0..MANY).step_by(1000) {
            sender.send(&numbered(start..start + 1000)).await;
        }
        sender.end().await;
    };
    let mut highest = before;
    let reading = async {
        let mut next = 0;
        while let Some(line) = reader.line().await {
            assert_eq!(line["index"], next);
            assert!(line["job"]["id"].is_string(), "{line}");
            next += 1;
            if next % 5000 == 0 {
                highest = highest.max(resident_bytes(&world));
            }
        }
        next
    };
    let ((), answered) = tokio::join!(sending, reading);

    assert_eq!(answered, MANY);
    assert_eq!(jobs(&world).await, MANY + 2000);
    let grew = highest - before;
    eprintln!("{MANY} lines: {} MB before, {} MB more at most", before >> 20, grew >> 20);
    assert!(grew <= MEMORY, "{} MB more", grew >> 20);
    world.leave_unchecked("the invariants of one job after the other would take longer than the story");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_who_sends_everything_before_it_reads_anything_is_answered() {
    const LINES: usize = 100_000;
    let world = desk().await;
    let body = numbered(0..LINES);
    let mut caller = Caller::connect(&world).await;

    caller.begin(Some(body.len()), None).await;
    caller.send(&body).await;
    let answers = caller.answers().await;

    assert_eq!(answers.len(), LINES);
    assert_eq!(ids(&answers).into_iter().collect::<HashSet<_>>().len(), LINES, "every line has a job of its own");
    assert_eq!(answers[LINES - 1]["index"], LINES - 1);
    world.leave_unchecked("the invariants of one job after the other would take longer than the story");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_line_is_answered_before_the_next_one_is_sent_and_nothing_is_held_meanwhile() {
    let world = desk().await;
    let (mut sender, mut reader) = {
        let mut caller = Caller::connect(&world).await;
        caller.begin(None, None).await;
        caller.split()
    };
    for number in 0..3 {
        // Cut where it hurts: what has arrived of a line is no line.
        let line = prompt(number);
        let (head, tail) = line.split_at(line.len() / 2);
        sender.send(head.as_bytes()).await;
        sender.send(tail.as_bytes()).await;
        sender.send(b"\n").await;

        let answer = reader.line().await.expect("a line of answer");
        assert_eq!(answer["index"], number);
        assert_eq!(answer["job"]["state"], "queued");
        world.wait_connections_idle().await;
    }
    sender.end().await;
    assert!(reader.line().await.is_none());
    world.check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_breaks_off_makes_no_half_job_and_its_repeat_makes_nothing_twice() {
    let world = desk().await;
    let whole = numbered(0..1200);
    let cut = whole.len() - 40;

    let mut caller = Caller::connect(&world).await;
    caller.begin(Some(whole.len()), Some("upload-1")).await;
    caller.send(&whole[..cut]).await;
    caller.fall_silent().await;
    let broken = caller.answers().await;

    assert_eq!(broken.len(), 1200);
    let last = &broken[1199];
    assert_eq!((&last["index"], &last["problem"]["status"]), (&Value::from(1199), &Value::from(400)));
    assert_eq!(last["problem"]["errors"][0]["rule"], "must arrive whole");
    assert_eq!(jobs(&world).await, 1199);

    let mut again = Caller::connect(&world).await;
    again.begin(Some(whole.len()), Some("upload-1")).await;
    again.send(&whole).await;
    let whole_answers = again.answers().await;
    assert_eq!(ids(&whole_answers[..1199]), ids(&broken[..1199]));
    assert!(whole_answers[1199]["job"]["id"].is_string());
    assert_eq!(jobs(&world).await, 1200);

    // Another body under the same key: each line that differs is refused, and nothing is made.
    let mut other = Caller::connect(&world).await;
    other.begin(None, Some("upload-1")).await;
    other.send(&numbered(1..4)).await;
    other.end().await;
    let refused = other.answers().await;
    assert!(refused.iter().all(|line| line["problem"]["type"] == "/errors/idempotency-key-reused"), "{refused:?}");
    assert_eq!(jobs(&world).await, 1200);
    world.check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_who_goes_away_keeps_what_it_handed_in_and_a_repeat_completes_it() {
    const LINES: usize = 3000;
    let world = desk().await;
    let whole = numbered(0..LINES);
    let mut caller = Caller::connect(&world).await;
    caller.begin(Some(whole.len() + 1), Some("upload-1")).await;
    caller.send(&whole[..whole.len() / 2]).await;
    wait::until("some jobs to be made", async || {
        let made = jobs(&world).await;
        if made > 0 { Ok(()) } else { Err(made) }
    })
    .await;
    drop(caller);

    let mut again = Caller::connect(&world).await;
    again.begin(None, Some("upload-1")).await;
    again.send(&whole).await;
    again.end().await;
    let answers = again.answers().await;

    assert_eq!(ids(&answers).into_iter().collect::<HashSet<_>>().len(), LINES);
    assert_eq!(jobs(&world).await, LINES);
    world.check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_a_crash_broke_off_is_repeated_whole() {
    const LINES: usize = 20_000;
    let mut world = desk().await;
    let whole = numbered(0..LINES);
    let mut caller = Caller::connect(&world).await;
    caller.begin(Some(whole.len()), Some("upload-1")).await;
    let (mut sender, mut reader) = caller.split();
    let crash = async {
        while reader.line().await.expect("not at its end")["index"] != 2000 {}
        world.kill_9().await;
    };
    tokio::select! {
        () = async { sender.try_send(&whole).await; std::future::pending::<()>().await } => {}
        () = crash => {}
    }
    world.restart().await;
    let made = jobs(&world).await;
    assert!((2000..=LINES).contains(&made), "{made}");

    let mut again = Caller::connect(&world).await;
    again.begin(Some(whole.len()), Some("upload-1")).await;
    again.send(&whole).await;
    let answers = again.answers().await;
    assert_eq!(ids(&answers).into_iter().collect::<HashSet<_>>().len(), LINES);
    assert_eq!(jobs(&world).await, LINES);
    world.leave_unchecked("the invariants of one job after the other would take longer than the story");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_ends_says_where_it_left_an_upload() {
    let mut world = desk().await;
    let (mut sender, mut reader) = {
        let mut caller = Caller::connect(&world).await;
        caller.begin(None, None).await;
        caller.split()
    };
    sender.send(prompt(0).as_bytes()).await;
    sender.send(b"\n{\"model\":").await;
    assert!(reader.line().await.unwrap()["job"]["id"].is_string());

    let (took, is_clean) = world.terminate().await;

    assert!(is_clean && took < Duration::from_secs(10), "{took:?}");
    let last = reader.line().await.expect("a last line");
    assert_eq!((&last["index"], &last["problem"]["status"]), (&Value::from(1), &Value::from(503)));
    assert!(reader.line().await.is_none());
    world.restart().await;
    assert_eq!(jobs(&world).await, 1);
    world.check().await;
}
