//! Bytes from strangers, in tables: each row is what is sent, what is answered, and what is in the database afterwards.
//!
//! The parsers alone are tried with made-up bytes in crates/hostile; fal's misbehaviour as such is in `callbacks_odd`.

mod bodies;
mod headers;
mod json;
mod key_sets;
mod raw;
mod slow;

use simulator::{RequestView, Script};
use std::collections::BTreeMap;
use testkit::{JobId, World, WorldBuilder, wait};

/// A world in which nothing but callbacks moves a job while it is looked at.
fn still() -> WorldBuilder {
    World::builder().setting("FALCONER_RECONCILER__FIRST_LOOK", "1m")
}

/// A job that fal holds, and its request.
async fn held(world: &World, prompt: &str) -> (JobId, RequestView) {
    world.sim().script_next(Script { hold: true, ..Script::default() });
    let id = world.submit_prompt(prompt).await;
    world.wait_job(id, "to be sent", |job| job["request_id"].is_string()).await;
    (id, world.sent(prompt).await)
}

/// Everything that the database holds of a job and its attempts, as text.
async fn rows_of(world: &World, id: JobId) -> Vec<String> {
    let query = "select 'job ' || to_jsonb(j)::text from falconer.jobs j where id = $1
        union all select 'attempt ' || to_jsonb(a)::text from falconer.attempts a where job_id = $1
        union all select 'transition ' || to_jsonb(t)::text from falconer.transitions t where job_id = $1
        order by 1";
    sqlx::query_scalar(query).bind(id).fetch_all(world.db()).await.expect("the rows can be read")
}

/// Waits until the callbacks that were rejected are these: how often each cause.
async fn wait_rejected(world: &World, expected: &BTreeMap<String, i64>) {
    wait::until("the rejected calls to be kept", async || {
        let query = "select cause, count(*) from falconer.callbacks where disposition = 'rejected' group by cause";
        let found: Vec<(String, i64)> = sqlx::query_as(query).fetch_all(world.db()).await.expect("they can be read");
        let found: BTreeMap<String, i64> = found.into_iter().collect();
        if found == *expected { Ok(()) } else { Err(found) }
    })
    .await;
}
