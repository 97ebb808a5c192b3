//! The command line, as people and their scripts use it: the real binary against a real server.

mod completion;
mod profiles;
mod submit;
mod tail;

use serde_json::Value;
use std::{
    path::{Path, PathBuf},
    process::{Output, Stdio},
};
use testkit::World;
use tokio::{io::AsyncWriteExt as _, process::Command};
use uuid::Uuid;

/// What a command said, and how it ended.
#[derive(Debug)]
struct Said {
    code: i32,
    out: String,
    err: String,
}

impl Said {
    fn of(output: Output) -> Self {
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("commands print text");
        Self { code: output.status.code().unwrap_or(-1), out: text(output.stdout), err: text(output.stderr) }
    }

    /// The lines of JSON on standard output.
    fn lines(&self) -> Vec<Value> {
        self.out.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{self:#?}"))).collect()
    }
}

/// A folder for the files of one test.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        let path = std::env::temp_dir().join(format!("falconer-command-line-{}", Uuid::new_v4().simple()));
        std::fs::create_dir(&path).expect("the temporary directory takes a folder");
        Self(path)
    }

    fn file(&self, name: &str, text: &str) -> String {
        let path = self.0.join(name);
        std::fs::create_dir_all(path.parent().expect("a file lies in a folder")).expect("a folder can be made");
        std::fs::write(&path, text).expect("a file can be written");
        path.display().to_string()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What cannot be removed is the temporary directory's affair.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A command that asks the world's server as its project, with nothing on standard input.
fn falconer(world: &World, args: &[&str]) -> Command {
    let mut command = bare(args);
    command.env("FALCONER_CLIENT__URL", world.server().api()).env("FALCONER_CLIENT__KEY", world.api_key());
    command
}

/// A command that knows no server.
fn bare(args: &[&str]) -> Command {
    let mut command = Command::new(binary());
    command.args(args).env_clear().current_dir(std::env::temp_dir()).stdin(Stdio::null()).kill_on_drop(true);
    command
}

fn binary() -> PathBuf {
    let own = std::env::current_exe().expect("a test knows its own path");
    let folder = own.ancestors().find(|folder| folder.join("falconer").is_file());
    folder.map(Path::to_owned).expect("the binary was built").join("falconer")
}

async fn run(world: &World, args: &[&str]) -> Said {
    Said::of(falconer(world, args).output().await.expect("the command runs"))
}

/// Runs a command that reads `input`.
async fn run_with(world: &World, args: &[&str], input: &str) -> Said {
    let mut command = falconer(world, args);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the command starts");
    let mut stdin = child.stdin.take().expect("it was piped");
    let input = input.to_owned();
    let (written, output) =
        tokio::join!(async move { stdin.write_all(input.as_bytes()).await }, child.wait_with_output());
    written.expect("the command reads everything");
    Said::of(output.expect("the command ends"))
}

/// How many jobs there are, of whatever project.
async fn jobs(world: &World) -> i64 {
    sqlx::query_scalar("select count(*) from falconer.jobs").fetch_one(world.db()).await.expect("jobs are counted")
}

/// Lines of jobs, numbered in their prompts.
fn lines(count: usize) -> String {
    let line =
        |number: usize| format!("{{\"model\":\"fal-ai/flux/schnell\",\"input\":{{\"prompt\":\"owl {number}\"}}}}\n");
    (0..count).map(line).collect()
}
