//! What a process makes of the credentials in the database.

use super::*;
use crate::{FalKey, Resealed};
use domain::{ProjectId, sealing::SealKeys};
use secrecy::{ExposeSecret, SecretString};
use sqlx::PgPool;
use store::{
    Pools,
    audit::By,
    callbacks::Reader,
    credentials::{Assigned, NewCredential},
};

const OLD: &str = "an old secret of more than thirty-two bytes";
const NEW: &str = "a new secret of more than thirty-two bytes";
const KEY: &str = "second-id:0123456789abcdef";
const OTHER_KEY: &str = "second-id:fedcba9876543210";

fn store_of(pool: &PgPool) -> Store {
    let share = || pool.clone();
    Store { pools: Pools { callbacks: share(), api: share(), work: share(), maintenance: share() } }
}

fn accounts_with(store: &Store, secrets: &str) -> Accounts {
    // Another test of this process may have installed it.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let config = AccountsConfig {
        default: ClientConfig::new("default-id:default-secret".to_owned().into()),
        http: fal::http_client().unwrap(),
        sealer: Sealer::new(SealKeys::derive(secrets).unwrap(), || *store::fresh_id().as_bytes().last_chunk().unwrap()),
    };
    Accounts::new(store.clone(), config, 2).unwrap()
}

fn by() -> By {
    By::command_line("test")
}

fn key(text: &str) -> FalKey {
    FalKey::parse(SecretString::from(text)).unwrap()
}

async fn made(accounts: &Accounts, project: Option<ProjectId>) -> CredentialId {
    let id = CredentialId(store::fresh_id());
    let new = NewCredential {
        id,
        name: "second".to_owned(),
        sealed: accounts.sealer().seal(id, &key(KEY)),
        key_hint: key(KEY).hint(),
        slots: 7,
        user_id: None,
        project,
    };
    credentials::create(&accounts.0.store, &new, &by()).await.unwrap().expect("the name is free");
    id
}

fn sealed_key(accounts: &Accounts, account: &Account) -> String {
    let sealed = account.sealed.as_ref().unwrap();
    accounts.sealer().open(account.id, sealed).unwrap().expose_secret().to_owned()
}

