//! One crash: a server dies at a point, is started again, and what is left is checked.

use super::{
    clients::Clients,
    home::{all_canceled, come_home},
    work::Kind,
};
use failpoints::Point;
use simulator::OutcomeKind;
use std::{
    collections::BTreeMap,
    os::unix::process::ExitStatusExt as _,
    process::ExitStatus,
    time::{Duration, Instant},
};
use testkit::{World, wait};

/// The hits at which a process dies.
pub(super) const HITS: [u32; 3] = [1, 2, 7];
const SIGABRT: i32 = 6;
/// A point that is not reached within this time is not reached.
const REACHED_WITHIN: Duration = Duration::from_secs(20);

/// Points, and the work that reaches them.
#[derive(Debug)]
pub(super) struct Sweep {
    pub(super) work: Kind,
    pub(super) points: &'static [Point],
}

/// Lets a server die at every point, at every hit, each in a world of its own.
pub(super) async fn die_at_each(sweep: &Sweep) {
    print_head();
    for point in sweep.points {
        for hit in HITS {
            die_at(sweep.work, *point, hit).await;
        }
    }
}

async fn die_at(work: Kind, point: Point, hit: u32) {
    let armed = format!("{}:{hit}", point.name());
    // What happens by itself each second may kill a process before anybody sees that it is ready.
    let by_itself = work == Kind::Audited;
    let first = if by_itself { "" } else { &armed };
    let mut world = work.world().setting(failpoints::POINT_VARIABLE, first).start().await;
    let (mut clients, began) = (Clients::default(), Instant::now());
    work.run(&world, &mut clients).await;
    if by_itself {
        world.kill_9().await;
        world.server_mut().set("FALCONER_AUDIT__AT", "* * * * * *");
        world.server_mut().set(failpoints::POINT_VARIABLE, &armed);
        world.server_mut().launch().expect("falconer can be started");
    }
    died(&mut world, point, hit).await;
    let died_after = began.elapsed();
    what_is_left(&world, point, &clients).await;

    let began = Instant::now();
    world.server_mut().set(failpoints::POINT_VARIABLE, "");
    world.restart().await;
    clients.insist(&world).await;
    all_canceled(&world, clients.wishes.len()).await;
    world.sim().release_held();
    come_home(&world).await;
    if by_itself {
        told_of_once(&world).await;
    }
    all_is_well(&world, &clients).await;
    print_row(point.name(), hit, died_after, began.elapsed());
}

/// Waits for the end of the process, which must be the one that the point makes.
pub(super) async fn died(world: &mut World, point: Point, hit: u32) {
    let name = point.name();
    let ended = world.server_mut().exited(REACHED_WITHIN).await;
    let ended = ended.unwrap_or_else(|error| panic!("hit {hit} of {name} was not reached: {error}"));
    aborted(ended, name);
}

/// Checks that a process ended by aborting itself.
pub(super) fn aborted(ended: ExitStatus, name: &str) {
    assert_eq!(ended.signal(), Some(SIGABRT), "at {name} the process ended otherwise: {ended}");
}

/// Checks what the dead process has left in the database.
async fn what_is_left(world: &World, point: Point, clients: &Clients) {
    let jobs: i64 = sqlx::query_scalar("select count(*) from falconer.jobs")
        .fetch_one(world.db())
        .await
        .expect("the database answers");
    let jobs = usize::try_from(jobs).expect("a count is not negative");
    let told = clients.acknowledged().len();
    match point {
        Point::AcceptBeforeCommit => assert_eq!(jobs, told, "jobs that are there, and jobs that were acknowledged"),
        Point::AcceptAfterCommit => assert!(jobs > told, "the jobs were not committed"),
        _ => assert!(jobs >= told, "{told} jobs were acknowledged, {jobs} are there"),
    }
}

/// Waits until the one charge that is somebody else's is all that nothing explains, and checks that each that was found was
/// told of once: without grace, an attempt that is not bound yet may be taken for an orphan for a while.
async fn told_of_once(world: &World) {
    let found = wait::until("the charge that nothing explains", async || {
        let query = "select count(*) filter (where resolved_at is null), count(*),
             (select count(*) from falconer.account_events where type = 'charge.orphaned')
             from falconer.orphan_charges";
        let found: (i64, i64, i64) = sqlx::query_as(query).fetch_one(world.db()).await.expect("the database answers");
        if found.0 == 1 { Ok(found) } else { Err(found) }
    })
    .await;
    assert_eq!(found.1, found.2, "orphan charges and events of them");
}

/// Checks everything that must hold at the end: one job for each that was asked for, each of them ended as it should, no run
/// of a patient job paid for twice, the invariants, and what the simulated fal knows.
pub(super) async fn all_is_well(world: &World, clients: &Clients) {
    clients.one_job_each(world).await;
    let ends: Vec<(String, i64)> = sqlx::query_as("select state, count(*) from falconer.jobs group by state")
        .fetch_all(world.db())
        .await
        .expect("the database answers");
    let ends: BTreeMap<String, i64> = ends.into_iter().collect();
    let of = |state: &str| usize::try_from(ends.get(state).copied().unwrap_or(0)).expect("a count is not negative");
    assert_eq!(of("canceled"), clients.wishes.len(), "{ends:?}");
    assert_eq!(of("succeeded") + of("canceled"), clients.acknowledged().len(), "{ends:?}");
    let requests = world.sim().requests();
    let ours = requests.iter().filter(|request| request.webhook_url.is_some());
    let paid = ours.filter(|request| request.outcome == Some(OutcomeKind::Ok)).count();
    assert_eq!(paid, of("succeeded"), "runs that were paid for");
    world.drain_and_check().await;
}

pub(super) fn print_head() {
    eprintln!("{:<24} {:>3} {:>12} {:>12}", "point", "hit", "died after", "home after");
}

pub(super) fn print_row(point: &str, hit: u32, died: Duration, home: Duration) {
    eprintln!("{point:<24} {hit:>3} {:>9} ms {:>9} ms", died.as_millis(), home.as_millis());
}
