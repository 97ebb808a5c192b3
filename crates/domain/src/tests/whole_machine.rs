//! The whole machine on one page, so that a change of any edge shows up as a change of a line.

use crate::table::{attempt_events, attempt_in, attempt_states, job_events, job_states};
use crate::{AttemptEvent, AttemptState, AttemptTransition, JobState, JobTransition, RequestId};
use std::fmt::Write as _;

/// Written for "nothing happens", so that the edges stand out.
const NOTHING: &str = "·";

#[test]
fn every_state_meets_every_event_as_reviewed() {
    let other = RequestId("r-2".to_owned());
    let mut page = String::new();
    page += &titled("attempts whose job is open", &attempts(true, None));
    page += &titled("attempts whose job has ended", &attempts(false, None));
    page += &titled("attempts bound to another request than the event names", &attempts(true, Some(&other)));
    page += &titled("jobs", &jobs());

    insta::assert_snapshot!("whole_machine", page);
}

fn attempts(job_is_open: bool, bound_to: Option<&RequestId>) -> Vec<Vec<String>> {
    let states: Vec<_> = attempt_states().collect();
    let mut rows = vec![header(states.iter().map(AttemptState::as_str))];
    for event in attempt_events().filter(|event| bound_to.is_none() || event.request_id().is_some()) {
        let cells = states.iter().map(|state| {
            let mut attempt = attempt_in(state.clone());
            if bound_to.is_some() {
                attempt.request_id = bound_to.cloned();
            }
            attempt_cell(&attempt.apply(&event, job_is_open))
        });
        rows.push(std::iter::once(full_name(&event)).chain(cells).collect());
    }
    rows
}

fn jobs() -> Vec<Vec<String>> {
    let states: Vec<_> = job_states().collect();
    let mut rows = vec![header(states.iter().map(JobState::as_str))];
    for event in job_events() {
        let cells = states.iter().map(|state| match state.apply(&event) {
            JobTransition::Unchanged => NOTHING.to_owned(),
            JobTransition::CancelArmed => "cancel armed".to_owned(),
            JobTransition::To(JobState::Failed(_)) => "failed (as said)".to_owned(),
            JobTransition::To(next) => next.as_str().to_owned(),
        });
        rows.push(std::iter::once(event.name().to_owned()).chain(cells).collect());
    }
    rows
}

fn attempt_cell(transition: &AttemptTransition) -> String {
    match transition {
        AttemptTransition::Unchanged => NOTHING.to_owned(),
        AttemptTransition::To(state) => in_full(state),
        AttemptTransition::Adopted(state) => format!("adopted, {}", in_full(state)),
        AttemptTransition::SupersededOk => "superseded ok".to_owned(),
        AttemptTransition::Conflict => "conflict".to_owned(),
    }
}

fn in_full(state: &AttemptState) -> String {
    match state {
        AttemptState::Failed(failure) => format!("failed {} {:?}", failure.class, failure.charged),
        AttemptState::Canceled { charged } => format!("canceled {charged:?}"),
        AttemptState::Submitting
        | AttemptState::Unknown
        | AttemptState::Submitted { .. }
        | AttemptState::Succeeded { .. }
        | AttemptState::Abandoned
        | AttemptState::Expired => state.as_str().to_owned(),
    }
}

fn full_name(event: &AttemptEvent) -> String {
    match event {
        AttemptEvent::Refused(failure) | AttemptEvent::ResultError(_, failure) => {
            format!("{} {} {:?}", event.name(), failure.class, failure.charged)
        }
        AttemptEvent::PushedBack { class } => format!("{} {class}", event.name()),
        AttemptEvent::CancelConfirmed(_, charged) => format!("{} {charged:?}", event.name()),
        AttemptEvent::NotSent
        | AttemptEvent::NoAnswer
        | AttemptEvent::LeaseExpired
        | AttemptEvent::GivenUp
        | AttemptEvent::Bound(_)
        | AttemptEvent::ResultOk(_)
        | AttemptEvent::ResultGone(_) => event.name().to_owned(),
    }
}

fn header<'a>(states: impl Iterator<Item = &'a str>) -> Vec<String> {
    std::iter::once("").chain(states).map(str::to_owned).collect()
}

fn titled(title: &str, rows: &[Vec<String>]) -> String {
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<_> = (0..rows[0].len()).map(width).collect();
    let mut text = format!("{title}\n\n");
    for row in rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            write!(line, "{cell:<width$} | ").expect("a string takes everything");
        }
        writeln!(text, "{}", line.trim_end_matches([' ', '|'])).expect("a string takes everything");
    }
    text + "\n"
}
