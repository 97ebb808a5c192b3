//! `GET /v1/jobs` by every filter, among a million jobs.

use super::{
    Options,
    report::Figure,
    site::{Round, ServerOptions, free_addr},
    wire::Connection,
};
use anyhow::{Result, ensure};
use simulator::{Simulator, SimulatorConfig};
use std::time::{Duration, Instant};

/// Jobs to search among, for each second that the measurement is given: a million by default.
const JOBS_PER_SECOND: usize = 250_000;
/// Times that each question is asked.
const TIMES: usize = 100;

/// What is asked, by what it stands for. What the jobs are is told by [`store::bench::fill_searchable`].
const QUESTIONS: [(&str, &str); 14] = [
    ("newest", ""),
    ("state, most", "state=succeeded"),
    ("state, few", "state=failed,held"),
    ("state, none", "state=running"),
    ("model, a third", "model=fal-ai/flux/dev"),
    ("model, ten", "model=fal-ai/rare"),
    ("tag, one in 60", "tag=t3"),
    ("tag, twenty", "tag=rare"),
    ("tag, none of the newer half", "tag=old"),
    ("metadata, twenty", "metadata.user.id=u124"),
    ("metadata, 1 %", "metadata=%7B%22n%22%3A4%7D"),
    ("error class", "error_class=abandoned"),
    ("state and tag", "state=failed&tag=t7"),
    ("model and metadata", "model=fal-ai/flux/dev&metadata.user.id=u124"),
];

/// Measures each question: the first time, and all times.
pub(super) async fn run(options: &Options, round: &Round) -> Result<Vec<Figure>> {
    let jobs = options.seconds * JOBS_PER_SECOND;
    store::bench::fill_searchable(&round.store, i64::try_from(jobs)?).await?;
    store::bench::settle_down(&round.store).await?;
    let fal = Simulator::start(SimulatorConfig::default()).await?;
    let callback_addr = free_addr().await?;
    let server = round
        .serve(ServerOptions { roles: "api", slots: 2, queue_url: fal.queue_url(), fal: &fal, callback_addr })
        .await?;
    let authorization = round.authorization().await?;
    let mut connection = Connection::open(server.api).await?;
    let mut figures = Vec::new();
    for (name, query) in QUESTIONS {
        let request = format!("GET /v1/jobs?{query} HTTP/1.1\r\nhost: bench\r\nauthorization: {authorization}\r\n\r\n");
        let mut latencies = Vec::with_capacity(TIMES);
        for _ in 0..TIMES {
            let asked = Instant::now();
            let status = connection.ask(request.as_bytes()).await?;
            latencies.push(asked.elapsed());
            ensure!(status == 200, "{query} was answered with {status}");
        }
        let first = latencies[0].as_secs_f64() * 1000.0;
        let slowest = latencies.iter().max().map_or(0.0, Duration::as_secs_f64) * 1000.0;
        let figure = Figure::new(&format!("search: {name}"), TIMES, Duration::from_secs(1)).without_rate();
        figures.push(figure.also("first ms", first).latencies(&latencies).also("slowest ms", slowest));
    }
    options.show_statements("search", &round.store).await;
    Ok(figures)
}
