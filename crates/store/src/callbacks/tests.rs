use super::*;
use crate::{
    jobs::tests::world,
    projects,
    rejected::{self, Rejected},
    settle::RejectedCause,
};
use domain::AttemptEvent;
use sqlx::PgPool;

fn forged(attempt: AttemptId) -> Rejected {
    Rejected {
        id: CallbackId(crate::fresh_id()),
        credential: CredentialId::DEFAULT,
        attempt,
        cause: RejectedCause::Signature,
        request_id: Some("r-1".to_owned()),
        user_id: None,
        signed_at: None,
        signature: None,
        body_bytes: 2,
        body: Some(bytes::Bytes::from_static(b"{}")),
    }
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn callbacks_are_seen_by_their_own_project_and_by_operators(pool: PgPool) {
    let store = world::store(&pool);
    let job = world::accepted(&store, world::a_job()).await;
    let attempt = world::claimed(&store).await.attempt;
    world::told(&store, attempt, AttemptEvent::Bound(world::request("r-1"))).await;
    let first = world::called_back(&store, attempt, "r-1").await;
    let repeat = world::called_back(&store, attempt, "r-1").await;
    let rows = [forged(attempt), forged(AttemptId(crate::fresh_id()))];
    rejected::insert(&store, &rows).await.unwrap();
    let (own, strange) = (rows[0].id, rows[1].id);

    let me = Reader::Project(world::ME);
    let other = Reader::Project(projects::find_or_insert(&store, "other").await.unwrap());
    let ids = async |reader: Reader, filter: CallbackFilter| {
        let page = list(&store, reader, &filter, None, 10).await.unwrap();
        assert_eq!(page.next, None);
        page.items.iter().map(|item| item.id).collect::<Vec<_>>()
    };
    let all = CallbackFilter::default;
    assert_eq!(ids(me, all()).await, [own, repeat, first]);
    assert_eq!(ids(other, all()).await, []);
    assert_eq!(ids(Reader::Operator, all()).await, [strange, own, repeat, first]);
    let rejected = || CallbackFilter { disposition: Some("rejected".to_owned()), ..all() };
    assert_eq!(ids(me, rejected()).await, [own]);
    assert_eq!(ids(me, CallbackFilter { job: Some(job), ..all() }).await, [own, repeat, first]);
    assert_eq!(ids(other, CallbackFilter { job: Some(job), ..all() }).await, []);
    assert_eq!(ids(me, CallbackFilter { attempt: Some(attempt), ..rejected() }).await, [own]);
    assert_eq!(get(&store, other, first).await.unwrap(), None);
    assert_eq!(get(&store, me, strange).await.unwrap(), None);
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn a_repeat_is_read_with_the_bytes_of_the_first(pool: PgPool) {
    let store = world::store(&pool);
    world::accepted(&store, world::a_job()).await;
    let attempt = world::claimed(&store).await.attempt;
    world::told(&store, attempt, AttemptEvent::Bound(world::request("r-1"))).await;
    let first = world::called_back(&store, attempt, "r-1").await;
    let repeat = world::called_back(&store, attempt, "r-1").await;
    let first = for_reprocess(&store, first).await.unwrap().expect("it is there");
    let repeat = for_reprocess(&store, repeat).await.unwrap().expect("it is there");
    assert_eq!((first.view.disposition.as_str(), repeat.view.disposition.as_str()), ("applied", "duplicate"));
    assert!(first.body.is_some());
    assert_eq!(first.body, repeat.body);
    assert_eq!(first.pinned_user_id.as_deref(), Some("user_me"));
    assert_eq!(first.bound_request_id.as_deref(), Some("r-1"));
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn pages_of_callbacks_follow_each_other(pool: PgPool) {
    let store = world::store(&pool);
    let rows: Vec<Rejected> = (0..5).map(|_| forged(AttemptId(crate::fresh_id()))).collect();
    rejected::insert(&store, &rows).await.unwrap();
    let (mut found, mut after) = (Vec::new(), None);
    loop {
        let page = list(&store, Reader::Operator, &CallbackFilter::default(), after, 2).await.unwrap();
        found.extend(page.items.iter().map(|item| item.id));
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    let newest_first: Vec<CallbackId> = rows.iter().rev().map(|row| row.id).collect();
    assert_eq!(found, newest_first);
}
