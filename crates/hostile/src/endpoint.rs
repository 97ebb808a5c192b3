//! Endpoint ids, request ids and the URLs that are built from them: our key goes to the configured host and nowhere else.

use fal::{EndpointId, client::queue_urls, endpoint_id::ENDPOINT_ID_MAX, request_id::is_usable_request_id};
use url::Url;

/// Reads the first line as an endpoint id and the second as a request id, then builds every URL of the queue.
pub fn endpoint_url(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let (name, request_id) = text.split_once('\n').unwrap_or((text, "7-a"));
    a_returned_url_is_known_by_its_host(text);
    let Ok(model) = EndpointId::parse(name) else { return };
    assert_eq!(model.as_str(), name);
    assert!(name.len() <= ENDPOINT_ID_MAX && name.starts_with(model.app()));
    for base in ["https://queue.fal.run", "https://queue.fal.run/base/", "http://127.0.0.1:7/queue/"] {
        let base: Url = base.parse().unwrap();
        let submit = queue_urls::submit(&base, &model, Some(text));
        stays_below(&base, &submit, &format!("/{name}"));
        let webhooks: Vec<_> = submit.query_pairs().collect();
        assert_eq!(webhooks, [("fal_webhook".into(), text.into())], "one parameter, whatever the URL holds");
        if is_usable_request_id(request_id) {
            let path = format!("/{}/requests/{request_id}", model.app());
            stays_below(&base, &queue_urls::request(&base, &model, request_id, None), &path);
            let status = queue_urls::request(&base, &model, request_id, Some("status"));
            stays_below(&base, &status, &format!("{path}/status"));
        }
    }
}

fn stays_below(base: &Url, built: &Url, path: &str) {
    assert_eq!(
        (built.scheme(), built.host(), built.port_or_known_default()),
        (base.scheme(), base.host(), base.port_or_known_default()),
        "{built}"
    );
    assert!(built.username().is_empty() && built.password().is_none() && built.fragment().is_none(), "{built}");
    // Parsed again as a server would, with its dot segments resolved.
    let again: Url = built.as_str().parse().unwrap();
    let below = base.path().trim_end_matches('/');
    assert_eq!(again.path(), format!("{below}{path}"));
}

fn a_returned_url_is_known_by_its_host(returned: &str) {
    let base: Url = "https://queue.fal.run".parse().unwrap();
    if queue_urls::is_on_known_host(&base, returned) {
        let url: Url = returned.parse().unwrap();
        assert!(matches!(url.host_str(), Some("queue.fal.run" | "queue.falrun.com")), "{url}");
        assert_eq!((url.scheme(), url.username()), ("https", ""), "{url}");
    }
}
