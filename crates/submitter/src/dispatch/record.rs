//! An answer of fal is kept in memory and offered to the database until it is committed: it cannot be had again.

use domain::Dice;
use std::{error::Error, time::Duration};
use store::settle::{AttemptNews, AttemptOutcome, Settler};

const FIRST_WAIT: Duration = Duration::from_millis(50);
const LONGEST_WAIT: Duration = Duration::from_secs(2);

/// Records news of an attempt, however long the database is away. Gives up only when the process stops, or when the
/// news themselves cannot be stored; then the attempt's lease and its callback bring it home.
pub async fn record(settler: &Settler, dice: Dice, news: AttemptNews) -> Option<AttemptOutcome> {
    let mut wait = FIRST_WAIT;
    loop {
        match settler.attempt(news.clone()).await {
            Ok(outcome) => {
                if outcome.conflict {
                    tracing::error!(attempt.id = %news.attempt, "fal's answer names a request that another attempt owns");
                }
                return Some(outcome);
            }
            Err(store::Error::Stopping) => return None,
            Err(error) if error.is_unavailable() => {
                tokio::time::sleep(wait.mul_f64(0.5 + dice.unit() / 2.0)).await;
                wait = (wait * 2).min(LONGEST_WAIT);
            }
            Err(error) => {
                let cause: &dyn Error = &error;
                tracing::error!(attempt.id = %news.attempt, error = cause, "news of an attempt cannot be recorded");
                return None;
            }
        }
    }
}
