-- Calls from fal as they arrived, and the small tables that must be unique over all time.
create table falconer.callbacks (
    id uuid not null,
    received_at timestamptz not null,
    -- Empty where the call was turned away before these were known or proved.
    credential_id uuid,
    attempt_id uuid,
    job_id uuid,
    request_id text,
    user_id text,
    signed_at bigint,
    signature text,
    disposition text not null check (disposition in ('applied', 'duplicate', 'kept', 'rejected')),
    -- Why it was kept or rejected; a closed set in the code.
    cause text,
    body_bytes bigint not null,
    body_sha256 bytea,
    -- Empty for a repeat of bytes that an earlier row holds, and for rejected calls past their cap.
    body bytea,
    primary key (id),
    constraint cause_iff_not_applied check ((disposition in ('kept', 'rejected')) = (cause is not null))
) partition by range (id);

create index callbacks_by_attempt on falconer.callbacks (attempt_id, body_sha256);
create index callbacks_by_disposition on falconer.callbacks (disposition, id);

-- Whose request id it is. Outlives partitions, since fal may speak of it at any time.
create table falconer.request_bindings (
    credential_id uuid not null,
    request_id text not null,
    attempt_id uuid not null,
    job_id uuid not null,
    bound_at timestamptz not null,
    primary key (credential_id, request_id)
);
create index request_bindings_age on falconer.request_bindings (bound_at);

create table falconer.idempotency_keys (
    project_id uuid not null,
    key text not null check (length(key) between 1 and 255),
    -- SHA-256 over route and body, so that the same key with another body is noticed.
    fingerprint bytea not null check (length(fingerprint) = 32),
    job_id uuid not null,
    created_at timestamptz not null,
    expires_at timestamptz not null,
    primary key (project_id, key)
);
create index idempotency_keys_age on falconer.idempotency_keys (expires_at);

create table falconer.unique_keys (
    project_id uuid not null,
    key text not null check (length(key) between 1 and 255),
    job_id uuid not null,
    expires_at timestamptz not null,
    primary key (project_id, key)
);
create index unique_keys_age on falconer.unique_keys (expires_at);
