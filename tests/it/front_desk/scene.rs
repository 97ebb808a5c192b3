//! Two projects on one server: ours, whose things carry a word that is nowhere else, and strangers who must not read it.

use bytes::Bytes;
use futures::StreamExt as _;
use reqwest::Method;
use serde_json::{Value, json};
use simulator::{Outcome, Script};
use std::time::Duration;
use testkit::{World, http_client, ok_body, wait};

/// In every field of ours that takes a text.
pub(super) const CANARY: &str = "canary-7f3a91c2e5";

/// Bytes of a stream that are read before it is left.
const STREAM_BYTES: usize = 1;

/// Two projects, each with jobs.
pub(super) struct Scene {
    pub(super) world: World,
    client: reqwest::Client,
    /// The strangers' `Authorization`.
    pub(super) strangers: String,
    /// Ours.
    pub(super) ours: String,
    /// Ids of our jobs, of every kind.
    pub(super) jobs: Vec<String>,
    pub(super) callbacks: Vec<String>,
    pub(super) events: Vec<String>,
    pub(super) keys: Vec<String>,
    /// The credential that is assigned to our project.
    pub(super) credentials: Vec<String>,
    /// fal's names of our requests.
    pub(super) requests: Vec<String>,
    /// A charge of fal's that is bound to a job of ours.
    pub(super) charge: String,
    /// Ids of the strangers' own jobs.
    pub(super) foreign_jobs: Vec<String>,
}

/// What came back, as far as a caller can compare it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) status: u16,
    pub(super) kind: String,
    /// The text of all headers, where something could stand that must not.
    pub(super) headers: String,
    pub(super) body: Bytes,
}

impl Scene {
    /// Sets it: a succeeded, a failed and a running job of ours, a kept callback, a bound charge, a consumer; and a
    /// succeeded job of the strangers.
    pub(super) async fn set() -> Self {
        let world = World::start().await;
        let strangers = format!("Bearer {}", world.stranger_key("strangers").await.expect("a key"));
        let ours = format!("Bearer {}", world.api_key());
        let (jobs, requests) = our_jobs(&world).await;
        let charge = bound_charge(&world, &jobs[0]).await;
        let mut scene = Self {
            world,
            client: http_client(),
            strangers,
            ours,
            jobs,
            callbacks: Vec::new(),
            events: Vec::new(),
            keys: Vec::new(),
            credentials: Vec::new(),
            requests,
            charge,
            foreign_jobs: Vec::new(),
        };
        scene.events = scene.ids("/v1/events", "").await;
        assert!(!scene.events.is_empty(), "our jobs have ended, so there are events");
        // The feed makes the consumer that it is asked for.
        assert_eq!(scene.ask(&scene.ours, &format!("/v1/events?consumer={CANARY}")).await.status, 200);
        scene.callbacks = scene.ids("/v1/callbacks", "disposition=kept").await;
        assert!(!scene.callbacks.is_empty(), "one callback was kept");
        scene.keys = scene.ids("/v1/keys", "").await;
        scene.credentials = vec![scene.assigned_credential().await];
        let theirs = r#"{"model":"fal-ai/flux/schnell","input":{"prompt":"a strange owl"}}"#;
        let made = scene.send(&Method::POST, "/v1/jobs", &scene.strangers, &[], theirs.into()).await;
        scene.foreign_jobs = vec![made.json()["id"].as_str().expect("a job").to_owned()];
        let path = format!("/v1/jobs/{}/wait?timeout=20s", scene.foreign_jobs[0]);
        assert_eq!(scene.ask(&scene.strangers, &path).await.json()["state"], "succeeded");
        scene
    }

    /// Every text that belongs to us alone.
    pub(super) fn canaries(&self) -> impl Iterator<Item = &str> {
        let ids = [&self.jobs, &self.callbacks, &self.events, &self.keys, &self.credentials, &self.requests];
        ids.into_iter().flatten().map(String::as_str).chain([CANARY, &self.charge])
    }

    /// Panics where an answer to the strangers tells of us. Texts that they sent themselves do not count.
    pub(super) fn must_not_tell(&self, place: &str, sent: &str, seen: &Seen) {
        let text = String::from_utf8_lossy(&seen.body);
        for canary in self.canaries().filter(|canary| !sent.contains(canary)) {
            assert!(!text.contains(canary) && !seen.headers.contains(canary), "{place} tells {canary}: {seen:?}");
        }
    }

    /// Reads a path.
    pub(super) async fn ask(&self, who: &str, path: &str) -> Seen {
        self.send(&Method::GET, path, who, &[], Bytes::new()).await
    }

