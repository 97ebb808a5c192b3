//! What may be so for a moment and must not stay so: asked again for a few seconds before it counts as broken.
//!
//! Time is the database's, which tests move; so after a jump there is a lot that is overdue until it has been done.

/// Id, what holds, and the query for what breaks it.
pub(super) const TIMELY: &[(&str, &str, &str)] = &[
    (
        "I06",
        "no open attempt is overdue for its look by more than a minute",
        "select id, state, next_look_at from falconer.attempts
         where state in ('submitting', 'unknown', 'submitted')
           and next_look_at < falconer.now() - interval '60 seconds'",
    ),
    (
        "I06",
        "no scheduled or useless job waits for its time to be noticed for more than a minute",
        "select id, state, run_at, useful_until from falconer.jobs
         where state = 'scheduled' and run_at < falconer.now() - interval '60 seconds'
            or state in ('scheduled', 'held', 'queued') and useful_until < falconer.now() - interval '60 seconds'",
    ),
    (
        "I27",
        "nobody holds a transaction open: none is older than a minute, none idles for ten seconds",
        "select pid, application_name, state, xact_start, left(query, 80) as query from pg_stat_activity
         where datname = current_database() and pid <> pg_backend_pid()
           and (xact_start < clock_timestamp() - interval '60 seconds'
               or state like 'idle in transaction%' and state_change < clock_timestamp() - interval '10 seconds')",
    ),
    (
        "I27",
        "no session that does nothing holds an advisory lock",
        "select a.pid, a.application_name, l.classid, l.objid from pg_locks l join pg_stat_activity a using (pid)
         where l.locktype = 'advisory' and a.datname = current_database() and a.state = 'idle'",
    ),
    (
        "I27",
        "nobody keeps a lease that ran out more than a minute ago",
        "select id, lease_owner, lease_until from falconer.attempts
         where state = 'submitting' and lease_until < falconer.now() - interval '60 seconds'",
    ),
];
