//! The database: there, ours, durable, on time, and ready for the coming weeks.

use super::Finding;
use crate::{
    config::Config,
    durations::unix_now,
    serve::{self, DURABILITY},
};
use anyhow::Result;
use sqlx::{ConnectOptions, PgConnection, postgres::PgConnectOptions};
use std::time::Duration;
use store::{PoolSizes, Store, credentials, keys, migrate::SchemaState, retention};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Connections that Postgres keeps for its superuser.
const RESERVED: u32 = 3;
/// This machine's clock and the database's may differ by so many seconds.
const SKEW_SECONDS_MAX: i64 = 2;
/// No transaction of ours lasts so long.
const HELD_SECONDS_MAX: f64 = 60.0;
/// A running server keeps three weeks of partitions ahead.
const PARTITION_DAYS_WANTED: i64 = 14;

/// Everything that can be asked; what is not there ends the questions.
pub(super) async fn check(config: &Config) -> Vec<Finding> {
    let options = match serve::database_options(config) {
        Ok(options) => options,
        Err(error) => return vec![Finding::fail("database", format!("{error:#}"), "export DATABASE_URL=postgres://…")],
    };
    let mut findings = Vec::new();
    let mut connection = match tokio::time::timeout(CONNECT_TIMEOUT, options.connect()).await {
        Ok(Ok(connection)) => connection,
        Ok(Err(error)) => return vec![unreachable(&error.to_string())],
        Err(_) => return vec![unreachable("no answer in 5 s")],
    };
    findings.push(match store::health::setting(&mut connection, "server_version").await {
        Ok(version) => Finding::ok("database", format!("Postgres {version} answers")),
        Err(error) => unreachable(&error.to_string()),
    });
    findings.push(durability(&mut connection, config.secrets.allow_unsafe_durability).await);
    findings.push(connections(&mut connection, config.database.max_connections).await);
    findings.extend(pooler(&mut connection, &options).await);
    let schema = schema(&mut connection).await;
    let is_current = schema.remedy.is_none();
    findings.push(schema);
    if is_current {
        findings.extend(contents(config, &Store::open(&options, PoolSizes::of_total(4))).await);
    }
    findings
}

fn unreachable(why: &str) -> Finding {
    Finding::fail("database", format!("cannot be reached: {why}"), "pg_isready -d \"$DATABASE_URL\"")
}

async fn durability(connection: &mut PgConnection, allowed: bool) -> Finding {
    const NAME: &str = "durability";
    let mut off = Vec::new();
    for name in DURABILITY {
        match store::health::setting(connection, name).await {
            Ok(value) if value == "off" => off.push(name),
            Ok(_) => {}
            Err(error) => {
                return Finding::fail(NAME, format!("{name} cannot be read: {error}"), "read the server's log");
            }
        }
    }
    if off.is_empty() {
        return Finding::ok(NAME, "what Postgres acknowledges it keeps");
    }
    let found = format!("{} off: Postgres may forget what it has acknowledged", off.join(", "));
    let turned_on: Vec<String> = off.iter().map(|name| format!("alter system set {name} = on;")).collect();
    let remedy = format!("{} select pg_reload_conf();", turned_on.join(" "));
    if allowed {
        Finding::warn(NAME, format!("{found}, and that is allowed here"), remedy)
    } else {
        Finding::fail(NAME, found, remedy)
    }
}

async fn connections(connection: &mut PgConnection, wanted: u32) -> Finding {
    const NAME: &str = "connections";
    let allowed: Option<u32> =
        store::health::setting(connection, "max_connections").await.ok().and_then(|text| text.parse().ok());
    match allowed {
        Some(allowed) if wanted.saturating_add(RESERVED) > allowed => {
            let found = format!("each process opens up to {wanted}, and Postgres allows {allowed} in all");
            Finding::warn(NAME, found, "set database.max_connections lower, or Postgres' max_connections higher")
        }
        Some(allowed) => Finding::ok(NAME, format!("up to {wanted} for each process, of {allowed}")),
        None => Finding::warn(NAME, "Postgres' max_connections cannot be read", "show max_connections;"),
    }
}

/// A server that knows itself by another port than ours has something before it, which may be a pooler.
async fn pooler(connection: &mut PgConnection, options: &PgConnectOptions) -> Option<Finding> {
    if options.get_socket().is_some() || options.get_host().starts_with('/') {
        return None;
    }
    let port: u16 = store::health::setting(connection, "port").await.ok()?.parse().ok()?;
    if port == options.get_port() {
        return None;
    }
    let found = format!("port {} leads to a server on port {port}: a proxy, or a pooler", options.get_port());
    Some(Finding::warn("pooler", found, "with PgBouncer: pool_mode = session, or connect to Postgres itself"))
}

