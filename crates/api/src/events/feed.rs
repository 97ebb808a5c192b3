//! `GET /v1/events`, its acknowledgement, and one event.

use super::{
    NAME_RULE, cursor, is_name, refuse_rest, text,
    view::{ConsumerJson, EventJson, FeedJson, GapJson},
};
use crate::{
    ApiState, Problem, ProblemKind, auth::Caller, body::RawBody, members::members, openapi::bodies::EventsAck,
    path::EventPath, query::Query,
};
use axum::{
    Json,
    extract::{RawQuery, State},
};
use std::time::Duration;
use store::{
    events::{self, Acknowledged, Acknowledgement, Consumer, Feed, PAGE_MAX, Position},
    keys::Scope,
};

const LIMIT_DEFAULT: u32 = 100;
const CURSOR_RULE: &str = "must be the `cursor` of a page that this consumer was given";

/// What is asked of the feed.
struct Asked {
    consumer: Option<String>,
    cursor: Option<String>,
    wait: Duration,
    limit: u32,
    types: Option<Vec<String>>,
}

/// Gives the next events of the project, in order, and waits for them where there are none.
///
/// The same events come again until they are acknowledged. A consumer that is not there is made, and begins with the oldest
/// event that is retained. Without `consumer` the caller keeps the position: `cursor` of the page before.
#[utoipa::path(
    get, path = "/v1/events", operation_id = "read_events", tag = "events", security(("key" = ["read"])),
    params(
        ("consumer" = Option<String>, Query, description = "Who reads. Each name has its own position, which two processes may share.", pattern = "^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$", example = "web"),
        ("cursor" = Option<String>, Query, description = "Without `consumer`: the `cursor` of the page before. Nothing begins with the oldest event.", pattern = "^[A-Za-z0-9_-]{58}$"),
        ("wait" = Option<String>, Query, description = "How long to wait for an event where there is none: a duration such as `30s`; a bare number means seconds. Cut to one minute. Nothing means not to wait.", example = "1s"),
        ("limit" = Option<u32>, Query, description = "How many events at most.", minimum = 1, maximum = 200, example = 100),
        ("types" = Option<String>, Query, description = "Only these types, joined by commas.", example = "job.succeeded,job.failed"),
    ),
    responses((status = 200, description = "The next events; empty where there were none in time.", body = FeedJson)),
    extensions(("x-problems" = json!(["too-many-consumers"]))),
)]
pub(crate) async fn read(
    State(api): State<ApiState>,
    caller: Caller,
    RawQuery(raw): RawQuery,
) -> Result<Json<FeedJson>, Problem> {
    caller.must(Scope::Read)?;
    let asked = Asked::parse(raw.as_deref())?;
    let consumer = match &asked.consumer {
        Some(name) => {
            let found = events::find_or_create(&api.store, caller.project, name).await?;
            Some(found.ok_or(ProblemKind::TooManyConsumers)?)
        }
        None => None,
    };
    let after = match (&consumer, &asked.cursor) {
        (Some(consumer), _) => consumer.position,
        (None, Some(text)) => {
            let told = cursor::read(text, caller.project, None);
            told.ok_or_else(|| Problem::field("cursor", "must be the `cursor` of an earlier page without `consumer`"))?
                .position
        }
        (None, None) => Position::BEGINNING,
    };
    let feed = Feed { project: caller.project, types: asked.types, limit: asked.limit };
    let wait = asked.wait.min(api.limits.wait_max);
    let page = events::wait(&api.store, &api.wakes, &feed, after, wait, &api.stop).await?;
    // It may have taken a minute, and the key may have ended meanwhile.
    caller.recheck(&api).await?;
    let told = Acknowledgement { position: page.reached, missed: consumer.as_ref().map_or(0, |own| own.missed) };
    Ok(Json(FeedJson {
        cursor: cursor::write(caller.project, consumer.as_ref().map(|own| own.id), told),
        items: page.events.into_iter().map(|event| EventJson::of(event, caller.payloads)).collect(),
        gap: consumer.as_ref().and_then(gap),
    }))
}

