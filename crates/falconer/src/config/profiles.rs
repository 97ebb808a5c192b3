//! Which server a command asks, and with which key: `[client]`, and `[profiles.NAME]` for several of them.
//!
//! Flags go before the environment, the environment before files, for URL and key each. A profile counts as what named it:
//! one of a flag goes before the environment, one of a file does not.

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    io,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};
use url::Url;

/// The section `[client]`.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ClientConfig {
    pub(crate) url: Option<Url>,
    /// Never shown.
    #[serde(skip_serializing)]
    pub(crate) key: Option<SecretString>,
    pub(crate) key_file: Option<PathBuf>,
    pub(crate) profile: Option<String>,
    /// What `--profile` says.
    #[serde(skip)]
    pub(super) chosen_by_flag: Option<String>,
    #[serde(skip)]
    pub(super) url_in_environment: bool,
    #[serde(skip)]
    pub(super) key_in_environment: bool,
    /// For `~` in the names of files.
    #[serde(skip)]
    pub(super) home: Option<PathBuf>,
    /// The files that were read.
    #[serde(skip)]
    pub(super) files: Vec<PathBuf>,
}

/// A section `[profiles.NAME]`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ProfileConfig {
    pub(crate) url: Url,
    /// Never shown.
    #[serde(skip_serializing)]
    pub(crate) key: Option<SecretString>,
    pub(crate) key_file: Option<PathBuf>,
}

/// Which server is asked, and where its key is.
#[derive(Clone, Debug)]
pub(crate) struct Server {
    /// Nothing where no setting names one.
    pub(crate) url: Option<Url>,
    pub(crate) key: Option<KeySource>,
}

/// Where a key is.
#[derive(Clone, Debug)]
pub(crate) enum KeySource {
    Environment(SecretString),
    /// In one of the files of settings.
    Settings(SecretString),
    File(PathBuf),
}

/// Why no server could be chosen, or its key not be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ProfileError {
    #[error("there is no profile {name}: {}", told(.known))]
    Unknown { name: String, known: Vec<String> },
    #[error("failed to read the key in {}", path.display())]
    Unreadable { path: PathBuf, source: io::Error },
    #[error("{} must hold the key and nothing else", path.display())]
    NoKey { path: PathBuf },
}

impl ClientConfig {
    /// The profile that is in force, if one is.
    pub(crate) fn profile_in_force(&self) -> Option<&str> {
        self.chosen_by_flag.as_deref().or(self.profile.as_deref())
    }

    /// Chooses the server.
    ///
    /// # Errors
    /// When a profile is asked for that is not there.
    pub(crate) fn server(&self, profiles: &BTreeMap<String, ProfileConfig>) -> Result<Server, ProfileError> {
        let profile = self.profile_in_force().map(|name| find(name, profiles)).transpose()?;
        let flag = profile.filter(|_| self.chosen_by_flag.is_some());
        let url_of = |profile: &ProfileConfig| profile.url.clone();
        let key_of = |profile: &ProfileConfig| profile.key_source(self.home.as_deref());
        let url = flag
            .map(url_of)
            .or_else(|| self.url.clone().filter(|_| self.url_in_environment))
            .or_else(|| profile.map(url_of))
            .or_else(|| self.url.clone());
        let in_environment = self.key.clone().filter(|_| self.key_in_environment).map(KeySource::Environment);
        let key = flag
            .and_then(key_of)
            .or(in_environment)
            .or_else(|| profile.and_then(key_of))
            .or_else(|| source(self.key.as_ref(), self.key_file.as_deref(), self.home.as_deref()));
        Ok(Server { url, key })
    }

    /// Reads a key, and tells what is wrong with the file it is kept in, if anything is.
    ///
    /// # Errors
    /// When its file cannot be read or holds no key.
    pub(crate) fn read_key(&self, source: &KeySource) -> Result<(SecretString, Option<String>), ProfileError> {
        match source {
            KeySource::Environment(key) => Ok((key.clone(), None)),
            KeySource::Settings(key) => {
                Ok((key.clone(), self.files.iter().filter(|path| holds_a_key(path)).find_map(|path| exposed(path))))
            }
            KeySource::File(path) => {
                let text = std::fs::read_to_string(path)
                    .map_err(|source| ProfileError::Unreadable { path: path.clone(), source })?;
                let key = text.trim();
                if key.is_empty() || key.chars().any(|char| char.is_whitespace() || char.is_control()) {
                    return Err(ProfileError::NoKey { path: path.clone() });
                }
                Ok((SecretString::from(key.to_owned()), exposed(path)))
            }
        }
    }
}

impl ProfileConfig {
    pub(crate) fn key_source(&self, home: Option<&Path>) -> Option<KeySource> {
        source(self.key.as_ref(), self.key_file.as_deref(), home)
    }
}

fn source(key: Option<&SecretString>, file: Option<&Path>, home: Option<&Path>) -> Option<KeySource> {
    let file = || Some(KeySource::File(from_home(file?, home)));
    key.filter(|key| !key.expose_secret().is_empty()).cloned().map(KeySource::Settings).or_else(file)
}

fn from_home(path: &Path, home: Option<&Path>) -> PathBuf {
    match (path.strip_prefix("~"), home) {
        (Ok(rest), Some(home)) => home.join(rest),
        _ => path.to_owned(),
    }
}

fn find<'a>(name: &str, profiles: &'a BTreeMap<String, ProfileConfig>) -> Result<&'a ProfileConfig, ProfileError> {
    profiles
        .get(name)
        .ok_or_else(|| ProfileError::Unknown { name: name.to_owned(), known: profiles.keys().cloned().collect() })
}

fn told(names: &[String]) -> String {
    match names {
        [] => "no settings name one; see `falconer profiles list --help`".to_owned(),
        names => format!("the settings name {}", names.join(", ")),
    }
}

fn holds_a_key(path: &Path) -> bool {
    fn within(table: &toml::Table) -> bool {
        table.iter().any(|(name, value)| match value {
            toml::Value::Table(table) => within(table),
            value => name == "key" && value.is_str(),
        })
    }
    let table = std::fs::read_to_string(path).ok().and_then(|text| toml::from_str::<toml::Table>(&text).ok());
    table.is_some_and(|table| within(&table))
}

/// Says so where others than its owner may read a file.
fn exposed(path: &Path) -> Option<String> {
    let mode = std::fs::metadata(path).ok()?.permissions().mode();
    (mode & 0o077 != 0).then(|| format!("{} holds a key and others may read it: chmod 600 {0}", path.display()))
}

#[cfg(test)]
#[path = "profiles_tests.rs"]
mod tests;
