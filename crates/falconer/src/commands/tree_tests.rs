//! The whole tree of commands: each has an example that can be typed, and what prints data prints it for programs too.

use crate::cli::Cli;
use clap::{ArgMatches, Command, CommandFactory};

/// Commands that print no data, or text of a form of its own.
const WITHOUT_OUTPUT: [&str; 8] = [
    "falconer serve",
    "falconer migrate",
    "falconer config default",
    "falconer config show",
    "falconer dev",
    "falconer demo",
    "falconer bench",
    "falconer completions",
];

fn walk(command: &Command, path: &str, check: &mut impl FnMut(&str, &Command)) {
    check(path, command);
    for sub in command.get_subcommands().filter(|sub| sub.get_name() != "help") {
        walk(sub, &format!("{path} {}", sub.get_name()), check);
    }
}

/// The commands in the examples of a help, each as it would be typed.
fn examples(help: &str) -> Vec<String> {
    let after = help.split_once("Example:\n").or_else(|| help.split_once("Examples:\n")).map_or("", |(_, after)| after);
    let lines = after.lines().take_while(|line| line.starts_with("  "));
    lines.filter(|line| line.contains("falconer ")).map(|line| line.trim().to_owned()).collect()
}

/// The words of one command, without what belongs to the shell before and after it.
fn words(example: &str) -> Vec<String> {
    let words = shlex::split(example.trim_end_matches(')')).unwrap_or_else(|| panic!("not for a shell: {example}"));
    let own = words.into_iter().skip_while(|word| word != "falconer" && !word.ends_with("$(falconer"));
    own.take_while(|word| !matches!(word.as_str(), ">" | "<" | "|" | "&&")).collect()
}

/// The command that was found in what was typed.
fn path_of(matches: &ArgMatches) -> String {
    match matches.subcommand() {
        Some((name, inner)) => format!(" {name}{}", path_of(inner)),
        None => String::new(),
    }
}

#[test]
fn every_help_has_examples_that_can_be_typed() {
    let tree = Cli::command();
    tree.clone().debug_assert();
    let mut seen = 0;
    walk(&tree, "falconer", &mut |path, command| {
        let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
        let examples = examples(&help);
        assert!(!examples.is_empty(), "{path} has no example: {help}");
        for example in examples {
            let typed = Cli::command().try_get_matches_from(words(&example));
            let matches = typed.unwrap_or_else(|error| panic!("{path}: {example}: {error}"));
            let found = format!("falconer{}", path_of(&matches));
            assert!(found.starts_with(path), "the example of {path} is of {found}: {example}");
            seen += 1;
        }
    });
    assert!(seen > 30, "{seen}");
}

#[test]
fn what_prints_data_prints_it_for_programs_too() {
    let mut missing = Vec::new();
    let mut seen = 0;
    walk(&Cli::command(), "falconer", &mut |path, command| {
        let prints = !command.has_subcommands() && !WITHOUT_OUTPUT.contains(&path);
        if prints {
            let output = command.get_arguments().find(|arg| arg.get_short() == Some('o'));
            let names =
                output.map(|arg| arg.get_possible_values().iter().map(|name| name.get_name().to_owned()).collect());
            if names != Some(["table", "json", "jsonl"].map(str::to_owned).to_vec()) {
                missing.push(path.to_owned());
            }
            seen += 1;
        }
    });
    assert_eq!(missing, [""; 0]);
    assert!(seen > 20, "{seen}");
}
