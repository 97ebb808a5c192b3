//! The directory of what outlives a process of `falconer dev`, and the small secrets in it.

use anyhow::{Context, Result};
use std::{
    fs::{self, File},
    io::{ErrorKind, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

/// Owner alone: the files hold secrets.
const PRIVATE: u32 = 0o600;

/// The directory, which exists.
#[derive(Debug)]
pub(crate) struct StateDir(PathBuf);

impl StateDir {
    /// Makes the directory where it is missing. For root, whose database server runs as another user, it may be another
    /// one than was wished for; the same wish always gets the same one.
    pub(crate) fn open(wished: &Path) -> Result<Self> {
        let path = dev_postgres::usable_dir(wished)?;
        fs::create_dir_all(&path).with_context(|| format!("failed to make {}", path.display()))?;
        Ok(Self(path))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Reads a secret that was kept; nothing where none was.
    pub(crate) fn read(&self, name: &str) -> Result<Option<String>> {
        let path = self.file(name);
        match fs::read_to_string(&path) {
            Ok(text) => Ok(Some(text.trim().to_owned()).filter(|text| !text.is_empty())),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).with_context(|| format!("failed to read {}", path.display())),
        }
    }

    /// Keeps a secret, in place of an older one of that name. A crash leaves the one or the other.
    pub(crate) fn write(&self, name: &str, text: &str) -> Result<()> {
        let (path, fresh) = (self.file(name), self.file(&format!("{name}.new")));
        let written = (|| {
            // One that a crash left may be anybody's to read.
            match fs::remove_file(&fresh) {
                Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
                Ok(()) | Err(_) => {}
            }
            let mut file = File::options().write(true).create_new(true).mode(PRIVATE).open(&fresh)?;
            file.write_all(format!("{text}\n").as_bytes())?;
            file.sync_all()?;
            fs::rename(&fresh, &path)
        })();
        written.with_context(|| format!("failed to write {}", path.display()))
    }

    /// Reads the secret of that name, or makes and keeps it.
    pub(crate) fn keep(&self, name: &str, make: impl FnOnce() -> String) -> Result<String> {
        if let Some(kept) = self.read(name)? {
            return Ok(kept);
        }
        let fresh = make();
        self.write(name, &fresh)?;
        Ok(fresh)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    /// A directory that is gone when the test ends.
    struct Scratch(PathBuf);

    impl Scratch {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("falconer-state-{}-{name}", std::process::id()));
            fs::create_dir_all(&path).unwrap();
            Self(path)
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn a_secret_is_made_once_and_is_the_owners_alone() {
        let scratch = Scratch::new("secret");
        let state = StateDir(scratch.0.clone());

        let first = state.keep("secret", || "one".to_owned()).unwrap();
        let second = state.keep("secret", || "two".to_owned()).unwrap();

        assert_eq!((first.as_str(), second.as_str()), ("one", "one"));
        let mode = fs::metadata(state.file("secret")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_newer_secret_takes_the_place_of_the_older() {
        let scratch = Scratch::new("newer");
        let state = StateDir(scratch.0.clone());
        state.write("key", "old").unwrap();

        state.write("key", "new").unwrap();

        assert_eq!(state.read("key").unwrap().as_deref(), Some("new"));
        assert!(!state.file("key.new").exists());
    }
}
