-- What fal bills that no attempt explains, and how far its bills were read. New tables alone: nothing that is there is locked
-- for longer than a foreign key to `credentials` takes.

-- A request that fal billed and that is bound to no attempt. Nothing of it is known but the bill, so it belongs to the
-- account and to no project.
create table falconer.orphan_charges (
    credential_id uuid not null references falconer.credentials (id),
    request_id text not null,
    -- Orders the list; version 7.
    id uuid not null unique,
    endpoint text not null,
    billed_at timestamptz not null,
    units numeric not null,
    unit text not null,
    unit_price numeric not null,
    amount numeric not null,
    currency text not null,
    first_seen_at timestamptz not null,
    resolved_at timestamptz,
    resolution text check (resolution in ('bound', 'dismissed')),
    -- The attempt that it turned out to belong to.
    job_id uuid,
    attempt_id uuid,
    -- The API key by which somebody dismissed it, and why. Kept where an attempt turns up afterwards.
    dismissed_by uuid,
    reason text,
    primary key (credential_id, request_id),
    constraint resolved_iff_resolution check ((resolved_at is null) = (resolution is null)),
    constraint bound_iff_attempt check ((resolution is not distinct from 'bound') = (attempt_id is not null)
        and (attempt_id is null) = (job_id is null)),
    constraint dismissed_has_reason check (resolution is distinct from 'dismissed' or reason is not null)
);
create index orphan_charges_open on falconer.orphan_charges (id) where resolved_at is null;

-- What an operator may want to know and what belongs to no job, so that `events` has no place for it. Each thing is told
-- once, from the transaction that found it.
create table falconer.account_events (
    id uuid primary key,
    credential_id uuid not null references falconer.credentials (id),
    type text not null check (type in ('charge.orphaned')),
    request_id text not null,
    created_at timestamptz not null,
    xact xid8 not null default pg_current_xact_id(),
    unique (credential_id, type, request_id)
);

-- How far each account's bills were read. They are read again from some time before, since fal lists them late.
create table falconer.billing_cursors (
    credential_id uuid primary key references falconer.credentials (id),
    read_until timestamptz not null,
    -- When all that fal still lists was last read.
    whole_at timestamptz
);
