//! Many callers with one key at two processes: one job, one answer.
#![expect(clippy::unwrap_used, reason = "a story's helpers may fail the story")]

use futures::{StreamExt as _, future::join_all, stream};
use serde_json::Value;
use std::collections::HashSet;
use testkit::World;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::TcpStream,
};
use uuid::Uuid;

const ROUNDS: usize = 500;
const POSTS: usize = 64;
/// Rounds under way at once, each with a key of its own.
const TOGETHER: usize = 2;

/// A caller that keeps its connection. Thirty thousand calls by a whole HTTP client would take the test a minute.
struct Caller {
    connection: BufReader<TcpStream>,
    key: String,
}

/// What a caller looks at in an answer.
struct Answer {
    status: u16,
    replayed: bool,
    body: Value,
}

impl Caller {
    async fn connect(world: &World, server: usize) -> Self {
        let api = world.servers()[server].api();
        let stream = TcpStream::connect(api.strip_prefix("http://").unwrap()).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self { connection: BufReader::new(stream), key: world.api_key().to_owned() }
    }

    async fn post(&mut self, key: &str, prompt: &str) -> Answer {
        let body = format!(r#"{{"model": "fal-ai/flux/schnell", "input": {{"prompt": "{prompt}"}}}}"#);
        let request = format!(
            "POST /v1/jobs HTTP/1.1\r\nhost: falconer\r\nauthorization: Bearer {}\r\nidempotency-key: {key}\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            self.key,
            body.len(),
        );
        self.connection.get_mut().write_all(request.as_bytes()).await.unwrap();
        let status = self.line().await.split(' ').nth(1).unwrap().parse().unwrap();
        let (mut replayed, mut length) = (false, 0);
        loop {
            let line = self.line().await.to_ascii_lowercase();
            match line.split_once(": ") {
                Some(("content-length", value)) => length = value.parse().unwrap(),
                Some(("idempotency-replayed", value)) => replayed = value == "true",
                Some(_) => {}
                None => break,
            }
        }
        let mut body = vec![0; length];
        self.connection.read_exact(&mut body).await.unwrap();
        Answer { status, replayed, body: serde_json::from_slice(&body).unwrap() }
    }

    async fn line(&mut self) -> String {
        let mut line = String::new();
        self.connection.read_line(&mut line).await.unwrap();
        line.trim_end().to_owned()
    }
}

/// Posts one job by every caller at once, then another with the same key at both servers; returns the job.
async fn race(callers: &mut [Caller], round: usize) -> Uuid {
    let (key, prompt) = (format!("order {round}"), format!("picture {round}"));

    let answers = join_all(callers.iter_mut().map(|caller| caller.post(&key, &prompt))).await;

    let wrong: Vec<u16> = answers.iter().map(|answer| answer.status).filter(|status| *status != 202).collect();
    assert_eq!(wrong, [0; 0], "round {round}");
    let ids: HashSet<&str> = answers.iter().map(|answer| answer.body["id"].as_str().unwrap()).collect();
    assert_eq!(ids.len(), 1, "round {round}: one answer");
    let first_hand = answers.iter().filter(|answer| !answer.replayed).count();
    assert_eq!(first_hand, 1, "round {round}: one is told that it made the job");
    for caller in &mut callers[..2] {
        let other = caller.post(&key, "something else").await;
        assert_eq!((other.status, &other.body["type"]), (422, &"/errors/idempotency-key-reused".into()));
    }
    ids.into_iter().next().unwrap().parse().unwrap()
}

/// Runs the rounds that fall to one crowd of callers, half of them at each server.
async fn races(world: &World, crowd: usize) -> Vec<Uuid> {
    let mut callers = join_all((0..POSTS).map(|number| Caller::connect(world, number % 2))).await;
    let mut jobs = Vec::new();
    for round in (crowd..ROUNDS).step_by(TOGETHER) {
        jobs.push(race(&mut callers, round).await);
    }
    jobs
}

#[tokio::test(flavor = "multi_thread")]
async fn five_hundred_races_of_sixty_four_posts_with_one_key_make_one_job_each() {
    let mut world = World::builder().slots(40).setting("RUST_LOG", "warn").start().await;
    world.second_server().await;

    let crowds = stream::iter(0..TOGETHER).map(|crowd| races(&world, crowd)).buffer_unordered(TOGETHER);
    let jobs: HashSet<Uuid> = crowds.concat().await.into_iter().collect();

    assert_eq!(jobs.len(), ROUNDS);
    let stored: Vec<Uuid> = sqlx::query_scalar("select id from falconer.jobs").fetch_all(world.db()).await.unwrap();
    assert_eq!(stored.len(), ROUNDS);
    assert!(stored.iter().all(|job| jobs.contains(job)), "every caller was told of a job that is there");
    world.drain_and_check().await;
    // The first of each key is untouched: it was sent once, with its own input.
    let sent: Vec<String> = world.sim().requests().iter().map(|request| prompt_of(&request.input)).collect();
    assert_eq!(sent.len(), ROUNDS);
    let sent: HashSet<String> = sent.into_iter().collect();
    assert_eq!(sent, (0..ROUNDS).map(|round| format!("picture {round}")).collect());
}

fn prompt_of(input: &[u8]) -> String {
    let input: Value = serde_json::from_slice(input).unwrap();
    input["prompt"].as_str().unwrap().to_owned()
}
