//! `falconer bench`.

use anyhow::{Result, bail};
use clap::Args;
use std::{path::PathBuf, process::ExitCode};

/// Flags of `falconer bench`.
#[derive(Debug, Args)]
pub(crate) struct BenchArgs {}

impl BenchArgs {
    pub(crate) async fn run(self, _config: Option<PathBuf>) -> Result<ExitCode> {
        bail!("being written")
    }
}
