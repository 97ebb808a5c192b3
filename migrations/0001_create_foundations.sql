-- The schema, its clock, and the small tables that everything refers to.
create schema if not exists falconer;

-- One row. Tests move `ahead_by`; nothing else does. So time moves for every process at once.
create table falconer.clock (
    only_row boolean primary key default true check (only_row),
    ahead_by interval not null default '0'
);
insert into falconer.clock default values;

-- The only time that anything is scheduled by. Declared stable so that an index can serve `due <= falconer.now()`.
create function falconer.now() returns timestamptz
    language sql stable parallel safe
    as 'select clock_timestamp() + ahead_by from falconer.clock';

-- Fencing numbers: every claim takes the next one, so that of two holders the newer is always known.
create sequence falconer.fences;

create table falconer.projects (
    id uuid primary key,
    name text not null unique check (name ~ '^[a-z0-9][a-z0-9_-]{0,62}$'),
    created_at timestamptz not null
);
insert into falconer.projects (id, name, created_at)
    values ('00000000-0000-7000-8000-000000000001', 'default', falconer.now());

create table falconer.api_keys (
    id uuid primary key,
    project_id uuid not null references falconer.projects (id),
    name text not null,
    -- What a person may see of the key to tell it from others.
    prefix text not null,
    secret_sha256 bytea not null unique check (length(secret_sha256) = 32),
    scopes text[] not null,
    created_at timestamptz not null,
    expires_at timestamptz,
    revoked_at timestamptz,
    last_used_at timestamptz
);
create index api_keys_project on falconer.api_keys (project_id);

-- One fal account each. `user_id` pins whose callbacks count; until it is known, `seen_*` gathers witnesses.
create table falconer.credentials (
    id uuid primary key,
    name text not null unique,
    slots integer not null default 2 check (slots between 1 and 100000),
    user_id text,
    user_id_source text check (user_id_source in ('configured', 'learnt', 'repinned')),
    seen_user_id text,
    seen_count integer not null default 0,
    created_at timestamptz not null,
    constraint user_id_has_source check ((user_id is null) = (user_id_source is null))
);
insert into falconer.credentials (id, name, created_at)
    values ('00000000-0000-7000-8000-000000000001', 'default', falconer.now());

-- Jobs of one lane compete with each other by age and priority; lanes take turns.
create table falconer.lanes (
    id integer generated always as identity primary key,
    credential_id uuid not null references falconer.credentials (id),
    project_id uuid not null references falconer.projects (id),
    model text not null,
    paused_at timestamptz,
    -- The fence of the newest claim from it: the lane that was served longest ago comes first.
    last_fence bigint not null default 0,
    unique (credential_id, project_id, model)
);
create index lanes_project on falconer.lanes (project_id);

-- A row means trouble: nothing is claimed before `open_until`, and then one job at a time until fal takes one.
-- `model` is empty where the whole credential is refused.
create table falconer.circuits (
    credential_id uuid not null references falconer.credentials (id),
    model text not null default '',
    failures integer not null check (failures > 0),
    opened_at timestamptz not null,
    -- Moves ahead with every probe, so that there is one at a time.
    open_until timestamptz not null,
    -- The latest instant that fal asked us to wait for. A later trouble with a shorter pause does not bring it forward.
    not_before timestamptz not null,
    cause text not null,
    primary key (credential_id, model)
);

-- How long fal takes with a model, from our submit to its callback, so that a missing callback is noticed in time.
create table falconer.model_stats (
    model text primary key,
    p50_ms bigint not null,
    p95_ms bigint not null,
    p99_ms bigint not null,
    samples bigint not null,
    updated_at timestamptz not null
);

create table falconer.model_prices (
    model text primary key,
    unit text not null,
    unit_price numeric not null check (unit_price >= 0),
    currency text not null,
    fetched_at timestamptz not null
);

-- The last good key set of fal, so that a restart while fal's key host is away does not refuse genuine callbacks.
create table falconer.key_sets (
    url text primary key,
    body bytea not null,
    fetched_at timestamptz not null
);
