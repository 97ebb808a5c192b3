//! Which parts of Falconer this process plays. Any number of processes share one database.

use anyhow::{Result, bail};
use std::{collections::BTreeSet, fmt};

/// One part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub(crate) enum Role {
    Api,
    Receiver,
    Submitter,
    Reconciler,
    Courier,
    Pipelines,
}

/// The parts of this process.
#[derive(Clone, Debug)]
pub(crate) struct Roles(BTreeSet<Role>);

impl Roles {
    /// All parts that exist, or those that are named.
    pub(crate) fn of(named: &[Role]) -> Result<Self> {
        let all = [Role::Api, Role::Receiver, Role::Submitter, Role::Reconciler];
        if let Some(missing) = named.iter().find(|role| !all.contains(role)) {
            bail!("the role {missing} is not part of this release");
        }
        Ok(Self(if named.is_empty() { all.into() } else { named.iter().copied().collect() }))
    }

    pub(crate) fn has(&self, role: Role) -> bool {
        self.0.contains(&role)
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Api => "api",
            Self::Receiver => "receiver",
            Self::Submitter => "submitter",
            Self::Reconciler => "reconciler",
            Self::Courier => "courier",
            Self::Pipelines => "pipelines",
        })
    }
}

impl fmt::Display for Roles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<String> = self.0.iter().map(Role::to_string).collect();
        f.write_str(&names.join(","))
    }
}
