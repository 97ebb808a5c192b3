-- Jobs from SQL: `falconer.submit_job` makes a job inside the caller's own transaction, for every language that shares the
-- database. It checks and stores what `POST /v1/jobs` checks and stores; a test sends the same requests both ways.

-- What a job gets that says nothing of it. Written by each `falconer serve` at its start, so that both ways agree.
create table falconer.submit_settings (
    only_row boolean primary key default true check (only_row),
    attempts_max smallint not null default 5 check (attempts_max between 1 and 100)
);
insert into falconer.submit_settings default values;

-- Models that take a seed. Written by each `falconer serve` at its start: the list itself is code.
create table falconer.seed_models (
    model text primary key
);

-- The functions below are in plpgsql where their body is a query: one in SQL is planned anew at each statement of a caller,
-- which costs more than all that it computes.

create or replace function falconer.now() returns timestamptz
    language plpgsql stable parallel safe
    as $$
begin
    return clock_timestamp() + (select c.ahead_by from falconer.clock c);
end
$$;

-- A UUIDv7 of this instant. The twelve bits below the millisecond hold its fraction, so that ids of one session stand in
-- the order of its calls; the rest is chance.
create function falconer.fresh_id() returns uuid
    language plpgsql volatile
    as $$
declare
    micros constant bigint := (extract(epoch from falconer.now()) * 1000000)::bigint;
begin
    return encode(
        substring(int8send(micros / 1000) from 3)
            || substring(int8send(28672 + (micros % 1000) * 4096 / 1000) from 7)
            || substring(uuid_send(gen_random_uuid()) from 9), 'hex')::uuid;
end
$$;

-- What of a valid JSON text stands outside its strings. An escaped quote would end a string too early, so escapes go first.
create function falconer.outside_strings(document text) returns text
    language plpgsql immutable parallel safe
    as $$
begin
    return (
        select coalesce(string_agg(part, ''), '')
        from unnest(string_to_array(replace(replace(document, '\\', ''), '\"', ''), '"')) with ordinality as p (part, number)
        where number % 2 = 1);
end
$$;

-- Whether a valid JSON text nests deeper than `levels`. Each round takes away the innermost brackets.
create function falconer.is_deeper(document text, levels integer) returns boolean
    language plpgsql immutable parallel safe
    as $$
declare
    brackets text;
begin
    -- Few brackets cannot nest deep, and most documents have few.
    if length(document) - length(translate(document, '{[', '')) <= levels then
        return false;
    end if;
    brackets := translate(regexp_replace(falconer.outside_strings(document), '[^][{}]+', '', 'g'), '[]', '{}');
    for level in 1..levels loop
        exit when brackets = '';
        brackets := replace(brackets, '{}', '');
    end loop;
    return brackets <> '';
end
$$;

-- An input as Postgres can look into it: escapes that its text cannot hold (NUL, halves of surrogate pairs) give way to
-- question marks. No name or value that anybody looks for here is made of them.
create function falconer.readable(input json) returns json
    language sql immutable parallel safe
    as $$
        select case
            when strpos(input::text, '\u') = 0 then input
            else regexp_replace(replace(input::text, '\\', '??'),
                '\\u(0000|[dD][89a-fA-F][0-9a-fA-F]{2})', '??????', 'g')::json
        end
    $$;

-- A number without sign, fraction or exponent, up to `most`; null where it is something else.
create function falconer.whole_number(value json, most numeric) returns numeric
    language sql immutable parallel safe
    as $$
        select case when json_typeof(value) = 'number' and value::text ~ '^(0|[1-9][0-9]{0,19})$' then
            case when value::text::numeric <= most then value::text::numeric end
        end
    $$;

-- Pixels of one image of that `image_size`: 0 for a name that is not known, null for what is no size.
create function falconer.pixels(size json) returns numeric
    language plpgsql immutable parallel safe
    as $$
