//! The invariants that are one plain query.

/// Id, what holds, whether only once all is drained, and the query for what breaks it.
pub(super) const PLAIN: &[(&str, &str, bool, &str)] = &[
    (
        "I02",
        "every job has ended",
        true,
        "select id, state from falconer.jobs where state not in ('succeeded', 'failed', 'canceled')",
    ),
    (
        "I03",
        "a job ends once",
        false,
        "select job_id, count(*) from falconer.transitions where job_to in ('succeeded', 'failed', 'canceled')
         group by job_id having count(*) > 1",
    ),
    (
        "I03",
        "an ended job has its end in the log",
        false,
        "select j.id, j.state from falconer.jobs j where j.finished_at is not null and not exists (
             select from falconer.transitions t where t.job_id = j.id and t.job_to = j.state)",
    ),
    (
        "I04",
        "an attempt's versions are gapless and its states are chained",
        false,
        "select * from (
             select job_id, attempt_number, version, attempt_from, lag(version, 1, 0) over w as earlier,
                 lag(attempt_to) over w as came_from
             from falconer.transitions where attempt_number > 0
             window w as (partition by job_id, attempt_number order by version)) as t
         where version <> earlier + 1 or attempt_from is distinct from came_from",
    ),
    (
        "I04",
        "an attempt is where its log says",
        false,
        "select a.id, a.state, a.version, t.attempt_to, t.version as logged from falconer.attempts a
         join lateral (select attempt_to, version from falconer.transitions t
             where t.job_id = a.job_id and t.attempt_number = a.number order by t.version desc limit 1) as t on true
         where a.state <> t.attempt_to or a.version <> t.version",
    ),
    (
        "I04",
        "a job's versions are gapless and its states are chained",
        false,
        "select * from (
             select job_id, job_version, job_from, lag(job_version) over w as earlier, lag(job_to) over w as came_from
             from falconer.transitions where job_version is not null
             window w as (partition by job_id order by job_version)) as t
         where earlier is not null and (job_version <> earlier + 1 or job_from is distinct from came_from)",
    ),
    (
        "I04",
        "a job is where its log says",
        false,
        "select j.id, j.state, j.version, t.job_to, t.job_version from falconer.jobs j
         join lateral (select job_to, job_version from falconer.transitions t
             where t.job_id = j.id and t.job_version is not null order by t.job_version desc limit 1) as t on true
         where j.state <> t.job_to or j.version <> t.job_version",
    ),
    (
        "I04",
        "what Falconer sends begins with a claim, and what somebody else sends with its being minted or adopted",
        false,
        "select t.job_id, j.origin, a.posted_by, t.event, t.attempt_to, t.job_from
         from falconer.transitions t
         join falconer.jobs j on j.id = t.job_id
         join falconer.attempts a on a.job_id = t.job_id and a.number = t.attempt_number
         where t.attempt_number > 0 and t.attempt_from is null and t.event <> 'refetched'
           and (j.origin, a.posted_by, t.event, t.attempt_to, coalesce(t.job_from, '')) not in (
               ('submitted', 'falconer', 'claimed', 'submitting', 'queued'),
               ('minted', 'caller', 'minted', 'unknown', ''), ('adopted', 'caller', 'adopted', 'submitted', ''))",
    ),
    (
        "I08",
        "what somebody else sends has one attempt and no input, and is never ready to be sent",
        false,
        "select id, origin, state, attempts_opened from falconer.jobs
         where origin <> 'submitted' and (attempts_opened <> 1 or attempts_max <> 1 or length(input) > 0
             or state in ('scheduled', 'held', 'queued'))",
    ),
    (
        "I05",
        "nothing is open without deadlines and a next look",
        false,
        "select id, state from falconer.attempts where state in ('submitting', 'unknown', 'submitted')
         and (next_look_at is null or run_deadline is null or abandon_at is null or lease_until is null)",
    ),
    (
        "I07",
        "a request id is bound once",
        false,
        "select a.credential_id, a.request_id, count(*) from falconer.attempts a
         where a.request_id is not null and a.result_from is distinct from 'refetch' group by 1, 2 having count(*) > 1",
    ),
    (
        "I07",
        "a bound attempt holds its binding",
        false,
        "select a.id, a.request_id from falconer.attempts a
         left join falconer.request_bindings b on b.credential_id = a.credential_id and b.request_id = a.request_id
         where a.request_id is not null and a.result_from is distinct from 'refetch'
           and b.attempt_id is distinct from a.id",
    ),
    (
        "I08",
        "a job has at most one live attempt",
        false,
        "select job_id, count(*) from falconer.attempts
         where state in ('submitting', 'unknown', 'submitted') and superseded_at is null
         group by job_id having count(*) > 1",
    ),
    (
        "I08",
        "a job runs exactly while an attempt of it is live",
        false,
        "select j.id, j.state from falconer.jobs j
         where (j.state = 'running') <> exists (select from falconer.attempts a where a.job_id = j.id
             and a.state in ('submitting', 'unknown', 'submitted') and a.superseded_at is null)",
    ),
    (
        "I09",
        "a succeeded job points at a succeeded attempt of its own, with a result",
        false,
        "select j.id, j.winner from falconer.jobs j
         left join falconer.attempts a on a.job_id = j.id and a.id = j.winner
         left join falconer.results r on r.job_id = j.id and r.attempt_id = j.winner
         where j.state = 'succeeded' and (a.state is distinct from 'succeeded'
             or a.project_id is distinct from j.project_id or r.job_id is null)",
    ),
    (
        "I10",
        "a stored result has the checksum that was stored with it",
        false,
        "select job_id, attempt_id from falconer.results where sha256(body) <> body_sha256",
    ),
    (
        "I11",
        "one event for each ended job, from the transaction that ended it",
        false,
        "select j.id, j.state, e.type from falconer.jobs j
         full join falconer.job_events e on e.job_id = j.id and e.type = 'job.' || j.state
         left join falconer.transitions t on t.job_id = j.id and t.job_to = j.state
             and t.job_to in ('succeeded', 'failed', 'canceled')
         where (j.finished_at is not null or e.job_id is not null)
           and (j.finished_at is null or e.job_id is null or e.xact is distinct from t.xact)",
    ),
    (
        "I16",
        "every attempt that was or may have been billed has its line of money",
        false,
        "select a.id, a.state, a.charged from falconer.attempts a
         where (a.state = 'succeeded' and a.result_from is distinct from 'refetch' or a.charged in ('yes', 'perhaps'))
           and not exists (select from falconer.ledger l where l.job_id = a.job_id and l.attempt_id = a.id)",
    ),
    (
        "I16",
        "an attempt is charged once",
        false,
        "select job_id, attempt_id, count(*) from falconer.ledger where kind in ('charge', 'superseded_charge')
         group by job_id, attempt_id having count(*) > 1",
    ),
    (
        "I17",
        "the log, the events and the charges are as the transaction wrote them that wrote their step",
        false,
        "select job_id, 'transition' as what from falconer.transitions
         where xmin::text::bigint <> xact::text::bigint % 4294967296
         union all select job_id, 'event' from falconer.job_events
         where xmin::text::bigint <> xact::text::bigint % 4294967296
         union all select l.job_id, 'charge' from falconer.ledger l
         join falconer.attempts a on a.job_id = l.job_id and a.id = l.attempt_id
         where l.kind = 'charge' and not exists (select from falconer.transitions t
             where t.job_id = a.job_id and t.attempt_number = a.number
               and t.xact::text::bigint % 4294967296 = l.xmin::text::bigint)",
    ),
    (
        "I21",
        "the same bytes are applied once",
        false,
        "select attempt_id, body_sha256, count(*) from falconer.callbacks where disposition = 'applied'
         group by attempt_id, body_sha256 having count(*) > 1",
    ),
    (
        "I22",
        "an idempotency key leads to a job of its project",
        false,
        "select k.key, k.job_id from falconer.idempotency_keys k left join falconer.jobs j on j.id = k.job_id
         where j.project_id is distinct from k.project_id",
    ),
    (
        "I26",
        "a job's times are in order",
        false,
        "select id, created_at, started_at, finished_at from falconer.jobs
         where started_at < created_at or finished_at < coalesce(started_at, created_at)",
    ),
    (
        "I26",
        "an attempt's times are in order",
        false,
        "select id, claimed_at, submitted_at, finished_at from falconer.attempts
         where submitted_at < claimed_at or finished_at < coalesce(submitted_at, claimed_at)
           or run_deadline < claimed_at",
    ),
    (
        "I26",
        "no look is put off for more than ten minutes",
        false,
        "select id, state, next_look_at from falconer.attempts
         where (state = 'unknown' and posted_by = 'falconer' or state = 'submitted')
           and next_look_at > falconer.now() + interval '10 minutes'",
    ),
    (
        "I26",
        "a callback URL is looked after when it expires at the latest, and from then on as every attempt is",
        false,
        "select id, abandon_at, next_look_at from falconer.attempts
         where state = 'unknown' and posted_by = 'caller'
           and next_look_at > greatest(abandon_at + interval '1 millisecond', falconer.now() + interval '10 minutes')",
    ),
    (
        "I30",
        "a canceled job has no result of its own, and a late one is in the ledger",
        false,
        "select a.id, j.state from falconer.attempts a join falconer.jobs j on j.id = a.job_id
         where a.superseded_ok_at is not null and not exists (select from falconer.ledger l
             where l.attempt_id = a.id and l.job_id = a.job_id and l.kind in ('charge', 'superseded_charge'))
            or j.state = 'canceled' and exists (select from falconer.job_events e
             where e.job_id = j.id and e.type = 'job.succeeded')",
    ),
    (
        "counts",
        "attempts_made counts the counted attempts",
        false,
        "select j.id, j.attempts_made, j.attempts_opened from falconer.jobs j
         where j.attempts_opened <> (select count(*) from falconer.attempts a where a.job_id = j.id)
            or j.finished_at is null and j.attempts_made <> (
                select count(*) from falconer.attempts a where a.job_id = j.id and a.counted)",
    ),
];
