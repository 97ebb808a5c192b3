//! What the model lets a claim take, and what comes of it.

use super::model::{Attempt, Job, Model, TIMEOUTS, is_open, millis};
use super::ops::{End, No};
use domain::OnUnknown;

impl Model {
    /// Ready jobs in their order, and how many of them may be claimed.
    pub(super) fn claimable(&self, room: u16, places: u16) -> (Vec<No>, usize) {
        let ready = |job: &Job| {
            job.state == "queued" && job.run_at <= self.now && job.useful_until.is_none_or(|until| until > self.now)
        };
        let mut jobs: Vec<No> = self.jobs.iter().filter(|(_, job)| ready(job)).map(|(no, _)| *no).collect();
        jobs.sort_by_key(|no| (self.jobs[no].claim_key, *no));
        let run_deadline = millis(TIMEOUTS.start + TIMEOUTS.run);
        let holds = |attempt: &&Attempt| {
            is_open(attempt.state) && (attempt.state != "unknown" || attempt.claimed_at + run_deadline > self.now)
        };
        let free = usize::from(places).saturating_sub(self.attempts.values().filter(holds).count());
        let count = jobs.len().min(usize::from(room)).min(free);
        (jobs, count)
    }

    pub(super) fn claim(
        &mut self,
        taken: &[(No, No)],
        (ready, count): &(Vec<No>, usize),
        racing: bool,
    ) -> Result<(), String> {
        if taken.len() > *count || !racing && taken.len() < *count {
            return Err(format!("{taken:?} claimed instead of {count} of {ready:?}"));
        }
        for (place, (job, attempt)) in taken.iter().enumerate() {
            let key = |no: &No| self.jobs[no].claim_key;
            if !ready.contains(job) || !racing && key(job) != key(&ready[place]) {
                return Err(format!("{taken:?} claimed of {ready:?}"));
            }
            self.may_pay_again(*job)?;
            self.open(*job, *attempt);
        }
        Ok(())
    }

    /// A second run may be paid for only where the first is known to be over, where it was waited for in vain, where a
    /// person says so, or where the job's policy says so, once.
    fn may_pay_again(&mut self, job: No) -> Result<(), String> {
        let policy = self.jobs[&job].on_unknown;
        let earlier =
            self.attempts.iter().filter(|(_, attempt)| attempt.job == job && !attempt.misled && !attempt.resubmitted);
        let (mut allowed, mut gambles) = (Ok(()), 0);
        for (no, attempt) in earlier {
            let runs = match self.runs.get(no) {
                None | Some(Some(End::Passing | End::Billed | End::Stopped)) => false,
                Some(None | Some(End::Ok(_) | End::Lasting)) => true,
            };
            let waited = self.now - attempt.claimed_at >= millis(TIMEOUTS.abandon_after);
            gambles += usize::from(runs && !waited);
            if runs && !waited && (policy != OnUnknown::Impatient || !attempt.superseded || gambles > 1) {
                allowed = Err(format!("job {job} may be paid for twice: attempt {no} is {}", attempt.state));
            }
        }
        if gambles > 0 {
            self.reached("a second run beside the first");
        }
        allowed
    }

    fn open(&mut self, no: No, attempt: No) {
        let job = self.jobs.get_mut(&no).unwrap();
        job.state = "running";
        job.version += 1;
        job.opened += 1;
        job.made += 1;
        let number = job.opened;
        let made = Attempt {
            job: no,
            number,
            state: "submitting",
            version: 1,
            counted: true,
            superseded: false,
            late_ok: false,
            request_id: None,
            bound_by: None,
            candidate: None,
            cancel_wanted: false,
            failure: None,
            claimed_at: self.now,
            result: None,
            lines: std::collections::BTreeSet::new(),
            reply: None,
            resubmitted: false,
            misled: false,
        };
        self.attempts.insert(attempt, made);
        self.attempts_made = self.attempts_made.max(attempt + 1);
        if number > 1 {
            self.reached("a further attempt");
        }
    }
}
