//! Compares the witnesses. Each check counts what it looked at and names what does not agree.

use super::evidence::Evidence;
use domain::{AttemptId, JobId};
use simulator::{OutcomeKind, RequestView};
use std::collections::{HashMap, HashSet};
use store::report::{AttemptLine, JobLine};

/// One comparison.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Check {
    /// What must hold of each thing that was looked at.
    pub(super) rule: &'static str,
    pub(super) looked_at: usize,
    /// Each thing of which it does not hold, and how.
    pub(super) broken: Vec<String>,
}

impl Check {
    pub(super) fn holds(&self) -> bool {
        self.broken.is_empty()
    }

    /// Looks at things, of which each answers what is wrong with it, if anything.
    fn each<T>(rule: &'static str, things: impl IntoIterator<Item = T>, wrong: impl Fn(T) -> Option<String>) -> Self {
        let mut check = Self { rule, looked_at: 0, broken: Vec::new() };
        for thing in things {
            check.looked_at += 1;
            check.broken.extend(wrong(thing));
        }
        check
    }
}

/// Makes every comparison.
pub(super) fn all(evidence: &Evidence) -> Vec<Check> {
    let index = Index::of(evidence);
    vec![
        no_job_is_lost(evidence, &index),
        no_job_is_invented(evidence),
        every_post_is_an_attempt(evidence, &index),
        every_attempt_is_a_post(evidence, &index),
        every_end_is_fals(evidence, &index),
        every_result_is_fals(evidence, &index),
        every_paid_run_is_one_jobs(evidence, &index),
        every_charge_is_in_the_ledger(evidence, &index),
        every_acknowledged_callback_is_stored(evidence),
        every_job_ends_once(evidence),
    ]
}

/// The evidence, found by names.
struct Index<'a> {
    jobs: HashMap<JobId, &'a JobLine>,
    requests: HashMap<&'a str, &'a RequestView>,
    attempts: HashMap<&'a str, Vec<&'a AttemptLine>>,
}

impl<'a> Index<'a> {
    fn of(evidence: &'a Evidence) -> Self {
        let mut attempts: HashMap<&str, Vec<&AttemptLine>> = HashMap::new();
        for attempt in &evidence.attempts {
            if let Some(request_id) = &attempt.request_id {
                attempts.entry(request_id).or_default().push(attempt);
            }
        }
        Self {
            jobs: evidence.jobs.iter().map(|job| (job.id, job)).collect(),
            requests: evidence.truth.iter().map(|request| (request.request_id.as_str(), request)).collect(),
            attempts,
        }
    }

    fn request_of(&self, job: &JobLine) -> Option<&RequestView> {
        self.requests.get(job.request_id.as_deref()?).copied()
    }

    fn attempt_of(&self, request: &RequestView) -> Option<&AttemptLine> {
        self.attempts.get(request.request_id.as_str()).and_then(|all| all.first()).copied()
    }
}

fn no_job_is_lost(evidence: &Evidence, index: &Index<'_>) -> Check {
    Check::each("every acknowledged job is there and has ended", &evidence.acknowledged, |id| {
        match index.jobs.get(id) {
            None => Some(format!("job {id} was acknowledged and is not there")),
            Some(job) if job.finished_at.is_none() => Some(format!("job {id} ({}) is still {}", job.model, job.state)),
            Some(_) => None,
        }
    })
}

fn no_job_is_invented(evidence: &Evidence) -> Check {
    let acknowledged: HashSet<JobId> = evidence.acknowledged.iter().copied().collect();
    Check::each("every job was asked for", &evidence.jobs, |job| {
        (!acknowledged.contains(&job.id)).then(|| format!("nobody asked for job {}", job.id))
    })
}

/// The callback URL that fal was given names the attempt: a witness for the binding that no answer and no history can fake.
fn every_post_is_an_attempt(evidence: &Evidence, index: &Index<'_>) -> Check {
    Check::each("every POST that fal took is the attempt that sent it", &evidence.truth, |request| {
        let id = &request.request_id;
        let sent_by = request.webhook_url.as_deref().and_then(|url| sender(evidence, url));
        let known_as: Vec<AttemptId> =
            index.attempts.get(id.as_str()).into_iter().flatten().map(|attempt| attempt.id).collect();
        match (sent_by, known_as.as_slice()) {
            (Some(sent_by), [known]) if sent_by == *known => None,
            (Some(_), []) => Some(format!("request {id} belongs to no attempt")),
            (Some(sent_by), _) => {
                Some(format!("request {id} was sent by attempt {sent_by} and is bound to {known_as:?}"))
            }
            (None, _) => Some(format!("request {id} carries a callback URL that is not ours")),
        }
    })
}

