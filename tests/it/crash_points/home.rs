//! Waits for the end of all work, and moves the clock where only time helps.

use std::{
    cell::Cell,
    time::{Duration, Instant},
};
use testkit::{World, wait};

/// Nothing has moved for so long, so nothing will without time: longer than the looks of a quick world are apart.
const QUIET: Duration = Duration::from_millis(500);
/// For so long a process claims an attempt for a look.
const HOLD: Duration = Duration::from_secs(30);

/// What is open, and how soon somebody has to do something about it.
#[derive(Debug, sqlx::FromRow)]
struct Open {
    jobs: i64,
    /// Grows with every change of a job or an attempt.
    moves: i64,
    /// Seconds until the first lease, look or end of waiting; negative is overdue, nothing is without an open attempt.
    next_in: Option<f64>,
}

const OPEN: &str = "select count(*) as jobs,
    (select coalesce(sum(version), 0) from falconer.jobs)::bigint
        + (select coalesce(sum(version), 0) from falconer.attempts)::bigint as moves,
    (select min(extract(epoch from case a.state
            when 'unknown' then a.abandon_at
            when 'submitting' then greatest(a.lease_until, a.next_look_at)
            else a.next_look_at end - falconer.now()))::float8
     from falconer.attempts a where a.state in ('submitting', 'unknown', 'submitted')) as next_in
    from falconer.jobs where finished_at is null";

/// Waits until every job has ended. Where nothing moves and fal has nothing under way, time is moved to the next thing that
/// is due: the end of a dead process's lease, a look that it had claimed, the end of the search for what it never sent.
pub(super) async fn come_home(world: &World) {
    // Moves, and when they were last seen to grow.
    let quiet = Cell::new((0, Instant::now()));
    wait::until("every job to come home", async || {
        let open: Open = sqlx::query_as(OPEN).fetch_one(world.db()).await.expect("the database answers");
        if open.jobs == 0 {
            return Ok(());
        }
        let (at_fal, (moves, since)) = (world.sim().counts(), quiet.get());
        if open.moves != moves || at_fal.in_progress + at_fal.in_queue > 0 {
            quiet.set((open.moves, Instant::now()));
        } else if since.elapsed() > QUIET
            && let Some(seconds) = open.next_in
        {
            world.advance_clock(Duration::from_secs_f64(seconds.max(0.0) + 0.1)).await;
            quiet.set((open.moves, Instant::now()));
        }
        Err(open)
    })
    .await;
}

/// Waits until fal was asked to stop `count` runs, which it holds until then. A dead process may have claimed the look that
/// asks: then time is moved to its end.
pub(super) async fn all_canceled(world: &World, count: usize) {
    let since = Cell::new(Instant::now());
    wait::until("fal to hear of every cancel", async || {
        let heard = world.sim().requests().iter().filter(|request| request.canceled).count();
        if heard < count && since.get().elapsed() > QUIET {
            world.advance_clock(HOLD).await;
            since.set(Instant::now());
        }
        if heard == count { Ok(()) } else { Err(heard) }
    })
    .await;
}
