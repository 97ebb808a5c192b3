//! Scripts: what one request shall do, whatever the rates and the dice say.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::faults::Faults;

/// What a scripted request does. The default is a request like any other.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Script {
    /// Stays `IN_PROGRESS`, in its slot, until [`crate::Simulator::release_held`].
    pub hold: bool,
    /// The exact run time, simulated, in place of the model's.
    #[serde(with = "humantime_serde")]
    pub run_time: Option<Duration>,
    /// How it ends, in place of what the dice say.
    pub outcome: Option<Outcome>,
    /// The rates for this request, in place of the simulator's; a rate of 1 forces the fault.
    pub faults: Option<Faults>,
    /// How many requests it serves. Unset: one for `script_next`, all of them for `script_prompt`.
    pub times: Option<u32>,
}

/// How a request ends when it runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Outcome {
    /// With the model's output.
    Ok,
    /// With 422 and a `detail` list; the type is one of fal's page on model errors.
    ModelError(String),
    /// With a flat infrastructure error; the type is one of fal's page on request errors and decides the status code.
    RunnerError(String),
    /// With exactly this status code and body, sent as JSON.
    Answer {
        /// The HTTP status of the model's answer.
        status: u16,
        /// Its body, byte for byte.
        body: String,
    },
}

/// The scripts that wait for requests.
#[derive(Debug, Default)]
pub(crate) struct Scripts {
    next: Vec<Script>,
    by_prompt: Vec<(String, Script)>,
}

impl Scripts {
    /// Queues a script for the next submits.
    pub(crate) fn push_next(&mut self, script: Script) {
        self.next.push(script);
    }

    /// Sets the script of every prompt that contains the text.
    pub(crate) fn push_prompt(&mut self, substring: String, script: Script) {
        self.by_prompt.push((substring, script));
    }

    /// Forgets all that is left.
    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    /// Takes the script for a submit: the latest whose text its prompt contains, else the oldest queued one.
    pub(crate) fn take(&mut self, prompt: &str) -> Option<Script> {
        if let Some(index) = self.by_prompt.iter().rposition(|(text, _)| prompt.contains(text.as_str())) {
            let script = self.by_prompt[index].1.clone();
            if use_up(&mut self.by_prompt[index].1.times) {
                self.by_prompt.remove(index);
            }
            return Some(script);
        }
        let first = self.next.first_mut()?;
        let script = first.clone();
        first.times = Some(first.times.unwrap_or(1));
        if use_up(&mut first.times) {
            self.next.remove(0);
        }
        Some(script)
    }
}

/// Counts one use; true when none is left. A script without a count never runs out.
fn use_up(times: &mut Option<u32>) -> bool {
    match times {
        Some(left) => {
            *left = left.saturating_sub(1);
            *left == 0
        }
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::{Script, Scripts};

    #[test]
    fn a_queued_script_serves_one_submit_and_a_prompt_script_all() {
        let mut scripts = Scripts::default();
        scripts.push_next(Script { hold: true, ..Script::default() });
        scripts.push_prompt("owl".to_owned(), Script::default());
        assert_eq!(scripts.take("an owl"), Some(Script::default()));
        assert_eq!(scripts.take("an owl"), Some(Script::default()));
        assert!(scripts.take("a cat").unwrap().hold);
        assert_eq!(scripts.take("a cat"), None);
    }

    #[test]
    fn a_counted_script_runs_out() {
        let mut scripts = Scripts::default();
        scripts.push_prompt("owl".to_owned(), Script { times: Some(2), ..Script::default() });
        let taken = (0..3).filter(|_| scripts.take("owl").is_some()).count();
        assert_eq!(taken, 2);
    }
}
