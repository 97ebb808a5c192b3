//! fal's signed call to us: the shape of its headers, its signature, and its body.
//!
//! The order for a receiver is headers, signature over the raw bytes, then the body. Whether a stamp is stale is not
//! decided here: that needs a clock, and the database's is the one that counts.

mod body;
mod headers;
mod keys;
mod signature;

pub use body::{BodyError, CALLBACK_DEPTH_MAX, CallbackBody, CallbackStatus};
pub use headers::{
    CallbackHeaders, HeaderError, REQUEST_ID_HEADER, SIGNATURE_HEADER, TIMESTAMP_HEADER, USER_ID_HEADER,
};
pub use keys::{JWKS_BYTES_MAX, JwksError, KEYS_MAX, VerifyingKeys};
pub use signature::signed_message;
