//! What a key may do.

use std::{fmt, str::FromStr};

/// One permission. The names are part of the outside contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    /// Make jobs, also out of earlier ones.
    Submit,
    /// See jobs, results and callbacks of the project.
    Read,
    /// Cancel, fetch again, process again; look after the project's keys, and read its audit log.
    Operate,
    /// See and change budgets and spend.
    Money,
    /// Everything, also what belongs to no project.
    Admin,
}

/// All permissions of a key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scopes(Vec<Scope>);

/// The text names no scope.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown scope `{0}`: must be submit, read, operate, money or admin")]
pub struct UnknownScope(pub String);

/// Whether a key sees what callers handed in and what fal made of it. Hidden are inputs, metadata, results, the bytes of
/// callbacks and fal's own words of an error; shown are states, times, models, tags, classes of errors, and costs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Payloads {
    #[default]
    Visible,
    Hidden,
}

/// The text says neither.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be visible or hidden")]
pub struct UnknownPayloads;

impl Payloads {
    /// The name in SQL, in the API and on the command line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Visible => "visible",
            Self::Hidden => "hidden",
        }
    }

    /// Takes a stored name. One that this release does not know hides.
    pub fn stored(name: &str) -> Self {
        name.parse().unwrap_or(Self::Hidden)
    }

    pub fn are_hidden(self) -> bool {
        self == Self::Hidden
    }
}

impl FromStr for Payloads {
    type Err = UnknownPayloads;

    fn from_str(text: &str) -> Result<Self, UnknownPayloads> {
        match text {
            "visible" => Ok(Self::Visible),
            "hidden" => Ok(Self::Hidden),
            _ => Err(UnknownPayloads),
        }
    }
}

impl Scope {
    pub const ALL: [Self; 5] = [Self::Submit, Self::Read, Self::Operate, Self::Money, Self::Admin];

    /// The name in SQL, in the API and on the command line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Submit => "submit",
            Self::Read => "read",
            Self::Operate => "operate",
            Self::Money => "money",
            Self::Admin => "admin",
        }
    }
}

impl Scopes {
    pub fn new(scopes: impl IntoIterator<Item = Scope>) -> Self {
        let mut scopes: Vec<Scope> = scopes.into_iter().collect();
        scopes.sort_unstable();
        scopes.dedup();
        Self(scopes)
    }

    /// Everything that a project may do with what is its own.
    pub fn of_project() -> Self {
        Self(vec![Scope::Submit, Scope::Read, Scope::Operate, Scope::Money])
    }

    /// Takes stored names. One that this release does not know grants nothing.
    pub fn known_of(names: &[String]) -> Self {
        Self::new(names.iter().filter_map(|name| name.parse().ok()))
    }

    /// Whether a key with these may do that.
    pub fn allow(&self, wanted: Scope) -> bool {
        self.0.iter().any(|scope| *scope == wanted || *scope == Scope::Admin)
    }

    /// Whether a key with these may see what belongs to no project.
    pub fn is_admin(&self) -> bool {
        self.0.contains(&Scope::Admin)
    }

    /// Whether a key with these may do everything that one with `others` may.
    pub fn cover(&self, others: &Self) -> bool {
        others.0.iter().all(|scope| self.allow(*scope))
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn names(&self) -> Vec<String> {
        self.0.iter().map(ToString::to_string).collect()
    }
}

impl FromStr for Scope {
    type Err = UnknownScope;

    fn from_str(text: &str) -> Result<Self, UnknownScope> {
        Self::ALL.into_iter().find(|scope| scope.as_str() == text).ok_or_else(|| UnknownScope(text.to_owned()))
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
