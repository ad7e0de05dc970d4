//! Whatever a client shows is read or refused.
#![no_main]

use entrepot::auth::proof::{BasicCredentials, Claim, Jwks, SignatureRules, TokenRequest, unverified_issuer};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let _ = BasicCredentials::parse(text);
    let _ = TokenRequest::from_query(text, None);
    let _ = TokenRequest::from_form(Some("application/x-www-form-urlencoded"), text.as_bytes());
    let _ = Jwks::parse(text.as_bytes());
    let _ = unverified_issuer(text);
    let Ok(value) = http::HeaderValue::from_str(text) else { return };
    let mut headers = http::HeaderMap::new();
    headers.insert("authorization", value);
    headers.insert("x-amz-date", http::HeaderValue::from_static("20261121T000000Z"));
    let uri = http::Uri::from_static("/");
    if let Err(refusal) = Claim::parse(&SignatureRules::ECR, &http::Method::POST, &uri, &headers) {
        assert!(!refusal.to_string().is_empty());
    }
});
