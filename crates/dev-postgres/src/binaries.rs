//! Where the system keeps Postgres' programs.

use std::cmp::Reverse;
use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, bail, ensure};

/// Where Debian and its descendants keep one directory per major version.
const DEBIAN: &str = "/usr/lib/postgresql";

/// What a cluster cannot do without.
const NEEDED: [&str; 4] = ["postgres", "initdb", "pg_ctl", "psql"];

/// The directory of one installed version of Postgres' programs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binaries {
    dir: PathBuf,
}

impl Binaries {
    /// Finds the server's programs: `FALCONER_PG_BIN`, then `pg_config --bindir`, then `PATH`, then the newest
    /// version under `/usr/lib/postgresql`.
    ///
    /// # Errors
    ///
    /// When none of these holds all the programs; the message is the command that installs them. When
    /// `FALCONER_PG_BIN` is set and does not hold them, nothing else is looked at.
    pub fn find() -> Result<Self> {
        #[expect(clippy::disallowed_methods, reason = "this is the seam where these two variables are read")]
        let (named, path) = (env::var_os("FALCONER_PG_BIN"), env::var_os("PATH"));
        if let Some(dir) = named.filter(|dir| !dir.is_empty()) {
            let dir = PathBuf::from(dir);
            ensure!(is_complete(&dir), "FALCONER_PG_BIN={} lacks one of {}", dir.display(), NEEDED.join(", "));
            return Ok(Self { dir });
        }
        let candidates = from_pg_config().into_iter().chain(from_path(path)).chain(newest_first(Path::new(DEBIAN)));
        for dir in candidates {
            if is_complete(&dir) {
                return Ok(Self { dir });
            }
        }
        bail!(
            "no Postgres server is installed; as root, run: mkdir -p /etc/postgresql-common && \
             echo 'create_main_cluster = false' >> /etc/postgresql-common/createcluster.conf && \
             apt-get update && apt-get install -y postgresql   (or set FALCONER_PG_BIN to a directory that has one)"
        )
    }

    /// Returns the path of one of the programs, such as `psql`.
    pub fn program(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }
}

fn is_complete(dir: &Path) -> bool {
    NEEDED.iter().all(|program| dir.join(program).is_file())
}

fn from_pg_config() -> Option<PathBuf> {
    let output = Command::new("pg_config").arg("--bindir").output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| PathBuf::from(text.trim()))
}

fn from_path(path: Option<OsString>) -> Vec<PathBuf> {
    path.map(|path| env::split_paths(&path).collect()).unwrap_or_default()
}

/// Lists `root/VERSION/bin`, highest version first.
fn newest_first(root: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(root) else {
        return Vec::new();
    };
    let mut versions: Vec<(u32, PathBuf)> = entries
        .flatten()
        .filter_map(|entry| Some((entry.file_name().to_str()?.parse().ok()?, entry.path().join("bin"))))
        .collect();
    versions.sort_by_key(|(version, _)| Reverse(*version));
    versions.into_iter().map(|(_, dir)| dir).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_version_comes_first_and_by_number() {
        let root = env::temp_dir().join(format!("falconer-pg-versions-{}", std::process::id()));
        for version in ["9", "15", "100", "common"] {
            fs::create_dir_all(root.join(version)).unwrap();
        }

        let found = newest_first(&root);

        assert_eq!(found, ["100", "15", "9"].map(|version| root.join(version).join("bin")));
        fs::remove_dir_all(&root).unwrap();
    }

    #[test]
    fn a_directory_without_the_server_is_passed_over() {
        assert!(!is_complete(Path::new("/etc")));
    }
}
