//! `/_sim`: the simulator's own controls, for those who are not in its process. No key is asked for.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::response::Response;
use serde::Deserialize;
use serde_json::json;

use super::answer;
use crate::core::Core;
use crate::error::SimulatorError;
use crate::faults::Faults;
use crate::script::Script;
use crate::signer::{JwksMode, RotateMode};

/// `POST /_sim/rotate`.
#[derive(Debug, Deserialize)]
pub(super) struct Rotate {
    #[serde(default = "both")]
    mode: RotateMode,
}

/// `POST /_sim/jwks`: down or up, or a body to serve instead.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Jwks {
    #[serde(default)]
    down: bool,
    body: Option<String>,
}

/// `PUT /_sim/slots`.
#[derive(Debug, Deserialize)]
pub(super) struct Slots {
    slots: u32,
}

/// `POST /_sim/script/prompt`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PromptScript {
    contains: String,
    script: Script,
}

/// Sums, use of the slots, settings.
pub(super) async fn state(State(core): State<Arc<Core>>) -> Response {
    let now = core.now();
    let mut world = core.world();
    let occupancy = world.accounts[0].meter.read(now.up);
    let body = json!({
        "url": core.url,
        "seed": core.config.seed,
        "counts": world.counts(),
        "occupancy": occupancy,
        "faults": world.faults,
        "jwks": world.jwks,
    });
    answer::json_answer(200, &body)
}

/// Every request.
pub(super) async fn requests(State(core): State<Arc<Core>>) -> Response {
    let view = core.world().view();
    answer::json_answer(200, &json!(view.requests))
}

/// Everything that happened.
pub(super) async fn truth(State(core): State<Arc<Core>>) -> Response {
    let entries = core.world().truth.entries().to_vec();
    answer::json_answer(200, &json!(entries))
}

/// The rates.
pub(super) async fn faults(State(core): State<Arc<Core>>) -> Response {
    let faults = core.world().faults.clone();
    answer::json_answer(200, &json!(faults))
}

/// Sets all rates; those that are not named become 0.
pub(super) async fn set_faults(State(core): State<Arc<Core>>, Json(faults): Json<Faults>) -> Response {
    done(core.set_faults(faults))
}

/// Goes on to a new signing key.
pub(super) async fn rotate(State(core): State<Arc<Core>>, Json(rotate): Json<Rotate>) -> Response {
    core.signer().rotate(rotate.mode);
    done(Ok(()))
}

/// Breaks or mends the key set.
pub(super) async fn jwks(State(core): State<Arc<Core>>, Json(jwks): Json<Jwks>) -> Response {
    core.world().jwks = match (jwks.body, jwks.down) {
        (Some(body), _) => JwksMode::Body(body),
        (None, true) => JwksMode::Down,
        (None, false) => JwksMode::Up,
    };
    done(Ok(()))
}

/// Changes the account's limit.
pub(super) async fn set_slots(State(core): State<Arc<Core>>, Json(slots): Json<Slots>) -> Response {
    done(core.set_slots(0, slots.slots))
}

/// Lets all held requests go.
pub(super) async fn release(State(core): State<Arc<Core>>) -> Response {
    core.release_held();
    done(Ok(()))
}

/// Makes a result expire.
pub(super) async fn forget(State(core): State<Arc<Core>>, Path(request_id): Path<String>) -> Response {
    done(core.forget(&request_id))
}

/// Scripts the next submits.
pub(super) async fn script_next(State(core): State<Arc<Core>>, Json(script): Json<Script>) -> Response {
    core.world().scripts.push_next(script);
    done(Ok(()))
}

/// Scripts the submits whose prompt contains a text.
pub(super) async fn script_prompt(State(core): State<Arc<Core>>, Json(prompt): Json<PromptScript>) -> Response {
    core.world().scripts.push_prompt(prompt.contains, prompt.script);
    done(Ok(()))
}

fn done(outcome: Result<(), SimulatorError>) -> Response {
    match outcome {
        Ok(()) => answer::json_answer(200, &json!({ "ok": true })),
        Err(error) => answer::detail(400, &error.to_string()),
    }
}

fn both() -> RotateMode {
    RotateMode::Both
}
