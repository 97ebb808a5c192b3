//! Clients who insist: what was not answered is sent again under the same key, and must lead to one job.

use bytes::Bytes;
use reqwest::Method;
use serde_json::Value;
use std::collections::BTreeSet;
use testkit::{Answer, JobId, World, wait};

/// Callers who send what was not answered again, under the same key.
#[derive(Debug, Default)]
pub(super) struct Clients {
    calls: Vec<Call>,
    /// Jobs that somebody wants stopped.
    pub(super) wishes: Vec<Wish>,
}

#[derive(Debug)]
pub(super) struct Wish {
    job: JobId,
    /// Whether it was acknowledged: then nobody says it again.
    heard: bool,
}

#[derive(Debug)]
struct Call {
    key: String,
    path: &'static str,
    body: String,
    /// Empty until there was an answer.
    ids: Vec<JobId>,
    /// Its key is forgotten by now, so that nobody may repeat it.
    old: bool,
}

impl Clients {
    /// Sends jobs for the first time. Nothing where the connection was lost before the answer.
    pub(super) async fn call(&mut self, world: &World, path: &'static str, body: Value) -> Option<&[JobId]> {
        let key = format!("call {}", self.calls.len());
        let mut call = Call { key, path, body: body.to_string(), ids: Vec::new(), old: false };
        call.ids = call.send(world).await.unwrap_or_default();
        self.calls.push(call);
        self.calls.last().map(|call| call.ids.as_slice()).filter(|ids| !ids.is_empty())
    }

    /// Lets days pass for the calls that were answered.
    pub(super) fn grow_old(&mut self) {
        for call in &mut self.calls {
            call.old = !call.ids.is_empty();
        }
    }

    /// Jobs that were acknowledged.
    pub(super) fn acknowledged(&self) -> Vec<JobId> {
        self.calls.iter().flat_map(|call| &call.ids).copied().collect()
    }

    pub(super) fn ids_of(&self, path: &str, nth: usize) -> Vec<JobId> {
        self.calls.iter().filter(|call| call.path == path).nth(nth).map(|call| call.ids.clone()).unwrap_or_default()
    }

    /// Sends everything again until it is answered: what was answered before must be answered with the same jobs.
    pub(super) async fn insist(&mut self, world: &World) {
        for call in self.calls.iter_mut().filter(|call| !call.old) {
            let ids = wait::until("an answer to a repeated call", async || {
                call.send(world).await.ok_or("the connection was lost")
            })
            .await;
            assert!(call.ids.is_empty() || call.ids == ids, "{} led to {:?}, then to {ids:?}", call.key, call.ids);
            call.ids = ids;
        }
        for wish in self.wishes.iter_mut().filter(|wish| !wish.heard) {
            *wish = Wish::send(world, wish.job).await;
            assert!(wish.heard, "{wish:?}");
        }
    }

    /// Checks that there is one job for each that was asked for, and no other.
    pub(super) async fn one_job_each(&self, world: &World) {
        let there: Vec<JobId> = sqlx::query_scalar("select id from falconer.jobs")
            .fetch_all(world.db())
            .await
            .expect("the database answers");
        let told: BTreeSet<JobId> = self.acknowledged().into_iter().collect();
        assert_eq!(there.into_iter().collect::<BTreeSet<_>>(), told);
        assert_eq!(told.len(), self.acknowledged().len(), "two calls led to one job");
    }
}

impl Wish {
    pub(super) async fn send(world: &World, job: JobId) -> Self {
        let path = format!("/v1/jobs/{job}/cancel");
        let answer = world.try_call(0, Method::POST, &path, &[], Bytes::new()).await;
        // 409: an earlier wish, of which nobody heard, has ended the job.
        Self { job, heard: answer.is_ok_and(|answer| [202, 409].contains(&answer.status)) }
    }
}

impl Call {
    async fn send(&self, world: &World) -> Option<Vec<JobId>> {
        let headers = [("idempotency-key", self.key.as_str())];
        let answer = world.try_call(0, Method::POST, self.path, &headers, self.body.clone().into()).await.ok()?;
        Some(if self.path.ends_with("/batch") { ids_of_lines(&answer) } else { vec![answer.job_id()] })
    }
}

fn ids_of_lines(answer: &Answer) -> Vec<JobId> {
    assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
    let lines = answer.body.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    lines
        .map(|line| {
            let line: Value = serde_json::from_slice(line).expect("each line is JSON");
            line["job"]["id"].as_str().and_then(|id| id.parse().ok()).unwrap_or_else(|| panic!("refused: {line}"))
        })
        .collect()
}
