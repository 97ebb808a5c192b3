use super::*;
use crate::jobs::{
    get,
    tests::world::{ME, a_job, accepted, claimed, store},
};
use sqlx::PgPool;

fn started(store: &Store) -> (Watch, Wakes, CancellationToken) {
    let (wakes, stop) = (Wakes::default(), CancellationToken::new());
    (Watch::start(store, &wakes, &TaskTracker::new(), &stop), wakes, stop)
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn a_change_that_nobody_tells_of_is_seen_within_a_second_by_all_who_watch(pool: PgPool) {
    let store = store(&pool);
    let (watch, _, _) = started(&store);
    let id = accepted(&store, a_job()).await;
    let mut watchers: Vec<Watcher> = (0..100).map(|_| watch.on(id)).collect();
    let seen = get(&store, Some(ME), id).await.unwrap().unwrap().version;
    // As another process would.
    claimed(&store).await;

    let all = futures::future::join_all(watchers.iter_mut().map(|watcher| watcher.beyond(seen)));
    tokio::time::timeout(POLL_FLOOR * 3, all).await.expect("everybody is told");
    assert_eq!(get(&store, Some(ME), id).await.unwrap().unwrap().state, "running");
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn a_hundred_watchers_ask_as_often_as_one_and_nobody_asks_for_nobody(pool: PgPool) {
    let store = store(&pool);
    let (watch, wakes, _) = started(&store);
    let id = accepted(&store, a_job()).await;
    let watchers: Vec<Watcher> = (0..100).map(|_| watch.on(id)).collect();
    assert_eq!(watch.shared.watched().len(), 1);
    drop(watchers);
    assert_eq!(watch.shared.watched().len(), 0);
    // Whoever is not watched is not looked at, however much moves.
    store.pools.api.close().await;
    wakes.moved.notify_waiters();
    assert!(!watch.shared.watched().contains_key(&id));
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn a_job_that_is_not_there_is_told_as_changed(pool: PgPool) {
    let (watch, _, _) = started(&store(&pool));
    let mut watcher = watch.on(JobId(crate::fresh_id()));
    tokio::time::timeout(POLL_FLOOR * 3, watcher.beyond(1000)).await.expect("whoever reads it finds nothing");
}