begin
    return case json_typeof(coalesce(size, 'null'))
        when 'null' then 1024 * 768
        when 'string' then case size #>> '{}'
            when 'square_hd' then 1024 * 1024
            when 'square' then 512 * 512
            when 'portrait_4_3' then 1024 * 768
            when 'landscape_4_3' then 1024 * 768
            when 'portrait_16_9' then 1024 * 576
            when 'landscape_16_9' then 1024 * 576
            else 0 end
        when 'object' then case
            when (select count(*) from json_object_keys(size) as name where name in ('width', 'height')) = 2
            then falconer.whole_number(size -> 'width', 18446744073709551615)
                * falconer.whole_number(size -> 'height', 18446744073709551615) end
        end;
end
$$;

-- What one run is going to cost, in US dollars; null where the price is not known or the input does not tell. `input` is as
-- `falconer.readable` gives it.
create function falconer.estimate(model text, input json) returns numeric
    language plpgsql stable
    as $$
declare
    price record;
    asked constant bigint := 4294967295;
    images numeric := falconer.whole_number(input -> 'num_images', asked);
    results numeric := falconer.whole_number(input -> 'num_results', asked);
    pixels numeric := falconer.pixels(input -> 'image_size');
    units numeric;
begin
    select rtrim(p.unit, 's') as unit, p.unit_price as dollars into price from falconer.model_prices p
        where p.model = estimate.model and p.currency = 'USD';
    -- What is there and cannot be read makes the whole input unreadable, whatever the unit.
    if not found or pixels is null
        or images is null and json_typeof(input -> 'num_images') <> 'null'
        or results is null and json_typeof(input -> 'num_results') <> 'null'
        or exists (select from json_object_keys(input) as name
            where name in ('num_images', 'num_results', 'image_size') group by name having count(*) > 1) then
        return null;
    end if;
    units := coalesce(images, results, 1);
    if price.unit in ('megapixel', 'processed megapixel') then
        units := units * case when pixels between 1 and 18446744073709551615
            or pixels = 0 and json_typeof(input -> 'image_size') <> 'string'
            then greatest(ceil(pixels / (1024 * 1024)), 1) end;
    elsif price.unit not in ('image', 'generation', 'request') then
        return null;
    end if;
    return trim_scale(case when units <= 18446744073709551615 then price.dollars * units end);
end
$$;

-- Every rule that a request breaks, as a list of `{"field", "rule"}`.
create function falconer.submit_errors(
    model text, input json, priority bigint, run_at timestamptz, useful_until timestamptz, tags text[], metadata jsonb,
    max_attempts bigint, on_unknown text, unique_key text, unique_for interval, idempotency_key text
) returns jsonb
    language plpgsql stable
    as $$
declare
    control constant text := '[\u0001-\u001f\u007f-\u009f]';
    errors jsonb := '[]';
    field text;
    rule text;
