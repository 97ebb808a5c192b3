use super::*;
use crate::jobs::tests::world;
use sqlx::PgPool;
use tokio::time::timeout;
use tokio_util::task::TaskTracker;

const PATIENCE: Duration = Duration::from_secs(20);

/// A process with its bridge at work.
struct Process {
    wakes: Wakes,
    bridge: Bridge,
}

impl Process {
    fn start(pool: &PgPool, dispatches: bool, tasks: &TaskTracker, stop: &CancellationToken) -> Self {
        let wakes = Wakes::default();
        let bridge = Bridge::new(world::store(pool), wakes.clone());
        tasks.spawn(bridge.clone().send_ended(Duration::from_millis(5), stop.clone()));
        tasks.spawn(bridge.clone().listen(dispatches, stop.clone()));
        Self { wakes, bridge }
    }
}

/// Waits until as many connections listen.
async fn listening(pool: &PgPool, count: i64) {
    let sql = "select count(*) from pg_stat_activity where datname = current_database() and query ~ '^LISTEN'";
    let all = async {
        while sqlx::query_scalar::<_, i64>(sql).fetch_one(pool).await.unwrap() < count {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, all).await.expect("they listen");
}

/// The notifications that went out, as a listener of its own hears them, up to one with the payload `last`.
async fn heard_until(listener: &mut PgListener, pool: &PgPool, last: &str) -> Vec<String> {
    sqlx::query("select pg_notify($1, $2)").bind(ENDED).bind(last).execute(pool).await.unwrap();
    let mut heard = Vec::new();
    while heard.last().is_none_or(|told| told != last) {
        let told = timeout(PATIENCE, listener.recv()).await.expect("it was sent").unwrap();
        heard.push(told.payload().to_owned());
    }
    heard
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn an_end_is_told_to_the_other_processes_once_and_never_sent_back(pool: PgPool) {
    let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
    let mut all = PgListener::connect_with(&pool).await.unwrap();
    all.listen(ENDED).await.unwrap();
    let [here, there] = [true, false].map(|dispatches| Process::start(&pool, dispatches, &tasks, &stop));
    listening(&pool, 3).await;

    let heard_there = Arc::clone(&there.wakes.ended);
    let mut heard_there = std::pin::pin!(heard_there.notified());
    heard_there.as_mut().enable();
    here.wakes.ended_here.notify_one();
    timeout(PATIENCE, heard_there).await.expect("the other process hears of it");

    let told = heard_until(&mut all, &pool, "the last").await;
    assert_eq!(told, [here.bridge.own.as_str(), "the last"], "whoever hears of an end does not tell it again");
    stop.cancel();
    tasks.close();
    tasks.wait().await;
}
