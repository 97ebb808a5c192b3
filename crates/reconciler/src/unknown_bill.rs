//! The unknown attempt and fal's bills, where fal lists no history.
//!
//! A bill says which request of which model was charged when and how much, and not for what input. So it names an attempt
//! only where nothing else could be meant: one request that fits and that nobody owns, one attempt that it could be. Where
//! two fit, nothing is bound: another project's image would be delivered. Then a callback, time or a person decides.

use crate::{look::Reconciler, unknown::CLOCK_SKEW};
use chrono::TimeDelta;
use domain::RequestId;
use fal::client::BillingEvent;
use rust_decimal::Decimal;
use store::{
    looks::DueLook,
    orphans::fit::{self, Lost},
};

/// Pages of bills that one look reads. Where there are more, nothing is bound.
const PAGES_MAX: u32 = 20;
/// A run that takes longer is billed too late to matter.
const LONGEST_RUN: TimeDelta = TimeDelta::minutes(15);
/// How many times more or less than our estimate a charge may be and still be the attempt's: fal rounds, and bills what was
/// made. Generous on purpose, since a charge that wrongly does not fit could leave one alone that wrongly does.
const COST_FACTOR: Decimal = Decimal::from_parts(3, 0, 0, false, 0);

/// Returns the request that fal billed for this attempt, where only one can be meant. Not before fal must have ended the
/// attempt's own run: until then somebody else's could be the only one on the bill.
pub(crate) async fn find(reconciler: &Reconciler, due: &DueLook) -> Option<RequestId> {
    let ends_within = reconciler.stats.latency(&due.model).map_or(TimeDelta::zero(), |latency| {
        TimeDelta::from_std(latency.p99 * 2).unwrap_or(LONGEST_RUN).min(LONGEST_RUN)
    });
    if due.now - due.claimed_at < ends_within {
        return None;
    }
    let start = due.claimed_at - CLOCK_SKEW;
    let end = due.now.min(due.run_deadline) + CLOCK_SKEW;
    let charges = reconciler.bills.all(start, end, PAGES_MAX).await?;
    let fitting: Vec<&BillingEvent> =
        charges.iter().filter(|charge| (start..=end).contains(&charge.timestamp) && fits(charge, due)).collect();
    if fitting.is_empty() {
        return None;
    }
    let ids: Vec<String> = fitting.iter().map(|charge| charge.request_id.clone()).collect();
    let free = fit::free_among(&reconciler.store, due.credential, &ids).await.ok()?;
    let [only] = free.as_slice() else { return None };
    let billed_at = fitting.iter().find(|charge| charge.request_id == *only)?.timestamp;
    let lost = Lost {
        attempt: due.attempt,
        credential: due.credential,
        model: &due.model,
        runs_for: due.run_deadline - due.claimed_at,
        billed: (billed_at - CLOCK_SKEW, billed_at + CLOCK_SKEW),
    };
    let alone = fit::is_alone(&reconciler.store, &lost).await.ok()?;
    alone.then(|| RequestId(only.clone()))
}

fn fits(charge: &BillingEvent, due: &DueLook) -> bool {
    let expected = due.estimated.filter(|cost| !cost.is_zero() && charge.currency == "USD");
    let fits_cost = |cost: Decimal| charge.cost <= cost * COST_FACTOR && charge.cost * COST_FACTOR >= cost;
    charge.endpoint_id == due.model && expected.is_none_or(fits_cost)
}