    /// Sends a request, with a JSON body where there is one. Of a stream only the beginning is read.
    pub(super) async fn send(
        &self,
        method: &Method,
        path: &str,
        who: &str,
        headers: &[(&str, &str)],
        body: Bytes,
    ) -> Seen {
        let url = format!("{}{path}", self.world.server().api());
        let mut request = self.client.request(method.clone(), url).header("authorization", who);
        if !body.is_empty() && !headers.iter().any(|(name, _)| *name == "content-type") {
            request = request.header("content-type", "application/json");
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answer = request.body(body).send().await.unwrap_or_else(|error| panic!("{method} {path}: {error}"));
        let kind = answer.headers().get("content-type").map(|kind| kind.to_str().expect("ASCII").to_owned());
        let (status, headers) = (answer.status().as_u16(), format!("{:?}", answer.headers()));
        let kind = kind.unwrap_or_default();
        let endless = kind.starts_with("text/event-stream");
        let body = if endless { beginning(answer).await } else { answer.bytes().await.expect("a whole body") };
        Seen { status, kind, headers, body }
    }

    /// Adds a credential of our project, as an operator does.
    async fn assigned_credential(&self) -> String {
        let operator = format!("Bearer {}", self.world.operator_key().await);
        let new = json!({"name": CANARY, "key": "id-of-ours:secret-of-ours-0001", "project": "default"}).to_string();
        let made = self.send(&Method::POST, "/v1/credentials", &operator, &[], new.into()).await;
        assert_eq!(made.status, 201, "{made:?}");
        made.json()["id"].as_str().expect("a credential").to_owned()
    }

    async fn ids(&self, path: &str, query: &str) -> Vec<String> {
        let list = self.ask(&self.ours, &format!("{path}?{query}")).await;
        assert_eq!(list.status, 200, "{list:?}");
        let items = list.json()["items"].as_array().cloned().unwrap_or_default();
        items.iter().filter_map(|item| item["id"].as_str().map(str::to_owned)).collect()
    }
}

impl Seen {
    /// The body as JSON; null where it is none.
    pub(super) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// What can be compared, with `id` taken out of the body.
    pub(super) fn without(&self, id: &str) -> (u16, &str, String) {
        (self.status, &self.kind, String::from_utf8_lossy(&self.body).replace(id, "ID"))
    }
}

/// Makes our jobs: succeeded, failed and running, and has a callback of the last one kept. Returns their ids and fal's
/// names for them.
async fn our_jobs(world: &World) -> (Vec<String>, Vec<String>) {
    let answers = [
        Script {
            outcome: Some(Outcome::Answer { status: 200, body: format!(r#"{{"seed":"{CANARY}"}}"#) }),
            ..Script::default()
        },
        Script { outcome: Some(Outcome::ModelError("content_policy_violation".to_owned())), ..Script::default() },
        Script { hold: true, ..Script::default() },
    ];
    let (mut jobs, mut requests) = (Vec::new(), Vec::new());
    for (number, script) in answers.into_iter().enumerate() {
        world.sim().script_next(script);
        let prompt = format!("{CANARY} {number}");
        let job = json!({
            "model": "fal-ai/flux/dev", "input": {"prompt": prompt}, "tags": [CANARY], "metadata": {"of": CANARY},
        });
        let key = format!("{CANARY}-{number}");
        let made = world.call(Method::POST, "/v1/jobs", &[("idempotency-key", &key)], job.to_string()).await;
        assert_eq!(made.status, 202, "{made:?}");
        let id = made.job_id();
        if number < 2 {
            world.wait_terminal(id).await;
        } else {
            world.wait_job(id, "to be sent", |job| job["request_id"].is_string()).await;
            let request = world.sent(&prompt).await;
            let body = ok_body(&request.request_id, br#"{"seed": 1}"#);
            assert_eq!(world.forge_stale(&request, body).await, 200);
        }
        requests.push(world.job(id).await["request_id"].as_str().expect("it was sent").to_owned());
        jobs.push(id.to_string());
    }
    wait::until("the callback to be kept", async || {
        if world.callbacks("disposition=kept").await.is_empty() { Err("none") } else { Ok(()) }
    })
    .await;
    (jobs, requests)
}

/// Binds a charge to a job, as the audit does for a request that it finds to be ours.
async fn bound_charge(world: &World, job: &str) -> String {
    let request = format!("charge-{CANARY}");
    let insert = "insert into falconer.orphan_charges
        (credential_id, request_id, id, endpoint, billed_at, units, unit, unit_price, amount, currency, first_seen_at,
         resolved_at, resolution, job_id, attempt_id)
        select credential_id, $2, gen_random_uuid(), 'fal-ai/flux/dev', now(), 1, 'image', 0, 0, 'USD', now(), now(),
               'bound', job_id, id
        from falconer.attempts where job_id = $1::uuid limit 1";
    let bound = sqlx::query(insert).bind(job).bind(&request).execute(world.db()).await.expect("a charge");
    assert_eq!(bound.rows_affected(), 1);
    request
}

async fn beginning(answer: reqwest::Response) -> Bytes {
    let mut parts = answer.bytes_stream();
    let mut read = Vec::new();
    while read.len() < STREAM_BYTES {
        match tokio::time::timeout(Duration::from_secs(5), parts.next()).await {
            Ok(Some(Ok(part))) => read.extend_from_slice(&part),
            _ => break,
        }
    }
    read.into()
}
