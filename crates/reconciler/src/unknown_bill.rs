//! The unknown attempt and fal's bills, where fal lists no history.
//!
//! A bill says which request of which model was charged when and how much, and not for what input. So it names an attempt
//! only where nothing else could be meant: one request that fits and that nobody owns, one attempt that it could be. Where
//! two fit, nothing is bound: another project's image would be delivered. Then a callback, time or a person decides.

use crate::{
    bills::NoBills,
    look::Reconciler,
    unknown::{CLOCK_SKEW, Search},
};
use chrono::{DateTime, TimeDelta, Utc};
use domain::RequestId;
use fal::client::BillingEvent;
use rust_decimal::Decimal;
use store::{
    looks::DueLook,
    model_stats::Latency,
    orphans::fit::{self, Lost},
};

/// Pages of bills that one look reads. Where there are more, nothing is bound, and nothing given up for it.
const PAGES_MAX: u32 = 20;
/// How many times more or less than our estimate a charge may be and still be the attempt's: fal rounds, and bills what was
/// made. Generous on purpose, since a charge that wrongly does not fit could leave one alone that wrongly does.
const COST_FACTOR: Decimal = Decimal::from_parts(3, 0, 0, false, 0);

/// Looks for the request that fal billed for this attempt, where only one can be meant. Not before fal must have ended the
/// attempt's own run and listed its bill: until then somebody else's could be the only one.
pub(crate) async fn find(reconciler: &Reconciler<'_>, due: &DueLook) -> Search {
    let lag = TimeDelta::from_std(reconciler.settings.history_lag).unwrap_or(TimeDelta::MAX);
    if due.now - ends_by(due, reconciler.stats.latency(&due.model)) < lag {
        return Search::NotThere;
    }
    search(reconciler, due).await.map_or_else(
        |why| match why {
            NoBills::Refused => Search::NotThere,
            NoBills::Unanswered => Search::Unanswered,
        },
        |found| found.map_or(Search::NotThere, Search::Found),
    )
}

/// When the attempt's own run must have ended: by the pace of its model, or by its deadline where that is not known.
fn ends_by(due: &DueLook, latency: Option<Latency>) -> DateTime<Utc> {
    let usual = latency.and_then(|latency| TimeDelta::from_std(latency.p99 * 2).ok());
    usual.map_or(due.run_deadline, |usual| due.run_deadline.min(due.claimed_at + usual))
}

async fn search(reconciler: &Reconciler<'_>, due: &DueLook) -> Result<Option<RequestId>, NoBills> {
    let start = due.claimed_at - CLOCK_SKEW;
    let end = due.now.min(due.run_deadline) + CLOCK_SKEW;
    let charges = reconciler.bills.all(start, end, PAGES_MAX).await?;
    let fitting: Vec<&BillingEvent> =
        charges.iter().filter(|charge| (start..=end).contains(&charge.timestamp) && fits(charge, due)).collect();
    if fitting.is_empty() {
        return Ok(None);
    }
    let unanswered = |_| NoBills::Unanswered;
    let ids: Vec<String> = fitting.iter().map(|charge| charge.request_id.clone()).collect();
    let free = fit::free_among(reconciler.store, due.credential, &ids).await.map_err(unanswered)?;
    let [only] = free.as_slice() else { return Ok(None) };
    let Some(billed) = fitting.iter().find(|charge| charge.request_id == *only) else { return Ok(None) };
    let billed_at = billed.timestamp;
    let lost = Lost {
        attempt: due.attempt,
        credential: due.credential,
        model: &due.model,
        runs_for: due.run_deadline - due.claimed_at,
        billed: (billed_at - CLOCK_SKEW, billed_at + CLOCK_SKEW),
    };
    let alone = fit::is_alone(reconciler.store, &lost).await.map_err(unanswered)?;
    Ok(alone.then(|| RequestId(only.clone())))
}

fn fits(charge: &BillingEvent, due: &DueLook) -> bool {
    let expected = due.estimated.filter(|cost| !cost.is_zero() && charge.currency == "USD");
    let fits_cost = |cost: Decimal| charge.cost <= cost * COST_FACTOR && charge.cost * COST_FACTOR >= cost;
    charge.endpoint_id == due.model && expected.is_none_or(fits_cost)
}
