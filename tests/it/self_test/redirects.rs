//! A fal that redirects: what was sent must not go where it points.

use super::{
    Gauntlet,
    gauntlet::{self, builder},
};
use failpoints::Bug;
use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};
use testkit::{Finding, wait};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

pub(super) async fn run(bug: Option<Bug>) -> Vec<Finding> {
    let (addr, caught) = redirecting_fal().await;
    let world = builder(bug).setting("FALCONER_FAL__QUEUE_URL", &format!("http://{addr}"));
    let mut gauntlet = Gauntlet::start(world).await;
    gauntlet.world.submit_prompt("an owl").await;
    wait::until("the job to be sent", async || {
        if gauntlet.world.server().log().contains("was sent: ") { Ok(()) } else { Err("silence") }
    })
    .await;
    let caught = caught.lock().expect("no holder panics").clone();
    let keys = caught.iter().filter(|head| head.to_ascii_lowercase().contains("authorization: key")).count();
    let seen = format!("{} requests followed the redirect, {keys} of them with our key", caught.len());
    gauntlet.expect(gauntlet::REDIRECTS, caught.is_empty(), seen);
    gauntlet.undrained().await
}

/// Serves redirects to a path of its own, and keeps the heads of the requests that follow them.
async fn redirecting_fal() -> (SocketAddr, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let addr = listener.local_addr().expect("a bound port");
    let caught = Arc::new(Mutex::new(Vec::new()));
    let catches = Arc::clone(&caught);
    #[expect(clippy::disallowed_methods, reason = "it ends with the test")]
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            answer(stream, &catches).await;
        }
    });
    (addr, caught)
}

/// Answers one request and closes; a caller who hung up is of no interest.
async fn answer(mut stream: TcpStream, catches: &Mutex<Vec<String>>) {
    let Some(head) = read(&mut stream).await else { return };
    let body = r#"{"request_id": "11111111-1111-4111-8111-111111111111"}"#;
    let head_of_answer = if head.contains(" /caught ") {
        catches.lock().expect("no holder panics").push(head);
        "HTTP/1.1 200 OK"
    } else {
        "HTTP/1.1 307 Temporary Redirect\r\nlocation: /caught"
    };
    let length = body.len();
    let answer = format!("{head_of_answer}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}");
    let _ = stream.write_all(answer.as_bytes()).await;
}

/// Reads a whole request, since one that is answered half-read may be reset, and returns its head.
async fn read(stream: &mut TcpStream) -> Option<String> {
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length =
                head.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok());
            if body.len() >= length.unwrap_or(0) {
                return Some(head.to_owned());
            }
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
}
