//! What a test sees and does at fal.

use super::World;
use bytes::Bytes;
use serde_json::{Value, json};
use simulator::{RequestView, WebhookHeaders};

impl World {
    /// Waits until fal has taken a request whose prompt is this one, and returns the latest of them.
    pub async fn sent(&self, prompt: &str) -> RequestView {
        let seen = self.sim.wait_until(|view| view.requests.iter().any(|request| prompt_of(request) == prompt)).await;
        let view = seen.unwrap_or_else(|error| panic!("fal never saw {prompt:?}: {error}"));
        let mut fitting = view.requests.into_iter().filter(|request| prompt_of(request) == prompt);
        fitting.next_back().expect("the wait ended with one")
    }

    /// Reads the result of a request from fal, as its owner may.
    ///
    /// # Panics
    /// When there is none.
    pub async fn fal_result(&self, request: &RequestView) -> Bytes {
        let app: Vec<&str> = request.endpoint.split('/').take(2).collect();
        let url = format!("{}/{}/requests/{}", self.sim.queue_url(), app.join("/"), request.request_id);
        let answer = self.client.get(url).header("authorization", "Key id:secret").send().await.expect("fal answers");
        assert_eq!(answer.status(), 200);
        answer.bytes().await.expect("fal's answer has a body")
    }

    /// Signs a callback as fal would at this moment and posts it to a request's own URL, and returns the answer's status.
    ///
    /// # Panics
    /// When there is no answer, or the request asked for no webhook.
    pub async fn forge(&self, request: &RequestView, body: impl Into<Bytes>) -> u16 {
        let body = body.into();
        let headers = self.sim.sign(&request.request_id, &body);
        self.post_forged(request, &headers, body).await
    }

    /// As [`World::forge`], but signed an hour ago.
    pub async fn forge_stale(&self, request: &RequestView, body: impl Into<Bytes>) -> u16 {
        let body = body.into();
        let now: i64 = self.sim.sign(&request.request_id, &body).timestamp.parse().expect("a stamp is a number");
        let headers = self.sim.sign_as(&request.request_id, self.sim.user_id(), now - 3_600, &body);
        self.post_forged(request, &headers, body).await
    }

    /// Notes that the test itself says how this request ended, by callbacks that it sends in its own way.
    pub fn end_is_forged(&self, request: &RequestView) {
        self.forged.lock().expect("no holder panics").push(request.request_id.clone());
    }

    async fn post_forged(&self, request: &RequestView, headers: &WebhookHeaders, body: Bytes) -> u16 {
        self.end_is_forged(request);
        let url = request.webhook_url.as_deref().expect("a webhook was asked for");
        self.sim.post_callback(url, headers, body).await.expect("the listener answers")
    }
}

/// The body of a callback that says OK.
pub fn ok_body(request_id: &str, payload: &[u8]) -> Bytes {
    let head =
        format!(r#"{{"request_id": "{request_id}", "gateway_request_id": "{request_id}", "status": "OK", "payload": "#);
    [head.as_bytes(), payload, b"}"].concat().into()
}

/// The body of a callback that says that the model failed with this status.
pub fn error_body(request_id: &str, status: u16) -> Bytes {
    let body = json!({
        "request_id": request_id, "gateway_request_id": request_id, "status": "ERROR",
        "error": format!("Invalid status code: {status}"), "payload": { "detail": "it failed" },
    });
    body.to_string().into()
}

fn prompt_of(request: &RequestView) -> String {
    let input: Value = serde_json::from_slice(&request.input).unwrap_or_default();
    input["prompt"].as_str().unwrap_or_default().to_owned()
}
