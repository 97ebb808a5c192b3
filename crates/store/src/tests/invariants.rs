//! What must hold after anything: each statement may return no row.

use super::fixture::world;
use domain::table::{allowed_attempt_pairs, allowed_job_pairs};
use sqlx::PgPool;

const NO_ROWS: &[(&str, &str)] = &[
    (
        "I03: one terminal transition",
        "select job_id::text from falconer.transitions t join falconer.jobs j on j.id = t.job_id
        where t.job_to in ('succeeded', 'failed', 'canceled') and t.job_to is distinct from t.job_from
        group by job_id having count(*) > 1",
    ),
    (
        "I04: an attempt's versions have no gap",
        "select a.id::text from falconer.attempts a
        left join falconer.transitions t on t.job_id = a.job_id and t.attempt_number = a.number
        group by a.job_id, a.id, a.version having count(t.version) <> a.version or max(t.version) <> a.version",
    ),
    (
        "I04: a job's versions have no gap",
        "select j.id::text from falconer.jobs j
        left join falconer.transitions t on t.job_id = j.id and t.job_version is not null
        -- A refetched job is made in its last state, and that is its first version.
        group by j.id, j.version, j.refetched_from
        having count(t.job_version) <> j.version - (j.refetched_from is null)::int
            or coalesce(max(t.job_version), 1) <> j.version",
    ),
    (
        "I05: what is open is looked at",
        "select id::text from falconer.attempts
        where state in ('submitting', 'unknown', 'submitted') and next_look_at is null",
    ),
    (
        "I07: a request id is bound once",
        "select request_id from falconer.attempts
        where request_id is not null and result_from is distinct from 'refetch'
        group by credential_id, request_id having count(*) > 1",
    ),
    (
        "I07: what is bound has its binding",
        "select a.id::text from falconer.attempts a
        full join falconer.request_bindings b on b.attempt_id = a.id and b.request_id = a.request_id
        -- A copy that was refetched leaves the binding to its original; a binding outlives a dropped attempt.
        where (b.attempt_id is null and a.request_id is not null and a.result_from is distinct from 'refetch')
            or (a.id is null and exists (select from falconer.attempts x where x.id = b.attempt_id))",
    ),
    (
        "I08: one live attempt",
        "select job_id::text from falconer.attempts
        where state in ('submitting', 'unknown', 'submitted') and superseded_at is null
        group by job_id having count(*) > 1",
    ),
    (
        "I09: the winner is the job's own and succeeded",
        "select j.id::text from falconer.jobs j
        left join falconer.attempts a on a.id = j.winner and a.job_id = j.id
        where j.state = 'succeeded' and a.state is distinct from 'succeeded'",
    ),
    (
        "I09: a succeeded job has its bytes",
        "select j.id::text from falconer.jobs j
        left join falconer.results r on r.job_id = j.id and r.attempt_id = j.winner
        where j.state = 'succeeded' and r.body is null",
    ),
    (
        "I11: one event for each end, of the same transaction",
        "select j.id::text from falconer.jobs j
        left join falconer.job_events e on e.job_id = j.id
        left join falconer.transitions t on t.job_id = j.id and t.job_to = j.state and j.finished_at is not null
        group by j.id, j.finished_at
        having count(e.id) <> (j.finished_at is not null)::int or max(e.xact) is distinct from max(t.xact)",
    ),
    (
        "I16: every run that may be billed has one line",
        "select a.id::text from falconer.attempts a
        left join falconer.ledger l on l.attempt_id = a.id and l.kind <> 'possible_charge'
        where (a.state = 'succeeded' or a.superseded_ok_at is not null or a.charged = 'yes')
            and a.result_from is distinct from 'refetch'
        group by a.id having count(l.kind) <> 1",
    ),
    (
        "I31: counted attempts",
        "select j.id::text from falconer.jobs j left join falconer.attempts a on a.job_id = j.id
        group by j.id having j.attempts_opened <> count(a.id)
            or j.finished_at is null and j.attempts_made <> count(a.id) filter (where a.counted)",
    ),
    (
        "a live attempt means a running job",
        "select a.id::text from falconer.attempts a join falconer.jobs j on j.id = a.job_id
        where a.state in ('submitting', 'unknown', 'submitted') and a.superseded_at is null and j.state <> 'running'",
    ),
    (
        "a running job has a live attempt",
        "select j.id::text from falconer.jobs j where j.state = 'running' and not exists (
        select from falconer.attempts a where a.job_id = j.id and a.superseded_at is null
          and a.state in ('submitting', 'unknown', 'submitted'))",
    ),
];

/// Fails with the invariant's name and the first of its rows.
pub(crate) async fn hold(pool: &PgPool) {
    let pool = &world::store(pool).pools.api;
    for (name, sql) in NO_ROWS {
        let broken: Vec<String> = sqlx::query_scalar(*sql).fetch_all(pool).await.unwrap();
        assert!(broken.is_empty(), "{name}: {broken:?}");
    }
    only_allowed_moves(pool).await;
}

/// The log holds no move that `domain` does not make.
async fn only_allowed_moves(pool: &PgPool) {
    type Name = Option<String>;
    let moves: Vec<(Name, Name, Name, Name)> =
        // A refetched job is made in its last state, and makes no move.
        sqlx::query_as(
            "select distinct attempt_from, attempt_to, job_from, job_to from falconer.transitions
            where event <> 'refetched'",
        )
            .fetch_all(pool)
            .await
            .unwrap();
    let (attempts, jobs) = (allowed_attempt_pairs(), allowed_job_pairs());
    for (attempt_from, attempt_to, job_from, job_to) in &moves {
        for (from, to, allowed) in [(attempt_from, attempt_to, &attempts), (job_from, job_to, &jobs)] {
            if let Some(to) = to
                && from.as_deref() != Some(to)
            {
                let pair = (from.as_deref().unwrap_or(domain::table::ENTRY), to.as_str());
                assert!(allowed.contains(&pair), "{pair:?} is no move");
            }
        }
    }
}
