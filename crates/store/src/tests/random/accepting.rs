//! The model's answer to a batch of jobs: keys, unique keys, and what is made.

use super::expect::Answer;
use super::model::{Batch, HeldKey, Job, KEY_LIFE, Model, UNIQUE_FOR, millis};
use super::ops::{No, Spec};
use std::collections::BTreeMap;

impl Model {
    pub(super) fn accept(&mut self, first: No, batch: &Batch) -> Vec<Answer> {
        let jobs: Vec<(No, &Spec)> = (first..).zip(&batch.specs).collect();
        let mut answers: Vec<Answer> = jobs.iter().map(|(no, spec)| self.by_key(*no, spec, &jobs)).collect();
        // Of one batch, the first with a unique key takes it, before any other is answered.
        for (no, spec) in &jobs {
            if let (Some(name), Answer::Created(_)) = (spec.unique, answers[usize::from(no - first)])
                && self.uniques.get(&name).is_none_or(|(_, expires)| *expires <= self.now)
            {
                self.uniques.insert(name, (*no, self.now + millis(UNIQUE_FOR)));
            }
        }
        let mut led = BTreeMap::new();
        for ((no, spec), answer) in jobs.iter().zip(&mut answers) {
            let holder = spec.unique.map(|name| self.uniques.get(&name).map(|(holder, _)| *holder));
            if let (Answer::Created(_), Some(Some(holder))) = (*answer, holder)
                && holder != *no
            {
                *answer = Answer::NotUnique(holder);
                self.reached("a job that was not unique");
                if let Some(held) = spec.key.as_ref().and_then(|key| self.keys.get_mut(&key.name))
                    && held.job == *no
                {
                    held.job = holder;
                    led.insert(*no, holder);
                }
            }
        }
        for answer in &mut answers {
            if let Answer::Replayed(no) | Answer::KeyReused(no) = answer {
                *no = led.get(no).copied().unwrap_or(*no);
            }
        }
        for ((no, spec), answer) in jobs.iter().zip(&answers) {
            if *answer == Answer::Created(*no) && !self.jobs.contains_key(no) {
                let job = self.born(spec, batch.at);
                self.jobs.insert(*no, job);
            }
        }
        answers
    }

    fn by_key(&mut self, no: No, spec: &Spec, batch: &[(No, &Spec)]) -> Answer {
        let Some(key) = &spec.key else { return Answer::Created(no) };
        let first_of_key = batch.iter().find(|(_, other)| other.key.as_ref().is_some_and(|k| k.name == key.name));
        if first_of_key.is_some_and(|(first, _)| *first == no) {
            let outlived = self.keys.get(&key.name).is_some_and(|held| {
                let failed = self.jobs.get(&held.job).is_some_and(|job| job.state == "failed");
                held.expires <= self.now || key.reset && failed
            });
            if outlived {
                self.keys.remove(&key.name);
            }
            let expires = self.now + KEY_LIFE;
            self.keys.entry(key.name).or_insert(HeldKey { body: key.body, job: no, expires });
        }
        let held = &self.keys[&key.name];
        match held.job {
            holder if holder == no => Answer::Created(no),
            holder if held.body == key.body => Answer::Replayed(holder),
            holder => Answer::KeyReused(holder),
        }
    }

    fn born(&self, spec: &Spec, at: i64) -> Job {
        let run_at = spec.delay.map_or(self.now, |delay| at + delay * 1000);
        let waits = run_at > self.now;
        let run_at = run_at.max(self.now);
        Job {
            state: if waits { "scheduled" } else { "queued" },
            version: 1,
            run_at,
            claim_key: run_at - spec.priority * 60_000,
            useful_until: spec.useful.map(|useful| at + useful * 1000),
            on_unknown: spec.on_unknown,
            opened: 0,
            made: 0,
            max: spec.attempts_max,
            cancel_armed: false,
            winner: None,
            failure: None,
            refetched_as: None,
        }
    }
}
