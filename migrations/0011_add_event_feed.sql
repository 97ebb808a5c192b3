-- The feed: events that are read in order and acknowledged. The table gives its name to the view that callers read.
alter table falconer.events rename to job_events;

-- Retention and the coming partitions find partitions by their names; indexes take the name of their table.
do $$
declare
    relation record;
begin
    for relation in
        select c.relname, case when c.relkind in ('i', 'I') then 'index' else 'table' end as kind
        from pg_class c
        where c.relnamespace = 'falconer'::regnamespace and c.relname like 'events\_%' and c.relkind in ('r', 'p', 'i', 'I')
    loop
        execute format('alter %s falconer.%I rename to %I', relation.kind, relation.relname, 'job_' || relation.relname);
    end loop;
end
$$;

create or replace function falconer.ensure_partitions(since timestamptz, until timestamptz) returns integer
    language plpgsql
    as $$
declare
    parent text;
    period text;
    starts timestamptz;
    ends timestamptz;
    child text;
    made integer := 0;
begin
    perform pg_advisory_xact_lock(hashtext('falconer.ensure_partitions'));
    for parent, period in
        values ('jobs', 'week'), ('attempts', 'week'), ('results', 'week'), ('transitions', 'week'),
            ('job_events', 'week'), ('ledger', 'week'), ('callbacks', 'day')
    loop
        starts := date_trunc(period, since, 'UTC');
        while starts < until loop
            ends := starts + ('1 ' || period)::interval;
            child := parent || '_' || to_char(starts at time zone 'UTC', 'YYYYMMDD');
            if to_regclass('falconer.' || child) is null then
                execute format('create table falconer.%I partition of falconer.%I for values from (%L) to (%L)
                    with (fillfactor = 85, autovacuum_vacuum_scale_factor = 0.05)',
                    child, parent, falconer.uuid_at(starts), falconer.uuid_at(ends));
                made := made + 1;
            end if;
            starts := ends;
        end loop;
    end loop;
    return made;
end
$$;

-- One row. Transaction numbers count from the beginning again where the data was restored into another cluster, so a
-- position begins with an epoch, which rises whenever the cluster is not the one of before.
create table falconer.event_epoch (
    only_row boolean primary key default true check (only_row),
    epoch smallint not null,
    -- The `system_identifier` of the cluster that the epoch belongs to.
    cluster bigint not null
);
insert into falconer.event_epoch (epoch, cluster) select 1, system_identifier from pg_control_system();

-- A constant default is no work for the transaction that ends a job.
alter table falconer.job_events add column epoch smallint not null default 1;

-- Begins a new epoch where the cluster is another one; answers the epoch in force. Every process asks at its start.
create function falconer.ensure_event_epoch() returns smallint
    language plpgsql
    as $$
declare
    here bigint := (select system_identifier from pg_control_system());
    fresh smallint;
begin
    update falconer.event_epoch set epoch = epoch + 1, cluster = here where cluster <> here returning epoch into fresh;
    if found then
        -- Waits for every transaction that still writes events of the last epoch, and makes the others wait.
        execute format('alter table falconer.job_events alter column epoch set default %s', fresh);
        return fresh;
    end if;
    return (select epoch from falconer.event_epoch);
end
$$;

-- The order of the feed. A transaction takes its number before it commits, so numbers become visible out of order; but
-- below the oldest number that still runs, nothing can appear any more.
create index job_events_feed on falconer.job_events (project_id, epoch, xact, id);
create index job_events_by_id on falconer.job_events (id);

-- Who reads the feed, and how far: everything up to the position, and the position itself, is acknowledged.
create table falconer.consumers (
    id uuid primary key,
    project_id uuid not null references falconer.projects (id),
    name text not null check (name ~ '^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$'),
    epoch smallint not null,
    xact xid8 not null,
    event_id uuid not null,
    -- Events that retention dropped before they were acknowledged, and how many of them the consumer knows to be lost.
    missed bigint not null default 0,
    missed_told bigint not null default 0,
    missed_at timestamptz,
    created_at timestamptz not null,
    last_seen_at timestamptz not null,
    acknowledged_at timestamptz,
    unique (project_id, name),
    constraint told_of_what_was_missed check (missed_told between 0 and missed),
    constraint missed_iff_when check ((missed = 0) = (missed_at is null))
);

-- What callers read by SQL: no event can appear behind one that was shown. `result` is the bytes that fal made; it is
-- never turned into jsonb, since a number in it may be larger than any that Postgres would write down.
create view falconer.events as
    select e.id, p.name as project, e.project_id, e.job_id, e.type, e.created_at, e.epoch, e.xact,
        (select jsonb_build_object(
                'id', j.id, 'state', j.state, 'model', j.model, 'priority', j.priority, 'tags', j.tags,
                'metadata', j.metadata, 'attempts_made', j.attempts_made, 'attempts_max', j.attempts_max,
                'request_id', (select a.request_id from falconer.attempts a where a.job_id = j.id
                    order by coalesce(a.id = j.winner, false) desc, a.number desc limit 1),
                'created_at', j.created_at, 'run_at', j.run_at, 'started_at', j.started_at,
                'finished_at', j.finished_at,
                'error', case when j.error_class is not null then jsonb_build_object(
                    'class', j.error_class, 'message', j.error_message,
                    'charged', case j.error_charged when 'yes' then true when 'no' then false end) end,
                'regenerated_from', j.regenerated_from, 'refetched_from', j.refetched_from)
            from falconer.jobs j where j.id = e.job_id) as data,
        (select octet_length(r.body) from falconer.jobs j
            join falconer.results r on r.job_id = j.id and r.attempt_id = j.winner
            where j.id = e.job_id) as result_bytes,
        (select r.body from falconer.jobs j
            join falconer.results r on r.job_id = j.id and r.attempt_id = j.winner
            where j.id = e.job_id) as result
    from falconer.job_events e
    join falconer.projects p on p.id = e.project_id
    where (e.epoch, e.xact)
        < ((select c.epoch from falconer.event_epoch c), pg_snapshot_xmin(pg_current_snapshot()));

-- Processes of the release before write events by the old name, until the last of them is replaced.
create function falconer.insert_event() returns trigger
    language plpgsql
    as $$
begin
    insert into falconer.job_events (job_id, id, project_id, type, created_at)
        values (new.job_id, new.id, new.project_id, new.type, new.created_at);
    return new;
end
$$;
create trigger events_insert instead of insert on falconer.events
    for each row execute function falconer.insert_event();
