use super::*;
use crate::{
    accept::Idempotency,
    audit::{self, AuditFilter, By},
    callbacks::Reader,
    jobs::tests::world,
    projects,
};
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
        let key = NewKey { expires_at, ..NewKey::new(project, "ci", Scopes::of_project()) };
        (create(&store, &key, &secret, &by()).await.unwrap(), secret.sha256())
    };
    let ((first, first_sha256), (second, second_sha256)) = (make(1, None).await, make(2, expires_at).await);
    let found = authenticate(&store, &first_sha256).await.unwrap().expect("the key counts");
    assert_eq!((found.key, found.project, found.scopes), (first, project, Scopes::of_project()));
    assert!(list(&store, Some(project)).await.unwrap().iter().any(|key| key.last_used_at.is_some()));

    assert_eq!(authenticate(&store, &[0; 32]).await.unwrap(), None);
    assert!(authenticate(&store, &second_sha256).await.unwrap().is_some());
    world::advance(&store, Duration::from_hours(1)).await;
    assert_eq!(authenticate(&store, &second_sha256).await.unwrap(), None, "its time is over");
    let other = Reader::Project(world::ME);
    assert_eq!(revoke(&store, other, first, &by()).await.unwrap(), Revoked::NotFound, "another project's");
    assert_eq!(revoke(&store, Reader::Project(project), first, &by()).await.unwrap(), Revoked::Done);
    assert_eq!(authenticate(&store, &first_sha256).await.unwrap(), None, "revoked");
    assert_eq!(revoke(&store, Reader::Operator, first, &by()).await.unwrap(), Revoked::Already);
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

fn by() -> By {
    By::command_line("a test")
}

fn secret(bits: u8) -> KeySecret {
    KeySecret::of_random(&[bits; 32])
}

