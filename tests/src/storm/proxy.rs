//! A TCP proxy in front of Postgres that can swallow everything for a while, and cut a connection at its COMMIT: before the
//! COMMIT goes upstream, so that nothing was committed, or after Postgres has answered it, so that everything was. The
//! client sees the same both times: a connection that broke while it committed.

use super::wire::Frames;
use anyhow::{Context as _, Result, bail};
use bytes::Bytes;
use std::{
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream, UnixStream},
    sync::watch,
    task::JoinSet,
};
use url::Url;

/// For Postgres to answer a COMMIT whose answer is thrown away.
const ANSWER: Duration = Duration::from_secs(5);

/// When a COMMIT is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    BeforeUpstream,
    AfterUpstream,
}

/// COMMITs that shall be cut.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cut {
    pub when: When,
    /// Only of connections whose `application_name` ends so.
    pub pool: &'static str,
    pub commits: u32,
}

/// How many COMMITs were cut.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cuts {
    pub before: u32,
    pub after: u32,
    /// Of all these, those that accepted jobs or read for the API.
    pub api: u32,
}

/// A running proxy. It stops when dropped, and its connections with it.
#[derive(Debug)]
pub struct Proxy {
    addr: SocketAddr,
    shared: Arc<Shared>,
    _tasks: JoinSet<()>,
}

#[derive(Debug)]
struct Shared {
    socket: PathBuf,
    armed: Mutex<Vec<Cut>>,
    cuts: Mutex<Cuts>,
    swallows: watch::Sender<bool>,
}

impl Proxy {
    /// Listens on a free port of this host, in front of the cluster of a URL that names a socket's directory.
    pub async fn start(database: &Url) -> Result<Self> {
        let value =
            |name: &str| database.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned());
        let (dir, port) = (value("host").context("no socket")?, value("port").context("no port")?);
        let socket = PathBuf::from(dir).join(format!(".s.PGSQL.{port}"));
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let addr = listener.local_addr()?;
        let shared = Arc::new(Shared {
            socket,
            armed: Mutex::default(),
            cuts: Mutex::default(),
            swallows: watch::Sender::new(false),
        });
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, Arc::clone(&shared)));
        Ok(Self { addr, shared, _tasks: tasks })
    }

    /// The URL of the same database through this proxy.
    pub fn url(&self, database: &Url) -> String {
        format!("postgres://{}@{}{}?sslmode=disable", database.username(), self.addr, database.path())
    }

    /// Cuts COMMITs to come, beside those that are still waited for.
    pub fn arm(&self, cut: Cut) {
        self.shared.armed.lock().expect("no holder panics").push(cut);
    }

    /// Forgets what was not cut yet.
    pub fn disarm(&self) {
        self.shared.armed.lock().expect("no holder panics").clear();
    }

    /// Lets nothing through, or everything again. What was sent meanwhile comes late.
    pub fn swallow(&self, swallows: bool) {
        self.shared.swallows.send_replace(swallows);
    }

    /// What was cut so far.
    pub fn cuts(&self) -> Cuts {
        *self.shared.cuts.lock().expect("no holder panics")
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        if let Ok((client, _)) = listener.accept().await {
            let shared = Arc::clone(&shared);
            connections.spawn(async move {
                // A connection that breaks is what this is for.
                let _ = carry(client, &shared).await;
            });
        }
    }
}

/// Carries bytes both ways until one side ends, or a COMMIT is cut.
async fn carry(mut client: TcpStream, shared: &Shared) -> Result<()> {
    client.set_nodelay(true)?;
    let mut swallows = shared.swallows.subscribe();
    swallows.wait_for(|swallows| !swallows).await?;
    let mut server = UnixStream::connect(&shared.socket).await?;
    let (mut frames, mut answers) = (Frames::default(), vec![0; 64 * 1024]);
    loop {
        swallows.wait_for(|swallows| !swallows).await?;
        tokio::select! {
            read = client.read_buf(frames.buffer()) => {
                if read? == 0 {
                    return Ok(());
                }
                while let Some(frame) = frames.next() {
                    match frame.is_commit.then(|| shared.take(frames.application())).flatten() {
                        None => server.write_all(&frame.bytes).await?,
                        Some(When::BeforeUpstream) => bail!("cut before the COMMIT"),
                        Some(When::AfterUpstream) => return commit_unheard(&mut server, frame.bytes).await,
                    }
                }
            }
            read = server.read(&mut answers) => match read? {
                0 => return Ok(()),
                read => client.write_all(&answers[..read]).await?,
            },
            // Looks again whether anything goes through.
            changed = swallows.changed() => changed?,
        }
    }
}

/// Sees to it that the COMMIT has happened, and tells nobody.
async fn commit_unheard(server: &mut UnixStream, commit: Bytes) -> Result<()> {
    server.write_all(&commit).await?;
    let mut answer = [0; 64];
    let _ = tokio::time::timeout(ANSWER, server.read(&mut answer)).await?;
    Ok(())
}

impl Shared {
    /// Whether the COMMIT of such a client is to be cut, and how.
    fn take(&self, application: &str) -> Option<When> {
        let mut armed = self.armed.lock().expect("no holder panics");
        let place = armed.iter().position(|cut| application.ends_with(cut.pool))?;
        let when = armed[place].when;
        armed[place].commits -= 1;
        if armed[place].commits == 0 {
            armed.remove(place);
        }
        let mut cuts = self.cuts.lock().expect("no holder panics");
        match when {
            When::BeforeUpstream => cuts.before += 1,
            When::AfterUpstream => cuts.after += 1,
        }
        cuts.api += u32::from(application.ends_with("api"));
        Some(when)
    }
}
