//! What the configuration, an operator and callbacks say of an account.

use super::*;
use crate::tests::fixture::*;
use sqlx::PgPool;

fn operator() -> crate::audit::By {
    crate::audit::By::command_line("test")
}

async fn first(store: &Store) -> Credential {
    list(store).await.unwrap().remove(0)
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn a_learnt_user_stays_until_one_is_configured(pool: PgPool) {
    let store = store(&pool);
    let mut connection = pool.acquire().await.unwrap();
    witness(&mut connection, CredentialId::DEFAULT, OURS, WITNESSES).await.unwrap();
    configure(&store, CredentialId::DEFAULT, 7, None).await.unwrap();
    let learnt = first(&store).await;
    assert_eq!((learnt.slots, learnt.user_id.as_deref()), (7, Some(OURS)));
    assert_eq!(learnt.user_id_source.as_deref(), Some("learnt"));

    configure(&store, CredentialId::DEFAULT, 7, Some("user_other")).await.unwrap();
    let configured = first(&store).await;
    assert_eq!(
        (configured.user_id.as_deref(), configured.user_id_source.as_deref()),
        (Some("user_other"), Some("configured"))
    );
    configure(&store, CredentialId::DEFAULT, 7, None).await.unwrap();
    assert_eq!(first(&store).await.user_id, None, "what is no longer configured is not pinned");
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn a_repinned_user_stays_until_one_is_configured(pool: PgPool) {
    let store = store(&pool);
    repin(&store, CredentialId::DEFAULT, Some(OURS), &operator()).await.unwrap();
    configure(&store, CredentialId::DEFAULT, 7, None).await.unwrap();
    assert_eq!(first(&store).await.user_id.as_deref(), Some(OURS));
    configure(&store, CredentialId::DEFAULT, 7, Some("user_other")).await.unwrap();
    assert_eq!(first(&store).await.user_id.as_deref(), Some("user_other"));
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn a_pinned_user_is_not_outvoted(pool: PgPool) {
    let store = store(&pool);
    pin(&store).await;
    let mut connection = pool.acquire().await.unwrap();
    witness(&mut connection, CredentialId::DEFAULT, "user_theirs", 10).await.unwrap();
    assert_eq!(first(&store).await.user_id.as_deref(), Some(OURS));
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn a_forgotten_user_is_learnt_afresh(pool: PgPool) {
    let store = store(&pool);
    let mut connection = pool.acquire().await.unwrap();
    witness(&mut connection, CredentialId::DEFAULT, OURS, WITNESSES).await.unwrap();
    assert!(repin(&store, CredentialId::DEFAULT, None, &operator()).await.unwrap());
    witness(&mut connection, CredentialId::DEFAULT, OURS, WITNESSES - 1).await.unwrap();
    assert_eq!(first(&store).await.user_id, None);
    let nobody = CredentialId(crate::fresh_id());
    assert!(!repin(&store, nobody, Some(OURS), &operator()).await.unwrap());
}
