//! Jobs out: accepts what a project submits ([`accept`]) and sends it to fal's queue ([`dispatch`]).
//!
//! A backend in Rust that shares the database enqueues inside its own transaction:
//!
//! ```no_run
//! # async fn example(pool: sqlx::PgPool) -> Result<(), Box<dyn std::error::Error>> {
//! use falconer_submitter::{JobRequest, Submitter};
//!
//! let submitter = Submitter::default();
//! let request = JobRequest::parse(br#"{"model": "fal-ai/flux/schnell", "input": {"prompt": "a lighthouse"}}"#)?;
//! let mut tx = pool.begin().await?;
//! // … the caller's own rows …
//! let job = submitter.enqueue(&mut tx, domain::ProjectId::DEFAULT, request).await?;
//! tx.commit().await?;
//! # let _ = job; Ok(()) }
//! ```

pub mod accept;
pub mod dispatch;

pub use accept::{FieldError, Intake, InvalidRequest, JobRequest, Prices, Submitter};
