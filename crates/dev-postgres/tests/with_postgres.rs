//! The `with-postgres` program, as root and as an ordinary user.

#![expect(clippy::unwrap_used, reason = "a helper that fails is a test that fails")]

mod common;

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use common::{Scratch, shell};

const PROGRAM: &str = env!("CARGO_BIN_EXE_with-postgres");

/// Prints what the tests have to know about the server and then waits to be ended.
const ASK: &str = "psql -XAtq -d \"$DATABASE_URL\" -c \"select current_database(), \
    pg_read_file('postmaster.pid', 0, 10)::text, current_setting('data_directory')\" | tr '|\\n' '  '";

#[test]
fn the_command_gets_a_database_and_its_code_is_returned() {
    let output = Command::new(PROGRAM).args(["--", "/bin/sh", "-c", &format!("{ASK}; exit 7")]).output().unwrap();

    let told = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(7), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(told.starts_with("falconer "), "{told}");
    assert_all_gone(&Server::parse(&told));
}

#[test]
fn a_killed_parent_leaves_no_server_and_no_files() {
    let (mut parent, server) = spawn(Command::new(PROGRAM));

    parent.kill().unwrap();
    parent.wait().unwrap();

    wait_until("all gone", || is_gone(&server));
}

#[test]
fn a_termination_reaches_the_command_and_stops_the_server() {
    let (mut parent, server) = spawn(Command::new(PROGRAM));

    // Held open, or the command would end by itself.
    let input = parent.stdin.take();
    shell(&format!("kill -TERM {}", parent.id()));
    let status = parent.wait().unwrap();

    drop(input);
    assert_eq!(status.code(), Some(128 + 15));
    assert_all_gone(&server);
}

#[test]
fn an_ordinary_user_can_run_it_and_kill_it() {
    if shell("id -u") != "0" {
        // Then the other tests have already run as an ordinary user.
        return;
    }
    let scratch = Scratch::new("ordinary");
    let program = copy_for_everyone(scratch.path());
    let mut command = Command::new("setpriv");
    command.args(["--reuid=nobody", "--regid=nogroup", "--clear-groups", "--"]).arg(program).current_dir("/");

    let (mut parent, server) = spawn(command);
    let owner = common::owner(server.pid);
    parent.kill().unwrap();
    parent.wait().unwrap();

    assert_eq!(owner, shell("id -u nobody"));
    wait_until("all gone", || is_gone(&server));
}

/// A running server, as the command inside it saw it.
struct Server {
    pid: u32,
    data: PathBuf,
}

impl Server {
    fn parse(told: &str) -> Self {
        let words: Vec<&str> = told.split_whitespace().collect();
        Self { pid: words[1].parse().unwrap(), data: words.last().unwrap().into() }
    }
}

/// Starts the program around a command that says where it is and then waits for its input to end, which
/// waiting for the child brings about.
fn spawn(mut program: Command) -> (Child, Server) {
    let mut child = program
        .args(["--", "/bin/sh", "-c", &format!("{ASK}; echo; exec cat")])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut told = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut told).unwrap();
    (child, Server::parse(&told))
}

fn is_gone(server: &Server) -> bool {
    !common::is_postgres(server.pid) && !server.data.parent().unwrap().exists()
}

fn assert_all_gone(server: &Server) {
    assert!(is_gone(server), "postgres {} or {} is still there", server.pid, server.data.display());
}

fn wait_until(what: &str, reached: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_mins(1);
    while !reached() {
        assert!(Instant::now() < deadline, "never: {what}");
        thread::sleep(Duration::from_millis(10));
    }
}

/// Copies the program to where another user can read it; the build directory may be in a private home.
fn copy_for_everyone(dir: &Path) -> PathBuf {
    fs::set_permissions(dir, fs::Permissions::from_mode(0o755)).unwrap();
    let copy = dir.join("with-postgres");
    fs::copy(PROGRAM, &copy).unwrap();
    copy
}
