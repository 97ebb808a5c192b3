//! One upload of lines: sent and read at once, with the server's memory watched.

use super::{
    Options, backlog,
    meter::{Moment, resident_bytes},
    report::Figure,
    site::{Round, Server, ServerOptions, free_addr},
    wire,
};
use anyhow::{Context, Result, ensure};
use simulator::{Simulator, SimulatorConfig};
use std::{
    fmt::Write as _,
    net::SocketAddr,
    time::{Duration, Instant},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpStream,
        tcp::{ReadHalf, WriteHalf},
    },
};

/// Lines of one second at the goal's rate.
const PER_SECOND: usize = 25_000;
/// Lines of one write.
const AT_ONCE: usize = 500;
/// Between two looks at the server's memory.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Measures `POST /v1/jobs/batch` with lines that come as long as the measurement lasts.
pub(super) async fn run(options: &Options, round: &Round) -> Result<Vec<Figure>> {
    let count = (options.seconds * PER_SECOND).div_ceil(AT_ONCE) * AT_ONCE;
    let fal = Simulator::start(SimulatorConfig::default()).await?;
    let callback_addr = free_addr().await?;
    let server = round
        .serve(ServerOptions { roles: "api", slots: 2, queue_url: fal.queue_url(), fal: &fal, callback_addr })
        .await?;
    let authorization = round.authorization().await?;
    upload(server.api, &authorization, 10 * AT_ONCE).await?;
    store::bench::forget_statements(&round.store).await;
    let resident = memory(&server)?;
    let before = Moment::read(&round.store, server.pid()).await?;
    let began = Instant::now();
    let (uploaded, highest) = watched(&server, upload(server.api, &authorization, count)).await;
    uploaded?;
    let took = began.elapsed();
    let after = Moment::read(&round.store, server.pid()).await?;
    options.show_statements("ndjson", &round.store).await;
    let grew = highest.saturating_sub(resident) as f64 / f64::from(1 << 20);
    Ok(vec![Figure::new("ndjson", count, took).also("MB more", grew).cost(before.cost_until(&after, count))])
}

/// Runs `work`, and says how much memory the server had at most.
async fn watched<T>(server: &Server, work: impl Future<Output = T>) -> (T, u64) {
    let mut work = std::pin::pin!(work);
    let mut highest = 0;
    loop {
        tokio::select! {
            done = work.as_mut() => return (done, highest),
            () = tokio::time::sleep(LOOK_EVERY) => highest = highest.max(memory(server).unwrap_or_default()),
        }
    }
}

fn memory(server: &Server) -> Result<u64> {
    server.pid().and_then(resident_bytes).context("the server's memory cannot be read")
}

async fn upload(addr: SocketAddr, authorization: &str, count: usize) -> Result<()> {
    let mut stream = TcpStream::connect(addr).await.context("failed to connect to the server under measurement")?;
    stream.set_nodelay(true)?;
    // Not into halves of their own: one that is dropped closes its direction, and the server takes that for the end.
    let (reading, writing) = stream.split();
    let (written, answered) = tokio::join!(write(writing, authorization, count), read(reading));
    // A server that refuses closes the connection, so what it said comes first.
    let answered = answered?;
    written?;
    ensure!(answered == count, "{answered} of {count} lines were answered with a job");
    Ok(())
}

async fn write(mut stream: WriteHalf<'_>, authorization: &str, count: usize) -> Result<()> {
    let lines: String = (0..AT_ONCE).fold(String::new(), |mut lines, index| {
        let _ = writeln!(lines, "{}", backlog::submission(index));
        lines
    });
    let head = format!(
        "POST /v1/jobs/batch HTTP/1.1\r\nhost: bench\r\nauthorization: {authorization}\r\n\
         content-type: application/x-ndjson\r\ntransfer-encoding: chunked\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await?;
    let chunk = format!("{:x}\r\n{lines}\r\n", lines.len());
    for _ in 0..count / AT_ONCE {
        stream.write_all(chunk.as_bytes()).await?;
    }
    stream.write_all(b"0\r\n\r\n").await?;
    Ok(())
}

/// Reads an answer to its end and counts the jobs that it tells of.
async fn read(mut stream: ReadHalf<'_>) -> Result<usize> {
    const JOB: &[u8] = b",\"job\":{";
    let (mut buffer, mut jobs) = (Vec::with_capacity(1 << 20), 0);
    stream.read_buf(&mut buffer).await?;
    ensure!(buffer.starts_with(b"HTTP/1.1 200"), "the server answered {}", String::from_utf8_lossy(&buffer));
    loop {
        ensure!(stream.read_buf(&mut buffer).await? > 0, "the server closed a connection");
        let mut rest = &buffer[..];
        while let Some(at) = wire::find(rest, JOB) {
            jobs += 1;
            rest = &rest[at + JOB.len()..];
        }
        // In chunks: nothing but the last one ends like this, since the bodies are lines.
        if buffer.ends_with(b"\r\n0\r\n\r\n") {
            return Ok(jobs);
        }
        // What may be the beginning of a job or of the end is looked at again.
        let kept = rest.len().min(JOB.len() - 1);
        buffer.drain(..buffer.len() - kept);
    }
}
