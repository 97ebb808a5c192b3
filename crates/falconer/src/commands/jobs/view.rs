//! A job and its history, as people read them.

use crate::commands::{client::read, output::second};
use anyhow::Result;
use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::value::RawValue;

/// What is shown of a job. Unknown members are a later server's.
#[derive(Debug, Deserialize)]
pub(crate) struct Job {
    pub(crate) id: String,
    pub(crate) state: String,
    model: String,
    priority: i64,
    tags: Vec<String>,
    metadata: Box<RawValue>,
    attempts_made: u32,
    attempts_max: u32,
    request_id: Option<String>,
    created_at: DateTime<Utc>,
    run_at: DateTime<Utc>,
    started_at: Option<DateTime<Utc>>,
    finished_at: Option<DateTime<Utc>>,
    pub(crate) error: Option<JobError>,
    waiting: Option<Waiting>,
    cost: Cost,
    links: Links,
}

#[derive(Debug, Deserialize)]
pub(crate) struct JobError {
    class: String,
    message: Option<String>,
    charged: Option<bool>,
}

#[derive(Debug, Deserialize)]
struct Waiting {
    reason: String,
    since: DateTime<Utc>,
    expected_start_at: Option<DateTime<Utc>>,
}

#[derive(Debug, Deserialize)]
struct Cost {
    currency: String,
    estimated: Option<String>,
    charged: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Links {
    regenerated_from: Option<String>,
    refetched_from: Option<String>,
}

/// One thing that happened to a job.
#[derive(Debug, Deserialize)]
pub(crate) struct Entry {
    at: DateTime<Utc>,
    kind: String,
    event: String,
    attempt: Option<u32>,
    from: Option<String>,
    to: Option<String>,
    detail: Option<String>,
}

pub(crate) const JOB_HEADING: [&str; 8] = ["ID", "STATE", "MODEL", "ATTEMPTS", "CREATED (UTC)", "TOOK", "COST", "WHY"];
pub(crate) const ENTRY_HEADING: [&str; 6] = ["AT (UTC)", "AFTER", "WHAT", "EVENT", "CHANGE", "DETAIL"];

impl Job {
    /// Whether nothing will happen to it any more.
    pub(crate) fn has_ended(&self) -> bool {
        matches!(self.state.as_str(), "succeeded" | "failed" | "canceled")
    }

    pub(crate) fn model(&self) -> &str {
        &self.model
    }

    pub(crate) fn has_succeeded(&self) -> bool {
        self.state == "succeeded"
    }

    /// Everything, a line for each thing that there is.
    pub(crate) fn rows(&self) -> Vec<(&'static str, String)> {
        let waiting = self.waiting.as_ref().map(|waiting| {
            let start = waiting.expected_start_at.map(|at| format!(", start expected {}", second(at)));
            format!("{} since {}{}", waiting.reason, second(waiting.since), start.unwrap_or_default())
        });
        let all = [
            ("id", Some(self.id.clone())),
            ("state", Some(self.state.clone())),
            ("model", Some(self.model.clone())),
            ("waiting", waiting),
            ("error", self.error.as_ref().map(JobError::line)),
            ("attempts", Some(format!("{} of {}", self.attempts_made, self.attempts_max))),
            ("request id", self.request_id.clone()),
            ("priority", (self.priority != 0).then(|| self.priority.to_string())),
            ("tags", (!self.tags.is_empty()).then(|| self.tags.join(", "))),
            ("metadata", (self.metadata.get() != "{}").then(|| self.metadata.get().to_owned())),
            ("created", Some(second(self.created_at))),
            ("run at", (self.run_at != self.created_at).then(|| second(self.run_at))),
            ("started", self.started_at.map(second)),
            ("finished", self.finished_at.map(|at| format!("{}, after {}", second(at), span(at - self.created_at)))),
            ("cost", self.cost.line(self.has_ended())),
            ("regenerated from", self.links.regenerated_from.as_deref().map(last_segment)),
            ("refetched from", self.links.refetched_from.as_deref().map(last_segment)),
        ];
        all.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
    }

    /// When it came into its state, as far as it tells.
    pub(crate) fn changed_at(&self) -> DateTime<Utc> {
        let began = self.started_at.filter(|_| self.state == "running");
        self.finished_at.or(began).unwrap_or(self.created_at)
    }

    /// The string at a path into its metadata.
    pub(crate) fn metadata_text(&self, path: &str) -> Option<String> {
        let metadata: serde_json::Value = serde_json::from_str(self.metadata.get()).ok()?;
        let found = path.split('.').try_fold(&metadata, |value, step| value.get(step))?;
        found.as_str().map(str::to_owned)
    }

    pub(crate) fn has_tag(&self, tag: &str) -> bool {
        self.tags.iter().any(|own| own == tag)
    }

    /// How long it took and what it cost, or why it failed.
    pub(crate) fn outcome(&self) -> String {
        let took = self.finished_at.map(|at| format!("after {}", span(at - self.created_at)));
        let cost = self.cost.line(true).filter(|_| self.has_ended());
        let why = self.error.as_ref().map(JobError::line);
        [took, cost, why].into_iter().flatten().collect::<Vec<_>>().join(", ")
    }

