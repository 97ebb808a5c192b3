//! A fal key from standard input or a prompt, never from an argument: those are seen by everybody on the machine, and kept
//! in the shell's history.

use super::super::exit::{Exit, Refusal};
use accounts::FalKey;
use anyhow::{Context, Result};
use secrecy::{
    SecretString,
    zeroize::{Zeroize as _, Zeroizing},
};
use std::io::{IsTerminal as _, Read as _};

/// More is no key, and is not read.
const BYTES_MAX: u64 = 4096;

/// Reads the key: with a prompt that shows nothing where a person sits there, else the whole of standard input.
pub(super) fn read() -> Result<FalKey> {
    let mut text = if std::io::stdin().is_terminal() { prompt()? } else { piped()? };
    let key = SecretString::from(text.trim());
    text.zeroize();
    FalKey::parse(key).map_err(|rule| Refusal::new(Exit::Usage, format!("the key {rule}")).into())
}

fn prompt() -> Result<Zeroizing<String>> {
    eprint!("fal key (id:secret, not shown): ");
    let line = console::Term::stderr().read_secure_line().context("failed to read the key from the terminal")?;
    Ok(Zeroizing::new(line))
}

fn piped() -> Result<Zeroizing<String>> {
    let mut text = Zeroizing::new(String::with_capacity(usize::try_from(BYTES_MAX).unwrap_or_default()));
    let read = std::io::stdin().take(BYTES_MAX).read_to_string(&mut text);
    read.context("failed to read the key from standard input")?;
    Ok(text)
}
