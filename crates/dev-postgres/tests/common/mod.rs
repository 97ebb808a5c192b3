//! What the tests share: a directory of their own, and questions to the system and the server.

#![allow(dead_code, clippy::allow_attributes, reason = "each test binary uses its own part of this")]

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use dev_postgres::Cluster;

/// A directory that is empty at the start and gone at the end.
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    pub(crate) fn new(name: &str) -> Self {
        // Not below the repository: as root the server runs as a user who may not be let in there.
        let path = Path::new("/tmp").join(format!("falconer-pg-test-{}-{name}", std::process::id()));
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Runs one statement and returns what it prints.
pub(crate) fn query(cluster: &Cluster, database: &str, statement: &str) -> String {
    let mut psql = Command::new(cluster.binaries().program("psql"));
    psql.args(["-XAtq", "-v", "ON_ERROR_STOP=1", "-d", &cluster.url(database), "-c", statement]);
    stdout(&mut psql)
}

/// Runs a line of shell and returns what it prints.
pub(crate) fn shell(line: &str) -> String {
    stdout(Command::new("/bin/sh").args(["-c", line]))
}

/// Returns the pid of the server that runs on a data directory.
pub(crate) fn postmaster(data: &Path) -> u32 {
    let file = fs::read_to_string(data.join("postmaster.pid")).unwrap();
    file.lines().next().unwrap().parse().unwrap()
}

/// Says whether a process is alive and is Postgres. A zombie is not alive.
pub(crate) fn is_postgres(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.contains("(postgres)") && !stat.contains(") Z ")
}

/// Returns the user id that a process runs as.
pub(crate) fn owner(pid: u32) -> String {
    fs::metadata(format!("/proc/{pid}")).unwrap().uid().to_string()
}

/// Returns the pid of a process' parent.
pub(crate) fn parent(pid: u32) -> Option<u32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // After the name, which ends with the last parenthesis, come the state and the parent (proc(5)).
    stat.rsplit(')').next()?.split_whitespace().nth(1)?.parse().ok()
}

/// Lists the pids of a process' children.
pub(crate) fn children(pid: u32) -> impl Iterator<Item = u32> {
    let processes = fs::read_dir("/proc").unwrap().flatten();
    processes
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(move |&child| parent(child) == Some(pid))
}

fn stdout(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}