async fn second(store: &Store) -> Account {
    credentials::accounts(store).await.unwrap().pop().unwrap()
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn an_account_that_was_made_a_moment_ago_has_a_client_and_keeps_it_until_its_key_changes(pool: PgPool) {
    let store = store_of(&pool);
    let accounts = accounts_with(&store, NEW);
    let id = made(&accounts, None).await;

    let first = accounts.client(id).await.unwrap();
    accounts.refresh().await.unwrap();
    assert!(Arc::ptr_eq(&first, &accounts.client(id).await.unwrap()));
    assert!(accounts.active().contains(&ActiveAccount { id, slots: 7 }));

    let sealed = accounts.sealer().seal(id, &key(OTHER_KEY));
    assert!(credentials::rotate(&store, id, &sealed, "3210", &by()).await.unwrap());
    accounts.refresh().await.unwrap();
    assert!(!Arc::ptr_eq(&first, &accounts.client(id).await.unwrap()));
    assert_eq!(sealed_key(&accounts, &second(&store).await), OTHER_KEY);
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_disabled_account_gets_no_jobs_and_is_still_asked(pool: PgPool) {
    let store = store_of(&pool);
    let accounts = accounts_with(&store, NEW);
    let id = made(&accounts, None).await;
    assert!(credentials::set_enabled(&store, id, false, &by()).await.unwrap());
    accounts.refresh().await.unwrap();

    assert_eq!(accounts.active(), [ActiveAccount { id: CredentialId::DEFAULT, slots: 2 }]);
    assert!(accounts.client(id).await.is_ok());
    assert!(accounts.usable().contains(&id));
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_key_that_does_not_open_makes_no_client_and_takes_none_away(pool: PgPool) {
    let store = store_of(&pool);
    let (with_new, with_old) = (accounts_with(&store, NEW), accounts_with(&store, OLD));
    let id = made(&with_old, None).await;

    assert_eq!(with_new.client(id).await.unwrap_err(), NoClient::Unreadable);
    assert!(!with_new.active().iter().any(|active| active.id == id));
    let nobody = CredentialId(store::fresh_id());
    assert_eq!(with_new.client(nobody).await.unwrap_err(), NoClient::Unknown);

    let before = with_old.client(id).await.unwrap();
    assert!(
        credentials::rotate(&store, id, &with_new.sealer().seal(id, &key(OTHER_KEY)), "3210", &by()).await.unwrap()
    );
    with_old.refresh().await.unwrap();
    assert!(Arc::ptr_eq(&before, &with_old.client(id).await.unwrap()), "the last key that opened goes on");
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn what_is_sealed_anew_opens_without_the_old_secret_and_holds_the_same_key(pool: PgPool) {
    let store = store_of(&pool);
    let id = made(&accounts_with(&store, OLD), None).await;

    let unable = accounts_with(&store, NEW).sealer().reseal(&store).await.unwrap();
    assert_eq!(unable, Resealed { done: 0, unreadable: vec!["second".to_owned()] });
    let both = accounts_with(&store, &format!("{NEW},{OLD}"));
    assert_eq!(both.sealer().reseal(&store).await.unwrap(), Resealed { done: 1, unreadable: Vec::new() });
    assert_eq!(both.sealer().reseal(&store).await.unwrap(), Resealed::default(), "a second time nothing is left to do");

    let with_new = accounts_with(&store, NEW);
    assert!(with_new.client(id).await.is_ok());
    assert_eq!(sealed_key(&with_new, &second(&store).await), KEY);
    let hint = credentials::get(&store, Reader::Operator, id).await.unwrap().unwrap().key_hint;
    assert_eq!(hint.as_deref(), Some("cdef"));
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_sealed_key_that_is_copied_to_another_credential_makes_no_client(pool: PgPool) {
    let store = store_of(&pool);
    let accounts = accounts_with(&store, NEW);
    let id = made(&accounts, None).await;
    let thief = CredentialId(store::fresh_id());
    sqlx::query(
        "insert into falconer.credentials (id, name, created_at, sealed_key, sealed_with)
         select $2, 'thief', falconer.now(), sealed_key, sealed_with from falconer.credentials where id = $1",
    )
    .bind(id.0)
    .bind(thief.0)
    .execute(&pool)
    .await
    .unwrap();

    assert_eq!(accounts.client(thief).await.unwrap_err(), NoClient::Unreadable);
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_credential_of_one_project_is_neither_seen_nor_paid_with_by_another(pool: PgPool) {
    let store = store_of(&pool);
    let accounts = accounts_with(&store, NEW);
    let owner = store::projects::find_or_create(&store, "owner", &by()).await.unwrap();
    let id = made(&accounts, Some(owner)).await;

    let stranger = Reader::Project(ProjectId::DEFAULT);
    assert_eq!(credentials::get(&store, stranger, id).await.unwrap(), None);
    assert!(credentials::list_for(&store, stranger).await.unwrap().is_empty());
    assert_eq!(credentials::list_for(&store, Reader::Project(owner)).await.unwrap().len(), 1);

    let taken = credentials::assign(&store, ProjectId::DEFAULT, Some(id), &by()).await.unwrap();
    assert_eq!(taken, Assigned::NoCredential);
    let nobody = ProjectId(store::fresh_id());
    assert_eq!(credentials::assign(&store, nobody, Some(id), &by()).await.unwrap(), Assigned::NoProject);
    assert_eq!(credentials::assign(&store, owner, None, &by()).await.unwrap(), Assigned::Done);
    assert_eq!(credentials::assign(&store, owner, Some(id), &by()).await.unwrap(), Assigned::Done);
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn the_default_credential_has_no_sealed_key(pool: PgPool) {
    let store = store_of(&pool);
    let accounts = accounts_with(&store, NEW);
    let sealed = accounts.sealer().seal(CredentialId::DEFAULT, &key(KEY));
    assert!(!credentials::rotate(&store, CredentialId::DEFAULT, &sealed, "cdef", &by()).await.unwrap());
}
