//! Compares the database with what the simulated fal knows to have happened.

mod leases;
mod money;

pub use leases::sent_past_lease;

use crate::invariants::Broken;
use anyhow::{Context as _, Result};
use domain::TokenKeys;
use simulator::{Fault, OutcomeKind, RequestView, Simulator};
use sqlx::PgPool;
use std::collections::{BTreeMap, HashMap, HashSet};
use uuid::Uuid;

/// Asks both sides, and returns what one knows and the other does not. `acknowledged` are the jobs of which a caller was
/// told 202; `forged` are requests that a test itself sent callbacks for, whose results are the test's own.
///
/// # Errors
/// When the database cannot be asked.
pub async fn broken(db: &PgPool, sim: &Simulator, acknowledged: &[Uuid], forged: &[String]) -> Result<Vec<Broken>> {
    let requests = sim.requests();
    let attempts = Attempts::read(db).await?;
    let mut broken = Vec::new();
    let mut note = |id, holds, rows: Vec<String>| {
        if !rows.is_empty() {
            broken.push(Broken { id, holds, rows });
        }
    };
    note("I01", "every acknowledged job exists", lost_jobs(db, acknowledged).await?);
    let (unpaid, unbilled) = money::differences(db, &requests, &attempts, forged).await?;
    note("I16", "what fal bills of an attempt that has ended is in the ledger", unpaid);
    note("I16", "the ledger holds no charge that fal did not make, and fal's own units", unbilled);
    note("I10", "a stored result is what fal sent", changed_results(db, &requests, forged).await?);
    note(
        "I18",
        "every accepted POST belongs to one attempt or is an orphan charge, and no attempt to two",
        stray_posts(&requests, &attempts, &orphan_charges(db).await?)?,
    );
    note("I18", "what is recorded as never taken by fal was never taken", taken_after_all(db, &requests).await?);
    note("I19", "a job is paid for once, unless its policy took the risk", double_spend(&requests, &attempts)?);
    note("I21", "every callback that was answered with 2xx is stored", lost_callbacks(db, &requests).await?);
    Ok(broken)
}

/// What the database knows of attempts.
struct Attempts {
    job_of: HashMap<Uuid, Uuid>,
    /// Attempts beside which another was allowed, by job.
    risks: HashMap<Uuid, usize>,
    /// Attempts that their callers post, and fal's name for each where it is known.
    callers: HashMap<Uuid, Option<String>>,
}

impl Attempts {
    async fn read(db: &PgPool) -> Result<Self> {
        let rows: Vec<(Uuid, Uuid)> =
            sqlx::query_as("select id, job_id from falconer.attempts").fetch_all(db).await.context("attempts")?;
        // An attempt of which fal took nothing is no ground for paying twice, and a policy is one only where it was asked for.
        let risks: Vec<(Uuid, i64)> = sqlx::query_as(
            "select t.job_id, count(distinct t.attempt_number) from falconer.transitions t
             join falconer.jobs j on j.id = t.job_id
             where t.attempt_number > 0 and (
                 t.attempt_from is distinct from t.attempt_to and (t.attempt_to in ('abandoned', 'expired', 'canceled')
                     or t.attempt_to = 'failed' and coalesce(split_part(t.detail, ':', 1), '')
                         not in ('not_sent', 'rate_limited', 'credential'))
                 or t.event = 'superseded' and j.on_unknown = 'impatient')
             group by t.job_id",
        )
        .fetch_all(db)
        .await
        .context("risks")?;
        let risks = risks.into_iter().map(|(job, count)| (job, usize::try_from(count).unwrap_or(usize::MAX)));
        let callers: Vec<(Uuid, Option<String>)> =
            // The copy that a refetch makes has no money and no binding of its own.
            sqlx::query_as(
                "select id, request_id from falconer.attempts
                 where posted_by = 'caller' and result_from is distinct from 'refetch'",
            )
            .fetch_all(db)
            .await
            .context("attempts of callers")?;
        Ok(Self { job_of: rows.into_iter().collect(), risks: risks.collect(), callers: callers.into_iter().collect() })
    }

    /// The attempt that a request is a try of: by its token, and of one that its caller posted by what it is bound to, since
    /// a caller may use a callback URL twice, or none.
    fn of(&self, request: &RequestView) -> Result<Option<Uuid>> {
        let named = attempt_of(request)?.filter(|attempt| !self.callers.contains_key(attempt));
        Ok(named.or_else(|| self.adopting(request)))
    }

    /// The attempt that its caller posted and that is bound to the request.
    fn adopting(&self, request: &RequestView) -> Option<Uuid> {
        let mut bound = self.callers.iter().filter(|(_, id)| id.as_deref() == Some(request.request_id.as_str()));
        bound.next().map(|(attempt, _)| *attempt)
    }
}

/// The attempt whose token a webhook URL carries.
fn attempt_of(request: &RequestView) -> Result<Option<Uuid>> {
    let keys = TokenKeys::derive(crate::CALLBACK_SECRET).context("the secret of tests")?;
    let token = request.webhook_url.as_deref().and_then(|url| url.rsplit('/').next());
    Ok(token.and_then(|token| keys.verify(token)).map(|(_, attempt)| attempt.0))
}

async fn lost_jobs(db: &PgPool, acknowledged: &[Uuid]) -> Result<Vec<String>> {
    let lost: Vec<Uuid> = sqlx::query_scalar(
        "select a.id from unnest($1::uuid[]) as a (id) where not exists (select from falconer.jobs j where j.id = a.id)",
    )
    .bind(acknowledged)
    .fetch_all(db)
    .await
    .context("acknowledged jobs")?;
    Ok(lost.iter().map(Uuid::to_string).collect())
}

