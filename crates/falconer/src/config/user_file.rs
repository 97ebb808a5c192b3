//! The person's own file, `$XDG_CONFIG_HOME/falconer/falconer.toml` or `~/.config/falconer/falconer.toml`: which servers
//! they ask, and nothing that a server is run with.

use anyhow::{Context, Result, bail};
use figment::{
    Figment,
    providers::{Format, Toml},
};
use std::{
    collections::BTreeMap,
    io::ErrorKind,
    path::{Path, PathBuf},
};

/// What this file may set. The rest belongs to a server, wherever its operator started it.
const SECTIONS: [&str; 2] = ["client", "profiles"];

/// Puts what the file says on top of `figment`, and tells which file it is.
///
/// # Errors
/// When the file is there and cannot be read, is no TOML, or sets something else.
pub(super) fn merge(figment: Figment, environment: &BTreeMap<String, String>) -> Result<(Figment, Option<PathBuf>)> {
    let Some(path) = path(environment) else { return Ok((figment, None)) };
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok((figment, None)),
        Err(error) => return Err(error).with_context(|| format!("failed to read {}", path.display())),
    };
    check(&text, &path)?;
    Ok((figment.merge(Toml::string(&text)), Some(path)))
}

fn path(environment: &BTreeMap<String, String>) -> Option<PathBuf> {
    let folder = |name: &str| environment.get(name).filter(|folder| !folder.is_empty()).map(PathBuf::from);
    let folder = folder("XDG_CONFIG_HOME").or_else(|| Some(folder("HOME")?.join(".config")))?;
    Some(folder.join("falconer/falconer.toml"))
}

fn check(text: &str, path: &Path) -> Result<()> {
    // What the text says is not told: a key may stand in it.
    let table: toml::Table = toml::from_str(text).map_err(|error| {
        let line = error.span().map_or(1, |span| text[..span.start.min(text.len())].matches('\n').count() + 1);
        anyhow::anyhow!("{} is not TOML: line {line}: {}", path.display(), error.message())
    })?;
    if let Some(name) = table.keys().find(|name| !SECTIONS.contains(&name.as_str())) {
        bail!("{} may hold [client] and [profiles.NAME] only, not [{name}]", path.display());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn the_file_lies_where_files_of_settings_lie() {
        let of = |pairs: &[(&str, &str)]| path(&environment(pairs)).map(|path| path.display().to_string());
        assert_eq!(of(&[("HOME", "/h")]).as_deref(), Some("/h/.config/falconer/falconer.toml"));
        let both = [("HOME", "/h"), ("XDG_CONFIG_HOME", "/x")];
        assert_eq!(of(&both).as_deref(), Some("/x/falconer/falconer.toml"));
        assert_eq!(of(&[]), None);
    }

    #[test]
    fn a_persons_file_does_not_say_how_a_server_runs() {
        let refused = check("[fal]\nslots = 3", Path::new("f")).unwrap_err().to_string();
        assert!(refused.contains("[fal]"), "{refused}");
        check("[profiles.a]\nurl = \"http://h\"\n[client]\nprofile = \"a\"", Path::new("f")).unwrap();
    }

    #[test]
    fn what_is_wrong_with_the_file_is_told_without_its_words() {
        let refused = check("[client]\nkey = flc_hunter2\n", Path::new("f")).unwrap_err().to_string();
        assert!(refused.contains("line 2") && !refused.contains("hunter2"), "{refused}");
    }
}
