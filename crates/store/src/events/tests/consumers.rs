//! Those who read the feed: where they begin, how far they are, and what they missed.

use super::*;

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn a_position_moves_ahead_and_never_back(pool: PgPool) {
    let store = store(&pool);
    succeeded(&store, a_job(), "r-1").await;
    failed(&store, a_job(), "r-2").await;
    let first = Feed { limit: 1, ..feed(ME) };
    let (_, one) = wait_for(&store, &first, Position::BEGINNING, 1).await;
    let (_, two) = wait_for(&store, &first, one, 1).await;
    let consumer = made(&store, "web", StartAt::Beginning).await;
    for (told, stands) in [(one, one), (two, two), (one, two), (Position::BEGINNING, two)] {
        let answer = acknowledge(&store, ME, "web", consumer.id, acknowledgement(told)).await.unwrap();
        let Acknowledged::Done(now) = answer else { panic!("{answer:?}") };
        assert_eq!(now.position, stands);
    }
    let ahead = Position { xact: u64::MAX, ..two };
    let answer = acknowledge(&store, ME, "web", consumer.id, acknowledgement(ahead)).await.unwrap();
    assert_eq!(answer, Acknowledged::Ahead, "nothing was shown there yet");
    let other = projects::find_or_insert(&store, "other").await.unwrap();
    let answer = acknowledge(&store, other, "web", consumer.id, acknowledgement(two)).await.unwrap();
    assert_eq!(answer, Acknowledged::NotFound);
    assert_eq!(find(&store, ME, "web").await.unwrap().unwrap().position, two);
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn a_consumer_begins_where_it_is_told(pool: PgPool) {
    let store = store(&pool);
    succeeded(&store, a_job(), "r-1").await;
    wait_for(&store, &feed(ME), Position::BEGINNING, 1).await;
    let now = made(&store, "late", StartAt::Now).await;
    assert!(read(&store, &feed(ME), now.position).await.unwrap().events.is_empty());
    let (second, _) = failed(&store, a_job(), "r-2").await;
    let (events, _) = wait_for(&store, &feed(ME), now.position, 1).await;
    assert_eq!(events[0].job.id, second);

    let found = find_or_create(&store, ME, "fresh").await.unwrap().unwrap();
    assert_eq!(found.position, Position::BEGINNING);
    assert_eq!(find_or_create(&store, ME, "fresh").await.unwrap(), Some(found));
    assert!(matches!(create(&store, ME, "late", StartAt::Beginning).await.unwrap(), Created::Exists(at) if at == now));
    let all = list(&store, ME).await.unwrap();
    let told: Vec<(&str, i64)> = all.iter().map(|(consumer, unread)| (consumer.name.as_str(), *unread)).collect();
    assert_eq!(told, [("fresh", 2), ("late", 1)]);
    assert!(delete(&store, ME, "late").await.unwrap());
    assert!(!delete(&store, ME, "late").await.unwrap());
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn a_project_has_so_many_consumers_and_no_more(pool: PgPool) {
    let store = store(&pool);
    for n in 0..CONSUMERS_MAX {
        made(&store, &format!("c-{n}"), StartAt::Now).await;
    }
    assert_eq!(find_or_create(&store, ME, "one-more").await.unwrap(), None);
    assert_eq!(create(&store, ME, "one-more", StartAt::Now).await.unwrap(), Created::TooMany);
    let other = projects::find_or_insert(&store, "other").await.unwrap();
    assert!(find_or_create(&store, other, "one-more").await.unwrap().is_some());
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn events_that_are_dropped_unread_are_counted_once_for_each_reader(pool: PgPool) {
    let store = store(&pool);
    succeeded(&store, a_job(), "r-1").await;
    failed(&store, a_job(), "r-2").await;
    let first = Feed { limit: 1, ..feed(ME) };
    let (_, one) = wait_for(&store, &first, Position::BEGINNING, 1).await;
    let (_, two) = wait_for(&store, &first, one, 1).await;
    for (name, position) in [("none", Position::BEGINNING), ("one", one), ("both", two)] {
        let consumer = made(&store, name, StartAt::Beginning).await;
        acknowledge(&store, ME, name, consumer.id, acknowledgement(position)).await.unwrap();
    }

    advance(&store, Duration::from_hours(24 * 60)).await;
    crate::retention::drop_partitions(&store, &crate::retention::Retention::default()).await.unwrap();

    let all = list(&store, ME).await.unwrap();
    let missed: Vec<(&str, i64)> = all.iter().map(|(consumer, _)| (consumer.name.as_str(), consumer.missed)).collect();
    assert_eq!(missed, [("both", 0), ("none", 2), ("one", 1)]);
    let none = find(&store, ME, "none").await.unwrap().unwrap();
    let what = Acknowledgement { position: none.position, missed: 2 };
    acknowledge(&store, ME, "none", none.id, what).await.unwrap();
    assert_eq!(find(&store, ME, "none").await.unwrap().unwrap().missed_told, 2);
    assert_eq!(made(&store, "later", StartAt::Beginning).await.missed, 0, "what was gone before it came is no gap");
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn health_tells_what_is_held_back_and_who_is_behind(pool: PgPool) {
    let store = store(&pool);
    let job = idle(&store).await;
    let mut slow = pool.begin().await.unwrap();
    told_by(&mut slow, job).await;
    failed(&store, a_job(), "r-2").await;
    made(&store, "web", StartAt::Beginning).await;
    advance(&store, Duration::from_mins(2)).await;
    find_or_create(&store, ME, "web").await.unwrap();

    let told = health(&store).await.unwrap();

    assert!(told.held_seconds >= 120.0 && told.behind_seconds >= 120.0, "{told:?}");
}
