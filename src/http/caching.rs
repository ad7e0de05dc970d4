//! What every answer tells caches between a client and this registry: an answer is for whoever asked, and for now.
//!
//! Which registry a request means, who asks, and which types they accept decide about the same path. A cache that keeps an answer for a
//! login would give it to a stranger; one that keeps a 404 would hide what is pushed then; one that keeps a tag would not see it move.

use http::header::{CACHE_CONTROL, VARY};
use http::{HeaderMap, HeaderValue, StatusCode};

const NOT_AT_ALL: HeaderValue = HeaderValue::from_static("no-store");
const ASKING_FIRST: HeaderValue = HeaderValue::from_static("no-cache");
const BY_WHAT: HeaderValue = HeaderValue::from_static("Accept, Authorization, Host");

/// `is_open`: everyone may read, and no credential is looked at. Only there a cache may keep what it asks about again (by its `ETag`) before
/// each use.
pub fn limit(status: StatusCode, headers: &mut HeaderMap, is_open: bool) {
    let is_content = status.is_success() || status == StatusCode::NOT_MODIFIED;
    let how = if is_open && is_content { ASKING_FIRST } else { NOT_AT_ALL };
    headers.entry(CACHE_CONTROL).or_insert(how);
    headers.entry(VARY).or_insert(BY_WHAT);
}