async fn schema(connection: &mut PgConnection) -> Finding {
    const NAME: &str = "schema";
    match store::migrate::state(connection).await {
        Ok(SchemaState::Current) => Finding::ok(NAME, "is this release's"),
        Ok(SchemaState::Behind { applied, expected }) => {
            Finding::fail(NAME, format!("{applied} of {expected} migrations are applied"), "falconer migrate")
        }
        Err(error) => Finding::fail(NAME, format!("cannot be read: {error}"), "falconer migrate"),
    }
}

/// What can be asked of our own tables, through pools as a server has them.
async fn contents(config: &Config, store: &Store) -> Vec<Finding> {
    let before = unix_now();
    let now = match store.now().await {
        Ok(now) => now.timestamp(),
        Err(error) => {
            let remedy =
                "PgBouncer refuses startup options: connect to Postgres itself, or ignore_startup_parameters = options";
            return vec![Finding::fail("pools", format!("cannot be opened: {}", chain(&error)), remedy)];
        }
    };
    let rows = [
        clock(now - before),
        or_failed("partitions", partitions(store, now).await),
        or_failed("events", events(store).await),
        or_failed("account", account(store).await),
        or_failed("sealed keys", sealed_keys(config, store).await),
        or_failed("API keys", api_keys(store).await),
    ];
    store.close().await;
    rows.into()
}

fn clock(off: i64) -> Finding {
    let found = format!("the database's is {off} s from this machine's");
    if off.abs() > SKEW_SECONDS_MAX {
        return Finding::warn("clock", found, "timedatectl status, on both machines");
    }
    Finding::ok("clock", found)
}

async fn partitions(store: &Store, now: i64) -> Result<Finding> {
    const NAME: &str = "partitions";
    const REMEDY: &str = "falconer serve, which makes them";
    let Some(until) = retention::covered_until(store).await? else {
        return Ok(Finding::fail(NAME, "a table has none", REMEDY));
    };
    let days = (until.timestamp() - now) / 86_400;
    let found = format!("made until {} ({days} days ahead)", until.format("%Y-%m-%d"));
    Ok(match days {
        ..1 => Finding::fail(NAME, found, REMEDY),
        1..PARTITION_DAYS_WANTED => Finding::warn(NAME, found, REMEDY),
        _ => Finding::ok(NAME, found),
    })
}

async fn events(store: &Store) -> Result<Finding> {
    const NAME: &str = "events";
    let feed = store::events::health(store).await?;
    if !feed.epoch_is_here {
        return Ok(Finding::warn(
            NAME,
            "the database comes from another cluster",
            "falconer serve, which begins an epoch",
        ));
    }
    if feed.held_seconds > HELD_SECONDS_MAX {
        let found = format!("held back for {:.0} s by a transaction that does not end", feed.held_seconds);
        return Ok(Finding::warn(NAME, found, "docs/events.md, *When the feed stands still*"));
    }
    Ok(Finding::ok(NAME, format!("readers are {:.0} s behind at most", feed.behind_seconds)))
}

async fn account(store: &Store) -> Result<Finding> {
    let all = credentials::list(store).await?;
    let told = all.iter().map(|one| match (&one.user_id, &one.user_id_source) {
        (Some(id), Some(source)) => format!("{}: {} slots, callbacks of {id} ({source})", one.name, one.slots),
        _ => format!("{}: {} slots, user id not learnt yet", one.name, one.slots),
    });
    Ok(Finding::ok("account", told.collect::<Vec<_>>().join("; ")))
}

/// Keys of fal accounts that this process' secrets do not open: their jobs would wait.
async fn sealed_keys(config: &Config, store: &Store) -> Result<Finding> {
    const NAME: &str = "sealed keys";
    let closed = match serve::sealer(config) {
        Ok(sealer) => sealer.unreadable(store).await?,
        Err(error) => return Ok(Finding::fail(NAME, format!("{error:#}"), "export FALCONER_SECRET=…")),
    };
    if closed.is_empty() {
        return Ok(Finding::ok(NAME, "FALCONER_SECRET opens each of them"));
    }
    let found = format!("FALCONER_SECRET does not open those of: {}", closed.join(", "));
    let remedy =
        "add the earlier secret after a comma and run `falconer credentials reseal`, or `falconer credentials rotate`";
    Ok(Finding::fail(NAME, found, remedy))
}

async fn api_keys(store: &Store) -> Result<Finding> {
    let count = keys::list(store, None).await?.iter().filter(|key| key.revoked_at.is_none()).count();
    if count == 0 {
        return Ok(Finding::warn("API keys", "there is none", "falconer keys create --project default"));
    }
    Ok(Finding::ok("API keys", format!("{count}")))
}

fn or_failed(check: &'static str, finding: Result<Finding>) -> Finding {
    finding.unwrap_or_else(|error| Finding::fail(check, format!("cannot be read: {error:#}"), "read the server's log"))
}

fn chain(error: &store::Error) -> String {
    let mut told = error.to_string();
    let mut next = std::error::Error::source(error);
    while let Some(source) = next {
        told.push_str(": ");
        told.push_str(&source.to_string());
        next = source.source();
    }
    told
}
