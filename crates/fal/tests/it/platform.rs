//! History, billing events and prices.

use chrono::{DateTime, Utc};
use fal::EndpointId;
use fal::client::{BillingOutcome, HistoryOutcome, ListingOutcome, PricesError};

use crate::server::{Server, answer};
use crate::{client, model};

fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(seconds, 0).unwrap()
}

#[tokio::test]
async fn history_is_asked_by_the_whole_id_and_keeps_inputs_as_they_are() {
    let page = r#"{"items":[
        {"request_id":"7-a","endpoint_id":"fal-ai/flux/dev","sent_at":"2026-01-01T00:00:00Z","started_at":null,
         "status_code":200,"duration":1.5,"json_input":{"seed": 17454220438242315174}},
        {"odd":true},
        {"request_id":"7-b","endpoint_id":"fal-ai/flux/dev"}],"next_cursor":"c2","has_more":true}"#;
    let server = Server::always(200, &[], page).await;
    let outcome = client(&server).history(&model(), at(0), at(60), Some("c1")).await;
    let HistoryOutcome::Page { items, next_cursor } = outcome else {
        panic!("{outcome:?}");
    };
    assert_eq!(next_cursor.as_deref(), Some("c2"));
    let [first, second] = items.try_into().unwrap();
    assert_eq!((first.request_id.as_str(), first.status_code), ("7-a", Some(200)));
    assert_eq!((first.sent_at, first.started_at), (Some(at(1_767_225_600)), None));
    assert_eq!(first.json_input.unwrap().get(), r#"{"seed": 17454220438242315174}"#);
    assert_eq!((second.request_id.as_str(), second.sent_at), ("7-b", None));
    assert_eq!(
        server.seen()[0].target,
        "/v1/models/requests/by-endpoint?endpoint_id=fal-ai%2Fflux%2Fdev&expand=payloads&limit=100\
         &start=1970-01-01T00%3A00%3A00.000Z&end=1970-01-01T00%3A01%3A00.000Z&cursor=c1",
    );
}

#[tokio::test]
async fn a_listing_that_is_refused_is_told_apart_from_one_that_is_down() {
    let error = r#"{"error":{"type":"authorization_error","message":"wrong scope"}}"#;
    for status in [403, 404] {
        let server = Server::start(move |_| answer(status, &[], error)).await;
        let outcome = client(&server).history(&model(), at(0), at(60), None).await;
        let ListingOutcome::Refused { status: told, message } = outcome else {
            panic!("{outcome:?}");
        };
        assert_eq!(told, status);
        assert!(message.contains("wrong scope"));
    }
    for (status, body) in [(401, ""), (429, ""), (500, ""), (302, ""), (200, "<html>"), (200, "{}")] {
        let server = Server::start(move |_| answer(status, &[], body)).await;
        let outcome = client(&server).history(&model(), at(0), at(60), None).await;
        assert!(matches!(outcome, HistoryOutcome::Unavailable { .. }), "{status} {body}");
    }
}

#[tokio::test]
async fn billing_amounts_keep_their_digits() {
    let page = r#"{"items":[{"request_id":"7-a","endpoint_id":"fal-ai/flux/dev","timestamp":"2026-01-01T00:00:00Z",
        "quantity":1.1,"unit":"megapixels","unit_price":0.0250,"cost":0.0275,"currency":"USD"}],
        "next_cursor":"left over","has_more":false}"#;
    let server = Server::always(200, &[], page).await;
    let outcome = client(&server).billing_events(at(0), at(60), None).await;
    let BillingOutcome::Page { items, next_cursor: None } = outcome else {
        panic!("{outcome:?}");
    };
    assert_eq!(items[0].cost.to_string(), "0.0275");
    assert_eq!(items[0].unit_price.to_string(), "0.0250");
    assert!(server.seen()[0].target.starts_with("/v1/models/billing-events?start="));
}

#[tokio::test]
async fn prices_are_asked_fifty_at_a_time_and_unknown_models_are_left_out() {
    let server = Server::start(|seen| {
        if seen.target.contains("m50") {
            return answer(404, &[], r#"{"error":{"type":"not_found","message":"no such endpoint"}}"#);
        }
        let (_, list) = seen.target.split_once("endpoint_id=").unwrap();
        let price = |id: &str| {
            let id = id.replace("%2F", "/");
            format!(r#"{{"endpoint_id":"{id}","unit_price":0.025,"unit":"image","currency":"USD"}}"#)
        };
        let prices: Vec<String> = list.split("%2C").map(price).collect();
        answer(200, &[], &format!(r#"{{"prices":[{}],"next_cursor":null,"has_more":false}}"#, prices.join(",")))
    })
    .await;
    let ids: Vec<EndpointId> = (0..52).map(|n| EndpointId::parse(&format!("a/m{n}")).unwrap()).collect();
    let prices = client(&server).prices(&ids).await.unwrap();
    assert_eq!(prices.len(), 51);
    assert!(prices.iter().all(|price| price.unit_price.to_string() == "0.025" && price.unit == "image"));
    assert_eq!(server.seen().len(), 4, "fifty, then two, then each of the two");
}

#[tokio::test]
async fn prices_that_cannot_be_had_are_an_error() {
    let server = Server::always(403, &[], "").await;
    let outcome = client(&server).prices(&[model()]).await;
    assert!(matches!(outcome, Err(PricesError::Refused { status: 403, .. })));
    let server = Server::always(500, &[], "").await;
    assert!(matches!(client(&server).prices(&[model()]).await, Err(PricesError::Unavailable { .. })));
    assert_eq!(client(&server).prices(&[]).await, Ok(Vec::new()));
}
