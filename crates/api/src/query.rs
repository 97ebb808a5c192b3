//! Query strings: every parameter is known and used, or refused by name.

use crate::{
    Problem,
    cursor::{self, Owner},
};
use chrono::{DateTime, Utc};
use std::{str::FromStr, time::Duration};
use submitter::FieldError;
use url::form_urlencoded;
use uuid::Uuid;

const LIMIT_DEFAULT: u32 = 50;
const LIMIT_MAX: u32 = 200;

/// The parameters that nobody has taken yet, and what was wrong with those that were.
pub(crate) struct Query {
    left: Vec<(String, String)>,
    errors: Vec<FieldError>,
}

/// Which page of a list is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Paging {
    pub(crate) limit: u32,
    pub(crate) after: Option<Uuid>,
}

impl Query {
    pub(crate) fn parse(raw: Option<&str>) -> Self {
        let left = form_urlencoded::parse(raw.unwrap_or_default().as_bytes()).into_owned().collect();
        Self { left, errors: Vec::new() }
    }

    /// Takes a parameter that may be there once.
    pub(crate) fn text(&mut self, name: &str) -> Option<String> {
        let index = self.left.iter().position(|(own, _)| own == name)?;
        let (_, value) = self.left.remove(index);
        if self.left.iter().any(|(own, _)| own == name) {
            self.left.retain(|(own, _)| own != name);
            self.refuse(name, "must not be there more than once");
        }
        if value.contains('\0') {
            self.refuse(name, "must not contain the character NUL");
        }
        Some(value)
    }

    /// Takes every parameter whose name begins with `prefix`, by the rest of its name.
    pub(crate) fn starting_with(&mut self, prefix: &str) -> Vec<(String, String)> {
        let (taken, left) = std::mem::take(&mut self.left).into_iter().partition(|(name, _)| name.starts_with(prefix));
        self.left = left;
        let taken: Vec<(String, String)> = taken;
        taken.into_iter().map(|(name, value)| (name[prefix.len()..].to_owned(), value)).collect()
    }

    /// Takes a parameter that must read as `T`.
    pub(crate) fn value<T: FromStr>(&mut self, name: &str, rule: &str) -> Option<T> {
        let text = self.text(name)?;
        let value = text.parse().ok();
        if value.is_none() {
            self.refuse(name, rule);
        }
        value
    }

    /// Takes a time.
    pub(crate) fn time(&mut self, name: &str) -> Option<DateTime<Utc>> {
        self.value(name, "must be an RFC 3339 time; in a URL, `+` is written `%2B`")
    }

    /// Takes a duration such as `30s`; a bare number means seconds.
    pub(crate) fn duration(&mut self, name: &str) -> Option<Duration> {
        let text = self.text(name)?;
        let duration = text.parse().map(Duration::from_secs).ok().or_else(|| humantime::parse_duration(&text).ok());
        if duration.is_none() {
            self.refuse(name, "must be a duration such as `30s`");
        }
        duration
    }

    /// Takes `limit` and `cursor`.
    pub(crate) fn paging(&mut self) -> Paging {
        self.paging_by(cursor::read)
    }

    /// Takes `limit` and a `cursor` of this list.
    pub(crate) fn paging_of(&mut self, owner: Owner) -> Paging {
        self.paging_by(|text| owner.read(text))
    }

    fn paging_by(&mut self, read: impl Fn(&str) -> Option<Uuid>) -> Paging {
        let rule = format!("must be a whole number from 1 to {LIMIT_MAX}");
        let limit = self.value("limit", &rule).unwrap_or(LIMIT_DEFAULT);
        if !(1..=LIMIT_MAX).contains(&limit) {
            self.refuse("limit", &rule);
        }
        let after = self.text("cursor").and_then(|text| {
            let after = read(&text);
            if after.is_none() {
                self.refuse("cursor", "must be the `next_cursor` of an earlier page of this list");
            }
            after
        });
        Paging { limit, after }
    }

    pub(crate) fn refuse(&mut self, name: &str, rule: &str) {
        self.errors.push(FieldError::new(name, rule));
    }

    /// Refuses what was wrong, and what nobody has taken.
    pub(crate) fn finish(mut self) -> Result<(), Problem> {
        for (name, _) in std::mem::take(&mut self.left) {
            self.refuse(&name.escape_debug().to_string(), "is not a parameter of this route");
        }
        if self.errors.is_empty() { Ok(()) } else { Err(Problem::fields(self.errors)) }
    }
}
