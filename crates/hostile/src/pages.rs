//! What callers of the API hand in: cursors of pages and idempotency keys.

use api::{
    cursor::{self as cursors, Owner},
    idempotency as keys,
};
use domain::ProjectId;
use http::{HeaderMap, HeaderValue};
use uuid::Uuid;

const ROUTES: [&str; 2] = ["POST /v1/jobs", "POST /v1/jobs/batch"];

/// Reads the bytes as a cursor, and writes the first sixteen of them as one.
pub fn cursor(data: &[u8]) {
    if let Some(id) = std::str::from_utf8(data).ok().and_then(cursors::read) {
        assert_eq!(cursors::write(id).as_bytes(), data, "two texts stand for one place");
    }
    if let Some(bytes) = data.first_chunk::<16>() {
        let id = Uuid::from_bytes(*bytes);
        assert_eq!(cursors::read(&cursors::write(id)), Some(id));
        let mine = Owner { list: "jobs", project: ProjectId::DEFAULT };
        assert_eq!(mine.read(&mine.write(id)), Some(id));
        assert_eq!(cursors::read(&mine.write(id)), None);
        for other in [Owner { list: "callbacks", ..mine }, Owner { project: ProjectId(id), ..mine }] {
            assert_eq!(other.read(&mine.write(id)), None, "another list's or another project's");
        }
    }
    let mine = Owner { list: "jobs", project: ProjectId::DEFAULT };
    if let Some(id) = std::str::from_utf8(data).ok().and_then(|text| mine.read(text)) {
        assert_eq!(mine.write(id).as_bytes(), data, "two texts stand for one place");
    }
}

/// Takes the first line as an idempotency key and the rest as two bodies, cut where a NUL stands.
///
/// Two requests have one fingerprint exactly if their routes and their bodies are equal. The project is no part of it: it
/// is a column of its own beside the key.
pub fn idempotency(data: &[u8]) {
    let mut parts = data.splitn(2, |byte| *byte == b'\n');
    let (key, rest) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let mut bodies = rest.splitn(2, |byte| *byte == 0);
    let (one, other) = (bodies.next().unwrap_or_default(), bodies.next().unwrap_or_default());
    let Ok(value) = HeaderValue::from_bytes(key) else { return };
    let mut headers = HeaderMap::new();
    headers.insert("idempotency-key", value);

    let mut seen = Vec::new();
    for route in ROUTES {
        for body in [one, other] {
            let Ok(read) = keys::read(&headers, route, body) else { return };
            let read = read.unwrap();
            assert_eq!(read.key.as_bytes(), key);
            assert!((1..=255).contains(&key.len()) && !read.reset_failed);
            seen.push(((route, body), read.fingerprint));
        }
    }
    for (of, fingerprint) in &seen {
        for (of_other, other) in &seen {
            assert_eq!(of == of_other, fingerprint == other, "{of:?} {of_other:?}");
        }
    }
}
