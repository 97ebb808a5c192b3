//! What the database shows, in the model's words, and databases that begin a case empty.

use super::system::{System, ensure_partitions};
use chrono::{DateTime, TimeDelta, Utc};
use sqlx::{AssertSqlSafe, PgPool};
use std::collections::BTreeMap;

/// Further weeks that have partitions from the start, so that most cases make none.
const WEEKS: i64 = 4;

/// The number in an id: see `ids::id`.
macro_rules! number {
    ($id:literal) => {
        concat!("(get_byte(uuid_send(", $id, "), 10) * 256 + get_byte(uuid_send(", $id, "), 11))")
    };
}

const FACTS: &str = concat!(
    "select 'job ' || ",
    number!("j.id"),
    " as name, concat_ws(' ', j.state, 'v' || version, attempts_made || '/' || attempts_opened || '/' || attempts_max,
         'armed=' || (cancel_requested_at is not null), 'winner=' || coalesce(",
    number!("j.winner"),
    "::text, '-'), coalesce(error_class, '-'), coalesce(error_charged, '-'),
         'told=' || coalesce((select string_agg(type, ',') from falconer.job_events e where e.job_id = j.id), '-')) as line,
         null::bytea as body
     from falconer.jobs j
     union all
     select 'attempt ' || ",
    number!("a.id"),
    ", concat_ws(' ', 'of', ",
    number!("a.job_id"),
    " || '.' || number, state, 'v' || version, 'counted=' || counted, 'superseded=' || (superseded_at is not null),
         'late=' || (superseded_ok_at is not null), 'id=' || coalesce(request_id, '-'),
         'by=' || coalesce(bound_by, '-'), 'candidate=' || coalesce(candidate_request_id, '-'),
         'cancel=' || (cancel_requested_at is not null), coalesce(error_class, '-'), coalesce(charged, '-'),
         'paid=' || coalesce((select string_agg(kind, ',' order by kind) from falconer.ledger l
             where l.attempt_id = a.id), '-'),
         'from=' || coalesce(result_from, '-')), r.body
     from falconer.attempts a left join falconer.results r on r.job_id = a.job_id and r.attempt_id = a.id
     union all
     select 'callback ' || ",
    number!("id"),
    ", concat_ws(' ', disposition, coalesce(cause, '-')), null from falconer.callbacks
     union all
     select 'request ' || request_id, ",
    number!("attempt_id"),
    "::text, null from falconer.request_bindings",
);

impl System {
    /// Reads everything.
    pub(super) async fn facts(&self) -> BTreeMap<String, String> {
        let rows: Vec<(String, String, Option<Vec<u8>>)> = sqlx::query_as(FACTS).fetch_all(&self.pool).await.unwrap();
        let facts = rows.into_iter().map(|(name, line, body)| {
            let result = if name.starts_with("attempt") {
                format!(" result={:?}", body.map(bytes::Bytes::from))
            } else {
                String::new()
            };
            (name, line + &result)
        });
        facts.collect()
    }

    /// How many milliseconds the clock is ahead of where the model has it.
    pub(super) async fn ahead_of(&self, now: i64) -> i64 {
        let clock: DateTime<Utc> = sqlx::query_scalar("select falconer.now()").fetch_one(&self.pool).await.unwrap();
        (clock - self.start).num_milliseconds() - now
    }
}

/// The lines that differ, side by side.
pub(super) fn difference(model: &BTreeMap<String, String>, store: &BTreeMap<String, String>) -> String {
    let names = model.keys().chain(store.keys()).collect::<std::collections::BTreeSet<_>>();
    let differing = names.into_iter().filter(|name| model.get(*name) != store.get(*name));
    let show = |line: Option<&String>| line.map_or("nothing", |line| line.as_str()).to_owned();
    let lines =
        differing.map(|name| format!("\n{name}\n  model {}\n  store {}", show(model.get(name)), show(store.get(name))));
    lines.collect()
}

/// Empties the tables, deletes being quicker than truncates where there is little, and sets the clock to `start`.
pub(super) async fn clean(pool: &PgPool, start: DateTime<Utc>) {
    ensure_partitions(pool, start, WEEKS).await;
    drop_later_partitions(pool, start).await;
    let emptied = "with j as (delete from falconer.jobs), a as (delete from falconer.attempts),
            r as (delete from falconer.results), t as (delete from falconer.transitions),
            e as (delete from falconer.job_events), l as (delete from falconer.ledger),
            c as (delete from falconer.callbacks), b as (delete from falconer.request_bindings),
            i as (delete from falconer.idempotency_keys), u as (delete from falconer.unique_keys),
            o as (delete from falconer.circuits),
            k as (update falconer.credentials set user_id = $2, user_id_source = 'repinned', seen_user_id = null,
                seen_count = 0)
        update falconer.clock set ahead_by = $1 - clock_timestamp()";
    sqlx::query(emptied).bind(start).bind(super::fixture::OURS).execute(pool).await.unwrap();
}

/// What a case with a clock far ahead has made would slow down all that follow.
async fn drop_later_partitions(pool: &PgPool, start: DateTime<Utc>) {
    let later = "select c.relname::text from pg_inherits i join pg_class c on c.oid = i.inhrelid
        where c.relkind = 'r' and c.relnamespace = 'falconer'::regnamespace and right(c.relname, 8) > $1";
    let last = (start + TimeDelta::weeks(WEEKS)).format("%Y%m%d").to_string();
    let names: Vec<String> = sqlx::query_scalar(later).bind(last).fetch_all(pool).await.unwrap();
    if !names.is_empty() {
        let tables: Vec<String> = names.iter().map(|name| format!("falconer.{name}")).collect();
        sqlx::query(AssertSqlSafe(format!("drop table {}", tables.join(", ")))).execute(pool).await.unwrap();
    }
}