begin
    for field, rule in
        select 'model', case
            when model is null then 'is required'
            when octet_length(model) > 256 or model ~ '\.\.'
                or model !~ '^[a-z0-9][a-z0-9._-]*(/[a-z0-9][a-z0-9._-]*){1,5}$'
                then 'must be 2 to 6 segments joined by `/`, each of a-z, 0-9, `.`, `_`, `-` and beginning with a letter '
                    || 'or digit, without `..`, and at most 256 bytes in all' end
        union all select 'input', case
            when input is null then 'is required'
            when json_typeof(input) <> 'object' then 'must be a JSON object'
            when octet_length(input::text) > 1048576 then 'must not be larger than 1048576 bytes'
            when falconer.is_deeper(input::text, 64) then 'must not nest deeper than 64 levels' end
        union all select 'priority', case
            when priority not between -10 and 10 then 'must be a whole number from -10 to 10' end
        union all select t.name, case
            when not (extract(epoch from t.instant) >= 946684800 and extract(epoch from t.instant) < 4102444800)
                then 'must be an RFC 3339 time between the years 2000 and 2100' end
            from (values ('run_at', run_at), ('useful_until', useful_until)) as t (name, instant)
        union all select 'tags', case
            when cardinality(tags) > 20 or array_ndims(tags) > 1 or exists (
                select from unnest(tags) as tag where tag is null or length(tag) not between 1 and 64 or tag ~ control)
                then 'must be a list of at most 20 strings of 1 to 64 characters, none of them control characters' end
        union all select 'metadata', case
            when jsonb_typeof(metadata) <> 'object' then 'must be a JSON object'
            -- As it is without spaces, which is how most callers write it.
            when octet_length(metadata::text) > 16384 and octet_length(metadata::text) - (length(falconer.outside_strings(metadata::text))
                    - length(replace(falconer.outside_strings(metadata::text), ' ', ''))) > 16384
                then 'must not be larger than 16384 bytes'
            -- What the API could not read again.
            when falconer.is_deeper(metadata::text, 127)
                or jsonb_path_exists(metadata, 'strict $.** ? (@.type() == "number"
                    && (@ > 1.7976931348623157e308 || @ < -1.7976931348623157e308))')
                then 'must be a JSON object that can be stored exactly' end
        union all select 'max_attempts', case
            when max_attempts not between 1 and 100 then 'must be a whole number from 1 to 100' end
        union all select 'on_unknown', case
            when on_unknown not in ('patient', 'impatient', 'operator')
                then 'must be one of `patient`, `impatient`, `operator`' end
        union all select 'unique_key', case
            when unique_key is null and unique_for is not null then 'is required where there is a unique_for'
            when length(unique_key) not between 1 and 255 or unique_key ~ control
                then 'must have 1 to 255 characters, none of them control characters' end
        union all select 'unique_for', case
            when unique_for is null and unique_key is not null then 'is required where there is a unique_key'
            when not (extract(epoch from unique_for) > 0 and extract(epoch from unique_for) <= 2592000)
                then 'must be a duration such as `10m`, at most 30 days' end
        union all select 'idempotency_key', case
            when length(idempotency_key) not between 1 and 255 then 'must have 1 to 255 characters'
            when idempotency_key !~ '^[\t\u0020-\u007e]*$' then 'must consist of visible ASCII characters' end
    loop
        if rule is not null then
            errors := errors || jsonb_build_object('field', field, 'rule', rule);
        end if;
    end loop;
    return errors;
end
$$;

-- Makes a job of `project`, or finds the one that holds its key, and returns the job's id. Nothing is seen or sent before the
-- caller's transaction commits. Then it is found within a second, or at once with `notify`.
--
-- It runs with its owner's rights: a caller needs EXECUTE on it and USAGE on the schema, and may then submit for any project.
-- Its settings are its own, so that no search path or quoting of the caller's changes what it does.
create function falconer.submit_job(
    project text,
    model text,
    input json,
    priority bigint default 0,
    run_at timestamptz default null,
    useful_until timestamptz default null,
    tags text[] default '{}',
    metadata jsonb default '{}',
    max_attempts bigint default null,
    on_unknown text default 'patient',
    unique_key text default null,
    unique_for interval default null,
    idempotency_key text default null,
    notify boolean default false
) returns uuid
    language plpgsql volatile security definer
    set search_path = pg_catalog, pg_temp
    set standard_conforming_strings = on
    -- Nothing here is planned better for its values, and planning costs more than running.
    set plan_cache_mode = force_generic_plan
    as $$
#variable_conflict use_column
declare
    payer record;
    held record;
    errors jsonb;
    document bytea;
    print bytea;
    readable json;
    clock constant timestamptz := falconer.now();
    new_id constant uuid := falconer.fresh_id();
    starts timestamptz;
    lane integer;
