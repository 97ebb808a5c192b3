//! `falconer completions`.
#![expect(clippy::unwrap_used, reason = "a story's helpers may fail the story")]

use super::{Folder, Said, bare};
use tokio::process::Command;

async fn script(shell: &str) -> String {
    let said = Said::of(bare(&["completions", shell]).output().await.unwrap());
    assert!(said.code == 0 && said.err.is_empty(), "{shell}: {said:#?}");
    said.out
}

#[tokio::test]
async fn bash_completes_verbs_and_flags() {
    let folder = Folder::new();
    let script = folder.file("falconer.bash", &script("bash").await);
    // As bash itself does it: the words, which of them is being written, and the function that was registered.
    let ask = r#"
        source "$1"
        complete -p falconer >&2
        function=$(complete -p falconer | sed 's/.*-F \([^ ]*\).*/\1/')
        offers() { COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMPREPLY=(); "$function" falconer "${!#}" "${COMP_WORDS[COMP_CWORD-1]}"; echo "${COMPREPLY[*]}"; }
        offers falconer jobs su
        offers falconer jobs submit --dry
        offers falconer jobs list -o j
    "#;

    let output = Command::new("bash").args(["--norc", "-c", ask, "bash", &script]).output().await.unwrap();

    let said = Said::of(output);
    assert_eq!(said.code, 0, "{}", said.err);
    assert_eq!(said.out.lines().collect::<Vec<_>>(), ["submit", "--dry-run", "json jsonl"], "{}", said.err);
}

#[tokio::test]
async fn every_shell_gets_a_script_that_names_the_commands() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = script(shell).await;
        assert!(
            script.contains("falconer") && script.contains("callbacks") && script.contains("idempotent"),
            "{shell}"
        );
    }
}
