//! F41: whatever stands where fal's keys should be, the kept ones stay, in memory and in the database.

use super::{held, raw::Call, still};
use ed25519_dalek::{Signer as _, SigningKey};
use simulator::{JwksMode, RequestView, WebhookHeaders};
use std::fmt::Write as _;
use testkit::{World, ok_body, wait};

/// A key that is not fal's, and whoever has it.
fn stranger() -> SigningKey {
    SigningKey::from_bytes(&[66; 32])
}

fn jwk(kty: &str, crv: &str, x: &[u8]) -> String {
    format!(r#"{{"kty":"{kty}","crv":"{crv}","x":"{}"}}"#, base64(x))
}

fn set(keys: &[String]) -> String {
    format!(r#"{{"keys":[{}]}}"#, keys.join(","))
}

/// Sets in which the stranger's key stands in every way that must not count.
fn poisons() -> Vec<(&'static str, String)> {
    let key = stranger().verifying_key();
    let x = key.as_bytes();
    let good = jwk("OKP", "Ed25519", x);
    let identity = [&[1_u8][..], &[0; 31]].concat();
    vec![
        ("an empty set", set(&[])),
        ("nothing", String::new()),
        ("a page", format!("<!doctype html><!-- {good} --><title>502</title>")),
        ("another kind of key", set(&[jwk("RSA", "Ed25519", x), jwk("oct", "Ed25519", x), jwk("EC", "P-256", x)])),
        ("another curve", set(&[jwk("OKP", "X25519", x), jwk("OKP", "Ed448", x), jwk("OKP", "ed25519", x)])),
        ("31 bytes", set(&[jwk("OKP", "Ed25519", &x[..31])])),
        ("33 bytes", set(&[jwk("OKP", "Ed25519", &[x.as_slice(), b"a"].concat())])),
        ("the identity", set(&[jwk("OKP", "Ed25519", &identity)])),
        ("10,000 keys", set(&vec![good.clone(); 10_000])),
        ("more than 64 kB", format!("{}{}", " ".repeat(64 * 1024), set(std::slice::from_ref(&good)))),
        ("50 MB", " ".repeat(50 << 20)),
        ("a list", format!("[{good}]")),
        ("two lists of keys", format!(r#"{{"keys":[],"keys":[{good}]}}"#)),
        ("something behind it", format!("{}x", set(std::slice::from_ref(&good)))),
        ("a deep one", format!(r#"{{"keys":{}{}}}"#, "[".repeat(10_000), "]".repeat(10_000))),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_poisoned_key_set_lets_nobody_in_and_keeps_nobody_out() {
    let mut world = still().slots(40).start().await;
    let first = world.submit_prompt("first").await;
    world.wait_ended_as(first, "succeeded").await;
    let good_set = kept_set(&world).await;
    let (attacked, target) = held(&world, "attacked").await;

    for (name, poison) in poisons() {
        world.sim().set_jwks(JwksMode::Body(poison));
        // A new process has not asked for keys yet, so the first forgery makes it ask.
        world.kill_9().await;
        world.restart().await;
        for forged in [by_stranger(&target), by_nobody(&target)] {
            // Nobody can tell whether it is fal's new key: not believed, and not called a forgery.
            assert_eq!(forged.send(&world.server().callbacks()).await, 503, "{name}");
        }
        let (id, request) = held(&world, name).await;
        let body = ok_body(&request.request_id, br#"{"seed": 1}"#);
        assert_eq!(world.forge(&request, body).await, 200, "{name}: the kept keys verify");
        world.wait_ended_as(id, "succeeded").await;
        assert_eq!(kept_set(&world).await, good_set, "{name}");
    }

    assert_eq!(world.job(attacked).await["state"], "running");
    world.sim().set_jwks(JwksMode::Up);
    world.sim().release_held();
    world.wait_ended_as(attacked, "succeeded").await;
    world.drain_and_check().await;
}

async fn kept_set(world: &World) -> Vec<u8> {
    wait::until("a key set to be kept", async || {
        let query = "select body from falconer.key_sets";
        let sets: Vec<Vec<u8>> = sqlx::query_scalar(query).fetch_all(world.db()).await.expect("they can be read");
        if sets.len() == 1 { Ok(sets[0].clone()) } else { Err(sets.len()) }
    })
    .await
}

/// A callback that the stranger signed.
fn by_stranger(request: &RequestView) -> Call {
    forged(request, |message| stranger().sign(message).to_bytes())
}

/// A signature that holds for every message under the identity, where verification is lax.
fn by_nobody(request: &RequestView) -> Call {
    forged(request, |_| {
        let mut signature = [0; 64];
        signature[0] = 1;
        signature
    })
}

fn forged(request: &RequestView, sign: impl Fn(&[u8]) -> [u8; 64]) -> Call {
    let body = ok_body(&request.request_id, br#"{"seed": 666}"#);
    let (user_id, timestamp) = ("user_test".to_owned(), "1700000000".to_owned());
    let message = fal::callback::signed_message(&request.request_id, &user_id, &timestamp, &body);
    let mut signature = String::new();
    for byte in sign(&message) {
        write!(signature, "{byte:02x}").expect("a String takes all that is written");
    }
    let headers = WebhookHeaders { request_id: request.request_id.clone(), user_id, timestamp, signature };
    Call::signed(request, &headers, body)
}

fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let bits = chunk.iter().fold(0_u32, |bits, byte| (bits << 8) | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for place in 0..=chunk.len() {
            text.push(char::from(LETTERS[(bits >> (18 - 6 * place)) as usize & 63]));
        }
    }
    text
}
