//! Who belongs to whom: the hot tables carry no foreign keys, so that these queries stand for them.

/// Id, what holds, and the query for what breaks it.
pub(super) const LINEAGE: &[(&str, &str, &str)] = &[
    (
        "I24",
        "an attempt has its job's project, credential and model",
        "select a.id, a.project_id, j.project_id as of_job from falconer.attempts a
         left join falconer.jobs j on j.id = a.job_id
         where j.id is null or (a.project_id, a.credential_id, a.model)
             is distinct from (j.project_id, j.credential_id, j.model)",
    ),
    (
        "I24",
        "a job competes in the lane of its own project, credential and model",
        "select j.id, j.lane_id from falconer.jobs j left join falconer.lanes l on l.id = j.lane_id
         where l.id is null or (l.project_id, l.credential_id, l.model)
             is distinct from (j.project_id, j.credential_id, j.model)",
    ),
    (
        "I24",
        "an event has its job's project",
        "select e.job_id, e.type, e.project_id from falconer.job_events e left join falconer.jobs j on j.id = e.job_id
         where j.project_id is distinct from e.project_id",
    ),
    (
        "I24",
        "a result and a line of money belong to an attempt of their job",
        "select c.job_id, c.attempt_id, c.kind from (
             select job_id, attempt_id, 'result' as kind from falconer.results
             union all select job_id, attempt_id, kind from falconer.ledger) as c
         left join falconer.attempts a on a.job_id = c.job_id and a.id = c.attempt_id where a.id is null",
    ),
    (
        "I24",
        "a step in the log belongs to its job and to an attempt of it",
        "select t.job_id, t.attempt_number, t.event from falconer.transitions t
         left join falconer.jobs j on j.id = t.job_id
         left join falconer.attempts a on a.job_id = t.job_id and a.number = t.attempt_number
         where j.id is null or t.attempt_number > 0 and a.id is null",
    ),
    (
        "I24",
        "a callback is kept with the job and the credential of the attempt that its token named",
        "select c.id, c.job_id, c.attempt_id from falconer.callbacks c
         left join falconer.attempts a on a.id = c.attempt_id
         where c.job_id is not null and (a.job_id, a.credential_id) is distinct from (c.job_id, c.credential_id)",
    ),
    (
        "I24",
        "a callback that was applied spoke of its attempt's own request",
        "select c.id, c.request_id, a.request_id as of_attempt from falconer.callbacks c
         join falconer.attempts a on a.id = c.attempt_id
         where c.disposition = 'applied' and a.request_id is distinct from c.request_id",
    ),
    (
        "I25",
        "a job comes from an older one of its own project",
        "select j.id, p.id as came_from from falconer.jobs j
         join falconer.jobs p on p.id in (j.regenerated_from, j.refetched_from)
         where p.created_at > j.created_at or p.id = j.id or p.project_id <> j.project_id",
    ),
];
