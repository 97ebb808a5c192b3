//! The routes of jobs.

pub(crate) mod batch;
pub(crate) mod list;
pub(crate) mod read;
pub(crate) mod replay;
pub(crate) mod resolve;
pub(crate) mod stream;
pub(crate) mod submit;
pub(crate) mod view;
pub(crate) mod wishes;
