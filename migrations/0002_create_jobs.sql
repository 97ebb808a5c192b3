-- Work and its history. Partitioned by time through the job's UUIDv7, so that the past is dropped, never deleted row by row.
-- These tables carry no foreign keys: each would cost a lookup per row and a shared lock on one hot parent. What they would
-- guard is checked by the invariants instead, and a job's partition takes everything of the job with it.
create table falconer.jobs (
    id uuid not null,
    project_id uuid not null,
    credential_id uuid not null,
    lane_id integer not null,
    model text not null,
    -- Byte for byte as the caller sent it: a number must not change on its way to fal.
    input bytea not null,
    input_sha256 bytea not null check (length(input_sha256) = 32),
    -- Whether each attempt gets a seed of ours, which makes it findable in fal's history.
    mints_seed boolean not null default false,
    state text not null
        check (state in ('scheduled', 'held', 'queued', 'running', 'succeeded', 'failed', 'canceled')),
    version integer not null default 1,
    priority smallint not null default 0 check (priority between -10 and 10),
    run_at timestamptz not null,
    -- `run_at` less a step for each level of priority: fixed at accept, so that an index serves it and age wins in the end.
    claim_key timestamptz not null,
    useful_until timestamptz,
    on_unknown text not null default 'patient' check (on_unknown in ('patient', 'impatient', 'operator')),
    attempts_opened smallint not null default 0,
    attempts_made smallint not null default 0,
    attempts_max smallint not null default 5 check (attempts_max between 1 and 100),
    cancel_requested_at timestamptz,
    tags text[] not null default '{}',
    metadata jsonb not null default '{}',
    created_at timestamptz not null,
    started_at timestamptz,
    finished_at timestamptz,
    winner uuid,
    error_class text,
    error_message text,
    error_charged text check (error_charged in ('no', 'perhaps', 'yes')),
    regenerated_from uuid,
    refetched_from uuid,
    estimated numeric check (estimated >= 0),
    primary key (id),
    constraint counts_in_range check (attempts_made between 0 and attempts_max and attempts_made <= attempts_opened),
    constraint terminal_iff_finished
        check ((state in ('succeeded', 'failed', 'canceled')) = (finished_at is not null)),
    constraint winner_iff_succeeded check ((state = 'succeeded') = (winner is not null)),
    constraint error_iff_failed check ((state = 'failed') = (error_class is not null))
) partition by range (id);

-- `run_at` stands in it so that jobs in back-off are passed over without reading their rows.
create index jobs_ready on falconer.jobs (lane_id, claim_key, run_at) where state = 'queued';
create index jobs_scheduled on falconer.jobs (run_at) where state = 'scheduled';
create index jobs_useful on falconer.jobs (useful_until)
    where useful_until is not null and state in ('scheduled', 'held', 'queued');
create index jobs_by_project on falconer.jobs (project_id, id);
create index jobs_refetched on falconer.jobs (refetched_from) where refetched_from is not null;

create table falconer.attempts (
    job_id uuid not null,
    id uuid not null,
    project_id uuid not null,
    credential_id uuid not null,
    model text not null,
    number smallint not null check (number > 0),
    state text not null check (state in ('submitting', 'unknown', 'submitted',
        'succeeded', 'failed', 'canceled', 'abandoned', 'expired')),
    version integer not null default 1,
    counted boolean not null default true,
    seed bigint,
    lease_owner uuid not null,
    lease_until timestamptz not null,
    fence bigint not null,
    claimed_at timestamptz not null,
    submitted_at timestamptz,
    finished_at timestamptz,
    -- Past this instant fal cannot be running it, known to us or not.
    run_deadline timestamptz not null,
    -- Past this instant an unknown attempt is given up.
    abandon_at timestamptz not null,
    -- When somebody must ask fal about it; while it is being submitted, when its lease runs out.
    next_look_at timestamptz,
    looks integer not null default 0,
    request_id text,
    gateway_request_id text,
    -- Who told us the request id. Only `submit` makes a callback a witness for our user id.
    bound_by text check (bound_by in ('submit', 'callback', 'history')),
    -- A request id that somebody claims and fal has not confirmed to us.
    candidate_request_id text,
    superseded_at timestamptz,
    superseded_ok_at timestamptz,
    cancel_requested_at timestamptz,
    error_class text,
    error_message text,
    charged text check (charged in ('no', 'perhaps', 'yes')),
    billable_units numeric,
    result_from text check (result_from in ('callback', 'poll', 'refetch')),
    primary key (job_id, id),
    constraint finished_iff_terminal
        check ((state in ('submitting', 'unknown', 'submitted')) = (finished_at is null)),
    constraint looked_after_while_open
        check (state not in ('submitting', 'unknown', 'submitted') or next_look_at is not null),
    constraint submitted_has_request_id check (state <> 'submitted' or request_id is not null),
    constraint bound_has_source check ((request_id is null) = (bound_by is null))
) partition by range (job_id);

create unique index attempts_one_live on falconer.attempts (job_id)
    where state in ('submitting', 'unknown', 'submitted') and superseded_at is null;
create index attempts_by_id on falconer.attempts (id);
-- Open attempts alone, so it also counts the places that are taken.
create index attempts_due on falconer.attempts (next_look_at)
    where state in ('submitting', 'unknown', 'submitted');

-- Immutable: what fal made, byte for byte.
create table falconer.results (
    job_id uuid not null,
    attempt_id uuid not null,
    body bytea not null,
    body_sha256 bytea not null check (length(body_sha256) = 32),
    stored_at timestamptz not null,
    primary key (job_id, attempt_id)
) partition by range (job_id);

-- Every step of a job and its attempts, in one line where they step together. `attempt_number` 0 is the job alone.
create table falconer.transitions (
    job_id uuid not null,
    attempt_number smallint not null,
    -- The attempt's version, or the job's where it steps alone.
    version integer not null,
    at timestamptz not null,
    event text not null,
    attempt_from text,
    attempt_to text,
    job_from text,
    job_to text,
    job_version integer,
    detail text,
    xact xid8 not null default pg_current_xact_id(),
    primary key (job_id, attempt_number, version)
) partition by range (job_id);

create unique index transitions_one_end on falconer.transitions (job_id)
    where job_to in ('succeeded', 'failed', 'canceled');

-- What a subscriber may want to know. Exactly one for each terminal job, from the transaction that ended it.
create table falconer.events (
    job_id uuid not null,
    id uuid not null,
    project_id uuid not null,
    type text not null,
    created_at timestamptz not null,
    xact xid8 not null default pg_current_xact_id(),
    primary key (job_id, id)
) partition by range (job_id);

create unique index events_one_end on falconer.events (job_id)
    where type in ('job.succeeded', 'job.failed', 'job.canceled');

-- Money spent, one line for each attempt that was or may have been billed. Lines are added, never changed.
create table falconer.ledger (
    job_id uuid not null,
    attempt_id uuid not null,
    kind text not null check (kind in ('charge', 'superseded_charge', 'possible_charge')),
    at timestamptz not null,
    units numeric,
    unit_price numeric,
    amount numeric,
    currency text not null,
    -- What the amount stands on: what fal said it will bill, or our own estimate.
    basis text not null check (basis in ('billable_units', 'estimate', 'unknown')),
    primary key (job_id, attempt_id, kind)
) partition by range (job_id);
