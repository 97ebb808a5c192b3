//! `GET /v1/jobs`.

use super::view::JobJson;
use crate::{ApiState, Problem, auth::Caller, cursor, query::Query};
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

const STATES: [&str; 7] = ["scheduled", "held", "queued", "running", "succeeded", "failed", "canceled"];

/// How deep a metadata path may go.
const PATH_MAX: usize = 8;

/// One page of a list.
#[derive(Serialize)]
pub(crate) struct PageJson<T> {
    pub(crate) items: Vec<T>,
    pub(crate) next_cursor: Option<String>,
}

/// Lists the project's jobs, newest first.
pub(crate) async fn list(
    State(api): State<ApiState>,
    caller: Caller,
    RawQuery(raw): RawQuery,
) -> Result<Json<PageJson<JobJson>>, Problem> {
    caller.must(Scope::Read)?;
    let mut query = Query::parse(raw.as_deref());
    let paging = query.paging();
    let request_id = query.text("request_id");
    let filter = filter(&mut query);
    query.finish()?;
    if let Some(request_id) = request_id {
        let found = jobs::by_request_id(&api.store, caller.project, &request_id).await?;
        return Ok(Json(PageJson { items: found.into_iter().map(JobJson::from).collect(), next_cursor: None }));
    }
    let page = jobs::list(&api.store, caller.project, &filter, paging.after.map(JobId), paging.limit).await?;
    Ok(Json(PageJson {
        items: page.items.into_iter().map(JobJson::from).collect(),
        next_cursor: page.next.map(|id| cursor::write(id.0)),
    }))
}

/// Takes what may be filtered by: `state` (several, joined by commas), `model`, `tag`, `metadata` (an object that must be
/// contained) or `metadata.PATH` (a string), `error_class`, `created_from`, `created_before`.
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
