//! What fal bills beside what the ledger holds.

use super::Attempts;
use anyhow::{Context as _, Result};
use rust_decimal::Decimal;
use simulator::{Fault, OutcomeKind, RequestView};
use sqlx::PgPool;
use std::collections::{HashMap, HashSet};
use uuid::Uuid;

/// Billed runs of ended attempts that have no line, and charges that fal did not make or made otherwise.
///
/// Left out are requests of which somebody was told two different ends: `forged` ones and conflicting callbacks.
pub(super) async fn differences(
    db: &PgPool,
    requests: &[RequestView],
    attempts: &Attempts,
    forged: &[String],
) -> Result<(Vec<String>, Vec<String>)> {
    let ended: Vec<Uuid> = sqlx::query_scalar("select id from falconer.attempts where finished_at is not null")
        .fetch_all(db)
        .await
        .context("ended attempts")?;
    let ended: HashSet<Uuid> = ended.into_iter().collect();
    let lines: Vec<(Uuid, String, Option<Decimal>)> =
        sqlx::query_as("select attempt_id, kind, units from falconer.ledger").fetch_all(db).await.context("ledger")?;
    let mut lines_of: HashMap<Uuid, Vec<(String, Option<Decimal>)>> = HashMap::new();
    for (attempt, kind, units) in lines {
        lines_of.entry(attempt).or_default().push((kind, units));
    }
    let (mut unpaid, mut unbilled) = (Vec::new(), Vec::new());
    for request in requests {
        let ambiguous = forged.contains(&request.request_id) || request.faults.contains(&Fault::CallbackConflicting);
        let Some(attempt) = attempts.of(request)?.filter(|id| attempts.job_of.contains_key(id) && !ambiguous) else {
            continue;
        };
        let lines = lines_of.get(&attempt).map_or(&[][..], Vec::as_slice);
        if request.cost.is_some() && ended.contains(&attempt) && lines.is_empty() {
            unpaid.push(format!("request {} of attempt {attempt} is billed and in no line", request.request_id));
        }
        let differs = |(kind, units): &&(String, Option<Decimal>)| {
            kind != "possible_charge"
                && (request.outcome.is_some_and(|outcome| outcome != OutcomeKind::Ok && request.cost.is_none())
                    || units.is_some_and(|units| Some(units) != request.billable_units))
        };
        if let Some((kind, units)) = lines.iter().find(differs) {
            let billed = request.billable_units;
            unbilled.push(format!("attempt {attempt} has a {kind} of {units:?} units, and fal bills {billed:?}"));
        }
    }
    Ok((unpaid, unbilled))
}
