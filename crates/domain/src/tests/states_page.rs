//! The diagrams in `docs/states.md` are drawn from the code. `UPDATE_DOCS=1` draws them anew.

use crate::table::{Edge, attempt_edges, attempt_entries, attempt_states, job_edges, job_entries, job_states};
use crate::{AttemptState, JobState};
use std::fmt::Write as _;

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/states.md");

#[test]
fn the_page_of_states_shows_the_machine_as_it_is() {
    let job_ends = job_states().filter(JobState::is_terminal).map(|state| state.as_str());
    let attempt_ends = attempt_states().filter(AttemptState::is_terminal).map(|state| state.as_str());
    let page = std::fs::read_to_string(PAGE).expect("the page is part of the repository");

    let drawn = redrawn(&page, "jobs", &diagram(&job_entries(), &job_edges(), job_ends));
    let drawn = redrawn(&drawn, "attempts", &diagram(&attempt_entries(), &attempt_edges(), attempt_ends));

    if wants_update() {
        std::fs::write(PAGE, &drawn).expect("the page can be written");
    } else {
        assert!(page == drawn, "docs/states.md is behind the code: run this test with UPDATE_DOCS=1");
    }
}

#[test]
fn the_page_tells_of_every_state() {
    let page = std::fs::read_to_string(PAGE).expect("the page is part of the repository");
    let names = job_states().map(|state| state.as_str()).chain(attempt_states().map(|state| state.as_str()));
    for name in names {
        assert!(page.contains(&format!("| `{name}` |")), "no row tells of {name}");
    }
}

/// Draws one arrow for every pair of states, with the events that lead along it.
fn diagram(entries: &[&'static str], edges: &[Edge], ends: impl Iterator<Item = &'static str>) -> String {
    let mut arrows: Vec<(&str, &str, Vec<String>)> = Vec::new();
    for edge in edges {
        let label = if edge.needs_open_job { format!("{}, job open", edge.event) } else { edge.event.to_owned() };
        match arrows.iter_mut().find(|(from, to, _)| (*from, *to) == (edge.from, edge.to)) {
            Some((_, _, labels)) => labels.push(label),
            None => arrows.push((edge.from, edge.to, vec![label])),
        }
    }
    let mut text = "```mermaid\nstateDiagram-v2\n".to_owned();
    for entry in entries {
        writeln!(text, "    [*] --> {entry}").expect("a string takes everything");
    }
    for (from, to, labels) in arrows {
        writeln!(text, "    {from} --> {to}: {}", labels.join("<br/>")).expect("a string takes everything");
    }
    for end in ends {
        writeln!(text, "    {end} --> [*]").expect("a string takes everything");
    }
    text + "```"
}

/// Returns the page with everything between the marks of `part` replaced.
fn redrawn(page: &str, part: &str, drawing: &str) -> String {
    let (begin, end) = (format!("<!-- drawn from the code: {part} -->"), format!("<!-- end: {part} -->"));
    let (before, rest) = page.split_once(&begin).expect("the page marks where a drawing begins");
    let (_, after) = rest.split_once(&end).expect("the page marks where a drawing ends");
    format!("{before}{begin}\n{drawing}\n{end}{after}")
}

#[expect(clippy::disallowed_methods, reason = "how a test is run, not a setting of the program")]
fn wants_update() -> bool {
    std::env::var_os("UPDATE_DOCS").is_some_and(|value| value == "1")
}
