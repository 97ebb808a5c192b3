//! The store's part of a step: who may speak, and what is written beside what `domain` decides.
//!
//! Follows `store::settle` (`decide`, `callback`, `carry`) and `claim.sql` rule by rule; what becomes of an attempt and
//! its job is left to [`domain::Lifecycle`] itself. Each function here is one transaction.

use crate::{
    db::{AROUND, Db, Row, attempt_id, request},
    setup::Broken,
};
use domain::{
    Attempt, AttemptEvent, AttemptState, Charged, JobEvent, JobState, JobTransition, Late, Recorded, Resolution,
};

/// Who may say so: see `store::settle::Guard`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Guard {
    Evidence,
    Lease { fence: u8 },
    Version(i32),
}

/// What somebody learnt or decided about an attempt.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct News {
    pub attempt: u8,
    /// Nothing stands for the further attempt of the impatient.
    pub event: Option<AttemptEvent>,
    pub guard: Guard,
}

impl News {
    pub fn evidence(attempt: u8, event: AttemptEvent) -> Self {
        Self { attempt, event: Some(event), guard: Guard::Evidence }
    }
}

/// Commits an attempt for the job, if it is queued. Answers with the attempt and its fence.
pub fn claim(db: &mut Db) -> Option<(u8, u8)> {
    let JobTransition::To(state) = db.job().state.apply(&JobEvent::Claimed) else {
        return None;
    };
    Some(open_attempt(db, state))
}

/// Opens an attempt whatever the state of the job: what is left of a claim that does not look.
pub(crate) fn open_attempt(db: &mut Db, state: JobState) -> (u8, u8) {
    let index = u8::try_from(db.rows.len()).expect("a model has few attempts");
    let fence = index + 1;
    let life = &mut db.life.0;
    life.job.state = state;
    life.job.attempts_made += 1;
    life.job.version += 1;
    life.attempts.push(Attempt {
        id: attempt_id(index),
        number: u16::from(index) + 1,
        state: AttemptState::Submitting,
        counted: true,
        superseded: false,
        request_id: None,
        version: 1,
    });
    db.rows.push(Row { fence, ..Row::default() });
    (index, fence)
}

/// Applies news of an attempt, if whoever brings them may. Answers whether anything changed.
pub fn settle(db: &mut Db, broken: Option<Broken>, news: &News) -> bool {
    let index = usize::from(news.attempt);
    let attempt = &db.life.0.attempts[index];
    let may_speak = match news.guard {
        Guard::Evidence => true,
        Guard::Lease { fence } => db.is_submitting(news.attempt) && db.rows[index].fence == fence,
        Guard::Version(version) => attempt.version == version && !attempt.state.is_terminal(),
    };
    if !may_speak && broken != Some(Broken::NoFence) {
        return false;
    }
    let bound_elsewhere = |id: &domain::RequestId| {
        db.attempts().iter().any(|other| other.id != attempt.id && other.request_id.as_ref() == Some(id))
    };
    if news.event.as_ref().and_then(AttemptEvent::request_id).is_some_and(bound_elsewhere) {
        return false;
    }
    let before = attempt.state.clone();
    let recorded_life = db.life.clone();
    mislead(db, broken, news, may_speak);
    let life = &mut db.life.0;
    let id = life.attempts[index].id;
    let recorded = match &news.event {
        Some(event) => life.record(id, event, &AROUND),
        None => life.supersede_unknown(id, &AROUND),
    };
    if !recorded.attempt_changed {
        db.life = recorded_life;
    }
    let changed = carry(db, broken, index, news, &recorded);
    if changed && !may_speak && before != db.attempts()[index].state {
        db.overwritten = true;
    }
    changed
}

/// Records a wish for the job's end.
pub fn cancel(db: &mut Db, broken: Option<Broken>) {
    let recorded = db.life.0.record_job(&JobEvent::CancelRequested);
    if broken == Some(Broken::CancelDoesNotWait) && db.job().state == JobState::Running {
        db.life.0.job.state = JobState::Canceled;
        db.life.0.job.version += 1;
        write_others(db, &recorded);
        db.ends.push("canceled");
        return;
    }
    write_others(db, &recorded);
    if recorded.job_changed && db.job().state.is_terminal() {
        db.ends.push(db.job().state.as_str());
    }
}

/// Records what a person says of the attempt of which nobody knows what became.
pub fn resolve(db: &mut Db, how: Resolution) -> bool {
    let Ok((id, recorded)) = db.life.0.resolve(how, &AROUND) else {
        return false;
    };
    let index = db.attempts().iter().position(|attempt| attempt.id == id).expect("domain names one of its attempts");
    let state = db.attempts()[index].state.clone();
    add_ledger_line(&mut db.rows[index], &state, false);
    if recorded.job_changed && db.job().state.is_terminal() {
        db.ends.push(db.job().state.as_str());
    }
    write_others(db, &recorded);
    true
}

