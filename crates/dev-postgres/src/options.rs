//! What a caller may choose about a cluster.

use std::path::PathBuf;

/// Where a cluster lives and how it runs.
#[derive(Clone, Debug)]
pub struct ClusterOptions {
    /// Holds the cluster's `data` and `run` directories; other files in it are left alone. Made when missing.
    /// When we are root, the user `postgres` (or `nobody`) must be able to search every directory above it.
    pub dir: PathBuf,
    /// Whether acknowledged commits survive a power cut.
    pub durability: Durability,
    /// Server settings by name, such as `("max_connections", "300")`. They override our own.
    pub settings: Vec<(String, String)>,
    /// Names the socket; nothing listens on it. Clusters in different directories may share it.
    pub port: u16,
}

/// What becomes of acknowledged commits when the machine dies.
///
/// Either way they survive the death of the server's processes, so that crash tests may use both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// Postgres' own defaults: a commit is on the disk before it is acknowledged.
    Durable,
    /// `fsync` and `full_page_writes` are off. For tests and for measurements that leave the disk out.
    ///
    /// `synchronous_commit` stays on: without `fsync` it costs one write to the system's cache, and turned
    /// off it would lose the last commits at an immediate restart.
    ThrowAway,
}

impl Durability {
    pub(crate) fn settings(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Durable => &[],
            Self::ThrowAway => &[("fsync", "off"), ("full_page_writes", "off")],
        }
    }
}
