use super::{action::UnknownAction, *};
use crate::{
    callbacks::Reader,
    jobs::tests::world,
    keys::{self, KeySecret, NewKey, Scopes},
    projects,
};
use sqlx::PgPool;

async fn key(store: &Store, project: ProjectId, bits: u8) -> KeyId {
    let new = NewKey::new(project, "ci", Scopes::of_project());
    keys::create(store, &new, &KeySecret::of_random(&[bits; 32]), &By::command_line("root")).await.unwrap()
}

async fn noted(store: &Store, action: Action, project: ProjectId, key: KeyId) {
    let by = By { actor: Actor::Key(key), peer: "2001:db8::7".parse().ok() };
    note(store, &by, &Entry::done(action, Some(project), "a subject")).await.unwrap();
}

#[test]
fn every_action_has_a_name_of_its_own_that_reads_back() {
    for action in Action::ALL {
        assert_eq!(action.as_str().parse(), Ok(*action));
        assert_eq!(action.as_str().split('.').next(), Some(action.noun()));
    }
    assert_eq!("key.made".parse::<Action>(), Err(UnknownAction));
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn rows_are_added_and_never_changed(pool: PgPool) {
    let store = world::store(&pool);
    note(&store, &By::command_line("root"), &Entry::done(Action::ProjectCreated, None, "acme")).await.unwrap();
    for statement in [
        "update falconer.audit_log set outcome = 'failed'",
        "delete from falconer.audit_log",
        "truncate falconer.audit_log",
    ] {
        let error = sqlx::raw_sql(statement).execute(&pool).await.expect_err(statement);
        assert!(error.to_string().contains("only added to"), "{statement}: {error}");
    }
    assert_eq!(prune(&store, Duration::from_hours(1), 100).await.unwrap(), 0, "it is young");
    world::advance(&store, Duration::from_hours(2)).await;
    assert_eq!(prune(&store, Duration::from_hours(1), 100).await.unwrap(), 1);
    note(&store, &By::command_line("root"), &Entry::done(Action::ProjectCreated, None, "acme")).await.unwrap();
    let error = sqlx::raw_sql("delete from falconer.audit_log").execute(&pool).await;
    assert!(error.is_err(), "retention's right ends with its transaction");
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn a_project_reads_what_was_done_to_its_own_and_not_from_where_others_did_it(pool: PgPool) {
    let store = world::store(&pool);
    let other = projects::create(&store, "other", &By::command_line("root")).await.unwrap().unwrap();
    let (mine, foreign) = (key(&store, world::ME, 1).await, key(&store, other, 2).await);
    noted(&store, Action::JobCanceled, world::ME, mine).await;
    noted(&store, Action::JobCanceled, world::ME, foreign).await;
    noted(&store, Action::JobResolved, other, foreign).await;

    let read = async |reader, filter: AuditFilter| list(&store, reader, &filter, None, 50).await.unwrap().items;
    let canceled = AuditFilter { action: Some(Action::JobCanceled), ..AuditFilter::default() };
    let own = read(Reader::Project(world::ME), canceled).await;
    let peers: Vec<_> = own.iter().map(|row| (row.key, row.peer.as_deref())).collect();
    assert_eq!(peers, [(Some(foreign), None), (Some(mine), Some("2001:db8::7"))]);
    let of_other = read(Reader::Project(other), AuditFilter::default()).await;
    assert!(of_other.iter().all(|row| row.project == Some(other) && row.os_user.is_none()), "{of_other:?}");
    assert_eq!(of_other.len(), 3, "the project, its key, and the job");
    let by_key = AuditFilter { key: Some(foreign), ..AuditFilter::default() };
    assert_eq!(read(Reader::Operator, by_key).await.len(), 2);
    let later = AuditFilter { from: Some(store.now().await.unwrap()), ..AuditFilter::default() };
    assert_eq!(read(Reader::Operator, later).await.len(), 0);
    let page = list(&store, Reader::Operator, &AuditFilter::default(), None, 2).await.unwrap();
    let rest = list(&store, Reader::Operator, &AuditFilter::default(), page.next, 50).await.unwrap();
    assert_eq!((page.items.len(), rest.items.len(), rest.next), (2, 4, None));
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn a_change_that_is_rolled_back_leaves_no_row(pool: PgPool) {
    let store = world::store(&pool);
    let by = By::command_line("root");
    assert!(projects::create(&store, "acme", &by).await.unwrap().is_some());
    assert_eq!(projects::create(&store, "acme", &by).await.unwrap(), None, "the name is taken");
    let acme = projects::find(&store, "acme").await.unwrap().unwrap();
    assert_eq!(projects::rename(&store, acme, "default", &by).await.unwrap(), projects::Renamed::Taken);
    assert_eq!(projects::rename(&store, acme, "acme-2", &by).await.unwrap(), projects::Renamed::Done);
    assert_eq!(projects::rename(&store, acme, "acme-2", &by).await.unwrap(), projects::Renamed::Done);

    let log = list(&store, Reader::Operator, &AuditFilter::default(), None, 50).await.unwrap().items;
    let actions: Vec<&str> = log.iter().map(|row| row.action.as_str()).collect();
    assert_eq!(actions, ["project.renamed", "project.created"]);
    assert_eq!(log[0].detail, serde_json::json!({"from": "acme", "to": "acme-2"}));
}
