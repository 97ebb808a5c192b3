-- Claims ready jobs of one credential and commits an attempt for each: see claim.rs.
-- $1 credential, $2 places, $3 fresh attempt ids, $4 fresh seeds, $5 owner, $6 lease, $7 start and run timeout,
-- $8 abandon after; the last three in seconds.
with clock as materialized (select falconer.now() as now),
room as materialized (
    -- While the whole credential is on probation, one job goes and shows whether fal takes it.
    -- A disabled one gives nothing, whatever a process that has not noticed asks for.
    select case when exists (select from falconer.credentials k where k.id = $1 and k.disabled_at is not null) then 0
    else least(
        case when exists (select from falconer.circuits c where c.credential_id = $1 and c.model = '') then 1
             else cardinality($3::uuid[]) end,
        greatest(0, $2::bigint - (
        select count(*) from falconer.attempts a
        where a.credential_id = $1 and a.state in ('submitting', 'unknown', 'submitted')
          and (a.state <> 'unknown' or a.posted_by = 'falconer' and a.run_deadline > (select now from clock))))) end as n
),
open_lanes as materialized (
    -- `probed` is the model whose circuit lets one job through; its lanes share that one.
    select l.id, l.last_fence,
        least((select n from room), coalesce(min(case when c.open_until <= (select now from clock) then 1 when c.open_until is not null then 0 end),
            cardinality($3::uuid[]))) as n,
        max(c.model) filter (where c.model <> '') as probed
    from falconer.lanes l
    left join falconer.circuits c on c.credential_id = l.credential_id and c.model in ('', l.model)
    where l.credential_id = $1 and l.paused_at is null and (select n from room) > 0
    group by l.id
),
ready as materialized (
    select q.id, q.claim_key, l.last_fence, l.probed,
        row_number() over (partition by l.id order by q.claim_key, q.id) as turn
    from open_lanes l
    cross join lateral (
        select j.id, j.claim_key from falconer.jobs j
        where j.lane_id = l.id and j.state = 'queued' and j.run_at <= (select now from clock)
          -- What nobody has a use for any more is left to the sweep.
          and (j.useful_until is null or j.useful_until > (select now from clock))
        order by j.claim_key
        limit l.n
    ) as q
),
allowed as materialized (
    select r.*, row_number() over (partition by r.probed order by r.turn, r.last_fence, r.claim_key) as probe
    from ready r
),
picked as materialized (
    -- Lanes take turns, and the one that was served longest ago begins: with one place to fill, a lane with old jobs
    -- would else be served alone.
    select j.id
    from (
        select id from allowed where probed is null or probe = 1
        order by turn, last_fence, claim_key limit (select n from room)
    ) as r
    join falconer.jobs j on j.id = r.id
    where j.state = 'queued'
    order by j.id
    for update of j skip locked
),
moved as (
    update falconer.jobs j
    set state = 'running', version = j.version + 1, attempts_opened = j.attempts_opened + 1,
        attempts_made = j.attempts_made + 1, started_at = coalesce(j.started_at, (select now from clock))
    from picked p
    where j.id = p.id
    returning j.id, j.project_id, j.lane_id, j.model, j.input, j.mints_seed, j.version, j.attempts_opened,
        j.claim_key, j.run_at
),
numbered as (
    select m.*, row_number() over (order by m.claim_key, m.id) as place from moved m
),
made as (
    insert into falconer.attempts (job_id, id, project_id, credential_id, model, number, state, seed,
        lease_owner, lease_until, fence, claimed_at, run_deadline, abandon_at, next_look_at)
    select n.id, f.id, n.project_id, $1, n.model, n.attempts_opened, 'submitting',
        case when n.mints_seed then f.seed end,
        $5, clock.now + make_interval(secs => $6::float8), nextval('falconer.fences'), clock.now,
        clock.now + make_interval(secs => $7::float8), clock.now + make_interval(secs => $8::float8),
        clock.now + make_interval(secs => $6::float8)
    from numbered n
    join unnest($3::uuid[], $4::bigint[]) with ordinality as f (id, seed, place) using (place)
    cross join clock
    returning job_id, id, number, seed, fence, claimed_at
),
logged as (
    insert into falconer.transitions (job_id, attempt_number, version, at, event, attempt_to, job_from, job_to,
        job_version)
    select m.job_id, m.number, 1, m.claimed_at, 'claimed', 'submitting', 'queued', 'running', n.version
    from made m join numbered n on n.id = m.job_id
),
served as (
    update falconer.lanes l set last_fence = m.fence
    from (select n.lane_id, max(m.fence) as fence from made m join numbered n on n.id = m.job_id group by n.lane_id) as m
    where l.id = m.lane_id
),
probing as (
    -- The next probe waits until this one has an answer, or has lost its lease.
    update falconer.circuits c
    set open_until = (select now from clock) + make_interval(secs => $6::float8)
    where c.credential_id = $1 and c.open_until <= (select now from clock)
      and exists (select from numbered n where c.model in ('', n.model))
)
select m.id as "attempt!: AttemptId", m.job_id as "job!: JobId", n.project_id as "project!: ProjectId",
    n.model as "model!", m.number as "number!", n.input as "input!", m.seed, m.fence as "fence!",
    m.claimed_at as "claimed_at!",
    extract(epoch from m.claimed_at - n.run_at)::float8 as "waited_seconds!"
from made m join numbered n on n.id = m.job_id
order by n.place
