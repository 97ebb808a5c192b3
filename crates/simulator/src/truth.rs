//! The witness: everything that truly happened, in order, in memory and in a file of JSON lines.
//!
//! The file is flushed per line, not synced: it outlives the process, not the machine.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::Path;

use chrono::{DateTime, Utc};
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use crate::error::SimulatorError;
use crate::faults::Fault;
use crate::request::OutcomeKind;
use crate::view::TryView;

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TruthEntry {
    /// Its number, from 0, without gaps.
    pub seq: u64,
    /// When.
    pub at: DateTime<Utc>,
    /// To which request; none for a submit that was refused.
    pub request_id: Option<String>,
    /// What.
    #[serde(flatten)]
    pub event: TruthEvent,
}

/// What can happen.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
#[non_exhaustive]
pub enum TruthEvent {
    /// A POST made a new request, whatever the caller was told.
    Accepted {
        /// The endpoint id.
        endpoint: String,
        /// The number of the POST.
        ordinal: u64,
        /// Where its webhook goes.
        webhook_url: Option<String>,
        /// Of the body, in hexadecimal.
        input_sha256: String,
        /// What the dice chose for it.
        faults: Vec<Fault>,
    },
    /// A POST was refused and made nothing.
    Refused {
        /// The status code of the answer.
        status: u16,
    },
    /// The request took a slot.
    Started {
        /// Which one.
        slot: u32,
    },
    /// fal put the request back into its queue by itself.
    Requeued {
        /// The id of the new attempt.
        gateway_request_id: String,
    },
    /// The request is over.
    Completed {
        /// How.
        outcome: OutcomeKind,
        /// The status code of its result.
        status_code: u16,
        /// The type of an infrastructure error.
        error_type: Option<String>,
        /// Of the result's body.
        result_sha256: String,
        /// Of the payload as the webhook carries it; differs from the other in white space at least.
        payload_sha256: String,
        /// Charged units.
        billable_units: Decimal,
        /// US dollars charged.
        cost: Decimal,
    },
    /// A webhook was tried.
    WebhookTry(TryView),
    /// A cancel was asked for and answered.
    CancelAsked {
        /// The answer's word.
        answer: String,
    },
    /// A test made the result expire.
    Forgotten,
}

/// The log.
#[derive(Debug)]
pub(crate) struct Truth {
    entries: Vec<TruthEntry>,
    file: Option<BufWriter<File>>,
}

impl Truth {
    /// Opens the log, appending to the file if there is one.
    pub(crate) fn open(path: Option<&Path>) -> Result<Self, SimulatorError> {
        let open = |path: &Path| {
            let file = File::options().append(true).create(true).open(path);
            file.map(BufWriter::new).map_err(|source| SimulatorError::TruthLog { path: path.to_owned(), source })
        };
        Ok(Self { entries: Vec::new(), file: path.map(open).transpose()? })
    }

    pub(crate) fn write(&mut self, at: DateTime<Utc>, request_id: Option<&str>, event: TruthEvent) {
        let seq = u64::try_from(self.entries.len()).unwrap_or(u64::MAX);
        let entry = TruthEntry { seq, at, request_id: request_id.map(str::to_owned), event };
        if let Some(file) = &mut self.file {
            let line = serde_json::to_string(&entry).expect("an entry is made of strings and numbers");
            if let Err(error) = writeln!(file, "{line}").and_then(|()| file.flush()) {
                tracing::error!(%error, "the truth log could not be written");
            }
        }
        self.entries.push(entry);
    }

    pub(crate) fn entries(&self) -> &[TruthEntry] {
        &self.entries
    }
}
