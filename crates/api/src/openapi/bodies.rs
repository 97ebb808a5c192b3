//! Bodies that are read by hand, field by field, as the description tells of them.

#![expect(dead_code, reason = "the types describe what is read by hand, and are never built")]

use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

/// A job to be made.
#[derive(Deserialize, ToSchema)]
#[schema(example = job_example)]
#[serde(deny_unknown_fields)]
pub(crate) struct JobRequest {
    /// The model's endpoint id at fal.
    #[schema(example = "fal-ai/flux/dev")]
    model: String,
    /// What the model takes, passed on byte for byte. At most 64 levels deep.
    input: Map<String, Value>,
    /// Higher goes first.
    #[schema(minimum = -10, maximum = 10, default = 0)]
    priority: Option<i32>,
    /// Not before this time.
    run_at: Option<DateTime<Utc>>,
    /// Given up when not sent by then.
    useful_until: Option<DateTime<Utc>>,
    /// At most 20, each of 1 to 64 characters.
    #[schema(max_items = 20)]
    tags: Option<Vec<String>>,
    /// The caller's own words, at most 16 KiB.
    metadata: Option<Map<String, Value>>,
    unique: Option<UniqueRequest>,
    #[schema(minimum = 1, maximum = 100)]
    max_attempts: Option<i32>,
    on_unknown: Option<OnUnknown>,
}

/// A request that the caller sends to fal himself.
#[derive(Deserialize, ToSchema)]
#[schema(example = callback_url_example)]
#[serde(deny_unknown_fields)]
pub(crate) struct CallbackUrlRequest {
    /// The endpoint id at fal that the request is going to.
    #[schema(example = "fal-ai/flux/dev")]
    model: String,
    /// Until when the callback is waited for: 1 minute to 7 days ahead. The run must have ended by then. By default
    /// `reconciler.abandon_after` from now.
    expires_at: Option<DateTime<Utc>>,
    /// At most 20, each of 1 to 64 characters.
    #[schema(max_items = 20)]
    tags: Option<Vec<String>>,
    /// The caller's own words, at most 16 KiB.
    metadata: Option<Map<String, Value>>,
}

/// A request that fal has already.
#[derive(Deserialize, ToSchema)]
#[schema(example = adopt_example)]
#[serde(deny_unknown_fields)]
pub(crate) struct AdoptRequest {
    /// The endpoint id at fal that the request went to.
    #[schema(example = "fal-ai/flux/dev")]
    model: String,
    /// fal's name for it, from the answer to the submit.
    #[schema(pattern = "^[A-Za-z0-9_-]{1,128}$")]
    request_id: String,
    /// At most 20, each of 1 to 64 characters.
    #[schema(max_items = 20)]
    tags: Option<Vec<String>>,
    /// The caller's own words, at most 16 KiB.
    metadata: Option<Map<String, Value>>,
}

/// While a job with this key is younger than `for`, no other is made.
#[derive(Deserialize, ToSchema)]
#[schema(as = Unique)]
#[serde(deny_unknown_fields)]
pub(crate) struct UniqueRequest {
    #[schema(min_length = 1, max_length = 255)]
    key: String,
    /// At most 30 days.
    #[schema(example = "10m")]
    r#for: String,
}

/// What becomes of an attempt of which nobody knows whether fal took it.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum OnUnknown {
    Patient,
    Impatient,
    Operator,
}

/// The fields of the job that shall differ from the first one's.
#[derive(Deserialize, ToSchema)]
#[schema(example = regeneration_example)]
#[serde(deny_unknown_fields)]
pub(crate) struct Regeneration {
    /// Refused when the estimate is higher, or not known.
    #[schema(example = "0.05")]
    max_cost: Option<String>,
    input: Option<Map<String, Value>>,
    #[schema(minimum = -10, maximum = 10)]
    priority: Option<i32>,
    run_at: Option<DateTime<Utc>>,
    useful_until: Option<DateTime<Utc>>,
    #[schema(max_items = 20)]
    tags: Option<Vec<String>>,
    metadata: Option<Map<String, Value>>,
    unique: Option<UniqueRequest>,
    #[schema(minimum = 1, maximum = 100)]
    max_attempts: Option<i32>,
    on_unknown: Option<OnUnknown>,
}

/// What a person decides of an attempt of which nobody knows what became.
#[derive(Deserialize, ToSchema)]
#[schema(as = Resolution, example = resolve_example)]
#[serde(deny_unknown_fields)]
pub(crate) struct ResolveRequest {
    action: ResolveAction,
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ResolveAction {
    Resubmit,
    GiveUp,
}

/// Why a charge needs no further thought.
#[derive(Deserialize, ToSchema)]
#[schema(as = Dismissal, example = dismiss_example)]
#[serde(deny_unknown_fields)]
pub(crate) struct DismissRequest {
    #[schema(min_length = 1, max_length = 1000)]
    reason: String,
}

/// What a consumer has dealt with.
#[derive(Deserialize, ToSchema)]
#[schema(example = events_ack_example)]
#[serde(deny_unknown_fields)]
pub(crate) struct EventsAck {
    /// Who reads.
    #[schema(pattern = "^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$")]
    consumer: String,
    /// The `cursor` of the page that is acknowledged, and with it every page before.
    #[schema(pattern = "^[A-Za-z0-9_-]{58}$")]
    cursor: String,
}

/// A reader of the feed.
#[derive(Deserialize, ToSchema)]
#[schema(example = new_consumer_example)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewConsumer {
    #[schema(pattern = "^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$")]
    name: String,
    /// Where it begins. Nothing means the beginning.
    from: Option<StartAt>,
}

/// Where a reader of the feed begins.
#[derive(Deserialize, ToSchema)]
#[schema(as = ConsumerStart)]
#[serde(rename_all = "snake_case")]
pub(crate) enum StartAt {
    Beginning,
    Now,
}

/// One server-sent event. Only those that tell a change have `event`, `id` and `data`.
#[derive(ToSchema)]
pub(crate) struct StreamEvent {
    /// Always `job`.
    event: Option<String>,
    /// The job's version.
    id: Option<String>,
    /// The job as JSON.
    data: Option<String>,
    /// After how many milliseconds to connect again.
    retry: Option<String>,
}

pub(crate) fn job_example() -> Value {
    json!({"model": "fal-ai/flux/dev", "input": {"prompt": "a falcon over hills"}, "tags": ["hills"]})
}

pub(crate) fn callback_url_example() -> Value {
    json!({"model": "fal-ai/flux/dev", "metadata": {"order": "4711"}})
}

pub(crate) fn adopt_example() -> Value {
    json!({"model": "fal-ai/flux/dev", "request_id": "764cabcf-b745-4b3e-ae38-1200304cf45b"})
}

pub(crate) fn regeneration_example() -> Value {
    json!({"input": {"prompt": "a falcon over the sea"}})
}

pub(crate) fn resolve_example() -> Value {
    json!({"action": "give_up"})
}

pub(crate) fn dismiss_example() -> Value {
    json!({"reason": "a test by hand"})
}

pub(crate) fn events_ack_example() -> Value {
    json!({"consumer": "web", "cursor": "AQABAAAAAAAAAvAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"})
}

pub(crate) fn new_consumer_example() -> Value {
    json!({"name": "web", "from": "now"})
}
