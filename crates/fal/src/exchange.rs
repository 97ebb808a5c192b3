//! One HTTP exchange under a deadline and a byte cap, with a failure that says whether a byte may have left.

use bytes::{Bytes, BytesMut};
use http::header::CONTENT_ENCODING;
use reqwest::{RequestBuilder, Response};
use tokio::time::Instant;

use crate::deadline::within;
use crate::text;

/// Why there is no head of an answer.
#[derive(Debug)]
pub(crate) enum SendFailure {
    /// DNS, connect or TLS failed, or the request was never begun: provably no byte of it left.
    NotSent(String),
    /// The request may have reached the other side.
    Lost(String),
}

impl SendFailure {
    pub(crate) fn into_message(self) -> String {
        match self {
            Self::NotSent(message) | Self::Lost(message) => message,
        }
    }
}

/// Why there is no whole body.
#[derive(Debug)]
pub(crate) enum ReadFailure {
    TooLarge,
    Broken(String),
}

/// Sends a request and waits for the head of its answer.
pub(crate) async fn send(request: RequestBuilder, deadline: Instant) -> Result<Response, SendFailure> {
    if Instant::now() >= deadline {
        return Err(SendFailure::NotSent("the deadline passed before the call began".into()));
    }
    match within(deadline, request.send()).await {
        None => Err(SendFailure::Lost("no answer before the deadline".into())),
        Some(Ok(response)) => Ok(response),
        // The URL is left out of the text: a submit's holds the callback token.
        Some(Err(error)) if error.is_connect() || error.is_builder() => {
            Err(SendFailure::NotSent(text::chain(&error.without_url())))
        }
        Some(Err(error)) => Err(SendFailure::Lost(text::chain(&error.without_url()))),
    }
}

/// Reads a whole body, at most `cap` bytes of it.
pub(crate) async fn read(mut response: Response, cap: u64, deadline: Instant) -> Result<Bytes, ReadFailure> {
    if is_encoded(&response) {
        return Err(ReadFailure::Broken("the answer is compressed, which was not asked for".into()));
    }
    if response.content_length().is_some_and(|length| length > cap) {
        return Err(ReadFailure::TooLarge);
    }
    let mut body = BytesMut::new();
    while let Some(chunk) = next_chunk(&mut response, deadline).await? {
        if (body.len() + chunk.len()) as u64 > cap {
            return Err(ReadFailure::TooLarge);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body.freeze())
}

/// Reads the first `cap` bytes of an error's body. What cannot be read is left out: the status says the most.
pub(crate) async fn read_prefix(mut response: Response, cap: usize, deadline: Instant) -> Bytes {
    let mut body = BytesMut::new();
    if is_encoded(&response) {
        return body.freeze();
    }
    while let Ok(Some(chunk)) = next_chunk(&mut response, deadline).await {
        let room = cap - body.len();
        body.extend_from_slice(&chunk[..chunk.len().min(room)]);
        if body.len() == cap {
            break;
        }
    }
    body.freeze()
}

async fn next_chunk(response: &mut Response, deadline: Instant) -> Result<Option<Bytes>, ReadFailure> {
    match within(deadline, response.chunk()).await {
        None => Err(ReadFailure::Broken("the answer did not end before the deadline".into())),
        Some(Ok(chunk)) => Ok(chunk),
        Some(Err(error)) => Err(ReadFailure::Broken(text::chain(&error.without_url()))),
    }
}

fn is_encoded(response: &Response) -> bool {
    let encoding = response.headers().get(CONTENT_ENCODING);
    encoding.is_some_and(|encoding| encoding != "identity")
}
