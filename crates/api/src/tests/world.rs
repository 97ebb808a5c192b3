//! An API with its database, a key of its project, and a fal that answers result requests as told.

use crate::{ApiLimits, ApiState, auth::KeyCache, router};
use accounts::{Accounts, AccountsConfig, Sealer};
use axum::{Router, body::Body};
use bytes::Bytes;
use domain::{
    AttemptEvent, AttemptId, CredentialId, ProjectId, RequestId, RetryPolicy, Timeouts, TokenKeys, sealing::SealKeys,
};
use ed25519_dalek::SigningKey;
use fal::{ClientConfig, jwks::KeyStore};
use http::{Request, StatusCode};
use http_body_util::BodyExt;
use receiver::{Receiver, Rejections};
use serde_json::Value;
use sqlx::PgPool;
use std::time::Duration;
use store::{
    Pools, Store,
    audit::By,
    claim::{ClaimRequest, Claimed, claim},
    keys::{self, KeySecret, NewKey, Scopes},
    model_stats::ModelStats,
    projects,
    settle::{AttemptNews, Guard, Settler, Source},
    wake::Wakes,
};
use submitter::{Intake, Submitter};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower::ServiceExt;

pub(super) struct World {
    pub(super) store: Store,
    pub(super) state: ApiState,
    router: Router,
    /// A key of the project `default` that may do everything in it.
    pub(super) key: String,
}

/// An answer, read whole.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: http::HeaderMap,
    pub(super) bytes: Bytes,
}

impl World {
    pub(super) async fn start(pool: &PgPool) -> Self {
        Self::with_fal(pool, "{}").await
    }

    /// A world whose fal answers every request for a result with `result`.
    pub(super) async fn with_fal(pool: &PgPool, result: &'static str) -> Self {
        // A second world of the same process finds it installed.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let share = || pool.clone();
        let store = Store { pools: Pools { callbacks: share(), api: share(), work: share(), maintenance: share() } };
        let state = state(&store, result).await;
        let mut world = Self { router: router(state.clone()), store, state, key: String::new() };
        world.key = world.key_of("default", Scopes::of_project(), 1).await;
        world
    }

    /// Makes a key; `bits` tells it from others.
    pub(super) async fn key_of(&self, project: &str, scopes: Scopes, bits: u8) -> String {
        let project = projects::find_or_insert(&self.store, project).await.unwrap();
        self.key_like(&NewKey::new(project, "test", scopes), bits).await
    }

    /// Makes a key as it is described; `bits` tells it from others.
    pub(super) async fn key_like(&self, key: &NewKey, bits: u8) -> String {
        let secret = KeySecret::of_random(&[bits; 32]);
        keys::create(&self.store, key, &secret, &By::command_line("a test")).await.unwrap();
        secret.expose().to_owned()
    }

    pub(super) async fn get(&self, path: &str) -> Answer {
        self.send("GET", path, &[], Body::empty()).await
    }

    pub(super) async fn post(&self, path: &str, body: &str) -> Answer {
        self.send("POST", path, &[], Body::from(body.to_owned())).await
    }

    pub(super) async fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: Body) -> Answer {
        self.send_as(&self.key, method, path, headers, body).await
    }

    pub(super) async fn send_as(
        &self,
        key: &str,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Body,
    ) -> Answer {
        let mut request = Request::builder().method(method).uri(path);
        if !key.is_empty() {
            request = request.header("authorization", format!("Bearer {key}"));
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = self.router.clone().oneshot(request.body(body).unwrap()).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        Answer { status: parts.status, headers: parts.headers, bytes }
    }

    /// Submits a job and answers with its id.
    pub(super) async fn submit(&self, body: &str) -> String {
        let answer = self.post("/v1/jobs", body).await;
        assert_eq!(answer.status, StatusCode::ACCEPTED, "{answer:?}");
        answer.json()["id"].as_str().unwrap().to_owned()
    }

    /// Claims the one job that is ready, and has fal accept it.
    pub(super) async fn bound(&self, request_id: &str) -> Claimed {
        let timeouts = timeouts();
        let request = ClaimRequest {
            credential: CredentialId::DEFAULT,
            owner: store::fresh_id(),
            places: 100,
            timeouts: &timeouts,
            fresh: &[(AttemptId(store::fresh_id()), 7)],
        };
        let claimed = claim(&self.store, &request).await.unwrap().pop().expect("a job is ready");
        self.told(&claimed, AttemptEvent::Bound(RequestId(request_id.to_owned())), None).await;
        claimed
    }

    pub(super) async fn told(&self, claimed: &Claimed, event: AttemptEvent, result: Option<&'static str>) {
        let news = AttemptNews {
            result: result.map(|text| Bytes::from_static(text.as_bytes())),
            ..AttemptNews::of(claimed.attempt, Some(event), Guard::Evidence, Source::Submit)
        };
        self.state.settler.attempt(news).await.unwrap();
    }

    pub(super) async fn count(&self, table: &str) -> i64 {
        let statement = sqlx::AssertSqlSafe(format!("select count(*) from falconer.{table}"));
        sqlx::query_scalar(statement).fetch_one(&self.store.pools.api).await.unwrap()
    }
}

