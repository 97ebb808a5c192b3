//! `Idempotency-Key` and `Idempotency-Reset`.

use crate::Problem;
use http::HeaderMap;
use sha2::{Digest, Sha256};
use store::accept::Idempotency;

const KEY: &str = "Idempotency-Key";
const RESET: &str = "Idempotency-Reset";
const KEY_CHARS_MAX: usize = 255;

/// Reads the caller's promise that equal keys mean one job, for `body` sent to `route`.
pub fn read(headers: &HeaderMap, route: &str, body: &[u8]) -> Result<Option<Idempotency>, Problem> {
    let reset_failed = match one(headers, RESET)? {
        None => false,
        Some("failed") => true,
        Some(_) => return Err(Problem::field(RESET, "must be `failed`")),
    };
    let Some(key) = one(headers, KEY)? else {
        return if reset_failed { Err(Problem::field(RESET, "needs an Idempotency-Key")) } else { Ok(None) };
    };
    if !(1..=KEY_CHARS_MAX).contains(&key.len()) {
        return Err(Problem::field(KEY, format!("must have 1 to {KEY_CHARS_MAX} characters")));
    }
    Ok(Some(Idempotency { key: key.to_owned(), fingerprint: fingerprint(route, body), reset_failed }))
}

/// As [`read()`], for routes that make no job, and so none that could have failed.
pub fn read_once(headers: &HeaderMap, route: &str, body: &[u8]) -> Result<Option<Idempotency>, Problem> {
    let found = read(headers, route, body)?;
    if found.as_ref().is_some_and(|found| found.reset_failed) {
        return Err(Problem::field(RESET, "is for routes that make jobs"));
    }
    Ok(found)
}

/// The key of one item of a batch.
pub(crate) fn of_item(whole: &Idempotency, index: usize, route: &str, item: &[u8]) -> Result<Idempotency, Problem> {
    let key = format!("{}/{index}", whole.key);
    if key.len() > KEY_CHARS_MAX {
        return Err(Problem::field(KEY, "must leave room for the number of each job in a batch"));
    }
    Ok(Idempotency { key, fingerprint: fingerprint(route, item), reset_failed: whole.reset_failed })
}

/// SHA-256 over route and body.
fn fingerprint(route: &str, body: &[u8]) -> [u8; 32] {
    Sha256::new().chain_update(route).chain_update("\n").chain_update(body).finalize().into()
}

fn one<'a>(headers: &'a HeaderMap, name: &str) -> Result<Option<&'a str>, Problem> {
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(Problem::field(name, "must not be there more than once"));
    }
    value.to_str().map(Some).map_err(|_| Problem::field(name, "must consist of visible ASCII characters"))
}
