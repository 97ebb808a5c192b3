-- Every filter of the list of jobs reads an index that is in the list's own order, newest first, and stops at the end of its
-- page. Each of these indexes is written when a job is accepted, claimed and ended, so there is one for each question and
-- none for a pair of them: a pair reads one index and checks the other filter row by row, up to a bound.
--
-- Building them locks the table against writes, about ten seconds for a million jobs.

create index jobs_by_state on falconer.jobs (project_id, state, id);

-- A model's jobs: a lane is a model of a project, and its number is a quarter of the length of both.
create index jobs_by_lane on falconer.jobs (lane_id, id);

-- Failed jobs alone have a class.
create index jobs_by_error on falconer.jobs (project_id, error_class, id) where error_class is not null;

-- Tags and metadata under the name of their project, so that one index finds any of them, all of them together, and no other
-- project's. Declared immutable, which it is: it builds JSON from text and JSON.
create function falconer.labels(project_id uuid, tags text[], metadata jsonb) returns jsonb
    language plpgsql immutable parallel safe
    as $$
begin
    return jsonb_build_object(project_id::text, jsonb_build_object('tags', to_jsonb(tags), 'metadata', metadata));
end
$$;

-- Jobs without labels cost nothing. New entries wait in a list that a search reads as well, and that is kept short, since
-- whoever makes it too long has to sort it in.
create index jobs_labels on falconer.jobs using gin (falconer.labels(project_id, tags, metadata) jsonb_path_ops)
    with (gin_pending_list_limit = 1024)
    where tags <> '{}' or metadata <> '{}';
