-- What a batch adds to the history of its jobs: see additions.rs.
-- $1 now; $2 to $11 transitions, $12 to $15 results, $16 to $19 events of jobs that ended, $20 to $25 ledger lines.
with stepped as (
    insert into falconer.transitions (job_id, attempt_number, version, event, attempt_from, attempt_to, job_from,
        job_to, job_version, detail, at)
    select *, $1 from unnest($2::uuid[], $3::smallint[], $4::int[], $5::text[], $6::text[], $7::text[], $8::text[],
        $9::text[], $10::int[], $11::text[])
),
stored as (
    insert into falconer.results (job_id, attempt_id, body, body_sha256, stored_at)
    select *, $1 from unnest($12::uuid[], $13::uuid[], $14::bytea[], $15::bytea[])
    on conflict do nothing
),
told as (
    insert into falconer.job_events (job_id, id, project_id, type, created_at)
    select *, $1 from unnest($16::uuid[], $17::uuid[], $18::uuid[], $19::text[])
)
insert into falconer.ledger (job_id, attempt_id, kind, at, units, unit_price, amount, currency, basis)
select n.job_id, n.attempt_id, n.kind, $1, n.units, p.unit_price,
    coalesce(n.units * p.unit_price, n.estimated), coalesce(p.currency, 'USD'),
    case when n.units is not null and p.unit_price is not null then 'billable_units'
         when n.estimated is not null then 'estimate' else 'unknown' end
from unnest($20::uuid[], $21::uuid[], $22::text[], $23::numeric[], $24::text[], $25::numeric[])
    as n (job_id, attempt_id, kind, units, model, estimated)
left join falconer.model_prices p on p.model = n.model
on conflict do nothing
