//! The closed set of reasons for which an attempt or a job fails.

use serde::{Deserialize, Serialize};

/// Why an attempt, or in the end its job, did not succeed. The names are part of the outside contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorClass {
    /// No byte of the request left us: nothing ran, nothing was billed.
    NotSent,
    /// fal asked us to wait (429).
    RateLimited,
    /// fal refused the key: wrong, locked, or out of credit (401, 402, 403).
    Credential,
    /// The input can never work.
    Validation,
    /// fal has no such model.
    UnknownModel,
    /// The model refused the content.
    ContentPolicy,
    /// A picture, sound or film in the input could not be used.
    MediaInput,
    /// The model ran and made nothing.
    NoMedia,
    /// The model itself failed.
    ModelError,
    /// fal did not start the run in the time we gave.
    TimeoutStart,
    /// The run took longer than it may.
    TimeoutRun,
    /// fal's machinery failed: a runner was lost, could not be scheduled, or did not answer.
    Infrastructure,
    /// The run finished and fal no longer holds its result.
    ResultExpired,
    /// The result is larger than we are set to read.
    ResultTooLarge,
    /// Nobody ever learnt what became of the attempt.
    Abandoned,
    /// Somebody asked for the end.
    Canceled,
    /// We failed.
    Internal,
}

impl ErrorClass {
    /// Every class, in the order of the contract.
    pub const ALL: [Self; 17] = [
        Self::NotSent,
        Self::RateLimited,
        Self::Credential,
        Self::Validation,
        Self::UnknownModel,
        Self::ContentPolicy,
        Self::MediaInput,
        Self::NoMedia,
        Self::ModelError,
        Self::TimeoutStart,
        Self::TimeoutRun,
        Self::Infrastructure,
        Self::ResultExpired,
        Self::ResultTooLarge,
        Self::Abandoned,
        Self::Canceled,
        Self::Internal,
    ];

    /// The name in SQL, in the API and in logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotSent => "not_sent",
            Self::RateLimited => "rate_limited",
            Self::Credential => "credential",
            Self::Validation => "validation",
            Self::UnknownModel => "unknown_model",
            Self::ContentPolicy => "content_policy",
            Self::MediaInput => "media_input",
            Self::NoMedia => "no_media",
            Self::ModelError => "model_error",
            Self::TimeoutStart => "timeout_start",
            Self::TimeoutRun => "timeout_run",
            Self::Infrastructure => "infrastructure",
            Self::ResultExpired => "result_expired",
            Self::ResultTooLarge => "result_too_large",
            Self::Abandoned => "abandoned",
            Self::Canceled => "canceled",
            Self::Internal => "internal",
        }
    }

    /// Reads a name that [`Self::as_str`] wrote.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|class| class.as_str() == name)
    }
}

impl std::fmt::Display for ErrorClass {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_reads_back_as_its_class() {
        for class in ErrorClass::ALL {
            assert_eq!(ErrorClass::parse(class.as_str()), Some(class));
        }
        assert_eq!(ErrorClass::parse("nonsense"), None);
    }
}
