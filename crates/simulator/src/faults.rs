//! The catalogue of faults: a rate for each, and how to name, set and check them.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::error::SimulatorError;

/// Writes the struct of rates and the enum of names from one list, so that neither can miss a fault.
macro_rules! faults {
    ($( $(#[$doc:meta])* $field:ident => $variant:ident, )*) => {
        /// How often each fault happens (0 never, 1 always), and how long the slow ones take.
        ///
        /// What a fault does is written at its field. Each is decided once per submit by the dice, except the ones that say
        /// "each".
        #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
        #[serde(default, deny_unknown_fields)]
        pub struct Faults {
            $( $(#[$doc])* pub $field: f64, )*
            /// How late `callback_late` is. Simulated time.
            #[serde(with = "humantime_serde")]
            pub callback_late_by: Duration,
            /// How long `status_404_grace` hides a request. Real time.
            #[serde(with = "humantime_serde")]
            pub status_404_grace_for: Duration,
            /// How long `submit_hang` keeps the connection before it cuts it. Real time.
            #[serde(with = "humantime_serde")]
            pub submit_hang_for: Duration,
            /// How long `submit_slow` holds the answer. Real time.
            #[serde(with = "humantime_serde")]
            pub submit_slow_by: Duration,
            /// How long `callback_before_answer` holds the submit's answer at most. Real time.
            #[serde(with = "humantime_serde")]
            pub callback_before_answer_for: Duration,
        }

        impl Default for Faults {
            fn default() -> Self {
                Self {
                    $( $field: 0.0, )*
                    callback_late_by: Duration::from_secs(30),
                    status_404_grace_for: Duration::from_millis(500),
                    submit_hang_for: Duration::from_mins(1),
                    submit_slow_by: Duration::from_secs(2),
                    callback_before_answer_for: Duration::from_secs(10),
                }
            }
        }

        /// The name of one fault.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(into = "String", try_from = "String")]
        #[non_exhaustive]
        pub enum Fault {
            $( $(#[$doc])* $variant, )*
        }

        impl Fault {
            /// Every fault there is.
            pub const ALL: &[Self] = &[$( Self::$variant, )*];

            /// The name as settings and logs write it.
            pub const fn name(self) -> &'static str {
                match self { $( Self::$variant => stringify!($field), )* }
            }
        }

        impl Faults {
            /// The rate of one fault.
            pub const fn rate(&self, fault: Fault) -> f64 {
                match fault { $( Fault::$variant => self.$field, )* }
            }

            fn rate_mut(&mut self, fault: Fault) -> &mut f64 {
                match fault { $( Fault::$variant => &mut self.$field, )* }
            }
        }
    };
}

faults! {
    /// The submit is accepted at once but answered late.
    submit_slow => SubmitSlow,
    /// The submit is never answered; the dice accept half of them all the same.
    submit_hang => SubmitHang,
    /// The submit is refused with 429 and `Retry-After: 1`.
    submit_429 => Submit429,
    /// The submit is refused with 503 by fal itself (with its `x-fal-request-id`).
    submit_5xx => Submit5xx,
    /// The submit is refused with 401.
    submit_401 => Submit401,
    /// The submit is refused with 403: the account is locked.
    submit_403 => Submit403,
    /// The submit is accepted, then the connection is reset.
    accept_then_reset => AcceptThenReset,
    /// The submit is accepted, then an ingress answers 502 in HTML, without fal's headers.
    accept_then_502 => AcceptThen502,
    /// Each look at a status or a result is answered with 500, 502 or 503.
    status_5xx => Status5xx,
    /// Looks at a fresh request find nothing (404) for a while.
    status_404_grace => Status404Grace,
    /// The model refuses the input when it runs: 422, not charged.
    result_422 => Result422,
    /// The runner fails: `COMPLETED` with `error` and `error_type`, not charged.
    result_5xx_runner => Result5xxRunner,
    /// The request completes, but its result is gone at once and no webhook is sent.
    completed_gone => CompletedGone,
    /// fal retries inside: the request goes back to its queue once, and the attempt's gateway id changes.
    runner_retried => RunnerRetried,
    /// The runner ignores a cancel and finishes.
    cancel_ignored => CancelIgnored,
    /// Each try of a webhook is lost on the way.
    callback_try_lost => CallbackTryLost,
    /// Every try of the request's webhook is lost.
    callback_all_lost => CallbackAllLost,
    /// The first try comes late.
    callback_late => CallbackLate,
    /// The webhook is sent twice: at the same moment, or one after the other.
    callback_doubled => CallbackDoubled,
    /// The webhook waits until that of another request has gone out.
    callback_reordered => CallbackReordered,
    /// The request runs at once and its webhook is answered before the submit is.
    callback_before_answer => CallbackBeforeAnswer,
    /// After the webhook, another arrives for the same request with another payload.
    callback_conflicting => CallbackConflicting,
    /// The webhook is validly signed, but stamped an hour ago.
    callback_stale => CallbackStale,
    /// The first try is validly signed for another account, with another payload.
    callback_wrong_user => CallbackWrongUser,
    /// The first try's payload was changed after it was signed.
    callback_tampered => CallbackTampered,
    /// The webhook says `OK`, but carries `payload: null` and a `payload_error`.
    callback_null_payload => CallbackNullPayload,
    /// The webhook's body is larger than 8 MB.
    callback_oversize => CallbackOversize,
    /// The payload is JSON that breaks parsers and databases; the kinds take turns.
    callback_hostile_json => CallbackHostileJson,
}

impl Faults {
    /// The names of all faults, in the order in which they are documented.
    pub fn names() -> impl Iterator<Item = &'static str> {
        Fault::ALL.iter().map(|fault| fault.name())
    }

    /// Sets one rate.
    #[must_use]
    pub fn with(mut self, fault: Fault, rate: f64) -> Self {
        *self.rate_mut(fault) = rate;
        self
    }

    /// Sets one rate by the fault's name.
    ///
    /// # Errors
    ///
    /// [`SimulatorError::UnknownFault`] for a name that is none, [`SimulatorError::Config`] for a rate outside 0 to 1.
    pub fn set(&mut self, name: &str, rate: f64) -> Result<(), SimulatorError> {
        *self.rate_mut(name.parse()?) = rate;
        self.check()
    }

    /// No fault at all, but this one on every request.
    pub fn only(fault: Fault) -> Self {
        Self::default().with(fault, 1.0)
    }

    /// Refuses rates outside 0 to 1.
    ///
    /// # Errors
    ///
    /// [`SimulatorError::Config`] names the fault.
    pub fn check(&self) -> Result<(), SimulatorError> {
        match Fault::ALL.iter().find(|fault| !(0.0..=1.0).contains(&self.rate(**fault))) {
            Some(fault) => Err(SimulatorError::Config(format!("the rate of {fault} must be from 0 to 1"))),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

impl From<Fault> for String {
    fn from(fault: Fault) -> Self {
        fault.name().to_owned()
    }
}

impl TryFrom<String> for Fault {
    type Error = SimulatorError;

    fn try_from(name: String) -> Result<Self, Self::Error> {
        name.parse()
    }
}

impl FromStr for Fault {
    type Err = SimulatorError;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let found = Self::ALL.iter().copied().find(|fault| fault.name() == name);
        found.ok_or_else(|| SimulatorError::UnknownFault(name.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::{Fault, Faults};

    #[test]
    fn every_fault_can_be_set_by_its_name() {
        for name in Faults::names() {
            let mut faults = Faults::default();
            faults.set(name, 0.5).unwrap();
            assert!((faults.rate(name.parse().unwrap()) - 0.5).abs() < f64::EPSILON, "{name}");
        }
        assert!(Faults::default().set("callback_lost", 0.5).is_err());
        assert!(Faults::default().set("submit_429", 2.0).is_err());
    }

    #[test]
    fn a_fault_is_written_in_json_as_in_settings() {
        for fault in Fault::ALL {
            assert_eq!(serde_json::to_value(fault).unwrap(), fault.name());
        }
    }
}
