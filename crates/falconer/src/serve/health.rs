//! Metrics and health, on a listener of their own.

use axum::{Router, extract::State, http::StatusCode, routing::get};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use store::{Store, migrate::SchemaState};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// Seconds at which durations are counted.
const BUCKETS: [f64; 14] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0];

/// Items of a batch at which they are counted.
const ITEM_BUCKETS: [f64; 8] = [1.0, 2.0, 5.0, 10.0, 25.0, 50.0, 100.0, 250.0];

/// Starts collecting. Falls back to a recorder that nobody reads where one is installed already.
pub(crate) fn install_metrics() -> PrometheusHandle {
    let builder = || {
        let seconds = PrometheusBuilder::new().set_buckets(&BUCKETS).expect("the list of buckets is not empty");
        let items = Matcher::Full("falconer_batch_items".to_owned());
        seconds.set_buckets_for_metric(items, &ITEM_BUCKETS).expect("the list of buckets is not empty")
    };
    builder().install_recorder().unwrap_or_else(|_| builder().build_recorder().handle())
}

/// Serves `/metrics`, `/livez` and `/readyz` until `stop`.
pub(crate) async fn serve(
    listener: TcpListener,
    store: Store,
    metrics: PrometheusHandle,
    draining: CancellationToken,
    stop: CancellationToken,
) {
    let router = Router::new()
        .route("/livez", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .with_state((store, draining))
        .route("/metrics", get(move || std::future::ready(metrics.render())));
    receiver::serve(listener, router, receiver::Limits::default(), stop).await;
}

/// Ready means: the schema is current, the database answers, and we are not stopping. The listeners were bound before.
async fn ready(State((store, draining)): State<(Store, CancellationToken)>) -> (StatusCode, &'static str) {
    if draining.is_cancelled() {
        return (StatusCode::SERVICE_UNAVAILABLE, "stopping\n");
    }
    match store::health::schema_state(&store).await {
        Ok(SchemaState::Current) => (StatusCode::OK, "ready\n"),
        Ok(SchemaState::Behind { .. }) => {
            (StatusCode::SERVICE_UNAVAILABLE, "the schema is behind: run falconer migrate\n")
        }
        Err(_) => (StatusCode::SERVICE_UNAVAILABLE, "the database cannot be reached\n"),
    }
}
