//! A tiny shop: an order and the job that paints it are made in one transaction.
//!
//! ```text
//! DATABASE_URL=postgres://… FALCONER_URL=http://127.0.0.1:4800 FALCONER_KEY=flc_… cargo run -p falconer-example-shop
//! ```

use anyhow::{Context as _, Result};
use axum::{
    Json, Router,
    extract::{Path, State},
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use clap::Parser;
use falconer_domain::ProjectId;
use falconer_submitter::{JobRequest, Submitter};
use serde::Deserialize;
use serde_json::{Value, json};
use sqlx::PgPool;
use std::net::SocketAddr;
use uuid::Uuid;

#[derive(Parser)]
struct Args {
    #[arg(long, env = "DATABASE_URL")]
    database_url: String,
    #[arg(long, env = "FALCONER_URL", default_value = "http://127.0.0.1:4800")]
    falconer_url: String,
    #[arg(long, env = "FALCONER_KEY")]
    falconer_key: String,
    #[arg(long, env = "SHOP_ADDR", default_value = "127.0.0.1:4900")]
    listen: SocketAddr,
}

#[derive(Clone)]
struct Shop {
    pool: PgPool,
    submitter: Submitter,
    project: ProjectId,
    falconer: Falconer,
}

/// Where results are read.
#[derive(Clone)]
struct Falconer {
    client: reqwest::Client,
    url: String,
    key: String,
}

#[derive(Deserialize)]
struct Order {
    number: i32,
    prompt: String,
    card: String,
}

/// Takes an order. Either both the order and its job are there afterwards, or neither.
async fn take_order(State(shop): State<Shop>, Json(order): Json<Order>) -> Result<Response, Failure> {
    // Dropped without a commit, it takes back whatever was done in it.
    let mut tx = shop.pool.begin().await?;
    sqlx::query("insert into shop_orders (number, prompt) values ($1, $2)")
        .bind(order.number)
        .bind(&order.prompt)
        .execute(&mut *tx)
        .await?;

    let mut request = JobRequest::of("fal-ai/flux/schnell", &json!({ "prompt": order.prompt }))?;
    request.tags = vec!["shop".to_owned(), "rust".to_owned()];
    // However often this is repeated, the order has one job.
    let key = format!("rust order {}", order.number);
    let job = shop.submitter.enqueue_once(&mut tx, shop.project, &key, request).await?;
    // Sent at once after the commit, not within a second.
    shop.submitter.wake(&mut tx).await?;

    sqlx::query("update shop_orders set job = $2 where number = $1")
        .bind(order.number)
        .bind(job.0)
        .execute(&mut *tx)
        .await?;
    if order.card == "declined" {
        return Ok((StatusCode::PAYMENT_REQUIRED, "declined: no order, no job\n").into_response());
    }
    tx.commit().await?;
    Ok((StatusCode::CREATED, Json(json!({ "number": order.number, "job": job }))).into_response())
}

/// Waits for the picture of an order.
async fn show_order(State(shop): State<Shop>, Path(number): Path<i32>) -> Result<Json<Value>, Failure> {
    let job: Uuid =
        sqlx::query_scalar("select job from shop_orders where number = $1").bind(number).fetch_one(&shop.pool).await?;
    shop.falconer.read(&format!("/v1/jobs/{job}/wait?timeout=30s")).await?;
    Ok(Json(shop.falconer.read(&format!("/v1/jobs/{job}/result")).await?))
}

#[tokio::main]
async fn main() -> Result<()> {
    let args = Args::parse();
    let pool = PgPool::connect(&args.database_url).await?;
    sqlx::query("create table if not exists shop_orders (number int primary key, prompt text, job uuid)")
        .execute(&pool)
        .await?;
    // Settings and prices as the servers of this database have them.
    let mut connection = pool.acquire().await?;
    let submitter = Submitter::load(&mut connection).await?;
    let project = submitter.project(&mut connection, "default").await?.context("the project is missing")?;
    drop(connection);

    // Whoever uses rustls chooses who computes for it.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::builder().build()?;
    let falconer = Falconer { client, url: args.falconer_url, key: args.falconer_key };
    let shop = Router::new()
        .route("/orders", post(take_order))
        .route("/orders/{number}", get(show_order))
        .with_state(Shop { pool, submitter, project, falconer });
    let listener = tokio::net::TcpListener::bind(args.listen).await?;
    println!("the shop is open at http://{}", listener.local_addr()?);
    Ok(axum::serve(listener, shop).await?)
}

impl Falconer {
    async fn read(&self, path: &str) -> Result<Value> {
        let answer = self.client.get(format!("{}{path}", self.url)).bearer_auth(&self.key).send().await?;
        Ok(answer.error_for_status()?.json().await?)
    }
}

/// Anything that went wrong. The customer hears no more than that.
struct Failure(anyhow::Error);

impl<E: Into<anyhow::Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self(error.into())
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        eprintln!("{:#}", self.0);
        StatusCode::INTERNAL_SERVER_ERROR.into_response()
    }
}
