//! The running server of one cluster: start, readiness, stop.

use std::ffi::OsString;
use std::fs::{self, File};
use std::os::unix::net::UnixStream;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use crate::account::Account;
use crate::binaries::Binaries;
use crate::data_dir::DataDir;
use crate::options::ClusterOptions;
use crate::supervisor::{POLL, Supervised};

/// The longest that a start may take, crash recovery included.
const START_MAX: Duration = Duration::from_mins(2);

/// The longest that a stop may take before it is no longer asked for kindly.
const STOP_MAX: Duration = Duration::from_mins(1);

/// What a server needs from its surroundings.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) binaries: Binaries,
    pub(crate) account: Account,
    pub(crate) dir: DataDir,
}

/// How a server is asked to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// Disconnects the clients and writes a checkpoint.
    Fast,
    /// Drops everything where it stands. The next start recovers from the log.
    Immediate,
}

impl Place {
    /// Starts the server and returns when it answers.
    pub(crate) fn start(&self, options: &ClusterOptions) -> Result<Supervised> {
        self.stop_orphan()?;
        let log = File::options().create(true).append(true).open(self.dir.log()).context("cannot write the log")?;
        let command = self.command_line(options);
        let mut server = Supervised::start(self.account, self.dir.removed_with_us(), log, command)?;
        self.wait_until_ready(&mut server)?;
        Ok(server)
    }

    /// Stops the server and returns when it is gone.
    pub(crate) fn stop(&self, mut server: Supervised, how: Stop) -> Result<()> {
        server.signal(match how {
            Stop::Fast => "INT",
            Stop::Immediate => "QUIT",
        });
        if server.wait(STOP_MAX)?.is_none() {
            self.pg_ctl_stop("immediate")?;
            ensure!(server.wait(STOP_MAX)?.is_some(), "the server does not stop");
        }
        Ok(())
    }

    /// Stops a server that still runs on our files. We hold their lock, so whoever started it is dead.
    ///
    /// The pid in `postmaster.pid` proves nothing, since it may be another program's by this time; an answer
    /// on the cluster's own socket does.
    fn stop_orphan(&self) -> Result<()> {
        if UnixStream::connect(self.dir.socket()).is_ok() {
            self.pg_ctl_stop("fast")?;
        }
        Ok(())
    }

    fn pg_ctl_stop(&self, mode: &str) -> Result<()> {
        let mut command = self.account.command(self.binaries.program("pg_ctl"));
        let output = command.arg("stop").args(["-w", "-m", mode, "-D"]).arg(self.dir.data()).output();
        let output = output.context("cannot run pg_ctl")?;
        // It also fails when the server has ended by itself in the meantime, which is what we want.
        let gone = output.status.success() || UnixStream::connect(self.dir.socket()).is_err();
        ensure!(gone, "cannot stop the server: {}", String::from_utf8_lossy(&output.stderr).trim());
        Ok(())
    }

    fn command_line(&self, options: &ClusterOptions) -> Vec<OsString> {
        let mut command = vec![
            self.binaries.program("postgres").into_os_string(),
            "-D".into(),
            self.dir.data().into(),
            "-k".into(),
            self.dir.socket_dir().into(),
            "-p".into(),
            options.port.to_string().into(),
        ];
        let ours = [("listen_addresses", "")].into_iter().chain(options.durability.settings().iter().copied());
        let theirs = options.settings.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        // The last one of a name wins.
        for (name, value) in ours.chain(theirs) {
            command.extend(["-c".into(), format!("{name}={value}").into()]);
        }
        command
    }

    /// Waits until the server says that it is ready and its socket answers.
    fn wait_until_ready(&self, server: &mut Supervised) -> Result<()> {
        let deadline = Instant::now() + START_MAX;
        while !self.is_ready() {
            if let Some(status) = server.ended()? {
                bail!("the server did not start ({status}):\n{}", self.dir.log_tail());
            }
            ensure!(Instant::now() < deadline, "the server is not ready after {START_MAX:?}:\n{}", self.dir.log_tail());
            thread::sleep(POLL);
        }
        Ok(())
    }

    /// Reads the eighth line of `postmaster.pid`, which holds the server's state (`miscadmin.h`,
    /// `LOCK_FILE_LINE_PM_STATUS`).
    ///
    /// A file that a killed server left behind may say ready too, but then nobody answers on the socket.
    fn is_ready(&self) -> bool {
        let file = fs::read_to_string(self.dir.data().join("postmaster.pid")).unwrap_or_default();
        file.lines().nth(7).is_some_and(|state| state.trim() == "ready")
            && UnixStream::connect(self.dir.socket()).is_ok()
    }
}
