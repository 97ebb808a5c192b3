//! The bytes that fal signs.

use sha2::{Digest, Sha256};

/// Builds the message under a callback's signature: request id, user id, timestamp and the lower-case hex SHA-256 of
/// the raw body, joined by newlines. The timestamp is the header's text as it came.
pub fn signed_message(request_id: &str, user_id: &str, timestamp: &str, body: &[u8]) -> Vec<u8> {
    let digest = hex::encode(Sha256::digest(body));
    [request_id, user_id, timestamp, &digest].join("\n").into_bytes()
}
