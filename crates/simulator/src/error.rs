//! What can go wrong with the simulator itself. Faults that it plays are not errors.

use std::path::PathBuf;
use std::time::Duration;

/// An error of the simulator, not of the fal that it plays.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SimulatorError {
    /// A setting makes no sense; the text says which.
    #[error("the simulator cannot use this setting: {0}")]
    Config(String),
    /// The name is not one of [`crate::Faults::names`].
    #[error("no fault is called {0:?}")]
    UnknownFault(String),
    /// A listener could not be bound.
    #[error("the simulator could not listen")]
    Listen(#[source] std::io::Error),
    /// The truth log could not be opened.
    #[error("the truth log at {path} could not be opened")]
    TruthLog {
        /// Where it was looked for.
        path: PathBuf,
        /// What the file system said.
        #[source]
        source: std::io::Error,
    },
    /// The certificate of the TLS listener could not be made.
    #[error("the certificate could not be made")]
    Certificate(#[from] rcgen::Error),
    /// The TLS listener refused its own certificate.
    #[error("the certificate could not be used")]
    Tls(#[from] rustls::Error),
    /// The client that sends webhooks could not be built, or a forged callback could not be sent.
    #[error("the webhook client failed")]
    Client(#[from] reqwest::Error),
    /// No such request was ever accepted.
    #[error("no request has the id {0}")]
    UnknownRequest(String),
    /// The state that was waited for did not come.
    #[error("the simulator did not reach the awaited state within {0:?}")]
    Waited(Duration),
}