    fn row(&self) -> Vec<String> {
        let why = match (&self.error, &self.waiting) {
            (Some(error), _) => error.class.clone(),
            (None, Some(waiting)) => waiting.reason.clone(),
            (None, None) => String::new(),
        };
        vec![
            self.id.clone(),
            self.state.clone(),
            self.model.clone(),
            format!("{}/{}", self.attempts_made, self.attempts_max),
            second(self.created_at),
            self.finished_at.map(|at| span(at - self.created_at)).unwrap_or_default(),
            self.cost.line(self.has_ended()).unwrap_or_default(),
            why,
        ]
    }
}

impl JobError {
    /// The error on one line.
    pub(crate) fn line(&self) -> String {
        let message = self.message.as_ref().map(|message| format!(": {message}")).unwrap_or_default();
        let charged = match self.charged {
            Some(true) => " (charged)",
            Some(false) => " (not charged)",
            None => "",
        };
        format!("{}{message}{charged}", self.class)
    }
}

impl Cost {
    /// What was charged; before the end, when nothing was yet, the estimate.
    fn line(&self, has_ended: bool) -> Option<String> {
        let charged = self.charged.as_ref().filter(|charged| has_ended || charged.as_str() != "0");
        match (charged, &self.estimated) {
            (Some(charged), _) => Some(format!("{charged} {}", self.currency)),
            (None, Some(estimated)) => Some(format!("~{estimated} {}", self.currency)),
            (None, None) => None,
        }
    }
}

impl Entry {
    /// The row of a table, with the time since `first`.
    pub(crate) fn row(&self, first: DateTime<Utc>) -> Vec<String> {
        let what = self.attempt.map_or_else(|| self.kind.clone(), |number| format!("{} {number}", self.kind));
        let change = match (&self.from, &self.to) {
            (Some(from), Some(to)) => format!("{from} → {to}"),
            (_, to) => to.clone().unwrap_or_default(),
        };
        let at = self.at.format("%Y-%m-%d %H:%M:%S%.3f").to_string();
        vec![at, span(self.at - first), what, self.event.clone(), change, self.detail.clone().unwrap_or_default()]
    }

    pub(crate) fn at(&self) -> DateTime<Utc> {
        self.at
    }
}

/// The row of a job in a list.
pub(crate) fn job_row(item: &RawValue) -> Result<Vec<String>> {
    Ok(read::<Job>(item.get().as_bytes())?.row())
}

/// A span to the tenth of a second below a minute, and to the second from there on.
fn span(span: chrono::TimeDelta) -> String {
    let millis = span.num_milliseconds();
    let seconds = span.num_seconds();
    match seconds {
        ..60 => format!("{}.{:03} s", millis / 1000, millis.rem_euclid(1000)),
        60..3600 => format!("{} min {:02} s", seconds / 60, seconds % 60),
        _ => format!("{} h {:02} min", seconds / 3600, seconds % 3600 / 60),
    }
}

fn last_segment(path: &str) -> String {
    path.rsplit('/').next().unwrap_or(path).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::TimeDelta;

    const JOB: &str = r#"{"id":"01990000-0000-7000-8000-000000000001","state":"failed","model":"fal-ai/flux/dev","tier":null,
        "priority":3,"tags":["a","b"],"metadata":{"n":1.10},"attempts_made":2,"attempts_max":5,"request_id":"r",
        "cached":false,"created_at":"2026-01-02T03:04:05Z","run_at":"2026-01-02T03:04:05Z","started_at":null,
        "finished_at":"2026-01-02T03:05:07.5Z","error":{"class":"timeout_run","message":"too slow","charged":true},
        "waiting":null,"cost":{"currency":"USD","estimated":"0.025","reserved":"0","charged":null},
        "links":{"self":"/v1/jobs/x","regenerated_from":"/v1/jobs/01990000-0000-7000-8000-000000000000"}}"#;

    #[test]
    fn a_job_is_shown_with_what_there_is_of_it() {
        let job: Job = serde_json::from_str(JOB).unwrap();
        assert!(job.has_ended() && !job.has_succeeded());
        let rows = job.rows();
        let value = |name: &str| rows.iter().find(|(own, _)| *own == name).map(|(_, value)| value.as_str());
        assert_eq!(value("error"), Some("timeout_run: too slow (charged)"));
        assert_eq!(value("metadata"), Some(r#"{"n":1.10}"#));
        assert_eq!(value("finished"), Some("2026-01-02 03:05:07, after 1 min 02 s"));
        assert_eq!(value("cost"), Some("~0.025 USD"));
        assert_eq!(value("regenerated from"), Some("01990000-0000-7000-8000-000000000000"));
        assert_eq!((value("started"), value("run at")), (None, None));
        assert_eq!(job.row().len(), JOB_HEADING.len());
    }

    #[test]
    fn an_open_job_is_shown_with_its_estimate_until_something_is_charged() {
        let cost = |charged: &str| Cost {
            currency: "USD".to_owned(),
            estimated: Some("0.025".to_owned()),
            charged: Some(charged.to_owned()),
        };
        assert_eq!(cost("0").line(false).unwrap(), "~0.025 USD");
        assert_eq!(cost("0").line(true).unwrap(), "0 USD");
        assert_eq!(cost("0.02").line(false).unwrap(), "0.02 USD");
    }

    #[test]
    fn spans_read_as_people_say_them() {
        for (millis, told) in [(0, "0.000 s"), (59_999, "59.999 s"), (62_500, "1 min 02 s"), (3_660_000, "1 h 01 min")]
        {
            assert_eq!(span(TimeDelta::milliseconds(millis)), told);
        }
    }
}
