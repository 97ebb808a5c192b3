//! `falconer demo`.

use anyhow::{Result, bail};
use clap::Args;
use std::{path::PathBuf, process::ExitCode};

/// Flags of `falconer demo`.
#[derive(Debug, Args)]
pub(crate) struct DemoArgs {}

impl DemoArgs {
    pub(crate) async fn run(self, _config: Option<PathBuf>) -> Result<ExitCode> {
        bail!("being written")
    }
}
