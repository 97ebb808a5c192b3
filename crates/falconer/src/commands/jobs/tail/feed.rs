//! The ends of jobs, from the feed of events, each of them once.

use crate::commands::{
    client::{Call, CallError, Client, read},
    jobs::{members::Members, tail::End},
};
use crate::random;
use anyhow::Result;
use serde::Deserialize;
use serde_json::{json, value::RawValue};
use std::{collections::HashSet, time::Duration};

/// How long one request waits for an end; what is open is looked at in this rhythm.
const WAIT: Duration = Duration::from_secs(1);
/// For the last word to a server, which may be away.
const FAREWELL: Duration = Duration::from_secs(2);

/// The feed, read under a name that nobody else has.
pub(super) struct Feed<'a> {
    client: &'a Client,
    name: String,
    /// What acknowledges the last page, until it has.
    cursor: Option<String>,
    /// Events that were given and may come again.
    given: HashSet<String>,
}

#[derive(Deserialize)]
struct Page {
    items: Vec<Event>,
    cursor: String,
}

#[derive(Deserialize)]
struct Event {
    id: String,
    data: Box<RawValue>,
}

impl<'a> Feed<'a> {
    /// Begins with what ends from now on.
    pub(super) async fn begin(client: &'a Client) -> Result<Self> {
        let name = format!("tail-{}", hex::encode(random::bytes::<8>()));
        let body = json!({ "name": name, "from": "now" }).to_string();
        client.send(&Call::post("/v1/consumers").body(body)).await?;
        Ok(Self { client, name, cursor: None, given: HashSet::new() })
    }

    /// Waits a moment for jobs that ended, and gives each as the API tells of it. The same never come again.
    pub(super) async fn next(&mut self) -> Result<Vec<String>, End> {
        let call = Call::get("/v1/events")
            .query("consumer", Some(&self.name))
            .query("wait", Some(format!("{}ms", WAIT.as_millis())));
        let page: Page = read(&self.client.try_send(&call.patience(WAIT)).await?)?;
        let mut jobs = Vec::new();
        for event in page.items {
            if self.given.insert(event.id) {
                jobs.push(job_of(&event.data)?);
            }
        }
        self.cursor = (!self.given.is_empty()).then_some(page.cursor);
        Ok(jobs)
    }

    /// Says that what was given has arrived.
    pub(super) async fn acknowledge(&mut self) -> Result<(), CallError> {
        let Some(cursor) = &self.cursor else { return Ok(()) };
        let body = json!({ "consumer": self.name, "cursor": cursor }).to_string();
        self.client.try_send(&Call::post("/v1/events/ack").body(body)).await?;
        (self.cursor, self.given) = (None, HashSet::new());
        Ok(())
    }

    /// Leaves nothing behind, if the server is there.
    pub(super) async fn end(self) {
        let call = Call::delete(format!("/v1/consumers/{}", self.name));
        let gone = tokio::time::timeout(FAREWELL, self.client.try_send(&call)).await;
        if !matches!(gone, Ok(Ok(_))) {
            eprintln!("the consumer {} could not be removed", self.name);
        }
    }
}

/// An event's job without what the event adds to it.
fn job_of(data: &RawValue) -> Result<String> {
    let members: Members = read(data.get().as_bytes())?;
    let own = members.0.into_iter().filter(|(name, _)| !matches!(name.as_str(), "result" | "result_bytes"));
    Ok(Members(own.collect()).to_json())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_jobs_line_is_the_job_alone() {
        let data =
            RawValue::from_string(r#"{"id":"a","metadata":{"n":1.10},"result":{"x":1},"result_bytes":7}"#.into());
        assert_eq!(job_of(&data.unwrap()).unwrap(), r#"{"id":"a","metadata":{"n":1.10}}"#);
    }
}
