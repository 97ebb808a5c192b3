//! `falconer serve` as a child process.

use crate::{ports, wait};
use anyhow::{Context as _, Result, bail, ensure};
use std::{
    collections::BTreeMap,
    fs::File,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    time::Duration,
};
use tokio::process::{Child, Command};

/// One process. Killed when this is dropped.
#[derive(Debug)]
pub struct Server {
    settings: BTreeMap<String, String>,
    roles: Option<String>,
    addrs: [SocketAddr; 3],
    log: PathBuf,
    child: Option<Child>,
}

impl Server {
    /// Starts a process on ports of its own and waits until it is ready. `settings` are environment variables.
    ///
    /// # Errors
    /// When it does not become ready.
    pub async fn start(mut settings: BTreeMap<String, String>, roles: Option<String>, log: PathBuf) -> Result<Self> {
        let addrs = ports::three_free();
        for (name, addr) in ["API", "CALLBACK", "METRICS"].into_iter().zip(addrs) {
            settings.insert(format!("FALCONER_SERVER__{name}_ADDR"), addr.to_string());
        }
        let mut server = Self { settings, roles, addrs, log, child: None };
        server.start_again().await?;
        Ok(server)
    }

    /// `http://host:port` of the API.
    pub fn api(&self) -> String {
        format!("http://{}", self.addrs[0])
    }

    /// `http://host:port` of the callback listener.
    pub fn callbacks(&self) -> String {
        format!("http://{}", self.addrs[1])
    }

    /// `http://host:port` of metrics and health.
    pub fn metrics(&self) -> String {
        format!("http://{}", self.addrs[2])
    }

    /// The running process, for what can be read of it in `/proc`.
    pub fn pid(&self) -> Option<u32> {
        self.child.as_ref().and_then(Child::id)
    }

    /// Changes a setting for the next start.
    pub fn set(&mut self, name: &str, value: &str) {
        self.settings.insert(name.to_owned(), value.to_owned());
    }

    /// Starts a stopped process on the ports that it had, and waits until it is ready.
    ///
    /// # Errors
    /// When it does not become ready; the error holds the end of its log.
    pub async fn start_again(&mut self) -> Result<()> {
        self.launch()?;
        self.ready().await
    }

