-- fal accounts beside the one of FAL_KEY, and which of them pays for a project. All that is added may be empty, so that a
-- release before this one goes on working on the same database.

alter table falconer.credentials
    -- Nonce and sealed key: see docs/security.md. Empty for the default credential, whose key comes from the environment.
    add column sealed_key bytea check (length(sealed_key) between 31 and 1024),
    -- Names the secret whose key sealed it, so that a secret can be exchanged while both are in use.
    add column sealed_with text,
    -- The key's last characters, for people to tell keys apart.
    add column key_hint text check (length(key_hint) <= 4),
    add column updated_at timestamptz,
    -- While it is set nothing is claimed. What fal has already is still looked after.
    add column disabled_at timestamptz,
    -- Whose account it is. Empty where it belongs to whoever runs the installation, and may pay for any project.
    add column project_id uuid references falconer.projects (id),
    add constraint sealed_whole check ((sealed_key is null) = (sealed_with is null)),
    add constraint default_is_not_sealed
        check (id <> '00000000-0000-7000-8000-000000000001' or (sealed_key is null and project_id is null));
create index credentials_project on falconer.credentials (project_id);

-- A name tells apart what one project has; another project's names are nobody's business.
alter table falconer.credentials drop constraint credentials_name_key;
create unique index credentials_name on falconer.credentials
    (name, coalesce(project_id, '00000000-0000-0000-0000-000000000000'));

-- Who pays for a project's new jobs; empty means the default credential. Jobs keep the credential they were accepted with.
alter table falconer.projects add column credential_id uuid references falconer.credentials (id);
create index projects_credential on falconer.projects (credential_id);
