//! `falconer completions`: a script that lets a shell complete commands and flags.

use super::{exit::Exit, output};
use crate::cli::Cli;
use clap::{Args, CommandFactory};
use clap_complete::Shell;

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  falconer completions bash > ~/.local/share/bash-completion/completions/falconer\n  \
    falconer completions zsh > \"${fpath[1]}/_falconer\"\n  \
    falconer completions fish > ~/.config/fish/completions/falconer.fish"
)]
pub(crate) struct CompletionsArgs {
    /// Whose script
    shell: Shell,
}

impl CompletionsArgs {
    pub(crate) fn run(self) -> Exit {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), "falconer", &mut script);
        output::print(&String::from_utf8_lossy(&script));
        Exit::Done
    }
}
