-- Requests that Falconer did not send and looks after all the same: a callback URL that was handed out, or a request that
-- was under way already.
--
-- The constraints are not validated: the rows that are there hold the defaults, or kept a stricter rule, so reading them
-- all under the lock would show nothing.

alter table falconer.jobs
    -- `submitted`: Falconer sends it. `minted`: somebody got a callback URL for it and may send it. `adopted`: it was sent
    -- before Falconer knew of it.
    add column origin text not null default 'submitted';
alter table falconer.jobs
    add constraint origin_known check (origin in ('submitted', 'minted', 'adopted')) not valid,
    -- Whatever code says: what somebody else sends is never in a state from which it would be claimed and sent by us.
    add constraint only_submitted_is_sent
        check (origin = 'submitted' or state in ('running', 'succeeded', 'failed', 'canceled')) not valid,
    -- Its input was never told to us, so there is nothing that could be sent again.
    add constraint only_submitted_has_input
        check (origin = 'submitted' or (length(input) = 0 and attempts_max = 1)) not valid;

alter table falconer.attempts
    -- Who sends it to fal. What its caller sends holds a place of the account only once fal has named it, since a callback
    -- URL may lie unused for days.
    add column posted_by text not null default 'falconer';
alter table falconer.attempts
    add constraint posted_by_known check (posted_by in ('falconer', 'caller')) not valid,
    drop constraint attempts_bound_by_check,
    add constraint attempts_bound_by_check check (bound_by in ('submit', 'callback', 'history', 'adopt')) not valid,
    -- Only Falconer submits, and only what somebody else sent is adopted.
    add constraint bound_as_posted
        check (bound_by is null or posted_by = 'falconer' and bound_by <> 'adopt'
            or posted_by = 'caller' and bound_by <> 'submit') not valid;