impl Answer {
    pub(super) fn json(&self) -> Value {
        serde_json::from_slice(&self.bytes).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The slug of the problem, which must be whole.
    pub(super) fn problem(&self) -> String {
        assert_eq!(self.headers["content-type"], "application/problem+json", "{self:?}");
        let body = self.json();
        assert_eq!(body["status"], self.status.as_u16(), "{self:?}");
        assert!(body["title"].is_string(), "{self:?}");
        body["type"].as_str().unwrap().strip_prefix("/errors/").unwrap().to_owned()
    }
}

/// The key that this world's fal signs with.
pub(super) fn signing_key() -> SigningKey {
    SigningKey::from_bytes(&[9; 32])
}

fn timeouts() -> Timeouts {
    Timeouts {
        submit: Duration::from_secs(15),
        lease: Duration::from_secs(30),
        start: Duration::from_mins(10),
        run: Duration::from_hours(1),
        abandon_after: Duration::from_hours(3),
        history_after: Duration::from_secs(30),
    }
}

async fn state(store: &Store, result: &'static str) -> ApiState {
    let (tasks, stop, wakes) = (TaskTracker::new(), CancellationToken::new(), Wakes::default());
    let retry = RetryPolicy { first: Duration::from_secs(2), longest: Duration::from_mins(5) };
    let settler = Settler::start(store, retry, &ModelStats::default(), &wakes, &tasks, &stop);
    let acceptor = store::accept::start(store, &wakes, &tasks, &stop);
    let watch = store::jobs::Watch::start(store, &wakes, &tasks, &stop);
    let http = fal::http_client().unwrap();
    let keys = KeyStore::new(http.clone(), "http://127.0.0.1:9/jwks".parse().unwrap(), || NOW).unwrap();
    keys.load_persisted(jwks().as_bytes(), NOW).unwrap();
    let receiver = Receiver {
        tokens: TokenKeys::derive(&"s".repeat(32)).unwrap(),
        keys,
        settler: settler.clone(),
        rejections: Rejections::start(store.clone(), &tasks, stop.clone()),
        body_max: 1024 * 1024,
        body_timeout: receiver::ingest::BODY_TIMEOUT,
        leeway: Duration::from_mins(5),
        outages: store::log_limit::LogLimit::default(),
    };
    let fal_address = serve_fal(result, &tasks).await;
    let config = ClientConfig {
        queue_url: fal_address.parse().unwrap(),
        platform_url: fal_address.parse().unwrap(),
        ..ClientConfig::new("key:secret".to_owned().into())
    };
    ApiState {
        store: store.clone(),
        intake: Intake { submitter: Submitter::default(), acceptor },
        settler,
        wakes,
        watch,
        accounts: accounts(store, config),
        receiver,
        keys: KeyCache::default(),
        rates: crate::rate::Rates::default(),
        draw: || std::array::from_fn(|byte| store::fresh_id().as_bytes()[byte % 16]),
        streams: crate::streams::Streams::default(),
        limits: ApiLimits::default(),
        adopt: crate::AdoptSettings { callback_base: "http://127.0.0.1:4801".parse().ok(), timeouts: timeouts() },
        stop,
    }
}

fn accounts(store: &Store, default: ClientConfig) -> Accounts {
    let seals = SealKeys::derive(&"s".repeat(32)).unwrap();
    let sealer = Sealer::new(seals, || *store::fresh_id().as_bytes().last_chunk().unwrap());
    Accounts::new(store.clone(), AccountsConfig { default, http: fal::http_client().unwrap(), sealer }, 2).unwrap()
}

/// The wall clock that the age of fal's keys is told by.
const NOW: i64 = 1_700_000_000;

/// Answers every GET with `result`.
async fn serve_fal(result: &'static str, tasks: &TaskTracker) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let answer = axum::routing::get(move || async move { ([("x-fal-request-id", "g")], result) });
    tasks.spawn(async move { axum::serve(listener, Router::new().fallback(answer)).await });
    format!("http://{address}")
}

fn jwks() -> String {
    use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
    let x = URL_SAFE_NO_PAD.encode(signing_key().verifying_key().as_bytes());
    format!(r#"{{"keys":[{{"kty":"OKP","crv":"Ed25519","x":"{x}"}}]}}"#)
}

/// The project of [`World::key`].
pub(super) const PROJECT: ProjectId = ProjectId::DEFAULT;
