//! `POST /v1/jobs/{id}/resolve`: a person decides about a job of whose attempt nobody knows what became.

use super::view::JobJson;
use crate::{
    ApiState, Problem, ProblemKind, auth::Caller, body::RawBody, members::members, openapi::bodies, path::JobPath,
};
use axum::{Json, extract::State};
use domain::{Resolution, Unresolvable};
use serde_json::{json, value::RawValue};
use store::{
    audit::{Action, Entry},
    jobs,
    keys::Scope,
    settle::{ResolveNews, ResolveOutcome},
};

/// Gives the unknown attempt up, and has the job sent again or ends it.
#[utoipa::path(
    post, path = "/v1/jobs/{id}/resolve", operation_id = "resolve_job", tag = "jobs", security(("key" = ["operate"])),
    params(("id" = Uuid, Path, description = "The job's id.")),
    request_body(content = bodies::ResolveRequest, content_type = "application/json"),
    responses((status = 200, description = "The job.", body = JobJson)),
    extensions(("x-problems" = json!(["job-not-found", "job-terminal", "nothing-to-resolve"]))),
)]
pub(crate) async fn resolve(
    State(api): State<ApiState>,
    caller: Caller,
    JobPath(id): JobPath,
    RawBody(body): RawBody,
) -> Result<Json<JobJson>, Problem> {
    caller.must(Scope::Operate)?;
    let how = action(&body)?;
    let news = ResolveNews { job: id, project: caller.project, how, by: caller.key };
    match api.settler.resolve(news).await? {
        ResolveOutcome::Done => {}
        ResolveOutcome::Refused(why) => return Err(refusal(why)),
        ResolveOutcome::NotFound => return Err(ProblemKind::JobNotFound.into()),
    }
    let entry = Entry::done(Action::JobResolved, Some(caller.project), id).with(json!({ "action": how.as_str() }));
    api.note(&caller, entry).await;
    tracing::info!(job.id = %id, key.id = %caller.key, action = how.as_str(), "the unknown attempt of job {id} was resolved");
    let job = jobs::get(&api.store, Some(caller.project), id).await?.ok_or(ProblemKind::JobNotFound)?;
    Ok(Json(JobJson::of(job, caller.payloads)))
}

fn action(body: &[u8]) -> Result<Resolution, Problem> {
    let mut members = members(body)?;
    let text = members.take("action").and_then(|value| serde_json::from_str::<String>(RawValue::get(value)).ok());
    if let Some((name, _)) = members.0.first() {
        return Err(Problem::field(&name.escape_debug().to_string(), "is not a field of this request"));
    }
    let names = Resolution::ALL.map(Resolution::as_str).join(" or ");
    text.and_then(|text| text.parse().ok()).ok_or_else(|| Problem::field("action", format!("must be {names}")))
}

fn refusal(why: Unresolvable) -> Problem {
    let nothing = |detail: String| Problem::from(ProblemKind::NothingToResolve).detail(detail);
    match why {
        Unresolvable::JobEnded => ProblemKind::JobTerminal.into(),
        Unresolvable::NothingUnknown => nothing(
            "Only a running job whose attempt is unknown waits for a decision: see `waiting.reason`.".to_owned(),
        ),
        Unresolvable::PolicyDecides(policy) => nothing(format!(
            "A job with on_unknown `{}` is sent again by that rule alone; a person may only give it up.",
            policy.as_str()
        )),
        Unresolvable::CancelArmed => {
            nothing("A cancel was asked for, so the job is not sent again; it can be given up.".to_owned())
        }
        Unresolvable::AttemptsUsedUp => {
            nothing("Its attempts are used up; it can be given up, and regenerated as a new job.".to_owned())
        }
    }
}
