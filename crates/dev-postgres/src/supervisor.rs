//! Runs one program that must not outlive us.
//!
//! Between us and the program stands a shell that reads a pipe from us. A line on the pipe names a signal for
//! the program. The end of the pipe means that we are gone, however we died, and the shell then interrupts
//! the program. The parent-death signal of Linux would do the same without a shell, but it needs unsafe code
//! and fires when the spawning thread ends, which for a runtime's thread is too early.

use std::ffi::OsStr;
use std::fs::File;
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdin, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::account::Account;

/// How often a state that nobody announces is looked at.
pub(crate) const POLL: Duration = Duration::from_millis(5);

/// `$1` is a directory to remove when we died, or empty; the rest is the program with its arguments.
///
/// The watcher ends well only after the end of the pipe; when the program ends first it is killed, so its
/// status tells whether we are still there to clean up by ourselves.
const SCRIPT: &str = r#"
remove=$1; shift
exec 3<&0
"$@" </dev/null 3<&- &
program=$!
(
    while read -r signal; do kill -s "$signal" "$program"; done
    kill -s INT "$program"
    exit 0
) <&3 &
watcher=$!
exec 3<&-
wait "$program"; status=$?
kill "$watcher" 2>/dev/null
if wait "$watcher" && [ -n "$remove" ]; then rm -rf -- "$remove"; fi
exit "$status"
"#;

/// A running program. Dropping this interrupts it and does not wait.
#[derive(Debug)]
pub(crate) struct Supervised {
    shell: Child,
    pipe: ChildStdin,
}

impl Supervised {
    /// Starts a program as `account`. Its output goes to `log`. When we die, `remove` is deleted after the
    /// program has ended.
    pub(crate) fn start<S: AsRef<OsStr>>(
        account: Account,
        remove: Option<&Path>,
        log: File,
        program: impl IntoIterator<Item = S>,
    ) -> Result<Self> {
        let mut shell = account
            .command("/bin/sh")
            .args(["-c", SCRIPT, "postgres-supervisor"])
            .arg(remove.unwrap_or(Path::new("")))
            .args(program)
            .stdin(Stdio::piped())
            .stdout(log.try_clone().context("cannot share the log file")?)
            .stderr(log)
            // An interrupt typed at the terminal is for us: we stop the server when we are done with it.
            .process_group(0)
            .spawn()
            .context("cannot run /bin/sh")?;
        let pipe = shell.stdin.take().expect("the standard input was asked for as a pipe");
        Ok(Self { shell, pipe })
    }

    /// Sends the program a signal, named as `kill` does: `INT`, `QUIT`.
    pub(crate) fn signal(&mut self, name: &str) {
        // A pipe that cannot be written has no reader, so the program has ended; `wait` tells.
        let _ = writeln!(self.pipe, "{name}");
    }

    /// Returns the program's status when it has ended.
    pub(crate) fn ended(&mut self) -> Result<Option<ExitStatus>> {
        self.shell.try_wait().context("cannot wait for the program")
    }

    /// Waits for the program's end, at most `longest`; `None` when it still runs.
    pub(crate) fn wait(&mut self, longest: Duration) -> Result<Option<ExitStatus>> {
        let deadline = Instant::now() + longest;
        loop {
            match self.ended()? {
                None if Instant::now() < deadline => thread::sleep(POLL),
                ended_or_late => return Ok(ended_or_late),
            }
        }
    }
}
