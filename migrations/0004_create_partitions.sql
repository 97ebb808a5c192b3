-- Partitions: weekly for what lives as long as a job, daily for callbacks, which live a week.

-- The smallest UUIDv7 of an instant.
create function falconer.uuid_at(instant timestamptz) returns uuid
    language sql immutable parallel safe
    as $$
        select (substr(hex, 1, 8) || '-' || substr(hex, 9, 4) || '-0000-0000-000000000000')::uuid
        from (select lpad(to_hex((extract(epoch from instant) * 1000)::bigint), 12, '0') as hex) as x
    $$;

-- Makes every partition from `since` to `until` that is not there. Safe to repeat and to run from two processes.
create function falconer.ensure_partitions(since timestamptz, until timestamptz) returns integer
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
            ('events', 'week'), ('ledger', 'week'), ('callbacks', 'day')
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

select falconer.ensure_partitions(clock_timestamp() - interval '1 day', clock_timestamp() + interval '3 weeks');