begin
    priority := coalesce(priority, 0);
    tags := coalesce(tags, '{}');
    metadata := coalesce(metadata, '{}');
    on_unknown := coalesce(on_unknown, 'patient');

    errors := falconer.submit_errors(model, input, priority, run_at, useful_until, tags, metadata, max_attempts, on_unknown,
        unique_key, unique_for, idempotency_key);
    select p.id, coalesce(p.credential_id, '00000000-0000-7000-8000-000000000001') as credential into payer
        from falconer.projects p where p.name = project;
    if not found then
        errors := jsonb_build_array(jsonb_build_object('field', 'project', 'rule', 'must be the name of a project')) || errors;
    end if;
    if errors <> '[]' then
        raise exception using
            errcode = '22023',
            message = format('%s %s', errors -> 0 ->> 'field', errors -> 0 ->> 'rule'),
            detail = errors::text,
            hint = 'The rules are those of POST /v1/jobs. The detail lists every rule that is broken.',
            column = errors -> 0 ->> 'field';
    end if;

    document := convert_to(btrim(input::text, E' \t\r\n'), 'UTF8');
    if idempotency_key is not null then
        print := sha256(convert_to('falconer.submit_job' || jsonb_build_array(model, encode(document, 'hex'),
            priority, extract(epoch from run_at), extract(epoch from useful_until), tags, metadata, max_attempts, on_unknown,
            unique_key, extract(epoch from unique_for))::text, 'UTF8'));
        delete from falconer.idempotency_keys k
            where k.project_id = payer.id and k.key = idempotency_key and k.expires_at <= falconer.now();
        loop
            -- Waits until a concurrent holder has committed or rolled back, so nobody ever sees a key in progress.
            insert into falconer.idempotency_keys (project_id, key, fingerprint, job_id, created_at, expires_at)
                values (payer.id, idempotency_key, print, new_id, clock, clock + interval '48 hours')
                on conflict do nothing;
            exit when found;
            select k.fingerprint, k.job_id into held from falconer.idempotency_keys k
                where k.project_id = payer.id and k.key = idempotency_key;
            -- It may have been swept since.
            continue when not found;
            if held.fingerprint <> print then
                raise exception using
                    errcode = '23505',
                    message = 'idempotency_key was used for another request',
                    detail = '[{"field": "idempotency_key", "rule": "was used for another request"}]',
                    column = 'idempotency_key',
                    constraint = 'idempotency_keys_pkey';
            end if;
            return held.job_id;
        end loop;
    end if;

    if unique_key is not null then
        -- A key whose time is over is taken over in place; one that still holds stays as it is.
        insert into falconer.unique_keys as k (project_id, key, job_id, expires_at)
            values (payer.id, unique_key, new_id, clock + make_interval(secs => extract(epoch from unique_for)))
            on conflict (project_id, key) do update set job_id = excluded.job_id, expires_at = excluded.expires_at
            where k.expires_at <= falconer.now();
        if not found then
            select k.job_id into strict held from falconer.unique_keys k
                where k.project_id = payer.id and k.key = unique_key;
            -- Otherwise a repeat would be answered with a job that does not exist.
            update falconer.idempotency_keys k set job_id = held.job_id
                where k.project_id = payer.id and k.key = idempotency_key and k.job_id = new_id;
            return held.job_id;
        end if;
    end if;

    loop
        select l.id into lane from falconer.lanes l
            where l.credential_id = payer.credential and l.project_id = payer.id and l.model = submit_job.model;
        exit when found;
        insert into falconer.lanes (credential_id, project_id, model)
            values (payer.credential, payer.id, submit_job.model) on conflict do nothing;
    end loop;

    readable := falconer.readable(input);
    starts := greatest(coalesce(run_at, clock), clock);
    insert into falconer.jobs (id, project_id, credential_id, lane_id, model, input, input_sha256, mints_seed, state, priority,
            run_at, claim_key, useful_until, on_unknown, attempts_max, tags, metadata, created_at, estimated)
        select new_id, payer.id, payer.credential, lane, submit_job.model, document, sha256(document),
            exists (select from falconer.seed_models m where m.model = submit_job.model)
                and not exists (select from json_object_keys(readable) as name where name = 'seed'),
            case when starts > clock then 'scheduled' else 'queued' end,
            submit_job.priority, starts, starts - make_interval(secs => 60 * submit_job.priority), submit_job.useful_until,
            submit_job.on_unknown, coalesce(max_attempts, s.attempts_max), array(select unnest(submit_job.tags)),
            submit_job.metadata, clock, falconer.estimate(submit_job.model, readable)
        from falconer.submit_settings s;
    if notify then
        -- Sent with the caller's commit, and not sent when it rolls back.
        perform pg_notify('falconer_dispatch', '');
    end if;
    return new_id;
end
$$;

-- Whoever may call it is the owner's decision: see docs/enqueue.md.
revoke all on function falconer.submit_job from public;
