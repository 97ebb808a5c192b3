//! A body read to its end, into one piece of memory.
//!
//! Gathering the frames as they come would let a stranger choose what a byte costs: a chunk of one byte holds on to the
//! buffer that it was read into.

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt as _;

/// Why there is no whole body.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
pub enum WholeError {
    #[error("the body is larger than allowed")]
    TooLarge,
    #[error("the body did not arrive whole")]
    Broken,
}

/// Reads a body of at most `bytes_max`, for as long as its sender likes; the time is the caller's to limit.
pub async fn read_whole(mut body: Body, bytes_max: usize) -> Result<Bytes, WholeError> {
    let mut whole = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|_| WholeError::Broken)?.into_data() else { continue };
        if data.len() > bytes_max - whole.len() {
            return Err(WholeError::TooLarge);
        }
        whole.extend_from_slice(&data);
    }
    Ok(whole.freeze())
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::stream;
    use std::io;

    fn body(pieces: &[&'static str]) -> Body {
        let pieces: Vec<io::Result<Bytes>> =
            pieces.iter().map(|piece| Ok(Bytes::from_static(piece.as_bytes()))).collect();
        Body::from_stream(stream::iter(pieces))
    }

    #[tokio::test]
    async fn a_body_may_be_as_large_as_allowed_and_no_larger() {
        assert_eq!(read_whole(body(&["ab", "", "cd"]), 4).await.unwrap(), "abcd");
        assert_eq!(read_whole(body(&[]), 0).await.unwrap(), "");
        assert_eq!(read_whole(body(&["ab", "cde"]), 4).await, Err(WholeError::TooLarge));
        let cut = stream::iter([Ok(Bytes::from_static(b"ab")), Err(io::Error::from(io::ErrorKind::ConnectionReset))]);
        assert_eq!(read_whole(Body::from_stream(cut), 4).await, Err(WholeError::Broken));
    }

    /// Pieces of a large buffer, as a server reads them, do not keep the buffer.
    #[tokio::test]
    async fn small_pieces_do_not_hold_on_to_what_they_were_read_into() {
        let buffer = Bytes::from(vec![b' '; 1024]);
        let piece: Vec<io::Result<Bytes>> = vec![Ok(buffer.slice(..1))];
        let whole = read_whole(Body::from_stream(stream::iter(piece)), 8).await.unwrap();
        assert!(buffer.is_unique(), "the whole body {whole:?} is a copy");
    }
}