    /// Starts a stopped process on the ports that it had, and does not wait for it.
    ///
    /// # Errors
    /// When it runs already, or cannot be started at all.
    pub fn launch(&mut self) -> Result<()> {
        ensure!(self.child.is_none(), "the server runs already");
        let log = File::options().create(true).append(true).open(&self.log).context("the server's log")?;
        let mut command = Command::new(binary()?);
        command.arg("serve");
        if let Some(roles) = &self.roles {
            command.args(["--roles", roles]);
        }
        // Settings of the shell that runs the tests must not change what they test.
        command.env_clear().envs(&self.settings).current_dir(std::env::temp_dir());
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).kill_on_drop(true);
        self.child = Some(command.spawn().context("falconer cannot be started")?);
        Ok(())
    }

    /// Whether the process has ended although nobody ended it; then it may be launched again.
    pub fn ended_by_itself(&mut self) -> bool {
        let ended = self.child.as_mut().is_some_and(|child| !matches!(child.try_wait(), Ok(None)));
        if ended {
            self.child = None;
        }
        ended
    }

    /// Runs a command of people against this server with an API key, and returns what it printed.
    ///
    /// # Errors
    /// When it cannot be run.
    pub async fn command(&self, key: &str, args: &[&str]) -> Result<std::process::Output> {
        let mut command = Command::new(binary()?);
        command.args(args).env_clear().current_dir(std::env::temp_dir()).stdin(Stdio::null()).kill_on_drop(true);
        command.env("FALCONER_CLIENT__URL", self.api()).env("FALCONER_CLIENT__KEY", key);
        command.output().await.context("the command cannot be run")
    }

    /// Runs a command of the database with this server's own environment and `input` on its standard input.
    ///
    /// # Errors
    /// When it cannot be run.
    pub async fn database_command_with(&self, args: &[&str], input: &str) -> Result<std::process::Output> {
        let mut command = Command::new(binary()?);
        command.args(args).env_clear().envs(&self.settings).current_dir(std::env::temp_dir()).kill_on_drop(true);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().context("the command cannot be started")?;
        let mut stdin = child.stdin.take().context("the command has no standard input")?;
        // A command that reads nothing may be gone already.
        let _ = tokio::io::AsyncWriteExt::write_all(&mut stdin, input.as_bytes()).await;
        drop(stdin);
        child.wait_with_output().await.context("the command cannot be run")
    }

    /// Runs a command of people on the database of this server, and returns what it printed.
    ///
    /// # Errors
    /// When it cannot be run.
    pub async fn database_command(&self, args: &[&str]) -> Result<std::process::Output> {
        let mut command = Command::new(binary()?);
        command.args(args).env_clear().current_dir(std::env::temp_dir()).stdin(Stdio::null()).kill_on_drop(true);
        if let Some(url) = self.settings.get("DATABASE_URL") {
            command.env("DATABASE_URL", url);
        }
        command.output().await.context("the command cannot be run")
    }

    /// Kills the process where it stands.
    ///
    /// # Errors
    /// When it is not running.
    pub async fn kill_9(&mut self) -> Result<()> {
        let mut child = self.child.take().context("the server is not running")?;
        child.kill().await.context("the server cannot be killed")
    }

    /// Sends a signal such as `TERM`, `STOP` or `CONT`.
    ///
    /// # Errors
    /// When the process is not running.
    pub async fn signal(&self, name: &str) -> Result<()> {
        let pid = self.pid().context("the server is not running")?;
        let sent = Command::new("kill").args(["-s", name, &pid.to_string()]).status().await?;
        ensure!(sent.success(), "kill -s {name} {pid} failed");
        Ok(())
    }

    /// Waits until the process has ended by itself.
    ///
    /// # Errors
    /// When it has not ended within `patience`, or was not running.
    pub async fn exited(&mut self, patience: Duration) -> Result<ExitStatus> {
        let mut child = self.child.take().context("the server is not running")?;
        match tokio::time::timeout(patience, child.wait()).await {
            Ok(status) => Ok(status?),
            Err(_) => bail!("the server did not end within {patience:?}"),
        }
    }

    /// Everything that the process has written so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// The last lines of the log, without those of every answered call.
    pub fn log_tail(&self, lines: usize) -> String {
        let log = self.log();
        let all: Vec<&str> = log.lines().filter(|line| !line.contains("was answered")).collect();
        all[all.len().saturating_sub(lines)..].join("\n")
    }

    /// Waits until a launched process is ready.
    ///
    /// # Errors
    /// When it ends before, or does not become ready; the error holds the end of its log.
    pub async fn ready(&mut self) -> Result<()> {
        let client = crate::world::http_client();
        let url = format!("{}/readyz", self.metrics());
        let began = std::time::Instant::now();
        loop {
            if let Ok(answer) = client.get(&url).send().await
                && answer.status().is_success()
            {
                return Ok(());
            }
            let ended = self.child.as_mut().map(Child::try_wait).transpose()?.flatten();
            if ended.is_some() || began.elapsed() > wait::PATIENCE {
                self.child = None;
                bail!("falconer is not ready ({ended:?}); its log ends:\n{}", self.log_tail(40));
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

/// Finds the binary that was built with this program: beside it, or one folder above where this is a test.
pub(crate) fn binary() -> Result<PathBuf> {
    let own = std::env::current_exe().context("this program's own path")?;
    let mut folder = own.parent().context("a program lies in a folder")?;
    if folder.ends_with("deps") {
        folder = folder.parent().context("a test lies in target/<profile>/deps")?;
    }
    let built = folder.join("falconer");
    ensure!(built.is_file(), "{} is missing: run `cargo build -p falconer` first", Path::display(&built));
    Ok(built)
}
