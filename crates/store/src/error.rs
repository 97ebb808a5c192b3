//! Why the database did not do what was asked, sorted by what the caller does next.

/// Why a call to the store failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The database cannot be reached, is starting, is full, or is read-only. The same call may work later.
    #[error("the database is unavailable")]
    Unavailable(#[source] sqlx::Error),
    /// Two transactions stood in each other's way. Repeat the whole transaction.
    #[error("the transaction must be repeated")]
    Repeat(#[source] sqlx::Error),
    /// One row of the batch cannot be stored, whatever is tried.
    #[error("a row cannot be stored")]
    Row(#[source] sqlx::Error),
    /// A row says what no code of ours writes.
    #[error("row {id} of {table} contradicts itself: {what}")]
    Inconsistent { table: &'static str, id: String, what: &'static str },
    /// Our own code failed over one row of the batch. The panic's message was logged where it happened.
    #[error("a row made the store panic")]
    Panicked,
    /// Nobody takes batches any more: the process is stopping.
    #[error("the store is shutting down")]
    Stopping,
    /// The batch that held this item failed; the cause was logged once, where it happened.
    #[error("the batch failed")]
    Batch(#[source] std::sync::Arc<Error>),
    #[error("the database refused the statement")]
    Other(#[source] sqlx::Error),
}

pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// Whether the same call may succeed when nothing but time has changed.
    pub fn is_unavailable(&self) -> bool {
        match self {
            Self::Unavailable(_) | Self::Repeat(_) | Self::Stopping => true,
            Self::Batch(cause) => cause.is_unavailable(),
            Self::Row(_) | Self::Inconsistent { .. } | Self::Panicked | Self::Other(_) => false,
        }
    }
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        match &error {
            sqlx::Error::Database(refusal) => match refusal.code().as_deref() {
                Some("40001" | "40P01") => Self::Repeat(error),
                // Another transaction has just bound this request id: read again, it shows who holds it.
                Some("23505") if refusal.constraint() == Some("request_bindings_pkey") => Self::Repeat(error),
                Some(code) if is_outage(code) => Self::Unavailable(error),
                // Data exceptions, constraint violations, and what exceeds a limit (54) belong to one row.
                Some(code) if ["22", "23", "54"].iter().any(|class| code.starts_with(class)) => Self::Row(error),
                _ => Self::Other(error),
            },
            sqlx::Error::Io(_)
            | sqlx::Error::Tls(_)
            | sqlx::Error::PoolTimedOut
            | sqlx::Error::PoolClosed
            | sqlx::Error::Protocol(_)
            | sqlx::Error::WorkerCrashed => Self::Unavailable(error),
            _ => Self::Other(error),
        }
    }
}

/// SQLSTATE classes of an outage: connection lost (08), resources (53), operator intervention (57P), system error (58),
/// a standby that cannot write (25006), a transaction that Postgres ended because we were silent or slow (25P03, 25P04),
/// and a lock that took too long (55P03).
fn is_outage(code: &str) -> bool {
    code.starts_with("08")
        || code.starts_with("53")
        || code.starts_with("57")
        || code.starts_with("58")
        || matches!(code, "25006" | "25P03" | "25P04" | "55P03")
}

#[cfg(test)]
mod tests {
    use super::*;
    use sqlx::{AssertSqlSafe, PgPool};

    #[sqlx::test(migrations = false)]
    async fn what_time_alone_may_mend_is_told_from_what_it_cannot(pool: PgPool) {
        for (code, may_work_later) in
            [("25P03", true), ("57P01", true), ("55P03", true), ("40001", true), ("23505", false), ("42P01", false)]
        {
            let raise = format!("do $$ begin raise exception 'no' using errcode = '{code}'; end $$");
            let error = sqlx::raw_sql(AssertSqlSafe(raise)).execute(&pool).await.unwrap_err();

            assert_eq!(Error::from(error).is_unavailable(), may_work_later, "{code}");
        }
    }
}
