//! Everything that may go wrong, as `application/problem+json` (RFC 9457).
//!
//! The kind is the contract; the cause is logged here and never told. Each kind has a page, which the server itself
//! holds and `docs/errors` keeps.

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
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
    RouteNotFound = NOT_FOUND, "route-not-found", "There is no such route";
    JobNotFound = NOT_FOUND, "job-not-found", "Job not found";
    CallbackNotFound = NOT_FOUND, "callback-not-found", "Callback not found";
    OrphanChargeNotFound = NOT_FOUND, "orphan-charge-not-found", "Orphan charge not found";
    /// The job succeeded, and its result is not stored.
    ResultLost = NOT_FOUND, "result-lost", "The result is not stored";
    /// The bytes of a callback were not kept.
    BytesNotKept = NOT_FOUND, "bytes-not-kept", "The bytes were not kept";
    MethodNotAllowed = METHOD_NOT_ALLOWED, "method-not-allowed", "The route does not take this method";
    /// The body did not arrive in time.
    RequestTimeout = REQUEST_TIMEOUT, "request-timeout", "The request did not arrive in time";
    JobOpen = CONFLICT, "job-open", "The job has not ended";
    JobTerminal = CONFLICT, "job-terminal", "The job has ended";
    /// There is no result at fal that would help this job.
    NothingToRefetch = CONFLICT, "nothing-to-refetch", "There is no result to fetch again";
    /// No attempt of the job waits for a person, or not for this.
    NothingToResolve = CONFLICT, "nothing-to-resolve", "There is nothing to resolve";
    OrphanChargeResolved = CONFLICT, "orphan-charge-resolved", "The orphan charge is resolved";
    /// A stored callback does not pass the checks that every callback passes.
    CallbackNotGenuine = CONFLICT, "callback-not-genuine", "The callback does not pass its checks";
    JobCanceled = GONE, "job-canceled", "The job was canceled";
    /// fal no longer holds the result.
    ResultGone = GONE, "result-gone", "fal no longer holds the result";
    BodyTooLarge = PAYLOAD_TOO_LARGE, "body-too-large", "The body is too large";
    IdempotencyKeyReused = UNPROCESSABLE_ENTITY, "idempotency-key-reused",
        "The idempotency key was used for another request";
    JobFailed = UNPROCESSABLE_ENTITY, "job-failed", "The job failed";
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
}

impl Problem {
    pub fn new(kind: ProblemKind) -> Self {
        Self { kind, detail: None, errors: Vec::new(), extra: Map::new() }
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

    /// The body of the answer.
    pub fn to_json(&self) -> Value {
        let mut body = json!({
            "type": format!("/errors/{}", self.kind.slug()),
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
            ProblemKind::Unavailable | ProblemKind::FalUnavailable => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
            }
            _ => {}
        }
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
