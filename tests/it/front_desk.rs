//! The front desk as its own description tells of it: what another project sees, and what becomes of bad bodies. The stories
//! read `/openapi.json`, so a new route is part of them without a line here.

mod bodies;
mod document;
mod ids;
mod matrix;
mod scene;
mod schemathesis;
