//! `GET /v1/jobs`.

use super::view::JobJson;
use crate::{ApiState, Problem, auth::Caller, cursor::Owner, openapi::params, query::Query};
use axum::{
    Json,
    extract::{RawQuery, State},
};
use domain::{ErrorClass, JobId};
use serde::Serialize;
use serde_json::{Map, Value};
use store::{
    jobs::{self, JobFilter},
    keys::Scope,
};
use utoipa::ToSchema;

const STATES: [&str; 7] = ["scheduled", "held", "queued", "running", "succeeded", "failed", "canceled"];

/// How deep a metadata path may go.
const PATH_MAX: usize = 8;

/// One page of a list.
#[derive(Serialize, ToSchema)]
#[schema(as = Page<T>)]
pub(crate) struct PageJson<T> {
    pub(crate) items: Vec<T>,
    pub(crate) next_cursor: Option<String>,
}

/// Lists the project's jobs, newest first.
///
/// Filters combine. A page reads a bounded number of rows, so it may hold fewer jobs than `limit`, even none, and still have
/// a `next_cursor`: only a page without one is the last.
#[utoipa::path(
    get, path = "/v1/jobs", operation_id = "list_jobs", tag = "jobs", security(("key" = ["read"])),
    params(
        params::Paging,
        ("state" = Option<String>, Query, description = "One or more states, joined by commas.", example = "queued,running"),
        ("model" = Option<String>, Query, description = "The model's endpoint id."),
        ("tag" = Option<String>, Query, description = "Jobs that have this tag."),
        ("metadata" = Option<String>, Query, description = "A JSON object that the metadata must contain. `metadata.PATH=TEXT` asks for one string, with dots between the steps."),
        ("error_class" = Option<String>, Query, description = "Failed jobs of this class."),
        ("created_from" = Option<DateTime<Utc>>, Query, description = "At this time or later."),
        ("created_before" = Option<DateTime<Utc>>, Query, description = "Earlier than this time."),
        ("request_id" = Option<String>, Query, description = "The job to which fal gave this request id."),
    ),
    responses((status = 200, description = "One page.", body = PageJson<JobJson>)),
    extensions(("x-problems" = json!(["payloads-hidden"]))),
)]
pub(crate) async fn list(
    State(api): State<ApiState>,
    caller: Caller,
    RawQuery(raw): RawQuery,
) -> Result<Json<PageJson<JobJson>>, Problem> {
    caller.must(Scope::Read)?;
    let mut query = Query::parse(raw.as_deref());
    let owner = Owner { list: "jobs", project: caller.project };
    let paging = query.paging_of(owner);
    let filter = filter(&mut query);
    query.finish()?;
    if filter.metadata.is_some() {
        // Whoever may ask for a value and see whether a job is found reads it, guess by guess.
        caller.must_see_payloads()?;
    }
    let page = jobs::list(&api.store, caller.project, &filter, paging.after.map(JobId), paging.limit).await?;
    Ok(Json(PageJson {
        items: page.items.into_iter().map(|job| JobJson::of(job, caller.payloads)).collect(),
        next_cursor: page.next.map(|id| owner.write(id.0)),
    }))
}

/// Takes what may be filtered by: `state` (several, joined by commas), `model`, `tag`, `metadata` (an object that must be
/// contained) or `metadata.PATH` (a string), `error_class`, `created_from`, `created_before`, `request_id`.
pub(crate) fn filter(query: &mut Query) -> JobFilter {
    let states = query.text("state").map(|text| {
        let states: Vec<String> = text.split(',').map(str::to_owned).collect();
        if states.iter().any(|state| !STATES.contains(&state.as_str())) {
            query.refuse("state", &format!("must be one or more of {}, joined by commas", STATES.join(", ")));
        }
        states
    });
    let error_class = query.text("error_class");
    if error_class.as_deref().is_some_and(|class| ErrorClass::parse(class).is_none()) {
        let names = ErrorClass::ALL.map(ErrorClass::as_str).join(", ");
        query.refuse("error_class", &format!("must be one of {names}"));
    }
    JobFilter {
        states,
        error_class,
        model: query.text("model"),
        tag: query.text("tag"),
        metadata: metadata(query),
        created_from: query.time("created_from"),
        created_before: query.time("created_before"),
        request_id: query.text("request_id"),
    }
}

fn metadata(query: &mut Query) -> Option<Value> {
    let mut wanted = query.text("metadata").map(|text| {
        let read = serde_json::from_str::<Map<String, Value>>(&text).ok().filter(|_| !text.contains("\\u0000"));
        read.unwrap_or_else(|| {
            query.refuse("metadata", "must be a JSON object without the character NUL");
            Map::new()
        })
    });
    for (path, value) in query.starting_with("metadata.") {
        let steps: Vec<&str> = path.split('.').collect();
        if steps.len() > PATH_MAX || steps.iter().any(|step| step.is_empty()) || format!("{path}{value}").contains('\0')
        {
            query.refuse("metadata.…", &format!("must name a path of 1 to {PATH_MAX} steps joined by dots"));
            continue;
        }
        let nested = steps
            .iter()
            .rev()
            .fold(Value::String(value), |inner, step| Value::Object(Map::from_iter([((*step).to_owned(), inner)])));
        merge(wanted.get_or_insert_default(), nested);
    }
    wanted.map(Value::Object)
}

/// Puts the members of `more`, an object, into `into`, level by level.
fn merge(into: &mut Map<String, Value>, more: Value) {
    let Value::Object(more) = more else { return };
    for (name, value) in more {
        match (into.get_mut(&name), value) {
            (Some(Value::Object(own)), value @ Value::Object(_)) => merge(own, value),
            (_, value) => {
                into.insert(name, value);
            }
        }
    }
}
