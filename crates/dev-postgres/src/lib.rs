//! A private Postgres cluster, made of the server binaries that the system already has.
//!
//! For `falconer dev`, `falconer demo` and tests: many clusters can run side by side, as root or as an
//! ordinary user, and none outlives the process that started it, not even when that process is killed.
//! A cluster listens on a socket in a directory of its own and on no port.
//!
//! Left out: installing Postgres (the error of [`Binaries::find`] names the command), passwords, TLS, and
//! everything that a database for production needs.

mod account;
mod binaries;
mod cluster;
mod data_dir;
mod options;
mod server;
mod supervisor;

pub use binaries::Binaries;
pub use cluster::Cluster;
pub use data_dir::usable_dir;
pub use options::{ClusterOptions, Durability};
