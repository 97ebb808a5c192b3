//! Everything that may go wrong, as `application/problem+json` (RFC 9457).
//!
//! The kind is the contract; the cause is logged here and never told. Each kind has a page, which the server itself
//! holds and `docs/errors` keeps.

use axum::response::{IntoResponse, Response};
use http::{HeaderName, HeaderValue, StatusCode, header};
use serde_json::{Map, Value, json};
use std::{error::Error, sync::LazyLock};
use store::log_limit::LogLimit;
use submitter::{FieldError, InvalidRequest};

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident = $status:ident, $slug:literal, $title:literal;)*) => {
        /// The errors of the API. Each one's slug is part of the contract: add, never rename.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum ProblemKind {
            $($(#[$doc])* $name,)*
        }

        impl ProblemKind {
            /// Every kind.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            pub const fn status(self) -> StatusCode {
                match self { $(Self::$name => StatusCode::$status,)* }
            }

            /// The last part of the type's URL.
            pub const fn slug(self) -> &'static str {
                match self { $(Self::$name => $slug,)* }
            }

            pub const fn title(self) -> &'static str {
                match self { $(Self::$name => $title,)* }
            }

            /// The kind's name in an answer, and the address of its page.
            pub fn type_url(self) -> String {
                format!("/errors/{}", self.slug())
            }

            /// The page that explains the kind, in Markdown.
            pub const fn page(self) -> &'static str {
                match self { $(Self::$name => include_str!(concat!("../../../docs/errors/", $slug, ".md")),)* }
            }
        }
    };
}

kinds! {
    /// A field, a header or a parameter breaks a rule.
    InvalidRequest = BAD_REQUEST, "invalid-request", "The request is invalid";
    /// No key, or none that counts.
    Unauthenticated = UNAUTHORIZED, "unauthenticated", "A valid API key is required";
    /// The cost is not known, and the caller set a limit.
    CostUnknown = PAYMENT_REQUIRED, "cost-unknown", "The cost cannot be estimated";
    /// The cost is above the caller's limit.
    CostTooHigh = PAYMENT_REQUIRED, "cost-too-high", "The cost would be above the limit";
    InsufficientScope = FORBIDDEN, "insufficient-scope", "The API key does not allow this";
    /// The key may not see what callers handed in and what fal made of it.
    PayloadsHidden = FORBIDDEN, "payloads-hidden", "The API key may not see payloads";
    RouteNotFound = NOT_FOUND, "route-not-found", "There is no such route";
    JobNotFound = NOT_FOUND, "job-not-found", "Job not found";
    CallbackNotFound = NOT_FOUND, "callback-not-found", "Callback not found";
    OrphanChargeNotFound = NOT_FOUND, "orphan-charge-not-found", "Orphan charge not found";
    EventNotFound = NOT_FOUND, "event-not-found", "Event not found";
    KeyNotFound = NOT_FOUND, "key-not-found", "API key not found";
    CredentialNotFound = NOT_FOUND, "credential-not-found", "Credential not found";
    ProjectNotFound = NOT_FOUND, "project-not-found", "Project not found";
    ConsumerNotFound = NOT_FOUND, "consumer-not-found", "Consumer not found";
    /// fal knows no such request, or another project holds it.
    RequestNotFound = NOT_FOUND, "request-not-found", "fal knows no such request";
    /// The job succeeded, and its result is not stored.
    ResultLost = NOT_FOUND, "result-lost", "The result is not stored";
    /// The bytes of a callback were not kept.
    BytesNotKept = NOT_FOUND, "bytes-not-kept", "The bytes were not kept";
    MethodNotAllowed = METHOD_NOT_ALLOWED, "method-not-allowed", "The route does not take this method";
    /// The body did not arrive in time.
    RequestTimeout = REQUEST_TIMEOUT, "request-timeout", "The request did not arrive in time";
    JobOpen = CONFLICT, "job-open", "The job has not ended";
    JobTerminal = CONFLICT, "job-terminal", "The job has ended";
    /// Nobody asks fal for callbacks, since it could not reach us.
    CallbacksOff = CONFLICT, "callbacks-off", "No callbacks are asked for";
    /// Somebody else sent the request, and never told us its input.
    InputUnknown = CONFLICT, "input-unknown", "The job's input is not known";
    /// There is no result at fal that would help this job.
    NothingToRefetch = CONFLICT, "nothing-to-refetch", "There is no result to fetch again";
    /// No attempt of the job waits for a person, or not for this.
    NothingToResolve = CONFLICT, "nothing-to-resolve", "There is nothing to resolve";
    OrphanChargeResolved = CONFLICT, "orphan-charge-resolved", "The orphan charge is resolved";
    /// It does not count, or its line has two secrets.
    KeyNotRotatable = CONFLICT, "key-not-rotatable", "The API key cannot be rotated";
    CredentialExists = CONFLICT, "credential-exists", "The credential exists";
    /// Its key is `FAL_KEY`, in the environment of every server.
    CredentialNotRotatable = CONFLICT, "credential-not-rotatable", "The key of the credential cannot be exchanged here";
    ProjectExists = CONFLICT, "project-exists", "The project exists";
    ConsumerExists = CONFLICT, "consumer-exists", "The consumer exists";
    TooManyConsumers = CONFLICT, "too-many-consumers", "The project has too many consumers";
    /// A stored callback does not pass the checks that every callback passes.
    CallbackNotGenuine = CONFLICT, "callback-not-genuine", "The callback does not pass its checks";
    JobCanceled = GONE, "job-canceled", "The job was canceled";
    /// fal no longer holds the result.
    ResultGone = GONE, "result-gone", "fal no longer holds the result";
    BodyTooLarge = PAYLOAD_TOO_LARGE, "body-too-large", "The body is too large";
    /// The body is of a kind, or coded in a way, that the route does not read.
    UnsupportedMediaType = UNSUPPORTED_MEDIA_TYPE, "unsupported-media-type", "The body is not of a supported kind";
    IdempotencyKeyReused = UNPROCESSABLE_ENTITY, "idempotency-key-reused",
        "The idempotency key was used for another request";
    JobFailed = UNPROCESSABLE_ENTITY, "job-failed", "The job failed";
    /// The key has made its share of requests for the moment.
    RateLimited = TOO_MANY_REQUESTS, "rate-limited", "Too many requests";
    /// The key has as many open streams as it may have.
    TooManyStreams = TOO_MANY_REQUESTS, "too-many-streams", "Too many streams are open";
    Internal = INTERNAL_SERVER_ERROR, "internal", "Internal server error";
    /// fal gave no usable answer.
    FalUnavailable = BAD_GATEWAY, "fal-unavailable", "fal did not answer";
    /// The database is away, or the process is stopping. The same request may work later.
    Unavailable = SERVICE_UNAVAILABLE, "unavailable", "The service is unavailable for the moment";
}

