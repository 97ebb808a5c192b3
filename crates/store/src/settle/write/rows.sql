-- Writes locked rows back: see rows.rs. $1 to $20 attempts, $21 to $31 jobs.
with tried as (
    update falconer.attempts a
    set state = n.state, version = n.version, counted = n.counted, submitted_at = n.submitted_at,
        finished_at = n.finished_at, next_look_at = n.next_look_at, request_id = n.request_id,
        gateway_request_id = n.gateway_request_id, bound_by = n.bound_by,
        candidate_request_id = n.candidate_request_id, superseded_at = n.superseded_at,
        superseded_ok_at = n.superseded_ok_at, cancel_requested_at = n.cancel_requested_at,
        error_class = n.error_class, error_message = n.error_message, charged = n.charged,
        billable_units = n.billable_units, result_from = n.result_from
    from unnest($1::uuid[], $2::uuid[], $3::text[], $4::int[], $5::bool[], $6::timestamptz[], $7::timestamptz[],
        $8::timestamptz[], $9::text[], $10::text[], $11::text[], $12::text[], $13::timestamptz[],
        $14::timestamptz[], $15::timestamptz[], $16::text[], $17::text[], $18::text[], $19::numeric[],
        $20::text[])
        as n (job_id, id, state, version, counted, submitted_at, finished_at, next_look_at, request_id,
            gateway_request_id, bound_by, candidate_request_id, superseded_at, superseded_ok_at,
            cancel_requested_at, error_class, error_message, charged, billable_units, result_from)
    where a.job_id = n.job_id and a.id = n.id
)
update falconer.jobs j
set state = n.state, version = n.version, run_at = n.run_at, attempts_made = n.attempts_made,
    cancel_requested_at = n.cancel_requested_at, finished_at = n.finished_at, winner = n.winner,
    error_class = n.error_class, error_message = n.error_message, error_charged = n.error_charged
from unnest($21::uuid[], $22::text[], $23::int[], $24::timestamptz[], $25::smallint[], $26::timestamptz[],
    $27::timestamptz[], $28::uuid[], $29::text[], $30::text[], $31::text[])
    as n (id, state, version, run_at, attempts_made, cancel_requested_at, finished_at, winner, error_class,
        error_message, error_charged)
where j.id = n.id
