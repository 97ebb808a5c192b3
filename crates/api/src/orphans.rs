//! The routes of orphan charges: what fal billed and no attempt explains. They belong to the account and so to no project:
//! a project sees those that turned out to be its own, and an operator all of them.

use crate::{
    ApiState, Problem, ProblemKind,
    auth::Caller,
    body::RawBody,
    cursor,
    jobs::list::PageJson,
    members::members,
    openapi::{bodies, params},
    path::RequestIdPath,
    query::Query,
};
use axum::{
    Json,
    extract::{RawQuery, State},
};
use chrono::{DateTime, Utc};
use domain::{AttemptId, JobId};
use serde::Serialize;
use store::{
    callbacks::Reader,
    keys::Scope,
    orphans::{self, Dismissed, OrphanCharge, OrphanFilter},
};
use utoipa::ToSchema;

/// Characters of a reason.
const REASON_MAX: usize = 1_000;

#[derive(Serialize, ToSchema)]
#[schema(as = OrphanCharge)]
pub(crate) struct OrphanJson {
    request_id: String,
    endpoint_id: String,
    billed_at: DateTime<Utc>,
    units: String,
    unit: String,
    unit_price: String,
    amount: String,
    currency: String,
    first_seen_at: DateTime<Utc>,
    state: &'static str,
    resolved_at: Option<DateTime<Utc>>,
    resolution: Option<String>,
    reason: Option<String>,
    #[schema(value_type = Option<Uuid>)]
    job_id: Option<JobId>,
    #[schema(value_type = Option<Uuid>)]
    attempt_id: Option<AttemptId>,
}

/// Lists orphan charges, newest first.
#[utoipa::path(
    get, path = "/v1/orphan-charges", operation_id = "list_orphan_charges", tag = "orphan charges", security(("key" = ["money"])),
    params(params::Paging, ("state" = Option<String>, Query, description = "`open` or `resolved`.")),
    responses((status = 200, description = "One page.", body = PageJson<OrphanJson>)),
)]
pub(crate) async fn list(
    State(api): State<ApiState>,
    caller: Caller,
    RawQuery(raw): RawQuery,
) -> Result<Json<PageJson<OrphanJson>>, Problem> {
    caller.must(Scope::Money)?;
    let mut query = Query::parse(raw.as_deref());
    let paging = query.paging();
    let state = query.text("state");
    let open = match state.as_deref() {
        Some("open") => Some(true),
        Some("resolved") => Some(false),
        Some(_) => {
            query.refuse("state", "must be open or resolved");
            None
        }
        None => None,
    };
    query.finish()?;
    let filter = OrphanFilter { open };
    let page = orphans::list(&api.store, caller.reader(), filter, paging.after, paging.limit).await?;
    Ok(Json(PageJson {
        items: page.items.into_iter().map(OrphanJson::from).collect(),
        next_cursor: page.next.map(cursor::write),
    }))
}

/// Notes that a charge needs no further thought, and why.
#[utoipa::path(
    post, path = "/v1/orphan-charges/{request_id}/dismiss", operation_id = "dismiss_orphan_charge", tag = "orphan charges", security(("key" = ["operate"])),
    params(("request_id" = String, Path, description = "fal's name for the request.")),
    request_body(content = bodies::DismissRequest, content_type = "application/json"),
    responses((status = 200, description = "The charge as it is now.", body = OrphanJson)),
    extensions(("x-problems" = json!(["orphan-charge-not-found", "orphan-charge-resolved"]))),
)]
pub(crate) async fn dismiss(
    State(api): State<ApiState>,
    caller: Caller,
    RequestIdPath(request_id): RequestIdPath,
    RawBody(body): RawBody,
) -> Result<Json<OrphanJson>, Problem> {
    caller.must(Scope::Operate)?;
    if caller.reader() != Reader::Operator {
        return Err(ProblemKind::OrphanChargeNotFound.into());
    }
    let reason = reason(&body)?;
    match orphans::dismiss(&api.store, &request_id, &caller.by(), &reason).await? {
        Dismissed::Done(charge) => {
            tracing::info!(fal.request_id = request_id, key.id = %caller.key, "the charge of request {request_id} was dismissed");
            Ok(Json(charge.into()))
        }
        Dismissed::Resolved(charge) => {
            let resolution = charge.resolution.unwrap_or_default();
            Err(Problem::from(ProblemKind::OrphanChargeResolved).detail(format!("It is {resolution} already.")))
        }
        Dismissed::NotFound => Err(ProblemKind::OrphanChargeNotFound.into()),
    }
}

fn reason(body: &[u8]) -> Result<String, Problem> {
    let mut members = members(body)?;
    let reason = members.take("reason").and_then(|value| serde_json::from_str::<String>(value.get()).ok());
    if let Some((name, _)) = members.0.first() {
        return Err(Problem::field(&name.escape_debug().to_string(), "is not a field of this request"));
    }
    let is_usable =
        |text: &String| !text.trim().is_empty() && text.chars().count() <= REASON_MAX && !text.contains('\0');
    let rule = format!("must be a text of 1 to {REASON_MAX} characters that says why");
    reason.filter(is_usable).ok_or_else(|| Problem::field("reason", rule))
}

impl From<OrphanCharge> for OrphanJson {
    fn from(charge: OrphanCharge) -> Self {
        Self {
            request_id: charge.request_id,
            endpoint_id: charge.endpoint,
            billed_at: charge.billed_at,
            units: charge.units.normalize().to_string(),
            unit: charge.unit,
            unit_price: charge.unit_price.normalize().to_string(),
            amount: charge.amount.normalize().to_string(),
            currency: charge.currency,
            first_seen_at: charge.first_seen_at,
            state: if charge.resolved_at.is_none() { "open" } else { "resolved" },
            resolved_at: charge.resolved_at,
            resolution: charge.resolution,
            reason: charge.reason,
            job_id: charge.job,
            attempt_id: charge.attempt,
        }
    }
}
