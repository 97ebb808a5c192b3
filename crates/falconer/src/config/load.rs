//! Reads settings: flags before environment, environment before file, file before default.

use super::{Config, DEFAULT, Secrets, checks, user_file};
use anyhow::{Context, Result, bail};
use figment::{
    Figment,
    providers::{Env, Format, Toml},
};
use secrecy::SecretString;
use serde::{Deserialize, Deserializer};
use std::{collections::BTreeMap, path::PathBuf};

/// Read where no other file is named.
const FILE: &str = "falconer.toml";

/// The only `FALCONER_` names that are no settings.
const OTHER_NAMES: [&str; 4] =
    ["FALCONER_SECRET", "FALCONER_CONFIG", "FALCONER_PG_BIN", "FALCONER_ALLOW_UNSAFE_DURABILITY"];

/// Settings given as flags, by their path: `server.api_addr`.
pub(crate) type Overrides = BTreeMap<String, figment::value::Value>;

/// Reads and checks all settings. `file` goes before `FALCONER_CONFIG`; without either, `falconer.toml` here is read if
/// it is there.
pub(crate) fn load(file: Option<PathBuf>, overrides: &Overrides) -> Result<Config> {
    let environment: BTreeMap<String, String> = environment().collect();
    extract(Figment::from(Toml::string(DEFAULT)), file, overrides, &environment)
}

/// Reads settings for a command that asks a server: those of the person's own file too, beneath all others. `profile` is
/// the one that a flag names.
pub(crate) fn load_for_client(file: Option<PathBuf>, profile: Option<String>) -> Result<Config> {
    let environment: BTreeMap<String, String> = environment().collect();
    let (figment, own) = user_file::merge(Figment::from(Toml::string(DEFAULT)), &environment)?;
    let mut config = extract(figment, file.clone(), &Overrides::new(), &environment)?;
    config.client.chosen_by_flag = profile;
    config.client.url_in_environment = environment.contains_key("FALCONER_CLIENT__URL");
    config.client.key_in_environment = environment.contains_key("FALCONER_CLIENT__KEY");
    config.client.home = environment.get("HOME").map(PathBuf::from);
    let files = [own, Some(path_of(file, &environment).unwrap_or_else(|| PathBuf::from(FILE)))];
    config.client.files = files.into_iter().flatten().filter(|path| path.is_file()).collect();
    Ok(config)
}

fn path_of(file: Option<PathBuf>, environment: &BTreeMap<String, String>) -> Option<PathBuf> {
    file.or_else(|| environment.get("FALCONER_CONFIG").map(PathBuf::from))
}

fn extract(
    mut figment: Figment,
    file: Option<PathBuf>,
    overrides: &Overrides,
    environment: &BTreeMap<String, String>,
) -> Result<Config> {
    refuse_unknown_names(environment)?;
    match path_of(file, environment) {
        Some(path) => {
            let text = std::fs::read_to_string(&path)
                .with_context(|| format!("failed to read the configuration {}", path.display()))?;
            figment = figment.merge(Toml::string(&text));
        }
        None => figment = figment.merge(Toml::file(FILE)),
    }
    figment = figment.merge(Env::prefixed("FALCONER_").filter(|key| key.as_str().contains("__")).split("__"));
    for (path, value) in overrides {
        figment = figment.merge((path.as_str(), value.clone()));
    }
    let mut config: Config = figment.extract().map_err(|error| anyhow::anyhow!("{error}"))?;
    let non_empty = |name: &str| environment.get(name).filter(|value| !value.is_empty()).cloned();
    config.database.url = config.database.url.or_else(|| non_empty("DATABASE_URL"));
    config.secrets = Secrets {
        master: non_empty("FALCONER_SECRET").map(SecretString::from),
        fal_key: non_empty("FAL_KEY").map(SecretString::from),
        allow_unsafe_durability: non_empty("FALCONER_ALLOW_UNSAFE_DURABILITY").as_deref() == Some("1"),
    };
    let broken = checks::broken(&config);
    if !broken.is_empty() {
        bail!("the configuration contradicts itself:\n  {}", broken.join("\n  "));
    }
    Ok(config)
}

/// The one place that reads the environment.
fn environment() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
}

/// A misspelt name would be a setting that silently is not made.
fn refuse_unknown_names(environment: &BTreeMap<String, String>) -> Result<()> {
    let unknown: Vec<&str> = environment
        .keys()
        .map(String::as_str)
        .filter(|name| name.starts_with("FALCONER_") && !name.contains("__") && !OTHER_NAMES.contains(name))
        .filter(|name| !failpoints::is_switch(name))
        .collect();
    if unknown.is_empty() {
        return Ok(());
    }
    bail!("unknown settings in the environment: {} (settings are written FALCONER_SECTION__KEY)", unknown.join(", "))
}

/// Reads a text that may look like a number: the environment has no types.
pub(super) fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Loose {
        Text(String),
        Whole(i64),
        Large(u64),
    }
    Ok(Option::<Loose>::deserialize(deserializer)?.map(|value| match value {
        Loose::Text(text) => text,
        Loose::Whole(number) => number.to_string(),
        Loose::Large(number) => number.to_string(),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_printed_default_is_the_default_and_holds_together() {
        let config: Config = Figment::from(Toml::string(DEFAULT)).extract().unwrap();
        assert_eq!(checks::broken(&config), Vec::<String>::new());
        assert_eq!(config.fal.slots.get(), 2);
    }

    #[test]
    fn an_unknown_key_is_refused_by_name() {
        let error = Figment::from(Toml::string(DEFAULT))
            .merge(Toml::string("[fal]\nslot = 3"))
            .extract::<Config>()
            .unwrap_err()
            .to_string();
        assert!(error.contains("slot"), "{error}");
    }

    #[test]
    fn relations_are_checked_together() {
        let config: Config = Figment::from(Toml::string(DEFAULT))
            .merge(Toml::string("[shutdown]\ndrain = \"40s\"\n[submitter]\nsubmit_timeout = \"50s\""))
            .extract()
            .unwrap();
        assert_eq!(checks::broken(&config).len(), 2);
    }
}
