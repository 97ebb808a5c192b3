-- What operators did, and what a key may not: see payloads, or call without end. All columns have a default or may be empty, so
-- that a release before this one goes on working on the same database.

alter table falconer.api_keys
    -- The first key of its line; empty for that one itself. A rotation adds a key to the line, of which two may be live.
    add column line_id uuid,
    -- A key of a person or a dashboard that is to see states and costs, and not what customers wrote or got.
    add column payloads text not null default 'visible' check (payloads in ('visible', 'hidden')),
    -- Requests that each process lets through; empty means what the settings say.
    add column rate_per_second integer check (rate_per_second between 1 and 1000000),
    add column burst integer check (burst between 1 and 1000000),
    -- The key by which it was made. Empty where the command line made it.
    add column made_by uuid,
    -- What the maker called its request, so that a repeat makes no second key. The secret is in no record at all.
    add column idempotency_key text check (length(idempotency_key) <= 255),
    add column idempotency_sha256 bytea check (length(idempotency_sha256) = 32),
    add constraint burst_has_rate check (burst is null or rate_per_second is not null),
    add constraint idempotency_whole check ((idempotency_key is null) = (idempotency_sha256 is null));
create index api_keys_line on falconer.api_keys (coalesce(line_id, id));
create unique index api_keys_made_once on falconer.api_keys (made_by, idempotency_key) where idempotency_key is not null;

-- One row for each thing that an operator did. It names things by id and holds neither secrets nor payloads.
create table falconer.audit_log (
    -- Version 7: orders the log.
    id uuid primary key,
    at timestamptz not null,
    -- `noun.past_tense`, such as `key.rotated`.
    action text not null check (action ~ '^[a-z_]+\.[a-z_]+$'),
    actor text not null check (actor in ('key', 'command_line')),
    key_id uuid,
    -- Who was logged in where a command of the database was run.
    os_user text,
    -- Whose thing it was done to. Empty where it belongs to no project.
    project_id uuid,
    -- What it was done to: the noun of a thing and its id.
    subject text not null,
    subject_id text not null,
    -- The address that the request came from; the proxy's, where there is one.
    peer inet,
    outcome text not null check (outcome in ('done', 'refused', 'failed')),
    detail jsonb not null default '{}' check (jsonb_typeof(detail) = 'object'),
    constraint actor_is_named check ((actor = 'key') = (key_id is not null) and (actor = 'command_line') = (os_user is not null))
);
create index audit_log_project on falconer.audit_log (project_id, id) where project_id is not null;
create index audit_log_key on falconer.audit_log (key_id, id) where key_id is not null;
create index audit_log_action on falconer.audit_log (action, id);
create index audit_log_at on falconer.audit_log (at);

-- Rows are added and never changed. Only what retention has marked its own transaction for may go, and that is old. It
-- keeps a mistake or a hole in the service from rewriting the log; whoever owns the table can still drop the trigger.
create function falconer.keep_audit_log() returns trigger language plpgsql as $$
begin
    if tg_op = 'DELETE' and current_setting('falconer.audit_retention', true) = 'on' then
        return old;
    end if;
    raise exception 'the audit log is only added to' using errcode = 'insufficient_privilege';
end
$$;
create trigger audit_log_is_kept before update or delete on falconer.audit_log
    for each row execute function falconer.keep_audit_log();
create trigger audit_log_is_not_truncated before truncate on falconer.audit_log
    for each statement execute function falconer.keep_audit_log();
