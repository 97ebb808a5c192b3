//! The operating system's account that the server runs as.
//!
//! Postgres refuses to run as root, so a root process lends it another account. An ordinary user's server
//! runs as that user.

use std::ffi::OsStr;
use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, chown};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};

/// Tried in this order when we are root. Both have an entry in the password file, without which the
/// server cannot start.
const ACCOUNTS_FOR_ROOT: [&str; 2] = ["postgres", "nobody"];

/// Who the server's processes run as, and who owns its files.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Account {
    uid: u32,
    gid: u32,
    /// Whether we have to change to it, which only root can and must.
    lent: bool,
}

impl Account {
    /// Chooses our own account, or for root the first that exists of `postgres` and `nobody`.
    pub(crate) fn choose() -> Result<Self> {
        let uid = id(&["-u"])?;
        if uid != 0 {
            return Ok(Self { uid, gid: id(&["-g"])?, lent: false });
        }
        for name in ACCOUNTS_FOR_ROOT {
            if let (Ok(uid), Ok(gid)) = (id(&["-u", name]), id(&["-g", name])) {
                return Ok(Self { uid, gid, lent: true });
            }
        }
        bail!("postgres refuses to run as root, and there is no user `postgres` or `nobody` to run it as")
    }

    /// Prepares a command that runs as this account, in `/`, with an environment of its own.
    pub(crate) fn command(self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        // A caller's PGPORT, PGOPTIONS or locale must not leak into the cluster.
        command
            .env_clear()
            .env("PATH", "/usr/local/bin:/usr/bin:/bin")
            .env("LC_ALL", "C.UTF-8")
            .env("TZ", "UTC")
            .current_dir("/")
            .stdin(Stdio::null());
        if self.lent {
            command.uid(self.uid).gid(self.gid);
        }
        command
    }

    /// Gives `path` to this account.
    pub(crate) fn own(self, path: &Path) -> io::Result<()> {
        if self.lent { chown(path, Some(self.uid), Some(self.gid)) } else { Ok(()) }
    }

    /// Makes `path` a directory that this account alone can enter. One that exists must already belong to it.
    pub(crate) fn make_private_dir(self, path: &Path) -> Result<()> {
        match DirBuilder::new().mode(0o700).create(path) {
            Ok(()) => self.own(path).with_context(|| format!("cannot give {} away", path.display())),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                let found = path.symlink_metadata().with_context(|| format!("cannot read {}", path.display()))?;
                let private = found.is_dir() && found.uid() == self.uid && found.mode().trailing_zeros() >= 6;
                ensure!(private, "{} is not a directory of user {} alone", path.display(), self.uid);
                Ok(())
            }
            Err(error) => Err(error).with_context(|| format!("cannot make {}", path.display())),
        }
    }

    /// Says whether this account can enter `dir`, for which it must be able to search every directory above.
    pub(crate) fn can_enter(self, dir: &Path) -> bool {
        let entered = self
            .command("/bin/sh")
            .args(["-c", "cd -- \"$1\"", "sh"])
            .arg(dir)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        entered.is_ok_and(|status| status.success())
    }

    pub(crate) fn uid(self) -> u32 {
        self.uid
    }
}

/// Asks the system's `id`, which knows directory services that the password file does not.
fn id(args: &[&str]) -> Result<u32> {
    let output = Command::new("id").args(args).output().context("cannot run `id`")?;
    ensure!(output.status.success(), "`id {}` failed", args.join(" "));
    let text = String::from_utf8_lossy(&output.stdout);
    text.trim().parse().with_context(|| format!("`id {}` printed no number", args.join(" ")))
}
