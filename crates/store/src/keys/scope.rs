//! What a key may do.

use std::{fmt, str::FromStr};

/// One permission: `admin`, `read`, `write`, or `read` and `write` of one area, such as `jobs:read`. Writing includes
/// reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Scope {
    /// Nothing where it holds for all areas.
    pub area: Option<Area>,
    pub level: Level,
}

/// What a permission is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Area {
    Jobs,
    Callbacks,
}

/// How far a permission goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    Read,
    Write,
    /// Also what belongs to no project.
    Admin,
}

/// All permissions of a key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scopes(Vec<Scope>);

/// The text names no scope.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown scope `{0}`: must be admin, read, write, jobs:read, jobs:write, callbacks:read or callbacks:write")]
pub struct UnknownScope(pub String);

impl Scopes {
    pub fn new(scopes: impl IntoIterator<Item = Scope>) -> Self {
        let mut scopes: Vec<Scope> = scopes.into_iter().collect();
        scopes.sort_unstable();
        scopes.dedup();
        Self(scopes)
    }

    /// Everything that a project may do with what is its own.
    pub fn of_project() -> Self {
        Self(vec![Scope { area: None, level: Level::Write }])
    }

    /// Takes stored names. One that this release does not know grants nothing.
    pub fn known_of(names: &[String]) -> Self {
        Self::new(names.iter().filter_map(|name| name.parse().ok()))
    }

    /// Whether a key with these may do that.
    pub fn allow(&self, area: Area, level: Level) -> bool {
        self.0.iter().any(|scope| scope.area.is_none_or(|own| own == area) && scope.level >= level)
    }

    /// Whether a key with these may see what belongs to no project.
    pub fn is_admin(&self) -> bool {
        self.0.iter().any(|scope| scope.level == Level::Admin)
    }

    pub fn names(&self) -> Vec<String> {
        self.0.iter().map(ToString::to_string).collect()
    }
}

impl FromStr for Scope {
    type Err = UnknownScope;

    fn from_str(text: &str) -> Result<Self, UnknownScope> {
        let (area, level) = match text.split_once(':') {
            Some(("jobs", level)) => (Some(Area::Jobs), level),
            Some(("callbacks", level)) => (Some(Area::Callbacks), level),
            Some(_) => return Err(UnknownScope(text.to_owned())),
            None => (None, text),
        };
        let level = match (area, level) {
            (_, "read") => Level::Read,
            (_, "write") => Level::Write,
            (None, "admin") => Level::Admin,
            _ => return Err(UnknownScope(text.to_owned())),
        };
        Ok(Self { area, level })
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.area {
            Some(Area::Jobs) => f.write_str("jobs:")?,
            Some(Area::Callbacks) => f.write_str("callbacks:")?,
            None => {}
        }
        f.write_str(match self.level {
            Level::Read => "read",
            Level::Write => "write",
            Level::Admin => "admin",
        })
    }
}
