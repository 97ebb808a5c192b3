//! The files of one cluster: where they are, who owns them, and how they come to be.

use std::collections::hash_map::DefaultHasher;
use std::fs::{self, File, TryLockError};
use std::hash::{Hash, Hasher};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{self, Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use crate::account::Account;
use crate::binaries::Binaries;
use crate::options::Durability;
use crate::supervisor::Supervised;

/// The longest path of a Unix socket in bytes, without the closing NUL (`sun_path` in unix(7)).
const SOCKET_PATH_MAX: usize = 107;

/// The longest that making a cluster may take on a busy machine.
const INIT_MAX: Duration = Duration::from_mins(3);

/// The role that owns a cluster, whoever runs it.
pub(crate) const SUPERUSER: &str = "postgres";

/// Returns `wished`, or a directory below `/var/lib/falconer` named after it where the server's user could not
/// enter `wished`. That is so for root, whose server runs as another user, below a private home such as `/root`.
///
/// Makes nothing. The same wish gets the same answer, so that a durable cluster is found again.
///
/// # Errors
///
/// When `wished` is relative and the current directory is gone, or when no user can run the server.
pub fn usable_dir(wished: &Path) -> Result<PathBuf> {
    let wished = path::absolute(wished).context("cannot tell the current directory")?;
    let account = Account::choose()?;
    let existing = wished.ancestors().find(|dir| dir.exists()).unwrap_or(Path::new("/"));
    if account.can_enter(existing) {
        return Ok(wished);
    }
    Ok(Path::new("/var/lib/falconer").join(name_of(&wished)))
}

/// The directories of one cluster, held by one process at a time.
#[derive(Debug)]
pub(crate) struct DataDir {
    root: PathBuf,
    socket_dir: PathBuf,
    port: u16,
    /// Whether `root` is to vanish with us.
    temporary: bool,
    /// Released by the system when we die, so a second process never starts a server on the same files.
    _lock: File,
}

impl DataDir {
    /// Makes the directories where they are missing and takes hold of them.
    pub(crate) fn open(root: &Path, port: u16, account: Account, temporary: bool) -> Result<Self> {
        fs::create_dir_all(root).with_context(|| format!("cannot make {}", root.display()))?;
        let root = root.canonicalize().with_context(|| format!("cannot find {}", root.display()))?;
        ensure!(
            account.can_enter(&root),
            "user {} runs the server and cannot enter {}; choose a directory outside private homes, such as \
             /var/lib/falconer",
            account.uid(),
            root.display()
        );
        let lock = lock(&root.join("lock"))?;
        account.make_private_dir(&root.join("run"))?;
        let socket_dir = socket_dir(&root, port, account.uid());
        account.make_private_dir(&socket_dir)?;
        Ok(Self { root, socket_dir, port, temporary, _lock: lock })
    }

    /// Runs `initdb` unless a cluster is there. A run that was cut short leaves nothing that looks like one.
    pub(crate) fn init(&self, binaries: &Binaries, account: Account, durability: Durability) -> Result<()> {
        if self.data().join("PG_VERSION").exists() {
            return Ok(());
        }
        let unfinished = self.root.join("data.new");
        remove_dir(&unfinished)?;
        account.make_private_dir(&unfinished)?;
        // A fresh Debian has no locale but C; trust is safe because the socket's directory is private.
        let mut command = vec![
            binaries.program("initdb").into_os_string(),
            "-D".into(),
            unfinished.clone().into(),
            format!("--username={SUPERUSER}").into(),
            "--auth=trust".into(),
            "--encoding=UTF8".into(),
            "--locale=C.UTF-8".into(),
        ];
        if durability == Durability::ThrowAway {
            command.push("--no-sync".into());
        }
        let log = File::create(self.log()).context("cannot write the log file")?;
        let mut initdb = Supervised::start(account, self.removed_with_us(), log, command)?;
        match initdb.wait(INIT_MAX)? {
            Some(status) if status.success() => {}
            Some(status) => bail!("initdb failed ({status}):\n{}", self.log_tail()),
            None => bail!("initdb took longer than {INIT_MAX:?}"),
        }
        fs::rename(&unfinished, self.data()).context("cannot put the new cluster in its place")
    }

    /// Removes everything, when the cluster was temporary.
    pub(crate) fn dispose(&self) -> Result<()> {
        if self.socket_dir != self.run() {
            remove_dir(&self.socket_dir)?;
        }
        if self.temporary { remove_dir(&self.root) } else { Ok(()) }
    }

    /// Returns what the supervisor has to remove when we die.
    pub(crate) fn removed_with_us(&self) -> Option<&Path> {
        self.temporary.then_some(self.root.as_path())
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.root.join("data")
    }

    pub(crate) fn log(&self) -> PathBuf {
        self.run().join("postgres.log")
    }

    pub(crate) fn socket_dir(&self) -> &Path {
        &self.socket_dir
    }

    pub(crate) fn socket(&self) -> PathBuf {
        socket_in(&self.socket_dir, self.port)
    }

    /// Returns the last lines of the server's log, for an error that has to explain itself.
    pub(crate) fn log_tail(&self) -> String {
        let text = fs::read(self.log()).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(20)..].join("\n")
    }

    fn run(&self) -> PathBuf {
        self.root.join("run")
    }
}