fn sender(evidence: &Evidence, callback_url: &str) -> Option<AttemptId> {
    let token = callback_url.rsplit('/').next()?;
    evidence.tokens.verify(token).map(|(_, attempt)| attempt)
}

fn every_attempt_is_a_post(evidence: &Evidence, index: &Index<'_>) -> Check {
    let with_request = evidence.attempts.iter().filter_map(|attempt| Some((attempt, attempt.request_id.as_deref()?)));
    Check::each("every request id that we hold is fal's", with_request, |(attempt, request_id)| {
        let known = index.requests.contains_key(request_id);
        (!known).then(|| {
            format!("attempt {} of job {} names {request_id}, which fal does not know", attempt.number, attempt.job)
        })
    })
}

fn every_end_is_fals(evidence: &Evidence, index: &Index<'_>) -> Check {
    let over = evidence.jobs.iter().filter(|job| job.finished_at.is_some());
    Check::each("every job ended as fal says its run did", over, |job| {
        let Some(request) = index.request_of(job) else {
            return Some(format!("job {} is {} without a run at fal", job.id, job.state));
        };
        let agrees = match request.outcome {
            Some(OutcomeKind::Ok) => job.state == "succeeded",
            Some(_) => job.state == "failed",
            None => false,
        };
        (!agrees).then(|| format!("job {} is {}, and fal says {:?}", job.id, job.state, request.outcome))
    })
}

fn every_result_is_fals(evidence: &Evidence, index: &Index<'_>) -> Check {
    let succeeded = evidence.jobs.iter().filter(|job| job.state == "succeeded");
    Check::each("every result is fal's, byte for byte (SHA-256)", succeeded, |job| {
        let Some(stored) = job.result_sha256.as_deref().map(hex::encode) else {
            return Some(format!("job {} succeeded without a result", job.id));
        };
        let request = index.request_of(job)?;
        let made = [&request.result_sha256, &request.payload_sha256];
        (!made.into_iter().flatten().any(|sha256| *sha256 == stored))
            .then(|| format!("job {} holds a result that fal did not make (SHA-256 {stored})", job.id))
    })
}

fn every_paid_run_is_one_jobs(evidence: &Evidence, index: &Index<'_>) -> Check {
    let paid: Vec<&RequestView> = evidence.truth.iter().filter(|request| request.cost.is_some()).collect();
    let mut of_job: HashMap<JobId, usize> = HashMap::new();
    for attempt in paid.iter().filter_map(|request| index.attempt_of(request)) {
        *of_job.entry(attempt.job).or_default() += 1;
    }
    Check::each("every paid run is the one that its job succeeded by", paid, |request| {
        let Some(attempt) = index.attempt_of(request) else {
            return Some(format!("fal charged request {} for no job of ours", request.request_id));
        };
        let job = index.jobs.get(&attempt.job)?;
        if of_job.get(&job.id).copied().unwrap_or_default() > 1 {
            return Some(format!("job {} was paid for more than once", job.id));
        }
        let by_it = job.state == "succeeded" && job.request_id.as_deref() == Some(&request.request_id);
        (!by_it)
            .then(|| format!("request {} was paid for and job {} did not succeed by it", request.request_id, job.id))
    })
}

fn every_charge_is_in_the_ledger(evidence: &Evidence, index: &Index<'_>) -> Check {
    Check::each("every charge of fal stands in the ledger, and no other", &evidence.truth, |request| {
        let attempt = index.attempt_of(request)?;
        let (expected, found) = (i64::from(request.cost.is_some()), attempt.charges);
        (expected != found).then(|| {
            format!("request {} has {found} charges in the ledger, and fal made {expected}", request.request_id)
        })
    })
}

fn every_acknowledged_callback_is_stored(evidence: &Evidence) -> Check {
    let mut stored: HashMap<&str, i64> = HashMap::new();
    for line in evidence.callbacks.iter().filter(|line| line.disposition != "rejected") {
        *stored.entry(line.request_id.as_deref().unwrap_or_default()).or_default() += line.calls;
    }
    let called = evidence.truth.iter().filter_map(|request| {
        let delivered = request.webhook_tries.iter().filter(|tried| tried.delivered()).count();
        (delivered > 0).then_some((request, delivered))
    });
    Check::each("every callback that we answered with 200 is stored", called, |(request, delivered)| {
        let stored = stored.get(request.request_id.as_str()).copied().unwrap_or_default();
        (usize::try_from(stored).unwrap_or_default() < delivered).then(|| {
            format!("request {} was called for {delivered} times, and {stored} are stored", request.request_id)
        })
    })
}

fn every_job_ends_once(evidence: &Evidence) -> Check {
    let over = evidence.jobs.iter().filter(|job| job.finished_at.is_some());
    Check::each("every job told its end once", over, |job| {
        (job.ends != 1).then(|| format!("job {} has {} terminal events", job.id, job.ends))
    })
}
