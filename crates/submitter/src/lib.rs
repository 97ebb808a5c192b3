//! Jobs out: accepts what a project submits ([`accept`]) and sends it to fal's queue ([`dispatch`]).
//!
//! A backend in Rust that shares the database enqueues inside its own transaction, so that an order and its job are there
//! both or not at all:
//!
//! ```no_run
//! use falconer_submitter::{EnqueueError, JobRequest, Submitter};
//! use serde_json::json;
//!
//! # #[derive(Debug, thiserror::Error)] #[error(transparent)]
//! # enum ShopError { Sql(#[from] sqlx::Error), Store(#[from] store::Error), Enqueue(#[from] EnqueueError),
//! #     Invalid(#[from] falconer_submitter::InvalidRequest) }
//! /// Takes an order and has its picture made.
//! async fn order(pool: &sqlx::PgPool, submitter: &Submitter, number: i64, prompt: &str) -> Result<(), ShopError> {
//!     let mut tx = pool.begin().await?;
//!     sqlx::query("insert into orders (number, prompt) values ($1, $2)").bind(number).bind(prompt).execute(&mut *tx).await?;
//!
//!     let project = submitter.project(&mut tx, "shop").await?.expect("made by `falconer keys create --project shop`");
//!     let mut request = JobRequest::of("fal-ai/flux/schnell", &json!({ "prompt": prompt }))?;
//!     request.tags.push("order".to_owned());
//!     // However often this is repeated, the order has one job.
//!     let job = submitter.enqueue_once(&mut tx, project, &format!("order {number}"), request).await?;
//!     submitter.wake(&mut tx).await?;
//!
//!     sqlx::query("update orders set job = $2 where number = $1").bind(number).bind(job.0).execute(&mut *tx).await?;
//!     // Now, and not before, there is a job.
//!     tx.commit().await?;
//!     Ok(())
//! }
//!
//! # async fn example(pool: sqlx::PgPool) -> Result<(), ShopError> {
//! // Once, at the start: settings and prices as the servers of this database have them.
//! let submitter = Submitter::load(&mut *pool.acquire().await?).await?;
//! order(&pool, &submitter, 7, "an owl").await?;
//! # Ok(()) }
//! ```

pub mod accept;
mod callback_url;
pub mod dispatch;

pub use accept::{EnqueueError, FieldError, Intake, InvalidRequest, JobRequest, Members, Prices, Submitter};
pub use callback_url::callback_url;
