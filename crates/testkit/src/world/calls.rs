//! What a caller of the API does.

use super::{JobId, World};
use crate::wait;
use bytes::Bytes;
use http::HeaderMap;
use reqwest::Method;
use serde_json::{Value, json};

/// The model of jobs that say nothing of it.
const MODEL: &str = "fal-ai/flux/schnell";

/// An answer of the API, read to its end.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Answer {
    /// The body as JSON; null where it is none.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// A header as text; empty where it is missing.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// The id of the job that the answer tells of.
    ///
    /// # Panics
    /// When it tells of none.
    pub fn job_id(&self) -> JobId {
        let id = self.json()["id"].as_str().and_then(|id| id.parse().ok());
        id.unwrap_or_else(|| panic!("no job in {} {}", self.status, String::from_utf8_lossy(&self.body)))
    }
}

impl World {
    /// Sends a request as the project `default` does.
    ///
    /// # Panics
    /// When there is no answer.
    pub async fn call(&self, method: Method, path: &str, headers: &[(&str, &str)], body: impl Into<Bytes>) -> Answer {
        let sent = self.try_call(0, method, path, headers, body.into()).await;
        sent.unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    /// Sends a request to one of the servers; an error means that there was no answer.
    ///
    /// # Errors
    /// When the connection failed.
    pub async fn try_call(
        &self,
        server: usize,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Bytes,
    ) -> Result<Answer, reqwest::Error> {
        let url = format!("{}{path}", self.servers[server].api());
        let mut request = self.client.request(method, url).body(body);
        if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-type")) {
            request = request.header("content-type", "application/json");
        }
        if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("authorization")) {
            request = request.bearer_auth(&self.api_key);
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answer = request.send().await?;
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        let body = answer.bytes().await?;
        let answer = Answer { status, headers, body };
        if status == 202 && answer.json()["id"].is_string() {
            self.acknowledged.lock().expect("no holder panics").push(answer.job_id());
        }
        Ok(answer)
    }

    /// Reads a path.
    pub async fn get(&self, path: &str) -> Answer {
        self.call(Method::GET, path, &[], Bytes::new()).await
    }

    /// Posts JSON to a path.
    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        self.call(Method::POST, path, &[], body.to_string()).await
    }

    /// Submits a job that must be accepted. `model` and `input` may be missing.
    ///
    /// # Panics
    /// When it is not accepted.
    pub async fn submit(&self, job: Value) -> JobId {
        let mut body = json!({ "model": MODEL, "input": { "prompt": "an owl" } });
        for (name, value) in job.as_object().into_iter().flatten() {
            body[name] = value.clone();
        }
        let answer = self.post("/v1/jobs", &body).await;
        assert_eq!(answer.status, 202, "{}", String::from_utf8_lossy(&answer.body));
        answer.job_id()
    }

    /// Submits a job with a prompt, by which the simulator's scripts find it.
    pub async fn submit_prompt(&self, prompt: &str) -> JobId {
        self.submit(json!({ "input": { "prompt": prompt } })).await
    }

    /// Submits many jobs, numbered in their prompts, in one batch.
    ///
    /// # Panics
    /// When one of them is not accepted.
    pub async fn submit_many(&self, count: usize, prompt: &str) -> Vec<JobId> {
        let jobs: Vec<Value> = (0..count)
            .map(|number| json!({ "model": MODEL, "input": { "prompt": format!("{prompt} {number}") } }))
            .collect();
        let answer = self.post("/v1/jobs/batch", &Value::Array(jobs)).await;
        assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
        let lines = answer.body.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        let ids: Vec<JobId> = lines
            .map(|line| {
                let line: Value = serde_json::from_slice(line).expect("each line is JSON");
                line["job"]["id"].as_str().and_then(|id| id.parse().ok()).unwrap_or_else(|| panic!("refused: {line}"))
            })
            .collect();
        assert_eq!(ids.len(), count);
        self.acknowledged.lock().expect("no holder panics").extend(&ids);
        ids
    }

    /// Reads a job.
    ///
    /// # Panics
    /// When there is no such job.
    pub async fn job(&self, id: JobId) -> Value {
        let answer = self.get(&format!("/v1/jobs/{id}")).await;
        assert_eq!(answer.status, 200, "job {id}: {}", String::from_utf8_lossy(&answer.body));
        answer.json()
    }

    /// Waits until a job reads as wished, and returns it.
    pub async fn wait_job(&self, id: JobId, what: &str, wished: impl Fn(&Value) -> bool) -> Value {
        wait::until(&format!("job {id} {what}"), async || {
            let job = self.job(id).await;
            if wished(&job) { Ok(job) } else { Err(job) }
        })
        .await
    }

    /// Waits until a job has ended, and returns it.
    pub async fn wait_terminal(&self, id: JobId) -> Value {
        wait::until(&format!("job {id} to end"), async || {
            let answer = self.get(&format!("/v1/jobs/{id}/wait?timeout=5s")).await;
            let job = answer.json();
            if answer.status == 200 && !job["finished_at"].is_null() { Ok(job) } else { Err((answer.status, job)) }
        })
        .await
    }

    /// Waits until a job has ended as wished.
    ///
    /// # Panics
    /// When it ends otherwise.
    pub async fn wait_ended_as(&self, id: JobId, state: &str) -> Value {
        let job = self.wait_terminal(id).await;
        assert_eq!(job["state"], state, "{job:#}\n{:#}", self.timeline(id).await);
        job
    }

    /// Waits until every job has succeeded.
    pub async fn wait_all_succeeded(&self, ids: &[JobId]) {
        for id in ids {
            self.wait_ended_as(*id, "succeeded").await;
        }
    }

    /// Reads the result of a job that succeeded, byte for byte.
    ///
    /// # Panics
    /// When there is none.
    pub async fn result(&self, id: JobId) -> Bytes {
        let answer = self.get(&format!("/v1/jobs/{id}/result")).await;
        assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
        answer.body
    }

    /// Reads the entries of a job's timeline.
    pub async fn timeline(&self, id: JobId) -> Value {
        self.get(&format!("/v1/jobs/{id}/timeline")).await.json()["items"].take()
    }

    /// The events of a job's timeline, in order.
    pub async fn events(&self, id: JobId) -> Vec<String> {
        let timeline = self.timeline(id).await;
        let entries = timeline.as_array().into_iter().flatten();
        entries.filter_map(|entry| entry["event"].as_str().map(str::to_owned)).collect()
    }

    /// Asks for the end of a job.
    pub async fn cancel(&self, id: JobId) -> Answer {
        self.call(Method::POST, &format!("/v1/jobs/{id}/cancel"), &[], Bytes::new()).await
    }

    /// Reads callbacks, newest first; `query` is such as `disposition=kept`.
    pub async fn callbacks(&self, query: &str) -> Vec<Value> {
        let answer = self.get(&format!("/v1/callbacks?{query}")).await;
        assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
        answer.json()["items"].as_array().cloned().unwrap_or_default()
    }
}