/// Shows `domain` something else than what is recorded, as a store with this mistake would.
fn mislead(db: &mut Db, broken: Option<Broken>, news: &News, may_speak: bool) {
    let life = &mut db.life.0;
    let attempt = &mut life.attempts[usize::from(news.attempt)];
    let job_has_ended = life.job.state.is_terminal();
    let late_ok = job_has_ended && matches!(news.event, Some(AttemptEvent::ResultOk(_)));
    match broken {
        Some(Broken::NoFence) if !may_speak => attempt.state = AttemptState::Submitting,
        Some(Broken::NoStateGuard) if attempt.state.is_terminal() => attempt.state = AttemptState::Submitting,
        Some(Broken::LateResultReopens) if late_ok && !matches!(attempt.state, AttemptState::Succeeded { .. }) => {}
        _ => return,
    }
    if job_has_ended {
        life.job.state = JobState::Running;
    }
}

/// Writes beside the decision: bindings are in the attempts themselves, so history, result and money are left.
fn carry(db: &mut Db, broken: Option<Broken>, index: usize, news: &News, recorded: &Recorded) -> bool {
    let late = recorded.late == Some(Late::SupersededOk);
    let noted = !recorded.attempt_changed && late && !db.rows[index].superseded_ok;
    if !(recorded.attempt_changed || noted) {
        return false;
    }
    if late && broken == Some(Broken::LateResultIsDropped) {
        return recorded.attempt_changed;
    }
    let state = db.attempts()[index].state.clone();
    let row = &mut db.rows[index];
    row.superseded_ok |= late;
    row.result |=
        matches!(state, AttemptState::Succeeded { .. }) && matches!(news.event, Some(AttemptEvent::ResultOk(_)));
    add_ledger_line(row, &state, late);
    if recorded.job_changed && db.job().state.is_terminal() {
        db.ends.push(db.job().state.as_str());
    }
    write_others(db, recorded);
    true
}

fn write_others(db: &mut Db, recorded: &Recorded) {
    for (attempt, row) in db.life.0.attempts.iter().zip(&mut db.rows) {
        row.cancel_wanted |= recorded.cancel_at_fal.contains(&attempt.id) && !attempt.state.is_terminal();
    }
}

/// The line of money for an attempt that ended, where fal bills it or may.
fn add_ledger_line(row: &mut Row, state: &AttemptState, late: bool) {
    let charged = match state {
        AttemptState::Failed(failure) => Some(failure.charged),
        AttemptState::Canceled { charged } => Some(*charged),
        AttemptState::Abandoned => Some(Charged::Perhaps),
        AttemptState::Expired => Some(Charged::Yes),
        AttemptState::Submitting
        | AttemptState::Unknown
        | AttemptState::Submitted { .. }
        | AttemptState::Succeeded { .. } => None,
    };
    match (state, charged) {
        (_, Some(Charged::Yes)) => row.ledger.charge = true,
        _ if late => row.ledger.superseded_charge = true,
        (AttemptState::Succeeded { .. }, _) => row.ledger.charge = true,
        (_, Some(Charged::Perhaps)) => row.ledger.possible_charge = true,
        (_, Some(Charged::No) | None) => {}
    }
}

/// What a callback says.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Said {
    Event(AttemptEvent),
    /// Genuine, and too old to be believed at once: it binds, and fal is asked.
    TooOld,
}

/// Judges a genuine callback that names `run` and was sent to the URL of `attempt`.
pub fn callback(db: &mut Db, broken: Option<Broken>, pinned: bool, attempt: u8, run: u8, said: &Said) {
    let holder = db.holder(run);
    let attempt = match (broken, holder) {
        (Some(Broken::BindsByRequestIdAlone), Some(holder)) => holder,
        (Some(Broken::BindsByRequestIdAlone), None) => return,
        _ => attempt,
    };
    match db.bound_to(attempt) {
        Some(bound) if bound != run => return,
        Some(_) => {}
        None if holder.is_some_and(|holder| holder != attempt) => return,
        None if !pinned => {
            db.rows[usize::from(attempt)].candidate = Some(run);
            return;
        }
        None => {}
    }
    let event = match said {
        Said::Event(event) => event.clone(),
        Said::TooOld => AttemptEvent::Bound(request(run)),
    };
    settle(db, broken, &News::evidence(attempt, event));
}
