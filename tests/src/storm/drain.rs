//! After the storm: waits until every job and every attempt has ended. Where all that is left waits for its next look, and
//! fal has nothing more to say, the database's clock is moved there, or further.

use super::{plan::Plan, site::Site};
use anyhow::{Context as _, Result, bail};
use simulator::{Fault, RequestState, RequestView};
use std::time::{Duration, Instant, SystemTime};

/// The longest that a drain may take.
const LIMIT: Duration = Duration::from_mins(4);
const PAUSE: Duration = Duration::from_millis(500);
/// What is due within this is waited for.
const NEAR: f64 = 1.5;
/// Two looks at an unmoved state, before time is moved, must be this far apart.
const STILL: Duration = Duration::from_secs(2);
/// The least that time is moved by. Looks at what nobody can find are ten minutes apart, each attempt's at its own time.
const STRIDE: f64 = 600.0;

/// What was left, and when the first of it is due, in seconds from this moment.
const LEFT: &str = "select count(*), coalesce(extract(epoch from min(due) - falconer.now()), 0)::float8 from (
    select next_look_at as due from falconer.attempts where state in ('submitting', 'unknown', 'submitted')
    union all
    select run_at from falconer.jobs where state in ('scheduled', 'held', 'queued')) as open";

/// Waits until nothing is open; returns by how much time was moved.
pub async fn run(site: &Site, plan: &Plan) -> Result<Duration> {
    let (began, mut moved) = (Instant::now(), Duration::ZERO);
    let mut quiet_since: Option<Instant> = None;
    loop {
        let (left, due): (i64, f64) = sqlx::query_as(LEFT).fetch_one(&site.db).await.context("what is left")?;
        // Asking fal is dear, so that comes second.
        let fal_is_quiet =
            (left == 0 || due > NEAR) && site.sim.requests().iter().all(|request| is_over(request, plan));
        if left == 0 && fal_is_quiet {
            return Ok(moved);
        }
        if began.elapsed() > LIMIT {
            bail!("{left} jobs and attempts have not ended {LIMIT:?} after the storm (next due in {due} s)");
        }
        let waits = left > 0 && fal_is_quiet && due > NEAR;
        quiet_since = if waits { quiet_since.or_else(|| Some(Instant::now())) } else { None };
        if quiet_since.is_some_and(|since| since.elapsed() > STILL) {
            let by = due.max(STRIDE);
            let query = sqlx::query("update falconer.clock set ahead_by = ahead_by + make_interval(secs => $1)");
            query.bind(by).execute(&site.db).await.context("the clock")?;
            (moved, quiet_since) = (moved + Duration::from_secs_f64(by), None);
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Whether fal has nothing more to say of a request, by webhook or in its list.
fn is_over(request: &RequestView, plan: &Plan) -> bool {
    let listed = || {
        let ended = SystemTime::from(request.completed_at.unwrap_or(request.posted_at));
        ended.elapsed().unwrap_or_default() > plan.history.lag()
    };
    let told = || {
        let silent = request.webhook_url.is_none() || request.faults.contains(&Fault::CallbackAllLost);
        // A missed start deadline and a cancel may be told or not; both leave at least one try where they are.
        silent || request.webhook_tries.iter().any(|seen| seen.delivered() || seen.n >= 31)
    };
    request.state == RequestState::Completed && (told() || request.canceled) && listed()
}
