//! Who runs a command, for the audit log.

use store::audit::By;

/// Names whoever is logged in, as the operating system calls them.
pub(crate) fn by() -> By {
    By::command_line(whoami::username().unwrap_or_else(|_| "unknown".to_owned()))
}
