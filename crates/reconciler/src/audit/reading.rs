//! One reading of the bills, day by day and page by page, oldest day first: a reading that breaks off has got somewhere.

use super::{Audit, Audited, CLOCK_SKEW, Found};
use crate::bills::BillsPage;
use chrono::{DateTime, TimeDelta, Utc};
use domain::AttemptEvent;
use failpoints::Point;
use fal::client::BillingEvent;
use rust_decimal::Decimal;
use std::{error::Error, time::Duration};
use store::{
    error::Result,
    orphans::{self, Billed, Page, Recorded},
    settle::{AttemptNews, Guard, Source},
};

/// How much is read before it is noted how far.
const SLICE: TimeDelta = TimeDelta::days(1);
/// Pages of one slice, so that a cursor that never ends does not hold us.
const PAGES_MAX: u32 = 2_000;
/// How often one page is asked for before the reading breaks off.
const TRIES_MAX: u32 = 3;
/// The wait before the second try of a page; it doubles.
const BACK_OFF: Duration = Duration::from_millis(500);

impl Audit {
    /// Reads from `start` to `now` and records what is found.
    pub(super) async fn read(&self, start: DateTime<Utc>, now: DateTime<Utc>, whole: bool) -> Result<Audited> {
        let mut found = Found::default();
        let mut from = start;
        loop {
            let until = (from + SLICE).min(now);
            let last = until >= now;
            // fal's clock may be ahead of ours.
            let end = if last { now + CLOCK_SKEW } else { until };
            if let Some(ended) = self.read_slice(from, end, &mut found).await? {
                return Ok(ended);
            }
            failpoints::hit(Point::AuditBeforeMark);
            orphans::mark(&self.store, self.credential, until, whole && last).await?;
            if last {
                let Found { pages, matched, bound, orphaned, ledger_lines } = &found;
                tracing::info!(whole, pages, matched, bound, orphaned, ledger_lines, "fal's bills were audited");
                return Ok(Audited::Done(found));
            }
            from = until;
        }
    }

    /// Reads one slice to its end; says how the audit ended where that cannot be.
    async fn read_slice(&self, start: DateTime<Utc>, end: DateTime<Utc>, found: &mut Found) -> Result<Option<Audited>> {
        let mut cursor: Option<String> = None;
        for _ in 0..PAGES_MAX {
            let (charges, next) = match self.page(start, end, cursor.as_deref()).await {
                BillsPage::Read { charges, next } => (charges, next),
                BillsPage::Refused => return Ok(Some(Audited::Refused)),
                BillsPage::Unavailable { message } => return Ok(Some(Audited::Interrupted { message })),
            };
            self.record(charges, found).await?;
            match next {
                Some(next) => cursor = Some(next),
                None => return Ok(None),
            }
        }
        let message = format!("fal lists more than {PAGES_MAX} pages from {start} to {end}");
        Ok(Some(Audited::Interrupted { message }))
    }

    /// Reads one page; a fault of fal's that passes within a second or two breaks no reading off.
    async fn page(&self, start: DateTime<Utc>, end: DateTime<Utc>, cursor: Option<&str>) -> BillsPage {
        let mut pause = BACK_OFF;
        for _ in 1..TRIES_MAX {
            match self.bills.page(start, end, cursor).await {
                BillsPage::Unavailable { message } => tracing::debug!(message, "a page of fal's bills is read again"),
                told => return told,
            }
            tokio::time::sleep(pause).await;
            pause *= 2;
        }
        self.bills.page(start, end, cursor).await
    }

    async fn record(&self, charges: Vec<BillingEvent>, found: &mut Found) -> Result<()> {
        let billed: Vec<Billed> = charges.into_iter().map(|charge| told(charge).storable()).collect();
        let bound = self.bind_candidates(&billed).await?;
        failpoints::hit(Point::AuditBeforeWrite);
        let page = Page { credential: self.credential, billed: &billed, grace: self.settings.grace };
        let recorded = orphans::record(&self.store, &page).await?;
        self.alarm(&billed, &recorded);
        let orphaned = recorded.orphaned.len() as u64;
        for (finding, count) in
            [("matched", recorded.matched), ("orphaned", orphaned), ("waiting", recorded.waiting), ("bound", bound)]
        {
            metrics::counter!("falconer_billing_events_total", "finding" => finding).increment(count);
        }
        found.pages += 1;
        found.matched += recorded.matched;
        found.bound += bound;
        found.orphaned += orphaned;
        found.ledger_lines += recorded.ledger_lines;
        Ok(())
    }

    /// A request id that a callback gave an attempt, and that could not be proved ours, is ours when it is on our bill.
    /// One that cannot be bound keeps nobody from reading on: a later reading tries it again.
    async fn bind_candidates(&self, billed: &[Billed]) -> Result<u64> {
        if billed.is_empty() {
            return Ok(0);
        }
        let mut bound = 0;
        for (attempt, request_id) in orphans::candidates(&self.store, self.credential, billed).await? {
            let news = AttemptNews {
                next_look: Some(Duration::ZERO),
                ..AttemptNews::of(attempt, Some(AttemptEvent::Bound(request_id)), Guard::Evidence, Source::History)
            };
            match self.settler.attempt(news).await {
                Ok(outcome) => bound += u64::from(outcome.attempt_changed),
                Err(error) => tracing::warn!(
                    error = &error as &dyn Error,
                    attempt.id = %attempt,
                    "a request on fal's bill cannot be bound to the attempt that a callback named"
                ),
            }
        }
        Ok(bound)
    }

    /// One line a second at most, however many charges are found.
    fn alarm(&self, billed: &[Billed], recorded: &Recorded) {
        let Some(first) = recorded.orphaned.first() else { return };
        if let Some(missed) = self.alarms.pass() {
            let amount: Decimal = billed
                .iter()
                .filter(|charge| recorded.orphaned.contains(&charge.request_id))
                .map(|charge| charge.amount)
                .sum();
            let count = recorded.orphaned.len();
            tracing::warn!(
                count,
                %amount,
                fal.request_id = first.as_str(),
                missed,
                "fal billed {count} requests that no attempt explains, request {first} among them",
            );
        }
    }
}

fn told(charge: BillingEvent) -> Billed {
    Billed {
        request_id: charge.request_id,
        endpoint: charge.endpoint_id,
        billed_at: charge.timestamp,
        units: charge.quantity,
        unit: charge.unit,
        unit_price: charge.unit_price,
        amount: charge.cost,
        currency: charge.currency,
    }
}
