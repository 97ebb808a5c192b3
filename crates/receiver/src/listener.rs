//! The public listener: an accept loop of our own, since `axum::serve` installs no timer and leaves hyper's limits inert.
//!
//! It is open to strangers, so its room is bounded. When the room is full, whoever connects takes the place of a connection
//! that is waiting for its client: sockets that are held open, or fed a byte at a time, keep nobody out.

use crate::{
    patience::Patience,
    seats::{Seat, Seats},
};
use axum::{BoxError, Router, body::Body, extract::ConnectInfo, response::IntoResponse as _};
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::{convert::Infallible, net::SocketAddr, time::Duration};
use store::log_limit::LogLimit;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower::ServiceExt as _;

/// Without a free descriptor: how long connections are given to end before the next try.
const ACCEPT_AGAIN: Duration = Duration::from_millis(50);

/// What a stranger may take of us.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Connections at once. One more takes the place of another that waits for its client.
    pub connections_max: usize,
    /// For all headers of a request to arrive, and for an idle connection to send the next one.
    pub header_timeout: Duration,
    /// For a client that takes nothing of its answer, since the last byte that it took.
    pub write_timeout: Duration,
    /// Whether a client that sends more of its request is given as long again.
    pub answers_while_reading: bool,
    /// Bytes of all headers of a request.
    pub header_bytes_max: usize,
    pub headers_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections_max: 2048,
            header_timeout: Duration::from_secs(10),
            write_timeout: Duration::from_secs(10),
            answers_while_reading: false,
            header_bytes_max: 16 * 1024,
            headers_max: 64,
        }
    }
}

/// Serves `router` until `stop`, then lets the requests that have begun finish.
pub async fn serve(listener: TcpListener, router: Router, limits: Limits, stop: CancellationToken) {
    let seats = Seats::new(limits.connections_max);
    let (connections, outages) = (TaskTracker::new(), LogLimit::default());
    loop {
        let (stream, peer) = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    // Out of descriptors, most likely, which the database's connections need as well.
                    if let Some(missed) = outages.pass() {
                        let error: &dyn std::error::Error = &error;
                        tracing::warn!(error, missed, "a connection could not be accepted");
                    }
                    seats.clear_some();
                    tokio::time::sleep(ACCEPT_AGAIN).await;
                    continue;
                }
            },
            () = stop.cancelled() => break,
        };
        let seat = tokio::select! {
            seat = seats.take() => seat,
            () = stop.cancelled() => break,
        };
        connections.spawn(attend((stream, peer), router.clone(), limits, seat, stop.clone()));
    }
    connections.close();
    connections.wait().await;
}

/// Serves one connection until it ends, is asked to leave, or everything stops.
async fn attend(
    (stream, peer): (TcpStream, SocketAddr),
    router: Router,
    limits: Limits,
    seat: Seat,
    stop: CancellationToken,
) {
    let _ = stream.set_nodelay(true);
    let mut http = hyper::server::conn::http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(limits.header_timeout)
        .max_buf_size(limits.header_bytes_max)
        .max_headers(limits.headers_max);
    let service = service_fn(|request| answer(&router, &seat, peer, request));
    let stream = TokioIo::new(Patience::new(stream, limits.write_timeout, limits.answers_while_reading));
    let mut connection = std::pin::pin!(http.serve_connection(stream, service));
    // How a stranger's connection ends is the stranger's affair.
    tokio::select! {
        // First, so that nothing more is read for whoever was sent away.
        biased;
        () = seat.lost() => {}
        _ = connection.as_mut() => {}
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            let _ = connection.await;
        }
    }
}

/// Answers one request, during which its connection keeps its seat. A POST that succeeds earns a better one: strangers
/// send none. A request that came after its seat was lost is turned away unread.
async fn answer<B>(
    router: &Router,
    seat: &Seat,
    peer: SocketAddr,
    mut request: Request<B>,
) -> Result<Response<Body>, Infallible>
where
    B: hyper::body::Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    if !seat.busy() {
        let refused = (StatusCode::SERVICE_UNAVAILABLE, [(header::CONNECTION, "close")]);
        return Ok(refused.into_response());
    }
    // What `axum::serve` would tell the handlers.
    request.extensions_mut().insert(ConnectInfo(peer));
    let is_post = request.method() == Method::POST;
    let answer = router.clone().oneshot(request.map(Body::new)).await;
    let is_good = answer.as_ref().is_ok_and(|answer| answer.status().is_success());
    seat.waiting(is_post && is_good);
    answer
}

#[cfg(test)]
mod tests;
