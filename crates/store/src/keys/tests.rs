use super::*;
use crate::{jobs::tests::world, projects};
use sqlx::PgPool;
use std::time::Duration;

#[test]
fn a_secret_reads_back_and_a_mistyped_one_does_not() {
    let secret = KeySecret::of_random(&[0xa7; 32]);
    assert_eq!(secret.expose().len(), "flc_".len() + 49);
    assert_eq!(KeySecret::parse(secret.expose()), Ok(secret.clone()));
    for index in 0..secret.expose().len() {
        let mut bytes = secret.expose().as_bytes().to_vec();
        bytes[index] = if bytes[index] == b'x' { b'y' } else { b'x' };
        let mistyped = String::from_utf8(bytes).unwrap();
        assert_eq!(KeySecret::parse(&mistyped), Err(MalformedSecret), "{mistyped}");
    }
    assert_eq!(KeySecret::parse("flc_"), Err(MalformedSecret));
    assert_eq!(KeySecret::parse(&format!("flc_{}", "é".repeat(25))), Err(MalformedSecret));
}

#[test]
fn the_largest_and_the_smallest_secret_have_one_length() {
    for bits in [[0; 32], [0xff; 32]] {
        let secret = KeySecret::of_random(&bits);
        assert_eq!(KeySecret::parse(secret.expose()), Ok(secret));
    }
}

#[test]
fn debug_does_not_tell_the_secret() {
    let secret = KeySecret::of_random(&[3; 32]);
    assert!(!format!("{secret:?}").contains(&secret.expose()[10..]));
}

#[test]
fn a_scope_allows_itself_and_admin_allows_all() {
    let scopes = |names: &[&str]| Scopes::new(names.iter().map(|name| name.parse().unwrap()));
    for scope in Scope::ALL {
        assert!(scopes(&[scope.as_str()]).allow(scope));
        assert!(scopes(&["admin"]).allow(scope));
    }
    assert!(!scopes(&["submit", "operate"]).allow(Scope::Read));
    assert!(!Scopes::of_project().is_admin() && scopes(&["admin"]).is_admin());
    for unknown in ["", "Admin", "write", "jobs:read"] {
        assert!(unknown.parse::<Scope>().is_err(), "{unknown}");
    }
    assert_eq!(Scopes::known_of(&["from_a_later_release".to_owned()]), Scopes::default());
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn a_key_counts_until_it_is_revoked_or_its_time_is_over(pool: PgPool) {
    let store = world::store(&pool);
    let project = projects::find_or_insert(&store, "acme").await.unwrap();
    assert_eq!(projects::find_or_insert(&store, "acme").await.unwrap(), project);
    let expires_at = Some(store.now().await.unwrap() + Duration::from_hours(1));
    let make = async |bits: u8, expires_at| {
        let secret = KeySecret::of_random(&[bits; 32]);
        let key = NewKey { project, name: "ci".to_owned(), scopes: Scopes::of_project(), expires_at };
        (create(&store, &key, &secret).await.unwrap(), secret.sha256())
    };
    let ((first, first_sha256), (second, second_sha256)) = (make(1, None).await, make(2, expires_at).await);
    let found = authenticate(&store, &first_sha256).await.unwrap().expect("the key counts");
    assert_eq!((found.key, found.project, found.scopes), (first, project, Scopes::of_project()));
    assert!(list(&store, Some(project)).await.unwrap().iter().any(|key| key.last_used_at.is_some()));

    assert_eq!(authenticate(&store, &[0; 32]).await.unwrap(), None);
    assert!(authenticate(&store, &second_sha256).await.unwrap().is_some());
    world::advance(&store, Duration::from_hours(1)).await;
    assert_eq!(authenticate(&store, &second_sha256).await.unwrap(), None, "its time is over");
    assert!(!revoke(&store, Some(world::ME), first).await.unwrap(), "another project's");
    assert!(revoke(&store, Some(project), first).await.unwrap());
    assert_eq!(authenticate(&store, &first_sha256).await.unwrap(), None, "revoked");
    assert!(!revoke(&store, None, first).await.unwrap());
    assert_eq!(list(&store, None).await.unwrap().len(), 2);
    assert_ne!(first, second);
}

#[test]
fn a_project_name_keeps_its_rule() {
    for name in ["a", "acme-2", "a_b", &"x".repeat(63)] {
        assert!(projects::is_name(name), "{name}");
    }
    for name in ["", "-a", "_a", "A", "a b", "ä", &"x".repeat(64)] {
        assert!(!projects::is_name(name), "{name}");
    }
}
