//! Carries the schedule out, and notes when what really happened. A server that ended by itself is started again, as a
//! supervisor would.

use super::{schedule::Act, site::Site};
use anyhow::Result;
use failpoints::SKEW_VARIABLE;
use serde::Serialize;
use simulator::RotateMode;
use std::time::{Duration, Instant, SystemTime};

/// Between two looks at whether a server still runs.
const WATCH: Duration = Duration::from_millis(200);

/// What was done.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Done {
    pub kills: usize,
    pub starts_with_a_wrong_clock: usize,
    pub stops_past_the_lease: usize,
    pub backends_terminated: i64,
    pub postgres_crashes: usize,
    pub commits_cut_before: u32,
    pub commits_cut_after: u32,
    pub commits_of_the_api_cut: u32,
    pub blackholes: usize,
    pub key_outages: usize,
    pub key_rotations: usize,
    /// Servers that ended although nobody killed them.
    pub ends_of_their_own: usize,
    /// Every act with the second at which it really began.
    #[serde(skip)]
    pub timeline: Vec<String>,
    /// By this machine's clock, which is the database's.
    #[serde(skip)]
    pub killed_at: Vec<SystemTime>,
    /// When Postgres answered again.
    #[serde(skip)]
    pub postgres_back_at: Vec<SystemTime>,
}

/// Carries the schedule out to its end, then mends everything.
pub async fn run(site: &mut Site, schedule: Vec<(Duration, Act)>) -> Result<Done> {
    let (began, mut done) = (Instant::now(), Done::default());
    for (at, act) in schedule {
        while began.elapsed() < at {
            revive(site, &mut done)?;
            tokio::time::sleep(WATCH.min(at.saturating_sub(began.elapsed()))).await;
        }
        done.timeline.push(format!("{:.1} {act:?}", began.elapsed().as_secs_f64()));
        act_out(site, act, &mut done).await?;
    }
    done.timeline.push(format!("{:.1} healing", began.elapsed().as_secs_f64()));
    heal(site, &mut done).await?;
    for proxy in &site.proxies {
        let cuts = proxy.cuts();
        done.commits_cut_before += cuts.before;
        done.commits_cut_after += cuts.after;
        done.commits_of_the_api_cut += cuts.api;
    }
    Ok(done)
}

async fn act_out(site: &mut Site, act: Act, done: &mut Done) -> Result<()> {
    match act {
        Act::Kill { server, skew } => kill(site, server, skew, done).await?,
        Act::Stop { server } => {
            done.stops_past_the_lease += 1;
            // It may have ended a moment ago.
            let _ = site.servers[server].signal("STOP").await;
        }
        Act::Continue { server } => {
            let _ = site.servers[server].signal("CONT").await;
        }
        Act::TerminateBackends { most } => done.backends_terminated += terminate(site, most).await,
        Act::CrashPostgres => {
            done.postgres_crashes += 1;
            site.database.own().expect("the storm has a Postgres of its own").restart_immediate().await?;
            done.postgres_back_at.push(SystemTime::now());
        }
        Act::CutCommits { server, cut } => site.proxies[server].arm(cut),
        Act::Swallow { server, swallows } => {
            done.blackholes += usize::from(swallows);
            site.proxies[server].swallow(swallows);
        }
        Act::KeysDown(down) => {
            done.key_outages += usize::from(down);
            site.sim.jwks_down(down);
        }
        Act::RotateKeys => {
            done.key_rotations += 1;
            site.sim.rotate_keys(RotateMode::Both);
        }
    }
    Ok(())
}

async fn kill(site: &mut Site, server: usize, skew: i64, done: &mut Done) -> Result<()> {
    let server = &mut site.servers[server];
    done.kills += 1;
    done.starts_with_a_wrong_clock += usize::from(skew != 0);
    // One that ended a moment ago cannot be killed.
    let _ = server.kill_9().await;
    done.killed_at.push(SystemTime::now());
    server.set(SKEW_VARIABLE, &skew.to_string());
    server.launch()
}

fn revive(site: &mut Site, done: &mut Done) -> Result<()> {
    for server in &mut site.servers {
        if server.ended_by_itself() {
            done.ends_of_their_own += 1;
            server.launch()?;
        }
    }
    Ok(())
}

/// Which backends are hit is Postgres' choice: their pids are no part of what a seed repeats.
async fn terminate(site: &Site, most: u32) -> i64 {
    let ended = sqlx::query_scalar(
        "select count(pg_terminate_backend(pid)) from (select pid from pg_stat_activity
         where application_name like 'falconer%' order by random() limit $1) as victims",
    );
    // While Postgres is away, there are none.
    ended.bind(i64::from(most)).fetch_one(&site.db).await.unwrap_or(0)
}

/// Mends everything and waits until both servers are ready.
async fn heal(site: &mut Site, done: &mut Done) -> Result<()> {
    site.sim.jwks_down(false);
    site.sim.set_faults(simulator::Faults::default());
    for proxy in &site.proxies {
        proxy.disarm();
        proxy.swallow(false);
    }
    for server in &site.servers {
        let _ = server.signal("CONT").await;
    }
    revive(site, done)?;
    for server in &mut site.servers {
        server.ready().await?;
    }
    Ok(())
}