fn lock(path: &Path) -> Result<File> {
    let file = File::options().create(true).append(true).open(path);
    let file = file.with_context(|| format!("cannot open {}", path.display()))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => bail!("another process runs the cluster that {} guards", path.display()),
        Err(TryLockError::Error(error)) => Err(error).with_context(|| format!("cannot lock {}", path.display())),
    }
}

/// Returns `root/run`, or a short directory named after it when the socket's path would be too long.
fn socket_dir(root: &Path, port: u16, uid: u32) -> PathBuf {
    let beside = root.join("run");
    if socket_in(&beside, port).as_os_str().as_bytes().len() <= SOCKET_PATH_MAX {
        return beside;
    }
    PathBuf::from(format!("/tmp/falconer-pg-{uid}-{}", name_of(root)))
}

/// Returns a short name that another path is most unlikely to have.
fn name_of(path: &Path) -> String {
    let mut hasher = DefaultHasher::new();
    path.hash(&mut hasher);
    format!("{:016x}", hasher.finish())
}

fn socket_in(dir: &Path, port: u16) -> PathBuf {
    dir.join(format!(".s.PGSQL.{port}"))
}

fn remove_dir(path: &Path) -> Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", path.display()))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_directory_that_the_server_cannot_enter_is_replaced_and_always_by_the_same() {
        let home = std::env::temp_dir().join(format!("falconer-pg-home-{}", std::process::id()));
        fs::create_dir(&home).unwrap();
        fs::set_permissions(&home, fs::Permissions::from_mode(0o755)).unwrap();
        let wished = home.join("project/.falconer");
        assert_eq!(usable_dir(&wished).unwrap(), wished);

        fs::set_permissions(&home, fs::Permissions::from_mode(0o000)).unwrap();
        let replaced = usable_dir(&wished).unwrap();

        assert!(replaced.starts_with("/var/lib/falconer"), "{}", replaced.display());
        assert_eq!(usable_dir(&wished).unwrap(), replaced);
        fs::remove_dir(&home).unwrap();
    }

    #[test]
    fn a_long_path_gets_a_short_socket() {
        let long = PathBuf::from(format!("/{}", "d".repeat(100)));

        let dir = socket_dir(&long, 5432, 7);

        assert!(socket_in(&dir, 5432).as_os_str().len() <= SOCKET_PATH_MAX);
        assert_eq!(socket_dir(Path::new("/short"), 5432, 7), Path::new("/short/run"));
    }
}
