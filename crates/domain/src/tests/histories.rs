//! Random histories: whatever is repeated, reordered or invented, these hold after every step.

use super::steps::{Step, accepted_job, after_each_step, history};
use crate::lifecycle::{Late, Recorded};
use crate::{Attempt, AttemptEvent, AttemptState, JobState, Lifecycle, OnUnknown};
use proptest::prelude::*;

fn live(lifecycle: &Lifecycle) -> usize {
    lifecycle.attempts.iter().filter(|attempt| !attempt.state.is_terminal() && !attempt.superseded).count()
}

/// The attempts that were there before, each with itself afterwards.
fn pairs<'a>(before: &'a Lifecycle, after: &'a Lifecycle) -> impl Iterator<Item = (&'a Attempt, &'a Attempt)> {
    before.attempts.iter().zip(&after.attempts)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_first_terminal_state_of_a_job_stands(job in accepted_job(), history in history()) {
        after_each_step(job, &history, |_, before, after, recorded| {
            if before.job.state.is_terminal() {
                prop_assert_eq!(&after.job, &before.job);
                prop_assert!(!recorded.job_changed);
                prop_assert_ne!(recorded.late, Some(Late::Adopted));
            }
            Ok(())
        })?;
    }

    #[test]
    fn a_running_job_has_one_live_attempt_and_any_other_has_none(job in accepted_job(), history in history()) {
        after_each_step(job, &history, |_, _, after, _| {
            prop_assert_eq!(live(after), usize::from(after.job.state == JobState::Running));
            Ok(())
        })?;
    }

    #[test]
    fn attempts_made_are_the_counted_ones_and_never_too_many(job in accepted_job(), history in history()) {
        after_each_step(job, &history, |_, _, after, _| {
            let counted = after.attempts.iter().filter(|attempt| attempt.counted).count();
            prop_assert_eq!(usize::from(after.job.attempts_made), counted);
            prop_assert!(after.job.attempts_made <= after.job.attempts_max);
            Ok(())
        })?;
    }

    #[test]
    fn a_version_rises_by_one_with_every_change_and_never_otherwise(job in accepted_job(), history in history()) {
        after_each_step(job, &history, |step, before, after, recorded| {
            for (was, is) in pairs(before, after) {
                let changed = was != is;
                prop_assert_eq!(is.version, was.version + i32::from(changed));
                let given_up = matches!(step, Step::Resolve(_)) && is.state != was.state;
                if step.number() == Some(is.number) {
                    prop_assert_eq!(recorded.attempt_changed, changed);
                } else if given_up {
                    prop_assert_eq!((&was.state, &is.state), (&AttemptState::Unknown, &AttemptState::Abandoned));
                } else if changed {
                    let superseded = Attempt { superseded: true, version: was.version + 1, ..was.clone() };
                    prop_assert_eq!(is, &superseded, "an event changes only its own attempt");
                }
            }
            prop_assert_eq!(recorded.job_changed, before.job != after.job);
            let steps = after.job.version - before.job.version;
            // A count taken back rides on the change of state that comes with it.
            prop_assert_eq!(steps, i32::from(recorded.job_changed));
            Ok(())
        })?;
    }

    #[test]
    fn a_succeeded_job_has_a_succeeded_attempt(job in accepted_job(), history in history()) {
        after_each_step(job, &history, |_, _, after, _| {
            let result = after.attempts.iter().any(|attempt| matches!(attempt.state, AttemptState::Succeeded { .. }));
            prop_assert!(after.job.state != JobState::Succeeded || result);
            Ok(())
        })?;
    }

    #[test]
    fn a_good_result_is_refused_only_as_a_conflict(job in accepted_job(), history in history()) {
        after_each_step(job, &history, |step, before, after, recorded| {
            if let Step::Attempt(number, AttemptEvent::ResultOk(_)) = step
                && usize::from(*number) <= before.attempts.len()
                && !recorded.conflict
            {
                prop_assert!(after.job.state.is_terminal());
                prop_assert!(before.job.state.is_terminal() || after.job.state == JobState::Succeeded);
            }
            Ok(())
        })?;
    }

    #[test]
    fn nothing_is_abandoned_over_the_operators_head(job in accepted_job(), history in history()) {
        after_each_step(job, &history, |step, before, after, _| {
            let asked = matches!(step, Step::Resolve(_));
            for (was, is) in pairs(before, after) {
                let given_up = was.state != is.state && is.state == AttemptState::Abandoned;
                let waits = after.job.on_unknown == OnUnknown::Operator && !before.job.state.is_terminal();
                prop_assert!(asked || !(given_up && waits));
            }
            Ok(())
        })?;
    }

    #[test]
    fn only_the_impatient_supersede_and_only_once(job in accepted_job(), history in history()) {
        after_each_step(job, &history, |_, _, after, _| {
            let superseded = after.attempts.iter().filter(|attempt| attempt.superseded).count();
            let at_most = usize::from(after.job.on_unknown == OnUnknown::Impatient);
            prop_assert!(after.job.state.is_terminal() || superseded <= at_most);
            Ok(())
        })?;
    }

    #[test]
    fn a_conflict_changes_nothing(job in accepted_job(), history in history()) {
        after_each_step(job, &history, |_, before, after, recorded| {
            if recorded.conflict {
                prop_assert_eq!(before, after);
                prop_assert_eq!(recorded, &Recorded { conflict: true, ..Recorded::default() });
            }
            Ok(())
        })?;
    }

    #[test]
    fn a_name_given_by_fal_stands(job in accepted_job(), history in history()) {
        after_each_step(job, &history, |step, before, after, recorded| {
            for (was, is) in pairs(before, after) {
                prop_assert!(was.request_id.is_none() || was.request_id == is.request_id);
                if let AttemptState::Submitted { request_id } | AttemptState::Succeeded { request_id } = &is.state {
                    prop_assert_eq!(Some(request_id), is.request_id.as_ref());
                }
                let told = step.is_evidence() && step.number() == Some(is.number) && !recorded.conflict;
                prop_assert!(!told || is.request_id.is_some());
            }
            Ok(())
        })?;
    }

    #[test]
    fn the_same_step_twice_changes_nothing(job in accepted_job(), history in history()) {
        after_each_step(job, &history, |step, _, after, _| {
            let mut again = after.clone();
            let recorded = step.run(&mut again);
            prop_assert_eq!(&again, after);
            prop_assert!(!recorded.attempt_changed && !recorded.job_changed);
            Ok(())
        })?;
    }

    #[test]
    fn all_evidence_once_more_changes_nothing(job in accepted_job(), history in history()) {
        let mut lifecycle = job;
        let mut told = Vec::new();
        for step in &history {
            let known = step.number().is_some_and(|number| usize::from(number) <= lifecycle.attempts.len());
            if known && step.is_evidence() {
                told.push(step);
            }
            step.run(&mut lifecycle);
        }
        let before = lifecycle.clone();
        for step in told {
            step.run(&mut lifecycle);
        }
        prop_assert_eq!(lifecycle, before);
    }

    #[test]
    fn an_armed_cancel_leads_to_no_further_attempt(job in accepted_job(), history in history()) {
        after_each_step(job, &history, |_, before, after, _| {
            if before.job.cancel_armed {
                prop_assert_eq!(before.attempts.len(), after.attempts.len());
                prop_assert_ne!(after.job.state.as_str(), "queued");
            }
            Ok(())
        })?;
    }

    #[test]
    fn decisions_never_change_a_terminal_attempt(job in accepted_job(), history in history()) {
        after_each_step(job, &history, |step, before, after, _| {
            for (was, is) in pairs(before, after) {
                if was.state.is_terminal() && !step.is_evidence() {
                    prop_assert_eq!(was, is);
                }
            }
            Ok(())
        })?;
    }

    #[test]
    fn what_nobody_waits_for_is_stopped(job in accepted_job(), history in history()) {
        after_each_step(job, &history, |_, before, after, recorded| {
            let is_open = |attempt: &Attempt| !attempt.state.is_terminal();
            for stopped in &recorded.cancel_at_fal {
                prop_assert!(after.attempts.iter().any(|attempt| attempt.id == *stopped && is_open(attempt)));
            }
            let unwanted = after.job.state.is_terminal() || after.job.cancel_armed;
            for (was, is) in pairs(before, after).filter(|(_, is)| is_open(is) && unwanted) {
                let became_so = was.superseded != is.superseded || before.job.cancel_armed != after.job.cancel_armed;
                let named = was.request_id != is.request_id;
                prop_assert!(!(became_so || named) || recorded.cancel_at_fal.contains(&is.id));
            }
            Ok(())
        })?;
    }
}
