//! What every answer tells browsers: nothing that is served here is a page.
//!
//! Manifests and blobs are what others have pushed. A browser that took one for a document would run its scripts with the
//! rights of the registry's origin.

use http::header::{CONTENT_SECURITY_POLICY, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderMap, HeaderValue};

const NOTHING: HeaderValue = HeaderValue::from_static("sandbox; default-src 'none'");
const NOSNIFF: HeaderValue = HeaderValue::from_static("nosniff");

/// Forbids browsers to guess a type, and to run or load anything. An answer that says otherwise itself is left alone.
pub fn forbid(headers: &mut HeaderMap) {
    headers.entry(X_CONTENT_TYPE_OPTIONS).or_insert(NOSNIFF);
    headers.entry(CONTENT_SECURITY_POLICY).or_insert(NOTHING);
}
