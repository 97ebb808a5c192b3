use super::*;
use futures::stream;
use std::io;

const IDLE: Duration = Duration::from_secs(30);

enum Piece {
    Bytes(&'static [u8]),
    Break,
    Silence,
}
use Piece::{Break, Bytes as B, Silence};

fn body(pieces: Vec<Piece>) -> Body {
    Body::from_stream(stream::unfold(pieces.into_iter(), async |mut pieces| {
        let piece = match pieces.next()? {
            B(bytes) => Ok(bytes),
            Break => Err(io::Error::from(io::ErrorKind::ConnectionReset)),
            Silence => std::future::pending().await,
        };
        Some((piece, pieces))
    }))
}

/// Every line, or the slug of the problem in its place.
async fn read(pieces: Vec<Piece>, bytes_max: usize) -> Vec<Result<String, &'static str>> {
    let mut lines = Lines::new(body(pieces), bytes_max, IDLE, CancellationToken::new());
    let mut read = Vec::new();
    while let Some(line) = lines.next().await {
        let text = |line: Bytes| String::from_utf8_lossy(&line).into_owned();
        read.push(line.map(text).map_err(|problem| problem.kind.slug()));
    }
    assert!(lines.next().await.is_none(), "the end stays the end");
    read
}

#[expect(clippy::unnecessary_wraps, reason = "what it stands beside may be a problem")]
fn line(text: &str) -> Result<String, &'static str> {
    Ok(text.to_owned())
}

#[tokio::test]
async fn lines_are_cut_wherever_the_pieces_end_and_blank_ones_do_not_count() {
    let pieces = vec![B(b"\r\n{1"), B(b"}\n"), B(b" \t\n\n{2}\r"), B(b"\n{3}\n{4"), B(b"}")];
    assert_eq!(read(pieces, 10).await, [line("{1}"), line("{2}"), line("{3}"), line("{4}")]);
    assert_eq!(read(vec![], 10).await, []);
    assert_eq!(read(vec![B(b"\n\n")], 10).await, []);
}

#[tokio::test]
async fn a_line_that_is_too_long_is_a_problem_in_its_place_and_is_skipped_to_its_end() {
    let pieces = vec![B(b"12345\n123456\n1"), B(b"234567890"), B(b"1234567890\n12\n123456")];
    let long = Err("body-too-large");
    assert_eq!(read(pieces, 5).await, [line("12345"), long.clone(), long.clone(), line("12"), long]);
}

#[tokio::test(start_paused = true)]
async fn a_line_that_did_not_arrive_whole_is_a_problem_and_the_last() {
    for (end, problem) in [(Break, "invalid-request"), (Silence, "request-timeout")] {
        let pieces = vec![B(b"{1}\n{2"), end, B(b"}\n{3}\n")];
        assert_eq!(read(pieces, 10).await, [line("{1}"), Err(problem)]);
    }
    let skipped = vec![B(b"{1}\n123456789012345"), Break];
    assert_eq!(read(skipped, 10).await, [line("{1}"), Err("body-too-large"), Err("invalid-request")]);
}

#[tokio::test(start_paused = true)]
async fn a_body_may_take_long_where_it_is_not_silent() {
    let began = tokio::time::Instant::now();
    let slow = stream::unfold(0, async |sent| {
        tokio::time::sleep(IDLE * 2 / 3).await;
        (sent < 9).then(|| (Ok::<_, io::Error>(if sent % 3 == 2 { "}\n" } else { "{" }), sent + 1))
    });
    let mut lines = Lines::new(Body::from_stream(slow), 10, IDLE, CancellationToken::new());
    for _ in 0..3 {
        assert_eq!(lines.next().await.unwrap().unwrap(), "{{}");
    }
    assert!(lines.next().await.is_none());
    assert!(began.elapsed() > IDLE * 6);
}

#[tokio::test]
async fn an_upload_ends_with_the_process() {
    let stop = CancellationToken::new();
    let mut lines = Lines::new(body(vec![B(b"{1}\n{2"), Silence]), 10, IDLE, stop.clone());
    assert_eq!(lines.next().await.unwrap().unwrap(), "{1}");
    stop.cancel();
    assert_eq!(lines.next().await.unwrap().unwrap_err().kind, ProblemKind::Unavailable);
    assert!(lines.next().await.is_none());
}