async fn counts(store: &Store, bits: u8) -> bool {
    authenticate(store, &secret(bits).sha256()).await.unwrap().is_some()
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn a_rotation_leaves_two_live_until_the_grace_is_over_and_never_three(pool: PgPool) {
    const GRACE: Duration = Duration::from_hours(24);
    let store = world::store(&pool);
    let project = projects::find_or_insert(&store, "acme").await.unwrap();
    let rate = Rate { per_second: 7.try_into().unwrap(), burst: 9.try_into().ok() };
    let new = NewKey {
        payloads: Payloads::Hidden,
        rate: Some(rate),
        ..NewKey::new(project, "ci", Scopes::new([Scope::Read]))
    };
    let first = create(&store, &new, &secret(1), &by()).await.unwrap();
    let rotate = async |key, grace, bits| {
        let rotation = Rotation { key, grace, expires_at: None };
        super::rotate(&store, Reader::Operator, &rotation, &secret(bits), &by(), None).await.unwrap()
    };

    let Rotated::Done(second) = rotate(first, GRACE, 2).await else { panic!("it can be rotated") };
    let made = authenticate(&store, &secret(2).sha256()).await.unwrap().unwrap();
    assert_eq!(
        (made.project, made.scopes, made.payloads, made.rate),
        (project, new.scopes, Payloads::Hidden, Some(rate))
    );
    let view = get(&store, Reader::Project(project), second).await.unwrap().unwrap();
    assert_eq!((view.name.as_str(), view.line, view.expires_at), ("ci", first, None));
    assert!(counts(&store, 1).await, "both count");
    assert_eq!(rotate(first, GRACE, 3).await, Rotated::Refused(NotRotatable::HasSuccessor));
    assert_eq!(rotate(second, GRACE, 3).await, Rotated::Refused(NotRotatable::TwoLive));

    world::advance(&store, GRACE).await;
    assert!(!counts(&store, 1).await && counts(&store, 2).await, "the grace is over");
    let Rotated::Done(third) = rotate(second, Duration::ZERO, 3).await else { panic!("its line has one live key") };
    assert!(!counts(&store, 2).await && counts(&store, 3).await, "no grace");
    assert_eq!(rotate(second, GRACE, 4).await, Rotated::Refused(NotRotatable::NotLive));
    assert_eq!(revoke(&store, Reader::Operator, third, &by()).await.unwrap(), Revoked::Done);
    let elsewhere = Rotation { key: third, grace: GRACE, expires_at: None };
    let other = Reader::Project(world::ME);
    let found = super::rotate(&store, other, &elsewhere, &secret(5), &by(), None).await.unwrap();
    assert_eq!(found, Rotated::NotFound, "another project's");
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn two_rotations_at_once_make_one_key(pool: PgPool) {
    let store = world::store(&pool);
    let first = create(&store, &NewKey::new(world::ME, "ci", Scopes::of_project()), &secret(1), &by()).await.unwrap();
    let rotation = Rotation { key: first, grace: Duration::from_hours(1), expires_at: None };
    let (secrets, who) = ([secret(2), secret(3)], by());
    let rotate = |index: usize| super::rotate(&store, Reader::Operator, &rotation, &secrets[index], &who, None);
    let (one, other) = tokio::join!(rotate(0), rotate(1));
    let done = [one.unwrap(), other.unwrap()];
    assert_eq!(done.iter().filter(|done| matches!(done, Rotated::Done(_))).count(), 1, "{done:?}");
    assert!(done.contains(&Rotated::Refused(NotRotatable::HasSuccessor)), "{done:?}");
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn equal_requests_of_one_maker_make_one_key_until_they_are_forgotten(pool: PgPool) {
    let store = world::store(&pool);
    let new = NewKey::new(world::ME, "ci", Scopes::of_project());
    let maker = create(&store, &new, &secret(1), &by()).await.unwrap();
    let other_maker = create(&store, &new, &secret(2), &by()).await.unwrap();
    let once = |body: u8| Idempotency { key: "deploy-7".to_owned(), fingerprint: [body; 32], reset_failed: false };
    let make = async |maker, bits, body| {
        let by = By { actor: audit::Actor::Key(maker), peer: None };
        create_once(&store, &new, &secret(bits), &by, Some(&once(body))).await.unwrap()
    };

    let Made::Created(made) = make(maker, 3, 1).await else { panic!("it is the first") };
    assert_eq!(make(maker, 4, 1).await, Made::Replayed(made));
    assert_eq!(make(maker, 5, 2).await, Made::KeyReused);
    assert!(!counts(&store, 4).await && !counts(&store, 5).await);
    assert!(matches!(make(other_maker, 6, 1).await, Made::Created(_)), "another's word is another's");
    world::advance(&store, crate::accept::KEY_LIFE).await;
    assert!(matches!(make(maker, 7, 2).await, Made::Created(_)), "forgotten");
    assert_eq!(get(&store, Reader::Operator, made).await.unwrap().unwrap().made_by, Some(maker));
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn each_change_of_a_key_is_in_the_audit_log_and_its_secret_is_nowhere(pool: PgPool) {
    let store = world::store(&pool);
    let new = NewKey::new(world::ME, "ci", Scopes::of_project());
    let first = create(&store, &new, &secret(1), &by()).await.unwrap();
    let rotation = Rotation { key: first, grace: Duration::from_hours(1), expires_at: None };
    let maker = By { actor: audit::Actor::Key(first), peer: "192.0.2.7".parse().ok() };
    let made = super::rotate(&store, Reader::Operator, &rotation, &secret(2), &maker, None).await.unwrap();
    let Rotated::Done(second) = made else { panic!("{made:?}") };
    revoke(&store, Reader::Operator, second, &maker).await.unwrap();
    revoke(&store, Reader::Operator, second, &maker).await.unwrap();

    let log = audit::list(&store, Reader::Operator, &AuditFilter::default(), None, 50).await.unwrap().items;
    let told: Vec<_> = log.iter().map(|row| (row.action.as_str(), row.subject_id.parse().unwrap(), row.key)).collect();
    let (first_id, second_id) = (first.0, second.0);
    assert_eq!(
        told,
        [
            ("key.revoked", second_id, Some(first)),
            ("key.rotated", first_id, Some(first)),
            ("key.created", first_id, None)
        ]
    );
    assert_eq!((log[0].peer.as_deref(), log[2].os_user.as_deref()), (Some("192.0.2.7"), Some("a test")));
    let all: String = sqlx::query_scalar(
        "select (select json_agg(a)::text from falconer.audit_log a) || (select json_agg(k)::text from falconer.api_keys k)",
    )
    .fetch_one(&pool)
    .await
    .unwrap();
    assert!([1, 2].iter().all(|bits| !all.contains(&secret(*bits).expose()[10..])), "{all}");
}
