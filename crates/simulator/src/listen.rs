//! The accept loops, plain and TLS. They are ours, since a fault must be able to cut a connection with a reset.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tower::Service as _;

use crate::core::Core;
use crate::http_api::Connection;

/// Accepts plain connections until the simulator stops.
pub(crate) async fn plain(core: Arc<Core>, listener: TcpListener, router: Router) {
    loop {
        let stream = accept(&listener).await;
        let router = router.clone();
        core.spawn(async move {
            serve(stream, "http", router, |stream| stream).await;
        });
    }
}

/// Accepts TLS connections until the simulator stops.
pub(crate) async fn tls(core: Arc<Core>, listener: TcpListener, router: Router, config: Arc<ServerConfig>) {
    let acceptor = TlsAcceptor::from(config);
    loop {
        let stream = accept(&listener).await;
        let (router, acceptor) = (router.clone(), acceptor.clone());
        core.spawn(async move {
            match acceptor.accept(stream).await {
                Ok(stream) => serve(stream, "https", router, |stream| stream.into_inner().0).await,
                Err(error) => tracing::debug!(%error, "a TLS handshake failed"),
            }
        });
    }
}

/// The next connection. Errors pass, the commonest being that all file descriptors are in use.
async fn accept(listener: &TcpListener) -> TcpStream {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                // Without this, small answers wait for the other side's delayed acknowledgement.
                let _ = stream.set_nodelay(true);
                return stream;
            }
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

/// Serves one connection; `tcp` finds the socket below it, which a reset needs.
async fn serve<S>(stream: S, scheme: &'static str, router: Router, tcp: impl FnOnce(S) -> TcpStream)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let reset = CancellationToken::new();
    let connection = Connection { scheme, reset: reset.clone() };
    let service = service_fn(move |request: hyper::Request<Incoming>| {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(connection.clone());
        router.clone().call(request)
    });
    // Without a timer there is no limit on idling, so that no caller finds its pooled connection closed under it.
    let mut http = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    tokio::select! {
        ended = &mut http => {
            if let Err(error) = ended {
                tracing::debug!(%error, "a connection ended badly");
            }
        }
        () = reset.cancelled() => {
            let socket = tcp(http.into_parts().io.into_inner());
            // Closing with no time to linger makes the kernel send a reset in place of an orderly end.
            if let Err(error) = socket.set_zero_linger() {
                tracing::debug!(%error, "a connection could not be set to reset");
            }
        }
    }
}
