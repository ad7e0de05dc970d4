//! URLs of layers that carry a signature in place of a login, as `GetDownloadUrlForLayer` gives them.
//!
//! Whoever has such a URL has the layer, so the signature is in no log.

use std::borrow::Cow;

use http::request::Parts;

use crate::action::Action;
use crate::auth::{LAYER_SIGNATURE, Refused};

/// The signature of a request for a layer. What else is asked for has none, whatever its URL says.
pub fn signature(request: &Parts, action: &Action) -> Result<Option<String>, Refused> {
    let (Action::ReadBlob { .. }, Some(query)) = (action, request.uri.query()) else { return Ok(None) };
    let mut all = form_urlencoded::parse(query.as_bytes()).filter(|(key, _)| key == LAYER_SIGNATURE);
    let signature = all.next().map(|(_, value)| value.into_owned());
    if all.next().is_some() {
        return Err(Refused::Wrong("the URL has more than one signature: ask with one".to_owned()));
    }
    Ok(signature)
}

/// The query as it may be logged.
pub fn without_signatures(query: &str) -> Cow<'_, str> {
    let is_signature = |pair: &str| form_urlencoded::parse(pair.as_bytes()).any(|(key, _)| key == LAYER_SIGNATURE);
    if !query.split('&').any(is_signature) {
        return Cow::Borrowed(query);
    }
    let shown = |pair| if is_signature(pair) { Cow::from(format!("{LAYER_SIGNATURE}=-")) } else { Cow::from(pair) };
    Cow::Owned(query.split('&').map(shown).collect::<Vec<_>>().join("&"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::action::{RequestedName, Want};
    use crate::oci::Digest;

    #[test]
    fn of_layers_only_and_one() {
        let of = |query: &str, action: &Action| {
            let (parts, ()) = http::Request::get(format!("/v2/a/blobs/x{query}")).body(()).unwrap().into_parts();
            signature(&parts, action).map_err(|error| error.to_string())
        };
        let name = RequestedName { path: "a".parse().unwrap(), namespace: None, host: None, registry: None };
        let blob = Action::ReadBlob { name, digest: Digest::of(b""), want: Want::Body };
        assert_eq!(of("", &blob), Ok(None));
        assert_eq!(of("?ns=x", &blob), Ok(None));
        assert_eq!(of("?Signature=x", &blob), Ok(None));
        assert_eq!(of("?ns=x&signature=abc", &blob), Ok(Some("abc".to_owned())));
        assert_eq!(of("?%73ignature=abc", &blob), Ok(Some("abc".to_owned())));
        assert_eq!(of("?signature", &blob), Ok(Some(String::new())));
        assert!(of("?signature=a&signature=a", &blob).is_err());
        assert_eq!(of("?signature=abc", &Action::Ping), Ok(None));
    }

    #[test]
    fn what_is_logged() {
        for (query, logged) in [
            ("", ""),
            ("ns=x&n=5", "ns=x&n=5"),
            ("signature=secret", "signature=-"),
            ("a=1&%73ignatur%65=secret&b=2", "a=1&signature=-&b=2"),
            ("signature=secret&signature=secret", "signature=-&signature=-"),
            ("signature", "signature=-"),
            ("signatures=x", "signatures=x"),
        ] {
            assert_eq!(without_signatures(query), logged);
        }
    }
}
