//! The handle that a caller holds.

use std::env;
use std::fmt::Write as _;
use std::fs::DirBuilder;
use std::io::{self, Write as _};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::{self, Stdio};

use anyhow::{Context, Result, ensure};

use crate::account::Account;
use crate::binaries::Binaries;
use crate::data_dir::{DataDir, SUPERUSER};
use crate::options::{ClusterOptions, Durability};
use crate::server::{Place, Stop};
use crate::supervisor::Supervised;

/// Quotes the name inside the server, so no name can be more than a name.
const CREATE_DATABASE: &str = r"
select format('create database %I', :'name')
where not exists (select from pg_database where datname = :'name') \gexec
";

/// A running Postgres. It stops when this is dropped, and also when this process is killed.
#[derive(Debug)]
pub struct Cluster {
    options: ClusterOptions,
    place: Place,
    server: Option<Supervised>,
}

impl Cluster {
    /// Starts the cluster in `options.dir`, and makes it first when none is there. Returns when it answers.
    ///
    /// A first start takes one to four seconds, another one a tenth of that.
    ///
    /// # Errors
    ///
    /// When no server is installed, when another process runs this cluster, when the directory cannot be
    /// used, and when the server does not start; then with the end of its log.
    pub fn start(options: ClusterOptions) -> Result<Self> {
        Self::start_in(options, Account::choose()?, false)
    }

    /// Starts a [`Durability::ThrowAway`] cluster in a new directory that is removed when the cluster stops.
    pub fn temporary(settings: Vec<(String, String)>) -> Result<Self> {
        let account = Account::choose()?;
        let dir = temporary_dir(account)?;
        let options = ClusterOptions { dir, durability: Durability::ThrowAway, settings, port: 5432 };
        Self::start_in(options, account, true)
    }

    /// Returns the URL of a database of this cluster, for sqlx and for Postgres' own programs.
    pub fn url(&self, database: &str) -> String {
        let database = percent_encoded(database.as_bytes());
        let host = percent_encoded(self.place.dir.socket_dir().as_os_str().as_bytes());
        format!("postgres://{SUPERUSER}@localhost/{database}?host={host}&port={}", self.options.port)
    }

    /// Creates a database unless there is one of that name.
    pub fn create_database(&self, name: &str) -> Result<()> {
        let mut psql = self.place.account.command(self.place.binaries.program("psql"));
        psql.args(["--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", "--dbname", &self.url("postgres")]);
        psql.arg(format!("--set=name={name}"));
        psql.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut psql = psql.spawn().context("cannot run psql")?;
        let mut input = psql.stdin.take().expect("the standard input was asked for as a pipe");
        let sent = input.write_all(CREATE_DATABASE.as_bytes());
        drop(input);
        let output = psql.wait_with_output().context("cannot wait for psql")?;
        ensure!(output.status.success(), "cannot create {name}: {}", String::from_utf8_lossy(&output.stderr).trim());
        sent.context("psql did not read its input")
    }

    /// Kills the server where it stands and starts it again, as after a crash of its processes. Every
    /// connection breaks; what was committed is there again.
    pub fn restart_immediate(&mut self) -> Result<()> {
        if let Some(server) = self.server.take() {
            self.place.stop(server, Stop::Immediate)?;
        }
        self.server = Some(self.place.start(&self.options)?);
        Ok(())
    }

    /// Stops the server, disconnecting its clients, and returns when it is gone.
    pub fn stop(mut self) -> Result<()> {
        self.shut_down()
    }

    /// Returns the directory that holds this cluster's files.
    pub fn dir(&self) -> &Path {
        &self.options.dir
    }

    /// Returns the server's programs, such as `psql`.
    pub fn binaries(&self) -> &Binaries {
        &self.place.binaries
    }

    fn start_in(options: ClusterOptions, account: Account, temporary: bool) -> Result<Self> {
        let binaries = Binaries::find()?;
        let dir = DataDir::open(&options.dir, options.port, account, temporary)?;
        let place = Place { binaries, account, dir };
        // From here on a failure drops the cluster, which removes what is temporary.
        let mut cluster = Self { options, place, server: None };
        cluster.place.dir.init(&cluster.place.binaries, account, cluster.options.durability)?;
        cluster.server = Some(cluster.place.start(&cluster.options)?);
        Ok(cluster)
    }

    fn shut_down(&mut self) -> Result<()> {
        if let Some(server) = self.server.take() {
            self.place.stop(server, Stop::Fast)?;
        }
        self.place.dir.dispose()
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // Nobody is left to tell; the supervisor stops the server when its pipe closes in any case.
        let _ = self.shut_down();
    }
}

/// Makes a directory that belongs to `account`, so that the supervisor can remove it after our death.
fn temporary_dir(account: Account) -> Result<PathBuf> {
    let wished = env::temp_dir();
    let parent = if account.can_enter(&wished) { wished } else { PathBuf::from("/tmp") };
    for number in 0.. {
        let dir = parent.join(format!("falconer-pg-{}-{number}", process::id()));
        match DirBuilder::new().mode(0o700).create(&dir) {
            Ok(()) => {
                account.own(&dir).with_context(|| format!("cannot give {} away", dir.display()))?;
                return Ok(dir);
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => {
                return Err(error).with_context(|| format!("cannot make {}", dir.display()));
            }
        }
    }
    unreachable!("the numbers do not end")
}

/// Encodes all but the unreserved characters (RFC 3986, section 2.3) and the slash, which a query may hold.
fn percent_encoded(bytes: &[u8]) -> String {
    let mut encoded = String::with_capacity(bytes.len());
    for &byte in bytes {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            write!(encoded, "%{byte:02X}").expect("writing to a string cannot fail");
        }
    }
    encoded
}
