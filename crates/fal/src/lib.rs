//! fal.ai's wire protocol: the queue client, the callback's signature and body, the error taxonomy, prices and history.
//!
//! The crate knows no job and no database. It says what fal answered, in closed sets, and leaves every decision about
//! an attempt (retry, wait, fail) to its callers.

pub mod callback;
pub mod client;
pub mod endpoint_id;
pub mod jwks;
pub mod request_id;
pub mod seeds;
pub mod taxonomy;

mod deadline;
mod exchange;
mod loose;
mod text;
mod web;

pub use client::{ClientConfig, QueueClient};
pub use endpoint_id::EndpointId;
pub use web::{BaseUrlError, HttpClientError, http_client};
