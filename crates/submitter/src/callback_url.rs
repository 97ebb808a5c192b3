//! The address at which fal calls about one attempt.

use domain::{AttemptId, CredentialId, TokenKeys};
use url::Url;

/// Makes the callback URL of an attempt. Nothing where nothing can be put behind `base`, such as `mailto:`.
///
/// Signed with the newest secret, so that the URL of one attempt reads otherwise after a rotation; the earlier one goes on
/// being believed for as long as its secret is listed.
pub fn callback_url(base: &Url, tokens: &TokenKeys, credential: CredentialId, attempt: AttemptId) -> Option<Url> {
    let mut url = base.clone();
    let token = tokens.sign(credential, attempt);
    url.path_segments_mut().ok()?.pop_if_empty().extend(["hooks", "fal", &token]);
    Some(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_token_of_a_callback_url_leads_back_to_its_attempt() {
        let tokens = TokenKeys::derive(&"s".repeat(32)).unwrap();
        let (credential, attempt) = (CredentialId::DEFAULT, AttemptId(store::fresh_id()));
        for base in
            ["https://hooks.example.com", "https://hooks.example.com/falconer/", "https://hooks.example.com/falconer"]
        {
            let url = callback_url(&base.parse().unwrap(), &tokens, credential, attempt).unwrap();
            let (path, token) = url.as_str().rsplit_once('/').unwrap();
            assert_eq!(path, format!("{}/hooks/fal", base.trim_end_matches('/')));
            assert_eq!(tokens.verify(token), Some((credential, attempt)));
        }
        assert!(callback_url(&"mailto:x@example.com".parse().unwrap(), &tokens, credential, attempt).is_none());
    }
}
