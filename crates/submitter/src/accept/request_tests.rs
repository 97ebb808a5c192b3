use super::*;

fn broken(body: &str) -> Vec<(String, String)> {
    let errors = JobRequest::parse(body.as_bytes()).unwrap_err().0;
    errors.into_iter().map(|error| (error.field, error.rule)).collect()
}

fn fields(body: &str) -> Vec<String> {
    broken(body).into_iter().map(|(field, _)| field).collect()
}

#[test]
fn the_input_is_kept_byte_for_byte() {
    let body = br#"{"input": {"seed":17454220438242315174,  "b" : 1e1000000}, "model": "fal-ai/flux/dev"}"#;
    let request = JobRequest::parse(body).unwrap();
    assert_eq!(&request.input[..], br#"{"seed":17454220438242315174,  "b" : 1e1000000}"#);
}

#[test]
fn every_broken_field_is_named() {
    let body = r#"{"model": "../x", "input": [], "priority": 11, "run_at": "soon", "tags": [""], "metadata": 1,
        "unique": {"key": "k", "for": "ever"}, "max_attempts": 0, "on_unknown": "x", "tier": "final"}"#;
    assert_eq!(
        fields(body),
        [
            "model",
            "input",
            "priority",
            "run_at",
            "tags",
            "metadata",
            "unique.for",
            "max_attempts",
            "on_unknown",
            "tier"
        ]
    );
}

#[test]
fn what_is_missing_is_named() {
    assert_eq!(fields("{}"), ["model", "input"]);
}

#[test]
fn a_field_that_is_there_twice_is_refused() {
    let errors = broken(r#"{"model": "a/b", "model": "a/c", "input": {}}"#);
    assert!(errors[0].1.contains("`model` is there twice"), "{errors:?}");
}

#[test]
fn a_syntax_error_says_where() {
    let errors = broken("{\"model\": \"a/b\",\n  oops}");
    assert!(errors[0].0 == "body" && errors[0].1.contains("line 2 column 3"), "{errors:?}");
}

#[test]
fn hostile_inputs_are_refused_or_kept_whole() {
    for levels in [100, 20_000] {
        let (open, close) = ("[".repeat(levels), "]".repeat(levels));
        let deep = format!(r#"{{"model":"a/b","input":{{"x":{open}1{close}}}}}"#);
        assert_eq!(fields(&deep), ["input"], "{levels}");
    }
    assert_eq!(fields(r#"{"model":"a/b","input":{},"metadata":{"x":"\u0000"}}"#), ["metadata"]);
    assert_eq!(fields(r#"{"model":"a/b","input":{},"metadata":{"x":1e999}}"#), ["metadata"]);
}

#[test]
fn a_number_of_metadata_is_the_nearest_that_a_float_can_be() {
    // A quick reader takes the neighbour of this one.
    const NUMBER: &str = "122.416294033786585";
    let body = format!(r#"{{"model":"a/b","input":{{}},"metadata":{{"x":{NUMBER}}}}}"#);
    let request = JobRequest::parse(body.as_bytes()).unwrap();
    assert_eq!(request.metadata["x"].as_f64(), NUMBER.parse().ok());
}
