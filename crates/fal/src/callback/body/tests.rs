use proptest::prelude::*;

use super::*;

fn parse(text: &str) -> CallbackBody<'_> {
    CallbackBody::parse(text.as_bytes()).unwrap_or_else(|error| panic!("{error:?}: {text}"))
}

#[test]
fn the_bodies_of_fals_page_are_read() {
    let ok = parse(r#"{"request_id":"r","gateway_request_id":"g","status":"OK","payload":{"images":[],"seed":1}}"#);
    assert_eq!((ok.request_id.as_ref(), ok.gateway_request_id.as_deref()), ("r", Some("g")));
    assert_eq!((ok.status, ok.error), (CallbackStatus::Ok, None));
    assert_eq!(ok.payload.unwrap().get(), r#"{"images":[],"seed":1}"#);

    let error =
        parse(r#"{"request_id":"r","status":"ERROR","error":"Invalid status code: 422","payload":{"detail":[]}}"#);
    assert_eq!((error.status, error.error.as_deref()), (CallbackStatus::Error, Some("Invalid status code: 422")));
    assert_eq!(error.payload.unwrap().get(), r#"{"detail":[]}"#);

    let lost = parse(r#"{"request_id":"r","status":"OK","payload":null,"payload_error":"not JSON serializable"}"#);
    assert!(lost.payload.is_none());
    assert_eq!(lost.payload_error.as_deref(), Some("not JSON serializable"));
}

#[test]
fn unknown_words_and_fields_and_odd_types_are_borne() {
    let odd = parse(
        r#"{"new":{"a":[1]},"request_id":"r","gateway_request_id":null,"status":"LATER","error":{"a":1},"payload_error":7}"#,
    );
    assert_eq!(odd.status, CallbackStatus::Other("LATER".to_owned()));
    assert_eq!((odd.error.as_deref(), odd.payload_error.as_deref()), (Some(r#"{"a":1}"#), Some("7")));
    assert!(odd.payload.is_none() && odd.gateway_request_id.is_none());
    let surrogate = parse(r#"{"request_id":"r","status":"ERROR","error":"\ud800","payload":"\ud800"}"#);
    assert_eq!(surrogate.payload.unwrap().get(), r#""\ud800""#);
}

/// The corpus of F49 and F50: what no store could take as jsonb passes through as bytes.
#[test]
fn the_payload_is_the_very_slice_that_came() {
    let bomb = format!("[{}]", vec!["1e131071"; 1000].join(","));
    for payload in [
        "{\"seed\":17454220438242315174}",
        "{\"n\":99999999999999999999999.10}",
        "[1e1000000]",
        bomb.as_str(),
        "\"\\u0000\"",
        "\"\\ud800\"",
        "{\"a\":1,\"a\":2}",
        "{ \"a\" :\t1 ,\n\"b\": [ ] }",
        "0.10",
        "false",
        "\"é\"",
    ] {
        let body = format!("{{ \"status\": \"OK\", \"payload\" : \n{payload} , \"request_id\": \"r\" }}\n");
        assert_eq!(parse(&body).payload.unwrap().get(), payload);
    }
}

#[test]
fn what_is_no_callback_is_refused() {
    for text in [
        "",
        "null",
        "[]",
        "{}",
        "7",
        r#"{"request_id":"r"}"#,
        r#"{"status":"OK"}"#,
        r#"{"request_id":7,"status":"OK"}"#,
        r#"{"request_id":"r","status":null}"#,
        r#"{"request_id":"r","status":"OK"} x"#,
        r#"{"request_id":"r","status":"OK","#,
        r#"{"request_id":"r","status":"OK","payload":{"a":}}"#,
        r#"{"request_id":"r","request_id":"r","status":"OK"}"#,
        r#"{"request_id":"r","status":"OK","payload":1,"payload":1}"#,
        r#"{"request_id":"r","status":"OK","x":1,"x":1}"#,
        r#"{"request_id":"r","status":"OK","statu\u0073":"OK"}"#,
    ] {
        assert!(matches!(CallbackBody::parse(text.as_bytes()), Err(BodyError::Malformed(_))), "{text}");
    }
    let latin = b"{\"request_id\":\"r\",\"status\":\"OK\",\"payload\":\"\xe9\"}";
    assert!(matches!(CallbackBody::parse(latin), Err(BodyError::NotUtf8)));
}

#[test]
fn nesting_is_bounded_and_brackets_in_strings_do_not_count() {
    let nested = |levels: usize| {
        let payload = format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        format!(r#"{{"request_id":"r","status":"OK","payload":{payload}}}"#)
    };
    assert!(CallbackBody::parse(nested(CALLBACK_DEPTH_MAX - 1).as_bytes()).is_ok());
    for levels in [CALLBACK_DEPTH_MAX, 500, 20_000] {
        assert!(matches!(CallbackBody::parse(nested(levels).as_bytes()), Err(BodyError::TooDeep)), "{levels}");
    }
    let text = r#"{"request_id":"r","status":"OK","payload":"[[\"\\["#.to_owned() + &"[".repeat(200) + r#""}"#;
    assert!(CallbackBody::parse(text.as_bytes()).is_ok());
}

proptest! {
    #[test]
    fn any_integer_survives_byte_for_byte(digits in "-?[1-9][0-9]{0,60}", space in "[ \n\t]{0,3}") {
        let body = format!(r#"{{"request_id":"r","status":"OK","payload":{space}{digits}{space}}}"#);
        prop_assert_eq!(parse(&body).payload.unwrap().get(), digits);
    }

    #[test]
    fn no_bytes_make_the_parser_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = CallbackBody::parse(&bytes);
    }
}
