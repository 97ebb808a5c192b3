//! Cursors, query strings and members, without a database.

use crate::{cursor, jobs::list::filter, members::members, query::Query};
use serde_json::{Value, json};
use std::time::Duration;

fn refused(query: Query) -> Vec<String> {
    let Err(problem) = query.finish() else { return Vec::new() };
    let errors = problem.to_json()["errors"].as_array().cloned().unwrap_or_default();
    errors.iter().map(|error| error["field"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_cursor_reads_back_and_nothing_else_does() {
    let id = store::fresh_id();
    assert_eq!(cursor::read(&cursor::write(id)), Some(id));
    for text in ["", "x", "AAAA", &id.to_string(), &format!("{}A", cursor::write(id))] {
        assert_eq!(cursor::read(text), None, "{text}");
    }
}

#[test]
fn a_page_holds_one_to_two_hundred() {
    for (limit, refusals) in [("1", 0), ("200", 0), ("0", 1), ("201", 1), ("-1", 1), ("x", 1), ("", 1)] {
        let mut query = Query::parse(Some(&format!("limit={limit}")));
        query.paging();
        assert_eq!(refused(query).len(), refusals, "{limit}");
    }
}

#[test]
fn parameters_that_nobody_knows_or_that_come_twice_are_refused() {
    let mut query = Query::parse(Some("limit=1&limit=2&colour=red&%00=1"));
    query.paging();
    assert_eq!(refused(query), ["limit", "colour", "\\0"]);
}

#[test]
fn a_duration_is_read_with_and_without_its_unit() {
    let of = |text: &str| Query::parse(Some(&format!("timeout={text}"))).duration("timeout");
    assert_eq!(of("30s"), Some(Duration::from_secs(30)));
    assert_eq!(of("30"), Some(Duration::from_secs(30)));
    assert_eq!(of("500ms"), Some(Duration::from_millis(500)));
    for text in ["", "-1s", "soon", "1e9999"] {
        assert_eq!(of(text), None, "{text}");
    }
}

#[test]
fn metadata_is_asked_for_by_path_or_whole() {
    let mut query = Query::parse(Some("metadata.order.shop=a&metadata.order.n=3&metadata=%7B%22x%22%3A1%7D"));
    let wanted = filter(&mut query).metadata;
    assert_eq!(wanted, Some(json!({"x": 1, "order": {"shop": "a", "n": "3"}})));
    assert_eq!(refused(query), [""; 0]);
    for broken in ["metadata=1", "metadata=%7B%22x%22%3A%22%5Cu0000%22%7D", "metadata.=1", "metadata.a..b=1"] {
        let mut query = Query::parse(Some(broken));
        filter(&mut query);
        assert_eq!(refused(query).len(), 1, "{broken}");
    }
}

#[test]
fn closed_sets_are_closed_in_filters_too() {
    let mut query = Query::parse(Some("state=queued,done&error_class=bad&created_from=yesterday"));
    filter(&mut query);
    assert_eq!(refused(query), ["state", "error_class", "created_from"]);
}

#[test]
fn members_keep_every_byte_of_their_values() {
    let mut read = members(br#" {"a": 1.50 , "b":{ "c":1e400 }} "#).unwrap();
    assert_eq!(read.take("b").unwrap().get(), r#"{ "c":1e400 }"#);
    assert_eq!(read.take("a").unwrap().get(), "1.50");
    assert!(!read.has("a"));
    assert!(members(b"  ").unwrap().0.is_empty());
    let problem = members(b"[1]").err().unwrap().to_json();
    assert_eq!(problem["errors"][0]["field"], Value::from("body"));
}
