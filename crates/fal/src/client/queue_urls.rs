//! The queue's URLs. Submits go to the whole endpoint id; a request is found under the app alone.

use url::{Host, Url};

use crate::endpoint_id::EndpointId;
use crate::web;

/// fal's own queue hosts; the second stands in for the first.
const FAL_QUEUE_HOSTS: [&str; 2] = ["queue.fal.run", "queue.falrun.com"];

/// The URL that a job is sent to, with the one that fal shall call as its only parameter.
pub fn submit(base: &Url, endpoint: &EndpointId, webhook_url: Option<&str>) -> Url {
    let mut url = web::join(base, endpoint.segments());
    if let Some(webhook_url) = webhook_url {
        url.query_pairs_mut().append_pair("fal_webhook", webhook_url);
    }
    url
}

/// The URL of a request, with a last segment (`status`, `cancel`) or, without one, of its result.
pub fn request(base: &Url, endpoint: &EndpointId, request_id: &str, last: Option<&str>) -> Url {
    let path = endpoint.app().split('/').chain(["requests", request_id]).chain(last);
    web::join(base, path)
}

/// Whether a URL that fal returned points to a queue host we know. We call none of them; a foreign one is worth a look.
pub fn is_on_known_host(base: &Url, returned: &str) -> bool {
    let Ok(returned) = Url::parse(returned) else {
        return false;
    };
    let known = match returned.host() {
        Some(host) if Some(&host) == base.host().as_ref() => true,
        Some(Host::Domain(name)) => FAL_QUEUE_HOSTS.contains(&name),
        _ => false,
    };
    known && web::check_base_url(&without_query(returned)).is_ok()
}

fn without_query(mut url: Url) -> Url {
    url.set_query(None);
    url
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn base() -> Url {
        "https://queue.fal.run".parse().unwrap()
    }

    #[test]
    fn the_urls_are_those_of_fals_pages() {
        let model = EndpointId::parse("fal-ai/bria/product-shot").unwrap();
        let webhook = Some("https://us.example/hooks/fal/a.b?c=d&e=f");
        assert_eq!(
            submit(&base(), &model, webhook).as_str(),
            "https://queue.fal.run/fal-ai/bria/product-shot?fal_webhook=https%3A%2F%2Fus.example%2Fhooks%2Ffal%2Fa.b%3Fc%3Dd%26e%3Df",
        );
        let status = request(&base(), &model, "7-a", Some("status"));
        assert_eq!(status.as_str(), "https://queue.fal.run/fal-ai/bria/requests/7-a/status");
        let result = request(&"http://127.0.0.1:1/fal/".parse().unwrap(), &model, "7-a", None);
        assert_eq!(result.as_str(), "http://127.0.0.1:1/fal/fal-ai/bria/requests/7-a");
    }

    #[test]
    fn a_returned_url_is_known_by_its_host_and_scheme() {
        for (url, known) in [
            ("https://queue.fal.run/a/b/requests/1", true),
            ("https://queue.falrun.com/a/b/requests/1", true),
            ("http://queue.fal.run/a", false),
            ("https://queue.fal.run.evil.example/a", false),
            ("https://evil.example/queue.fal.run", false),
            ("https://queue.fal.run@evil.example/", false),
            ("https://user@queue.fal.run/", false),
            ("//queue.fal.run/", false),
        ] {
            assert_eq!(is_on_known_host(&base(), url), known, "{url}");
        }
    }

    proptest! {
        /// F110: whatever passes as an endpoint id, the key goes to our host and under the base path.
        #[test]
        fn the_host_is_always_the_configured_one(name in "[a-z0-9./_%?#@:\\\\-]{1,40}|([a-z0-9][a-z0-9._-]{0,6}/){1,5}[a-z0-9][a-z0-9._-]{0,6}", id in "[A-Za-z0-9_-]{1,128}") {
            if let Ok(model) = EndpointId::parse(&name) {
                let base: Url = "https://queue.fal.run/base".parse().unwrap();
                for url in [submit(&base, &model, Some(&name)), request(&base, &model, &id, Some("status"))] {
                    prop_assert_eq!(url.host_str(), Some("queue.fal.run"));
                    prop_assert_eq!(url.scheme(), "https");
                    prop_assert_eq!(url.port_or_known_default(), Some(443));
                    prop_assert!(url.username().is_empty());
                    prop_assert!(url.path().starts_with("/base/"));
                }
                let expected = format!("/base/{name}");
                prop_assert_eq!(submit(&base, &model, None).path().to_owned(), expected);
            }
        }
    }
}
