//! Habits that keep the sources readable and the tests honest.

use super::sources::{File, files};

const LINES_MAX: usize = 500;

/// Lists the ten longest files (`cargo test -p stories --test it longest -- --nocapture`).
#[test]
fn no_file_is_longer_than_five_hundred_lines() {
    let mut lengths: Vec<(usize, String)> =
        all_rust().into_iter().map(|file| (file.text.lines().count(), file.path)).collect();
    lengths.sort_unstable_by(|a, b| b.cmp(a));
    for (lines, path) in lengths.iter().take(10) {
        println!("{lines:5} {path}");
    }

    let too_long: Vec<&(usize, String)> = lengths.iter().filter(|(lines, _)| *lines > LINES_MAX).collect();

    assert!(too_long.is_empty(), "{too_long:?}");
}

#[test]
fn no_test_is_left_out() {
    let ignored: Vec<String> = all_rust()
        .iter()
        .flat_map(|file| lines_with(file, &["#[ignore]", "#[ignore ="]))
        .filter(|line| !line.starts_with("tests/it/architecture/"))
        .collect();

    assert_eq!(ignored, [""; 0]);
}

#[test]
fn stories_wait_for_states_and_never_for_time() {
    let sleeps: Vec<String> = files("tests/it", "rs")
        .iter()
        .flat_map(|file| lines_with(file, &["sleep(", "sleep_until("]))
        .filter(|line| !line.starts_with("tests/it/architecture/"))
        .collect();

    assert_eq!(sleeps, [""; 0]);
}

#[test]
fn every_trait_has_more_than_one_implementation() {
    let sources: Vec<File> = files("crates", "rs").into_iter().filter(|file| !file.is_test()).collect();
    let traits = sources.iter().flat_map(|file| file.text.lines()).filter_map(name_of_trait);

    let lonely: Vec<&str> = traits
        .filter(|name| {
            let implements = |line: &&str| line.trim().starts_with("impl") && line.contains(&format!("{name} for "));
            sources.iter().flat_map(|file| file.text.lines()).filter(implements).count() < 2
        })
        .collect();

    assert_eq!(lonely, [""; 0], "a stranger is faked by a server, not by a trait");
}

/// `pub(crate) trait Name: Bound {` gives `Name`.
fn name_of_trait(line: &str) -> Option<&str> {
    let mut words = line.trim().split(' ').skip_while(|word| word.starts_with("pub"));
    let name = (words.next()? == "trait").then(|| words.next())??;
    name.split([':', '<', '{']).next()
}

fn all_rust() -> Vec<File> {
    [files("crates", "rs"), files("tests", "rs")].concat()
}

fn lines_with(file: &File, needles: &[&str]) -> Vec<String> {
    let lines = file.text.lines().enumerate().filter(|(_, line)| needles.iter().any(|needle| line.contains(needle)));
    lines.map(|(index, line)| format!("{}:{}: {}", file.path, index + 1, line.trim())).collect()
}
