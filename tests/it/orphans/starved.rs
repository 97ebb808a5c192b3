//! Bills that can be read in part, or at the third try: what can be read is.

#![expect(
    clippy::disallowed_methods,
    reason = "the platform of these stories is served beside them and bills by the clock"
)]

use super::{audited, count, wait_orphans};
use crate::orphans::MODEL;
use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use std::sync::{Arc, Mutex, MutexGuard};
use testkit::WorldBuilder;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    net::{TcpListener, TcpStream},
};
use url::Url;

/// A platform API that lists bills of its own making.
#[derive(Clone, Default)]
struct Platform {
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    charges: Vec<(String, DateTime<Utc>)>,
    /// How many questions more are answered with 503.
    failing: u32,
    /// Questions that reach back further are answered with 503.
    readable_from: Option<DateTime<Utc>>,
    /// How many did.
    too_far_back: u32,
}

impl Platform {
    async fn start() -> (Self, String) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let url = format!("http://{}/v1", listener.local_addr().expect("it is bound"));
        let platform = Self::default();
        let served = platform.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let served = served.clone();
                tokio::spawn(async move { served.answer(client).await });
            }
        });
        (platform, url)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nobody panics here")
    }

    /// Bills a request that nobody has sent.
    fn bill(&self, request_id: &str, at: DateTime<Utc>) {
        self.state().charges.push((request_id.to_owned(), at));
    }

    async fn answer(&self, mut client: TcpStream) -> Option<()> {
        let (reader, mut writer) = client.split();
        let mut lines = BufReader::new(reader).lines();
        let first = lines.next_line().await.ok()??;
        while !lines.next_line().await.ok()??.is_empty() {}
        let target = first.split(' ').nth(1)?;
        let url = Url::parse("http://platform").ok()?.join(target).ok()?;
        let body = if url.path().ends_with("/billing-events") { self.page(&url) } else { None };
        let head = if body.is_some() { "200 OK" } else { "503 Service Unavailable" };
        let body = body.unwrap_or_default().to_string();
        let length = body.len();
        let answer = format!("HTTP/1.1 {head}\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}");
        writer.write_all(answer.as_bytes()).await.ok()
    }

    /// The bills between two times, all on one page.
    fn page(&self, url: &Url) -> Option<Value> {
        let moment = |name| url.query_pairs().find(|(key, _)| key == name)?.1.parse::<DateTime<Utc>>().ok();
        let (start, end) = (moment("start")?, moment("end")?);
        let mut state = self.state();
        if state.failing > 0 {
            state.failing -= 1;
            return None;
        }
        if state.readable_from.is_some_and(|from| start < from) {
            state.too_far_back += 1;
            return None;
        }
        let items = state.charges.iter().filter(|(_, at)| (start..=end).contains(at)).map(|(id, at)| {
            json!({ "request_id": id, "endpoint_id": MODEL, "timestamp": at, "quantity": 1, "unit": "images",
                "unit_price": 0.003, "cost": 0.003, "currency": "USD" })
        });
        Some(json!({ "items": items.collect::<Vec<_>>(), "next_cursor": null, "has_more": false }))
    }
}

fn asking(url: &str) -> WorldBuilder {
    audited().setting("FALCONER_FAL__PLATFORM_URL", url)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_whole_reading_that_never_ends_hides_no_new_charge() {
    let (platform, url) = Platform::start().await;
    let world = asking(&url)
        .setting("FALCONER_AUDIT__OVERLAP", "1s")
        .setting("FALCONER_AUDIT__WHOLE_EVERY", "1s")
        .start()
        .await;
    testkit::wait::until("the first reading", async || {
        let read = count(&world, "select count(*) from falconer.billing_cursors where whole_at is not null").await;
        if read == 1 { Ok(()) } else { Err(read) }
    })
    .await;
    let account_since = "select created_at - interval '1 minute' from falconer.credentials";
    platform.state().readable_from = Some(sqlx::query_scalar(account_since).fetch_one(world.db()).await.unwrap());
    testkit::wait::until("a whole reading to fail", async || {
        let failed = platform.state().too_far_back;
        if failed > 0 { Ok(()) } else { Err(failed) }
    })
    .await;

    platform.bill("nobodys", Utc::now());

    let operator = world.operator_key().await;
    let found = wait_orphans(&world, &operator, "state=open", 1).await;
    assert_eq!(found[0]["request_id"], "nobodys");
    world.check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_that_fails_twice_is_read_in_the_same_audit() {
    let (platform, url) = Platform::start().await;
    platform.state().failing = 2;
    platform.bill("nobodys", Utc::now());
    let world = asking(&url).start().await;

    let operator = world.operator_key().await;
    wait_orphans(&world, &operator, "state=open", 1).await;

    assert!(!world.server().log().contains("fal's bills cannot be audited"));
    world.check().await;
}

/// The database refuses one candidate, whatever the reason.
#[tokio::test(flavor = "multi_thread")]
async fn a_candidate_that_cannot_be_bound_hides_no_other_charge() {
    let (platform, url) = Platform::start().await;
    let world = asking(&url).setting("FALCONER_RECONCILER__HISTORY_AFTER", "1h").start().await;
    world.sim().script_next(super::lost());
    let id = world.submit_prompt("an owl").await;
    super::wait_unknown(&world, id).await;
    let owl = world.sent("an owl").await.request_id;
    let refuse =
        format!("alter table falconer.attempts add constraint no_owl check (request_id is distinct from '{owl}')");
    sqlx::query(sqlx::AssertSqlSafe(refuse)).execute(world.db()).await.unwrap();
    let told = "update falconer.attempts set candidate_request_id = $2 where job_id = $1";
    sqlx::query(told).bind(id).bind(&owl).execute(world.db()).await.unwrap();

    platform.bill(&owl, Utc::now());
    platform.bill("nobodys", Utc::now());

    let operator = world.operator_key().await;
    testkit::wait::until("the other charge", async || {
        let found = super::orphans(&world, &operator, "state=open").await;
        if found.iter().any(|charge| charge["request_id"] == "nobodys") { Ok(()) } else { Err(found) }
    })
    .await;
    assert!(world.server().log().contains("cannot be bound to the attempt that a callback named"));
    // A later reading tries it again.
    sqlx::query("alter table falconer.attempts drop constraint no_owl").execute(world.db()).await.unwrap();
    world.wait_ended_as(id, "succeeded").await;
    world.drain_and_check().await;
}
