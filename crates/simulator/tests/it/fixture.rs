//! A caller of the queue API and a receiver of webhooks.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use falconer_simulator::{Latency, RequestState, Simulator, SimulatorConfig, View};
use serde_json::{Value, json};
use tokio::net::TcpListener;

pub(crate) const MODEL: &str = "fal-ai/flux/dev";
pub(crate) const APP: &str = "fal-ai/flux";

/// Settings under which every model runs for 20 ms and nothing goes wrong.
pub(crate) fn quick() -> SimulatorConfig {
    let latency = Latency::exactly(Duration::from_millis(20));
    SimulatorConfig {
        latency: BTreeMap::from([("*".to_owned(), latency)]),
        webhook_backoff_first: Duration::from_millis(20),
        webhook_backoff_longest: Duration::from_millis(100),
        ..SimulatorConfig::default()
    }
}

/// A simulator and someone who calls it.
pub(crate) struct Fal {
    pub(crate) sim: Simulator,
    http: reqwest::Client,
}

/// An answer, read.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("no JSON: {:?}", self.body))
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

impl Fal {
    #[expect(clippy::disallowed_methods, reason = "a caller without settings is what these tests want")]
    pub(crate) async fn start(config: SimulatorConfig) -> Self {
        Self { sim: Simulator::start(config).await.unwrap(), http: reqwest::Client::new() }
    }

    /// Calls any path with a key.
    pub(crate) async fn call(&self, method: &str, path: &str, body: &str) -> reqwest::Result<Answer> {
        self.call_with(method, path, body, &[("authorization", "Key id:secret")]).await
    }

    pub(crate) async fn call_with(
        &self,
        method: &str,
        path: &str,
        body: &str,
        headers: &[(&str, &str)],
    ) -> reqwest::Result<Answer> {
        let url = if path.starts_with("http") { path.to_owned() } else { format!("{}{path}", self.sim.url()) };
        let mut request = self.http.request(method.parse().unwrap(), url).body(body.to_owned());
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = request.send().await?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Ok(Answer { status, headers, body: response.bytes().await? })
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.call("GET", path, "").await.unwrap()
    }

    /// Posts a prompt to the usual model.
    pub(crate) async fn post(&self, prompt: &str, webhook: Option<&str>) -> reqwest::Result<Answer> {
        let query = webhook.map(|url| format!("?fal_webhook={}", escaped(url))).unwrap_or_default();
        self.call("POST", &format!("/{MODEL}{query}"), &json!({ "prompt": prompt }).to_string()).await
    }

    /// Posts a prompt that must be accepted, and returns its request id.
    pub(crate) async fn submit(&self, prompt: &str, webhook: Option<&str>) -> String {
        let answer = self.post(prompt, webhook).await.unwrap();
        assert_eq!(answer.status, 200, "{:?}", answer.body);
        answer.json()["request_id"].as_str().unwrap().to_owned()
    }

    pub(crate) async fn status(&self, id: &str) -> Answer {
        self.get(&format!("/{APP}/requests/{id}/status")).await
    }

    pub(crate) async fn result(&self, id: &str) -> Answer {
        self.get(&format!("/{APP}/requests/{id}")).await
    }

    pub(crate) async fn cancel(&self, id: &str) -> Answer {
        self.call("PUT", &format!("/{APP}/requests/{id}/cancel"), "").await.unwrap()
    }

    pub(crate) async fn completed(&self, id: &str) {
        self.until(|view| view.request(id).is_some_and(|request| request.state == RequestState::Completed)).await;
    }

    pub(crate) async fn until(&self, check: impl FnMut(&View) -> bool) -> View {
        self.sim.wait_until(check).await.unwrap()
    }
}

/// One webhook as it arrived.
#[derive(Debug, Clone)]
pub(crate) struct Arrival {
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Arrival {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers[name].to_str().unwrap()
    }
}

#[derive(Debug, Default)]
struct Inbox {
    arrivals: Vec<Arrival>,
    answers: Vec<u16>,
}

/// A receiver of webhooks: keeps all, answers 200 or what it was told to.
#[derive(Debug, Clone)]
pub(crate) struct Receiver {
    pub(crate) url: String,
    inbox: Arc<Mutex<Inbox>>,
}

impl Receiver {
    /// Starts one that gives these answers first.
    #[expect(clippy::disallowed_methods, reason = "it ends with the test's runtime")]
    pub(crate) async fn start(answers: &[u16]) -> Self {
        let inbox = Arc::new(Mutex::new(Inbox { arrivals: Vec::new(), answers: answers.to_vec() }));
        let router = Router::new().fallback(take).with_state(inbox.clone());
        let router = router.layer(axum::extract::DefaultBodyLimit::disable());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook?t=1", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url, inbox }
    }

    pub(crate) fn arrivals(&self) -> Vec<Arrival> {
        self.inbox.lock().unwrap().arrivals.clone()
    }
}

async fn take(State(inbox): State<Arc<Mutex<Inbox>>>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let mut inbox = inbox.lock().unwrap();
    inbox.arrivals.push(Arrival { headers, body });
    let answer = if inbox.answers.is_empty() { 200 } else { inbox.answers.remove(0) };
    StatusCode::from_u16(answer).unwrap()
}

pub(crate) fn escaped(url: &str) -> String {
    url::form_urlencoded::byte_serialize(url.as_bytes()).collect()
}
