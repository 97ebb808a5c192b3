//! How a command ends: exit codes that scripts may rely on, and refusals told line by line.

use std::{fmt, process::ExitCode};

/// The codes, as `--help` of every noun tells them.
pub(crate) const CODES: &str = "\
Exit codes: 0 done · 1 failed · 2 wrong usage · 3 not found · 4 refused · 5 the awaited job did not succeed · 6 time is up · 130 interrupted";

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    Done,
    Failed,
    Usage,
    NotFound,
    Refused,
    JobFailed,
    TimedOut,
    Interrupted,
}

impl Exit {
    pub(crate) const fn number(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::NotFound => 3,
            Self::Refused => 4,
            Self::JobFailed => 5,
            Self::TimedOut => 6,
            Self::Interrupted => 130,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.number())
    }
}

/// Why a command ended otherwise than done, where the code says more than 1 does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) exit: Exit,
    /// Written one under the other, without the name of the program before them.
    pub(crate) lines: Vec<String>,
}

impl Refusal {
    pub(crate) fn new(exit: Exit, line: impl Into<String>) -> Self {
        Self { exit, lines: vec![line.into()] }
    }

    /// A flag whose value cannot be used, told as clap tells of those that it checks.
    pub(crate) fn usage(flag: &str, rule: impl fmt::Display) -> Self {
        Self::new(Exit::Usage, format!("{flag}: {rule}"))
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.lines.join("\n"))
    }
}

impl std::error::Error for Refusal {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_help_tells_every_code() {
        let all =
            [Exit::Done, Exit::Failed, Exit::Usage, Exit::NotFound, Exit::Refused, Exit::JobFailed, Exit::TimedOut];
        for (number, exit) in all.into_iter().enumerate() {
            assert_eq!(usize::from(exit.number()), number);
            assert!(CODES.contains(&format!("{number} ")), "{number}");
        }
        assert!(CODES.contains(&format!("{} ", Exit::Interrupted.number())));
    }
}
