//! What both routes read: a model, tags and metadata, by the rules of every job.

use crate::{
    ApiState, Problem,
    auth::Caller,
    members::{Members, members},
};
use domain::AttemptId;
use serde_json::{json, value::RawValue};
use store::{accept::Idempotency, adopt::Told};
use submitter::JobRequest;

/// Takes the route's own members out of the body and checks the rest as that of a job. Mints the job's ids.
pub(super) fn read<'a, const N: usize>(
    api: &ApiState,
    caller: &Caller,
    body: &'a [u8],
    idempotency: Option<Idempotency>,
    own: [&'static str; N],
) -> Result<(Told, [Option<&'a RawValue>; N]), Problem> {
    let mut members = members(body)?;
    let taken = own.map(|name| members.take(name));
    let strange = members.0.iter().find(|(name, _)| !["model", "tags", "metadata"].contains(&name.as_str()));
    if let Some((name, _)) = strange {
        return Err(Problem::field(&name.escape_debug().to_string(), "is not a field of this request"));
    }
    let request = JobRequest::parse(&as_job(&members))?;
    let job = api.intake.submitter.prepare(caller.project, request, idempotency);
    let told = Told {
        job: job.id,
        attempt: AttemptId(store::fresh_id()),
        project: job.project,
        model: job.model,
        tags: job.tags,
        metadata: job.metadata,
        idempotency: job.idempotency,
    };
    Ok((told, taken))
}

/// Writes the body that `POST /v1/jobs` would take, so that there is one set of rules.
fn as_job(members: &Members<'_>) -> Vec<u8> {
    let mut body = br#"{"input":{}"#.to_vec();
    for (name, value) in &members.0 {
        body.extend_from_slice(format!(",{}:", json!(name)).as_bytes());
        body.extend_from_slice(value.get().as_bytes());
    }
    body.push(b'}');
    body
}
