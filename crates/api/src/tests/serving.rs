//! The API behind a socket.

use super::world::World;
use sqlx::PgPool;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use tokio_util::sync::CancellationToken;

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_long_poll_is_answered_before_the_server_ends(pool: PgPool) {
    let world = World::start(&pool).await;
    let id = world.submit(r#"{"model":"fal-ai/flux/dev","input":{}}"#).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let shutdown = CancellationToken::new();
    let serving = tokio_util::task::TaskTracker::new();
    let server = serving.spawn(crate::serve(listener, world.state.clone(), shutdown.clone()));

    let mut poll = TcpStream::connect(address).await.unwrap();
    let head = format!(
        "GET /v1/jobs/{id}/wait?timeout=60s HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\n\r\n",
        world.key
    );
    poll.write_all(head.as_bytes()).await.unwrap();
    // A second request on its own connection is answered, so the first one has been taken up before the end begins.
    let mut other = TcpStream::connect(address).await.unwrap();
    other.write_all(b"GET /errors/internal HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await.unwrap();
    let mut page = String::new();
    other.read_to_string(&mut page).await.unwrap();
    assert!(page.starts_with("HTTP/1.1 200"), "{page}");

    shutdown.cancel();
    let mut answer = String::new();
    poll.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains(r#""state":"queued""#), "{answer}");
    server.await.unwrap();
    assert!(TcpStream::connect(address).await.is_err(), "nobody listens any more");
}
