//! Problem answers of the API, as lines for people and an exit code for scripts.

use super::{
    exit::{Exit, Refusal},
    output::clean,
};
use reqwest::StatusCode;
use serde::Deserialize;
use serde_json::{Map, Value};

#[derive(Deserialize)]
struct ProblemJson {
    title: String,
    #[serde(rename = "type")]
    kind: String,
    detail: Option<String>,
    #[serde(default)]
    errors: Vec<FieldError>,
    #[serde(flatten)]
    more: Map<String, Value>,
}

#[derive(Deserialize)]
struct FieldError {
    field: String,
    rule: String,
}

/// What an answer other than 2xx means for the command: its title, then a line for each field and its rule.
pub(crate) fn refusal(base: &str, status: StatusCode, body: &[u8]) -> Refusal {
    let Ok(problem) = serde_json::from_slice::<ProblemJson>(body) else {
        let line = format!("falconer: {base} answered with {status}, and not as a Falconer server does");
        return Refusal::new(Exit::Failed, line);
    };
    let title = format!("{} ({})", problem.title, status.as_u16());
    let mut lines = vec![match &problem.detail {
        Some(detail) => format!("falconer: {title}: {detail}"),
        None => format!("falconer: {title}"),
    }];
    lines.extend(problem.errors.iter().map(|error| format!("{}: {}", error.field, error.rule)));
    lines.extend(problem.more.iter().filter(|(name, _)| *name != "status").map(|(name, value)| match value {
        Value::String(text) => format!("{name}: {text}"),
        other => format!("{name}: {other}"),
    }));
    if problem.kind.starts_with('/') {
        lines.push(format!("more: {base}{}", problem.kind));
    }
    // A route that is not there says nothing of the thing that was asked for.
    let exit = if problem.kind.ends_with("/route-not-found") { Exit::Failed } else { exit_of(status) };
    Refusal { exit, lines: lines.iter().map(|line| clean(line)).collect() }
}

fn exit_of(status: StatusCode) -> Exit {
    match status.as_u16() {
        404 => Exit::NotFound,
        // The server could not, rather than would not.
        408 | 429 => Exit::Failed,
        400..=499 => Exit::Refused,
        _ => Exit::Failed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_is_told_by_field_and_rule() {
        let body = br#"{"type":"/errors/invalid-request","title":"The request is invalid","status":400,
            "errors":[{"field":"input","rule":"must be a JSON object"},{"field":"x\u001b","rule":"no"}]}"#;
        let told = refusal("http://h", StatusCode::BAD_REQUEST, body);
        assert_eq!(told.exit, Exit::Refused);
        assert_eq!(
            told.lines,
            [
                "falconer: The request is invalid (400)",
                "input: must be a JSON object",
                "x\\u{1b}: no",
                "more: http://h/errors/invalid-request"
            ]
        );
    }

    #[test]
    fn what_a_problem_adds_is_told_too() {
        let body = br#"{"type":"about:blank","title":"Too dear","status":402,"estimated":"0.06","max_cost":"0.01"}"#;
        let told = refusal("http://h", StatusCode::PAYMENT_REQUIRED, body);
        assert_eq!(told.lines[1..], ["estimated: 0.06", "max_cost: 0.01"]);
    }

    #[test]
    fn the_exit_code_tells_what_kind_of_no_it_was() {
        for (status, exit) in [(404, 3), (400, 4), (401, 4), (402, 4), (409, 4), (410, 4), (422, 4), (408, 1), (503, 1)]
        {
            let status = StatusCode::from_u16(status).unwrap();
            assert_eq!(exit_of(status).number(), exit, "{status}");
        }
        let of_another_server = refusal("http://h", StatusCode::NOT_FOUND, b"<html>");
        assert_eq!(of_another_server.exit, Exit::Failed);
    }
}
