//! What is printed of many jobs: data on standard output, and for people on standard error what was refused and how many.

use super::{read::Place, upload::Answered};
use crate::commands::{
    client::read,
    exit::{Exit, Refusal},
    jobs::view::{Job, JobError},
    output::{self, Format, clean},
};
use anyhow::Result;
use serde::Deserialize;
use serde_json::{Value, value::RawValue};

/// Refused jobs that are told one by one.
const TOLD_MAX: u64 = 20;

/// Prints items while they come.
pub(super) struct Report {
    format: Format,
    printed: u64,
    /// The only job so far, which is shown as a whole where it stays the only one.
    first: Option<(Place, Box<RawValue>)>,
    refused: u64,
    /// Nobody reads what is printed any more.
    is_unread: bool,
}

#[derive(Deserialize)]
struct Problem {
    title: Option<String>,
    detail: Option<String>,
    #[serde(default)]
    errors: Vec<FieldError>,
}

#[derive(Deserialize)]
struct FieldError {
    field: String,
    rule: String,
}

impl Report {
    pub(super) fn new(format: Format) -> Self {
        Self { format, printed: 0, first: None, refused: 0, is_unread: false }
    }

    /// Prints a job.
    pub(super) fn job(&mut self, index: usize, place: &Place, job: &RawValue) -> Result<()> {
        match self.format {
            Format::Table => {
                if self.printed == 0 {
                    self.first = Some((place.clone(), job.to_owned()));
                } else {
                    self.print_first()?;
                    self.row(place, job)?;
                }
                self.printed += 1;
            }
            Format::Json | Format::Jsonl => self.item(&format!("{{\"index\":{index},\"job\":{}}}", job.get())),
        }
        Ok(())
    }

    /// Prints why a job was not taken, and tells it.
    pub(super) fn refused(&mut self, index: usize, place: &Place, problem: &RawValue) {
        if self.format != Format::Table {
            self.item(&format!("{{\"index\":{index},\"problem\":{}}}", problem.get()));
        }
        for line in rules(problem) {
            self.tell(place, &line);
        }
        self.refused += 1;
    }

    /// Prints what a dry run found in a job.
    pub(super) fn broken(&mut self, index: usize, place: &Place, errors: &[submitter::FieldError]) -> Result<()> {
        if self.format != Format::Table {
            self.item(&format!("{{\"index\":{index},\"errors\":{}}}", serde_json::to_string(errors)?));
        }
        for error in errors {
            self.tell(place, &format!("{}: {}", error.field, error.rule));
        }
        self.refused += 1;
        Ok(())
    }

    /// Ends the document.
    pub(super) fn end(&mut self) -> Result<()> {
        if let Some((_, job)) = self.first.take() {
            let rows = read::<Job>(job.get().as_bytes())?;
            self.print(&output::one(self.format, job.get(), &rows.rows()));
        }
        if self.format == Format::Json {
            self.print(if self.printed == 0 { "{\"items\":[]}\n" } else { "]}\n" });
        }
        if self.refused > TOLD_MAX {
            eprintln!("… and {} more", self.refused - TOLD_MAX);
        }
        Ok(())
    }

    fn tell(&self, place: &Place, line: &str) {
        if self.refused < TOLD_MAX {
            eprintln!("{}: {}", clean(&place.to_string()), clean(line));
        }
    }

    fn print_first(&mut self) -> Result<()> {
        let Some((place, job)) = self.first.take() else { return Ok(()) };
        self.print(&line_of("AT", "ID", "STATE", "MODEL", ""));
        self.row(&place, &job)
    }

    fn row(&mut self, place: &Place, job: &RawValue) -> Result<()> {
        let job: Job = read(job.get().as_bytes())?;
        let why = job.error.as_ref().map(JobError::line).unwrap_or_default();
        self.print(&line_of(&place.to_string(), &job.id, &job.state, job.model(), &why));
        Ok(())
    }

    fn item(&mut self, item: &str) {
        let before = match (self.format, self.printed) {
            (Format::Json, 0) => "{\"items\":[",
            (Format::Json, _) => ",\n",
            (Format::Table | Format::Jsonl, _) => "",
        };
        let after = if self.format == Format::Jsonl { "\n" } else { "" };
        self.print(&format!("{before}{item}{after}"));
        self.printed += 1;
    }

    fn print(&mut self, text: &str) {
        // What was begun goes on where nobody reads any more.
        self.is_unread = self.is_unread || !output::try_print(text);
    }
}

/// The columns stand where they stand, since no row waits for those after it.
fn line_of(place: &str, id: &str, state: &str, model: &str, why: &str) -> String {
    let line = format!("{:<20}  {id:<36}  {state:<9}  {:<28}  {}", clean(place), clean(model), clean(why));
    format!("{}\n", line.trim_end())
}

fn rules(problem: &RawValue) -> Vec<String> {
    let Ok(problem) = serde_json::from_str::<Problem>(problem.get()) else {
        return vec![problem.get().to_owned()];
    };
    if !problem.errors.is_empty() {
        return problem.errors.iter().map(|error| format!("{}: {}", error.field, error.rule)).collect();
    }
    let title = problem.title.unwrap_or_else(|| "refused".to_owned());
    vec![problem.detail.map_or_else(|| title.clone(), |detail| format!("{title}: {detail}"))]
}

/// Counts of a whole submission, and the exit code that they mean.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) accepted: u64,
    pub(super) refused: u64,
    pub(super) succeeded: u64,
    pub(super) failed: u64,
    /// Awaited when the time was up.
    pub(super) open: u64,
}

impl Counts {
    pub(super) fn exit(self) -> Exit {
        match self {
            Self { refused: 1.., .. } => Exit::Refused,
            Self { failed: 1.., .. } => Exit::JobFailed,
            Self { open: 1.., .. } => Exit::TimedOut,
            _ => Exit::Done,
        }
    }
}

/// An id as the API writes it, of a job that it told of.
pub(super) fn id_of(answered: &RawValue) -> Result<String> {
    let job: Value = read(answered.get().as_bytes())?;
    let id = job["id"].as_str().map(str::to_owned);
    id.ok_or_else(|| Refusal::new(Exit::Failed, "falconer: the server told of a job without an id").into())
}

/// A job that was accepted.
#[derive(Debug)]
pub(super) struct Accepted {
    pub(super) index: usize,
    pub(super) place: Place,
    pub(super) id: String,
}

impl Accepted {
    pub(super) fn of(answered: &Answered, job: &RawValue) -> Result<Self> {
        Ok(Self { index: answered.index, place: answered.record.place.clone(), id: id_of(job)? })
    }
}