/// Moves a consumer's position ahead: what was acknowledged is not given to it again.
///
/// An acknowledgement that is older than another changes nothing.
#[utoipa::path(
    post, path = "/v1/events/ack", operation_id = "acknowledge_events", tag = "events", security(("key" = ["read"])),
    request_body = EventsAck,
    responses((status = 200, description = "The consumer as it is now.", body = ConsumerJson)),
    extensions(("x-problems" = json!(["consumer-not-found"]))),
)]
pub(crate) async fn acknowledge(
    State(api): State<ApiState>,
    caller: Caller,
    RawBody(body): RawBody,
) -> Result<Json<ConsumerJson>, Problem> {
    caller.must(Scope::Read)?;
    let mut members = members(&body)?;
    let name = text(&mut members, "consumer", NAME_RULE)?;
    let told = text(&mut members, "cursor", CURSOR_RULE)?;
    refuse_rest(&members)?;
    if !is_name(&name) {
        return Err(Problem::field("consumer", NAME_RULE));
    }
    let consumer = events::find(&api.store, caller.project, &name).await?.ok_or(ProblemKind::ConsumerNotFound)?;
    let refused = || Problem::field("cursor", CURSOR_RULE);
    let what = cursor::read(&told, caller.project, Some(consumer.id)).ok_or_else(refused)?;
    match events::acknowledge(&api.store, caller.project, &name, consumer.id, what).await? {
        Acknowledged::Done(consumer) => Ok(Json(consumer.into())),
        Acknowledged::Ahead => Err(refused()),
        Acknowledged::NotFound => Err(ProblemKind::ConsumerNotFound.into()),
    }
}

/// Gives one event, as the feed does.
#[utoipa::path(
    get, path = "/v1/events/{id}", operation_id = "get_event", tag = "events", security(("key" = ["read"])),
    params(("id" = Uuid, Path, description = "The event's id.")),
    responses((status = 200, description = "The event.", body = EventJson)),
    extensions(("x-problems" = json!(["event-not-found"]))),
)]
pub(crate) async fn get(
    State(api): State<ApiState>,
    caller: Caller,
    EventPath(id): EventPath,
) -> Result<Json<EventJson>, Problem> {
    caller.must(Scope::Read)?;
    let event = events::get(&api.store, caller.project, id).await?.ok_or(ProblemKind::EventNotFound)?;
    Ok(Json(EventJson::of(event, caller.payloads)))
}

impl Asked {
    fn parse(raw: Option<&str>) -> Result<Self, Problem> {
        let mut query = Query::parse(raw);
        let consumer = query.text("consumer");
        if consumer.as_deref().is_some_and(|name| !is_name(name)) {
            query.refuse("consumer", NAME_RULE);
        }
        let cursor = query.text("cursor");
        if consumer.is_some() && cursor.is_some() {
            query.refuse("cursor", "must not stand beside `consumer`, whose position moves when it acknowledges");
        }
        let wait = query.duration("wait").unwrap_or_default();
        let rule = format!("must be a whole number from 1 to {PAGE_MAX}");
        let limit = query.value("limit", &rule).unwrap_or(LIMIT_DEFAULT);
        if !(1..=PAGE_MAX).contains(&limit) {
            query.refuse("limit", &rule);
        }
        let types = query.text("types").map(|text| text.split(',').map(str::to_owned).collect::<Vec<_>>());
        if types.iter().flatten().any(|kind| !events::TYPES.contains(&kind.as_str())) {
            let names = events::TYPES.join(", ");
            query.refuse("types", &format!("must be one or more of {names}, joined by commas"));
        }
        query.finish()?;
        Ok(Self { consumer, cursor, wait, limit, types })
    }
}

fn gap(consumer: &Consumer) -> Option<GapJson> {
    let missed = consumer.missed - consumer.missed_told;
    (missed > 0).then_some(GapJson { missed, dropped_at: consumer.missed_at })
}
