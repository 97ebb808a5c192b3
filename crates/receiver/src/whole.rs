//! A body read to its end, into one piece of memory.
//!
//! Gathering the frames as they come would let a stranger choose what a byte costs: a chunk of one byte holds on to the
//! buffer that it was read into.

use crate::Budget;
use axum::body::Body;
use bytes::Bytes;
use http_body_util::BodyExt as _;

/// Why there is no whole body.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
pub enum WholeError {
    #[error("the body is larger than allowed")]
    TooLarge,
    #[error("the body did not arrive whole")]
    Broken,
    #[error("other bodies take the memory that there is for bodies")]
    NoRoom,
}

/// Reads a body of at most `bytes_max`, for as long as its sender likes; the time is the caller's to limit. The body takes
/// of `budget` for as long as any part of it is held.
pub async fn read_whole(mut body: Body, bytes_max: usize, budget: &Budget) -> Result<Bytes, WholeError> {
    let mut whole = budget.hold();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|_| WholeError::Broken)?.into_data() else { continue };
        if data.len() > bytes_max - whole.len() {
            return Err(WholeError::TooLarge);
        }
        whole.extend(&data).map_err(|_| WholeError::NoRoom)?;
    }
    Ok(whole.freeze())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::budget::FREE;
    use futures::{FutureExt as _, StreamExt as _, stream};
    use std::io;

    async fn read(body: Body, bytes_max: usize) -> Result<Bytes, WholeError> {
        read_whole(body, bytes_max, &Budget::new(0)).await
    }

    fn body(pieces: &[&'static str]) -> Body {
        let pieces: Vec<io::Result<Bytes>> =
            pieces.iter().map(|piece| Ok(Bytes::from_static(piece.as_bytes()))).collect();
        Body::from_stream(stream::iter(pieces))
    }

    #[tokio::test]
    async fn a_body_may_be_as_large_as_allowed_and_no_larger() {
        assert_eq!(read(body(&["ab", "", "cd"]), 4).await.unwrap(), "abcd");
        assert_eq!(read(body(&[]), 0).await.unwrap(), "");
        assert_eq!(read(body(&["ab", "cde"]), 4).await, Err(WholeError::TooLarge));
        let cut = stream::iter([Ok(Bytes::from_static(b"ab")), Err(io::Error::from(io::ErrorKind::ConnectionReset))]);
        assert_eq!(read(Body::from_stream(cut), 4).await, Err(WholeError::Broken));
    }

    /// Pieces of a large buffer, as a server reads them, do not keep the buffer.
    #[tokio::test]
    async fn small_pieces_do_not_hold_on_to_what_they_were_read_into() {
        let buffer = Bytes::from(vec![b' '; 1024]);
        let piece: Vec<io::Result<Bytes>> = vec![Ok(buffer.slice(..1))];
        let whole = read(Body::from_stream(stream::iter(piece)), 8).await.unwrap();
        assert!(buffer.is_unique(), "the whole body {whole:?} is a copy");
    }

    /// A large body that came in pieces, and one that comes no further.
    #[tokio::test]
    async fn while_large_bodies_are_held_the_next_finds_no_room_and_small_ones_are_read() {
        const LARGE: usize = 4 * FREE;
        let budget = Budget::new(LARGE);
        let large = || Body::from_stream(stream::iter((0..LARGE / 1024).map(|_| Ok::<_, io::Error>(vec![b' '; 1024]))));
        let small = || Body::from(vec![b' '; FREE]);

        let first = read_whole(large(), LARGE, &budget).await.unwrap();
        assert_eq!(first.len(), LARGE);
        let part = first.slice(1..2);
        drop(first);
        assert_eq!(read_whole(large(), LARGE, &budget).await, Err(WholeError::NoRoom), "a part holds the whole");
        assert_eq!(read_whole(small(), LARGE, &budget).await.unwrap().len(), FREE);

        drop(part);
        let second = read_whole(large(), LARGE, &budget).await.unwrap();
        drop(second);
        assert_eq!(budget.left(), LARGE, "whoever found no room has given back what it had taken");
    }

    #[tokio::test]
    async fn a_body_that_stalls_holds_its_room_until_its_reader_gives_up() {
        let budget = Budget::new(4 * FREE);
        let begun = stream::iter([Ok::<_, io::Error>(vec![b' '; 4 * FREE])]).chain(stream::pending());
        let mut reading = Box::pin(read_whole(Body::from_stream(begun), 8 * FREE, &budget));
        assert!(reading.as_mut().now_or_never().is_none());
        assert_eq!(read_whole(Body::from(vec![b' '; 4 * FREE]), 8 * FREE, &budget).await, Err(WholeError::NoRoom));
        drop(reading);
        assert!(read_whole(Body::from(vec![b' '; 4 * FREE]), 8 * FREE, &budget).await.is_ok());
    }
}