async fn changed_results(db: &PgPool, requests: &[RequestView], forged: &[String]) -> Result<Vec<String>> {
    let rows: Vec<(String, Vec<u8>)> = sqlx::query_as(
        "select a.request_id, r.body_sha256 from falconer.results r
         join falconer.attempts a on a.job_id = r.job_id and a.id = r.attempt_id",
    )
    .fetch_all(db)
    .await
    .context("results")?;
    let sent: HashMap<&str, &RequestView> = requests.iter().map(|sent| (sent.request_id.as_str(), sent)).collect();
    let differs = |(request_id, sha256): &(String, Vec<u8>)| {
        let sha256 = Some(hex::encode(sha256));
        // A hostile payload is the simulator's own invention on top of the result that it notes. So is what it signs to
        // contradict a run that failed: a late OK of a failed attempt counts, whoever is wrong.
        sent.get(request_id.as_str()).is_none_or(|sent| {
            let contradicts =
                sent.outcome != Some(OutcomeKind::Ok) && sent.faults.contains(&Fault::CallbackConflicting);
            sha256 != sent.result_sha256
                && sha256 != sent.payload_sha256
                && !sent.faults.contains(&Fault::CallbackHostileJson)
                && !contradicts
        })
    };
    Ok(rows
        .into_iter()
        .filter(|row| !forged.contains(&row.0))
        .filter(differs)
        .map(|(request_id, _)| request_id)
        .collect())
}

/// Requests that were billed and that no attempt explained when the bills were read.
async fn orphan_charges(db: &PgPool) -> Result<HashSet<String>> {
    let found: Vec<String> = sqlx::query_scalar("select request_id from falconer.orphan_charges")
        .fetch_all(db)
        .await
        .context("orphan charges")?;
    Ok(found.into_iter().collect())
}

fn stray_posts(requests: &[RequestView], attempts: &Attempts, orphan_charges: &HashSet<String>) -> Result<Vec<String>> {
    let mut posts: BTreeMap<Uuid, usize> = BTreeMap::new();
    let mut stray = Vec::new();
    for request in requests.iter().filter(|request| request.webhook_url.is_some()) {
        match attempt_of(request)? {
            Some(attempt) if attempts.callers.contains_key(&attempt) => stray.extend(posted_by_us(request, attempt)),
            Some(attempt) if attempts.job_of.contains_key(&attempt) => *posts.entry(attempt).or_default() += 1,
            _ if orphan_charges.contains(&request.request_id) || attempts.adopting(request).is_some() => {}
            _ => stray.push(format!("request {} belongs to no attempt", request.request_id)),
        }
    }
    let twice = posts.into_iter().filter(|(_, count)| *count > 1);
    stray.extend(twice.map(|(attempt, count)| format!("attempt {attempt} was posted {count} times")));
    Ok(stray)
}

/// What is to be sent by its caller is never sent by us. Falconer's key is like no caller's.
fn posted_by_us(request: &RequestView, attempt: Uuid) -> Option<String> {
    let ours = crate::world::FAL_KEY.split_once(':').is_some_and(|(id, _)| id == request.key_id);
    ours.then(|| format!("attempt {attempt} is its caller's to post, and was posted with our key"))
}

/// Attempts that are said never to have reached fal, and did.
async fn taken_after_all(db: &PgPool, requests: &[RequestView]) -> Result<Vec<String>> {
    let refused: Vec<(Uuid, String)> = sqlx::query_as(
        "select id, error_class from falconer.attempts
         where state = 'failed' and error_class in ('not_sent', 'rate_limited', 'credential')",
    )
    .fetch_all(db)
    .await
    .context("attempts that were not taken")?;
    let refused: HashMap<Uuid, String> = refused.into_iter().collect();
    let mut taken = Vec::new();
    for request in requests {
        if let Some((attempt, class)) = attempt_of(request)?.and_then(|attempt| refused.get_key_value(&attempt)) {
            taken.push(format!("attempt {attempt} is {class}, and fal has it as {}", request.request_id));
        }
    }
    Ok(taken)
}

fn double_spend(requests: &[RequestView], attempts: &Attempts) -> Result<Vec<String>> {
    let mut paid: BTreeMap<Uuid, usize> = BTreeMap::new();
    for request in requests.iter().filter(|request| request.outcome == Some(OutcomeKind::Ok)) {
        if let Some(job) = attempts.of(request)?.and_then(|attempt| attempts.job_of.get(&attempt)) {
            *paid.entry(*job).or_default() += 1;
        }
    }
    let allowed = |job: &Uuid| 1 + attempts.risks.get(job).copied().unwrap_or(0);
    let over = paid.into_iter().filter(|(job, count)| *count > allowed(job));
    Ok(over.map(|(job, count)| format!("job {job} was paid for {count} times")).collect())
}

async fn lost_callbacks(db: &PgPool, requests: &[RequestView]) -> Result<Vec<String>> {
    let rows: Vec<(String, i64)> = sqlx::query_as(
        "select request_id, count(*) from falconer.callbacks
         where disposition <> 'rejected' and request_id is not null group by request_id",
    )
    .fetch_all(db)
    .await
    .context("callbacks")?;
    let stored: HashMap<&str, i64> = rows.iter().map(|(id, count)| (id.as_str(), *count)).collect();
    let mut lost = Vec::new();
    for request in requests {
        let answered = request.webhook_tries.iter().filter(|seen| seen.delivered()).count();
        let kept = stored.get(request.request_id.as_str()).copied().unwrap_or(0);
        if i64::try_from(answered).unwrap_or(i64::MAX) > kept {
            lost.push(format!("request {}: {answered} answered with 2xx, {kept} stored", request.request_id));
        }
    }
    Ok(lost)
}