/// One answer that says what went wrong.
#[derive(Clone, Debug)]
pub struct Problem {
    pub kind: ProblemKind,
    detail: Option<String>,
    errors: Vec<FieldError>,
    extra: Map<String, Value>,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl Problem {
    pub fn new(kind: ProblemKind) -> Self {
        Self { kind, detail: None, errors: Vec::new(), extra: Map::new(), headers: Vec::new() }
    }

    /// A field, header or parameter that breaks a rule.
    pub fn field(field: &str, rule: impl Into<String>) -> Self {
        Self::fields(vec![FieldError::new(field, rule)])
    }

    pub fn fields(errors: Vec<FieldError>) -> Self {
        Self { errors, ..Self::new(ProblemKind::InvalidRequest) }
    }

    /// Says more, for people. The text must tell nothing of the inside.
    #[must_use]
    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    /// Adds a member for programs.
    #[must_use]
    pub fn with(mut self, name: &str, value: Value) -> Self {
        self.extra.insert(name.to_owned(), value);
        self
    }

    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: impl Into<HeaderValue>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// The body of the answer.
    pub fn to_json(&self) -> Value {
        let mut body = json!({
            "type": self.kind.type_url(),
            "title": self.kind.title(),
            "status": self.kind.status().as_u16(),
        });
        if let Some(detail) = &self.detail {
            body["detail"] = json!(detail);
        }
        if !self.errors.is_empty() {
            body["errors"] = json!(self.errors);
        }
        for (name, value) in &self.extra {
            body[name] = value.clone();
        }
        body
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = (self.kind.status(), self.to_json().to_string()).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        match self.kind {
            ProblemKind::Unauthenticated => {
                headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            ProblemKind::Unavailable | ProblemKind::FalUnavailable | ProblemKind::TooManyStreams => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
            }
            _ => {}
        }
        headers.extend(self.headers);
        response
    }
}

impl From<ProblemKind> for Problem {
    fn from(kind: ProblemKind) -> Self {
        Self::new(kind)
    }
}

impl From<InvalidRequest> for Problem {
    fn from(error: InvalidRequest) -> Self {
        Self::fields(error.0)
    }
}

impl From<store::Error> for Problem {
    fn from(error: store::Error) -> Self {
        if error.is_unavailable() {
            // Callers come again and again while the database is away, and each has its own line among the answers.
            static OUTAGES: LazyLock<LogLimit> = LazyLock::new(LogLimit::default);
            if let Some(missed) = OUTAGES.pass() {
                tracing::warn!(error = &error as &dyn Error, missed, "the store is unavailable");
            }
            return Self::new(ProblemKind::Unavailable);
        }
        if is_row(&error) {
            tracing::warn!(error = &error as &dyn Error, "a request holds what cannot be stored");
            return Self::field("body", "holds something that cannot be stored");
        }
        tracing::error!(error = &error as &dyn Error, "the store failed");
        Self::new(ProblemKind::Internal)
    }
}

fn is_row(error: &store::Error) -> bool {
    match error {
        store::Error::Row(_) => true,
        store::Error::Batch(cause) => is_row(cause),
        _ => false,
    }
}
