//! When a POST came beside how long its sender held the lease.

use super::attempt_of;
use crate::invariants::Broken;
use anyhow::{Context as _, Result};
use chrono::{DateTime, Utc};
use simulator::Simulator;
use sqlx::PgPool;
use std::collections::HashMap;
use uuid::Uuid;

/// POSTs that came after the lease of whoever sent them.
///
/// Not part of [`super::broken`]: a process that is stopped between its last look at the time and the write to the socket
/// sends late all the same, and nothing can keep it from that. So it is asked only where a process was stopped before that
/// look. Time may have been moved ahead meanwhile, which can hide a late POST and never invents one.
///
/// # Errors
/// When the database cannot be asked.
pub async fn sent_past_lease(db: &PgPool, sim: &Simulator) -> Result<Vec<Broken>> {
    let leases: Vec<(Uuid, DateTime<Utc>)> =
        sqlx::query_as("select id, lease_until from falconer.attempts where posted_by = 'falconer'")
            .fetch_all(db)
            .await
            .context("leases")?;
    let leases: HashMap<Uuid, DateTime<Utc>> = leases.into_iter().collect();
    let mut late = Vec::new();
    for request in sim.requests() {
        if let Some((attempt, lease)) = attempt_of(&request)?.and_then(|attempt| leases.get_key_value(&attempt))
            && request.posted_at > *lease
        {
            late.push(format!("attempt {attempt} was held until {lease} and posted at {}", request.posted_at));
        }
    }
    let broken = Broken { id: "I18", holds: "nobody sends what it has lost the lease of", rows: late };
    Ok(if broken.rows.is_empty() { Vec::new() } else { vec![broken] })
}
