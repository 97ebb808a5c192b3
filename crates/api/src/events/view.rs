//! Events and consumers as JSON.

use crate::jobs::view::JobJson;
use bytes::Bytes;
use chrono::{DateTime, Utc};
use domain::EventId;
use serde::Serialize;
use serde_json::value::RawValue;
use store::{
    events::{Consumer, EventView, UNREAD_MAX},
    keys::Payloads,
};
use utoipa::ToSchema;

/// A page of the feed.
#[derive(Serialize, ToSchema)]
#[schema(as = Feed)]
pub(crate) struct FeedJson {
    pub(crate) items: Vec<EventJson>,
    /// What acknowledges this page, also an empty one. Without `consumer`, where the next page begins.
    pub(crate) cursor: String,
    /// Events that the consumer will never see. Told until the page is acknowledged.
    pub(crate) gap: Option<GapJson>,
}

/// Events that were dropped at the end of their retention before the consumer had acknowledged them.
#[derive(Serialize, ToSchema)]
#[schema(as = FeedGap)]
pub(crate) struct GapJson {
    pub(crate) missed: i64,
    /// When the last of them were dropped.
    pub(crate) dropped_at: Option<DateTime<Utc>>,
}

/// One event: the envelope of Standard Webhooks, with its id.
#[derive(Serialize, ToSchema)]
#[schema(as = Event)]
pub(crate) struct EventJson {
    #[schema(value_type = Uuid)]
    id: EventId,
    /// `job.succeeded`, `job.failed` or `job.canceled`.
    #[serde(rename = "type")]
    kind: String,
    timestamp: DateTime<Utc>,
    data: EventData,
}

/// The job, and its result where that is small.
#[derive(Serialize, ToSchema)]
#[schema(as = EventData)]
pub(crate) struct EventData {
    #[serde(flatten)]
    job: JobJson,
    /// fal's output, byte for byte, up to 64 kB. Null where there is none, where it is larger or no common
    /// reader takes it (see `result_bytes`), and for a key that may not see payloads.
    #[schema(value_type = Option<serde_json::Value>)]
    result: Option<Box<RawValue>>,
    /// How large the output is, here or behind `links.result`; null where there is none.
    result_bytes: Option<i64>,
}

/// Who reads the feed under a name.
#[derive(Serialize, ToSchema)]
#[schema(as = Consumer)]
pub(crate) struct ConsumerJson {
    name: String,
    /// Events that are not acknowledged, counted up to 1,000. Only in lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    unread: Option<i64>,
    /// Events that were dropped before they were acknowledged, of all time.
    missed: i64,
    created_at: DateTime<Utc>,
    /// When it last asked, to ten seconds.
    last_seen_at: DateTime<Utc>,
    acknowledged_at: Option<DateTime<Utc>>,
}

impl EventJson {
    pub(crate) fn of(event: EventView, payloads: Payloads) -> Self {
        let (bytes, body) = event.result.map_or((None, None), |part| (Some(part.bytes), part.body));
        let result = body.filter(|_| !payloads.are_hidden()).and_then(inline);
        Self {
            id: event.id,
            kind: event.kind,
            timestamp: event.created_at,
            data: EventData { job: JobJson::of(event.job, payloads), result, result_bytes: bytes },
        }
    }
}

/// The bytes as a part of the page. A result that common readers of JSON refuse (a number beyond a double, a hundred levels,
/// half a surrogate) would make its page unreadable, and its consumer stand still: it stays behind its link.
fn inline(body: Bytes) -> Option<Box<RawValue>> {
    serde_json::from_slice::<serde_json::Value>(&body).ok()?;
    RawValue::from_string(String::from_utf8(body.into()).ok()?).ok()
}

impl ConsumerJson {
    pub(crate) fn listed(consumer: Consumer, unread: i64) -> Self {
        Self { unread: Some(unread.min(UNREAD_MAX)), ..consumer.into() }
    }
}

impl From<Consumer> for ConsumerJson {
    fn from(consumer: Consumer) -> Self {
        Self {
            name: consumer.name,
            unread: None,
            missed: consumer.missed,
            created_at: consumer.created_at,
            last_seen_at: consumer.last_seen_at,
            acknowledged_at: consumer.acknowledged_at,
        }
    }
}
