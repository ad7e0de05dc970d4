//! A request's method, path and headers become an [`Action`], once.

use std::borrow::Cow;

use http::header::{ACCEPT, HOST};
use http::request::Parts;
use http::{HeaderMap, Method};
use percent_encoding::percent_decode_str;

use crate::action::{Action, Page, RequestedName, Want};
use crate::oci::{AcceptSet, DigestError, NameError, Reference, ReferenceError};

#[derive(Debug, thiserror::Error)]
pub enum RouteError {
    #[error("there is nothing at {0}; the registry's API is below /v2/")]
    NoSuchPath(String),
    #[error("{0} is not possible here")]
    MethodNotAllowed(Method),
    #[error(transparent)]
    Name(#[from] NameError),
    #[error(transparent)]
    Digest(#[from] DigestError),
    /// A tag that cannot exist names no manifest.
    #[error(transparent)]
    Tag(ReferenceError),
    #[error("n is a number of entries, not {0:?}")]
    PageSize(String),
}

pub fn route(request: &Parts) -> Result<Action, RouteError> {
    let path = request.uri.path();
    let no_such_path = || RouteError::NoSuchPath(path.chars().take(300).collect());
    let not_allowed = || Err(RouteError::MethodNotAllowed(request.method.clone()));
    let want = match request.method {
        Method::GET => Some(Want::Body),
        Method::HEAD => Some(Want::Head),
        _ => None,
    };
    let rest = match path.strip_prefix("/v2/") {
        Some(rest) => rest,
        None if path == "/v2" => "",
        None => return Err(no_such_path()),
    };
    if rest.is_empty() {
        return if want.is_some() { Ok(Action::Ping) } else { not_allowed() };
    }
    if rest == "_catalog" {
        return if want.is_some() { Ok(Action::ListRepositories { page: page(request)? }) } else { not_allowed() };
    }
    // Repositories may be called `blobs` or `tags`, so a path is read from its end.
    let segments: Vec<&str> = rest.split('/').collect();
    let (name, endpoint) = match segments.as_slice() {
        [name @ .., "blobs", "uploads", _] | [name @ .., "blobs", "uploads"] if want.is_none() => {
            (name, Endpoint::Uploads)
        }
        [name @ .., "tags", "list"] => (name, Endpoint::Tags),
        [name @ .., "manifests", reference] => (name, Endpoint::Manifest(decode(reference))),
        [name @ .., "blobs", digest] => (name, Endpoint::Blob(decode(digest))),
        [name @ .., "referrers", digest] => (name, Endpoint::Referrers(decode(digest))),
        [name @ .., "blobs", "uploads", _] => (name, Endpoint::Uploads),
        _ => return Err(no_such_path()),
    };
    let name = requested_name(&name.join("/"), request)?;
    Ok(match (endpoint, want, &request.method) {
        (Endpoint::Tags, Some(_), _) => Action::ListTags { name, page: page(request)? },
        (Endpoint::Manifest(reference), Some(want), _) => {
            let reference: Reference = reference.parse().map_err(|error| match error {
                ReferenceError::BadDigest(error) => RouteError::Digest(error),
                error @ ReferenceError::BadTag(_) => RouteError::Tag(error),
            })?;
            Action::ReadManifest { name, reference, accept: accept(&request.headers), want }
        }
        (Endpoint::Blob(digest), Some(want), _) => Action::ReadBlob { name, digest: digest.parse()?, want },
        (Endpoint::Referrers(digest), Some(_), _) => {
            let artifact_type = parameter(request, "artifactType");
            Action::ListReferrers { name, subject: digest.parse()?, artifact_type }
        }
        (Endpoint::Manifest(_), None, &Method::PUT) => Action::PushManifest { name },
        (Endpoint::Manifest(_), None, &Method::DELETE) => Action::DeleteManifest { name },
        (Endpoint::Blob(_), None, &Method::DELETE) => Action::DeleteBlob { name },
        (Endpoint::Uploads, None, &Method::POST | &Method::PUT | &Method::PATCH | &Method::DELETE) => {
            Action::PushBlob { name }
        }
        (Endpoint::Uploads, Some(_), _) => Action::PushBlob { name },
        _ => return not_allowed(),
    })
}

enum Endpoint<'a> {
    Tags,
    Manifest(Cow<'a, str>),
    Blob(Cow<'a, str>),
    Referrers(Cow<'a, str>),
    Uploads,
}

/// Clients write the colon of a digest as `%3A`, too. Names are never decoded: no name needs it.
fn decode(segment: &str) -> Cow<'_, str> {
    percent_decode_str(segment).decode_utf8_lossy()
}

fn requested_name(path: &str, request: &Parts) -> Result<RequestedName, NameError> {
    let header = |name| request.headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let namespace = parameter(request, "ns").or_else(|| header("oci-namespace")).filter(|text| !text.is_empty());
    // HTTP/2 has the authority in the URI.
    let authority = request.uri.authority().map(|authority| authority.as_str().to_owned());
    let host = authority.or_else(|| header(HOST.as_str())).map(|host| host.to_ascii_lowercase());
    Ok(RequestedName { path: path.parse()?, namespace, host })
}

fn accept(headers: &HeaderMap) -> AcceptSet {
    AcceptSet::parse(headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok()))
}

fn page(request: &Parts) -> Result<Page, RouteError> {
    let n = match parameter(request, "n") {
        None => None,
        Some(text) => Some(text.parse().map_err(|_| RouteError::PageSize(text.chars().take(40).collect()))?),
    };
    Ok(Page { n, last: parameter(request, "last") })
}

fn parameter(request: &Parts, name: &str) -> Option<String> {
    let query = request.uri.query()?;
    let mut pairs = form_urlencoded::parse(query.as_bytes());
    pairs.find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oci::Digest;

    fn parts(method: &str, uri: &str) -> Parts {
        http::Request::builder().method(method).uri(uri).body(()).unwrap().into_parts().0
    }

    fn read(uri: &str) -> Result<Action, RouteError> {
        route(&parts("GET", uri))
    }

    #[test]
    fn reads() {
        let digest = Digest::of(b"");
        let name = |path: &str| RequestedName { path: path.parse().unwrap(), namespace: None, host: None };
        assert_eq!(read("/v2/").unwrap(), Action::Ping);
        assert_eq!(read("/v2").unwrap(), Action::Ping);
        assert_eq!(
            read(&format!("/v2/a/b/blobs/{digest}")).unwrap(),
            Action::ReadBlob { name: name("a/b"), digest, want: Want::Body }
        );
        assert_eq!(
            read(&format!("/v2/a/b/blobs/{}", digest.to_string().replace(':', "%3A"))).unwrap(),
            Action::ReadBlob { name: name("a/b"), digest, want: Want::Body }
        );
        assert_eq!(
            read("/v2/a/tags/list?n=5&last=x%2By").unwrap(),
            Action::ListTags { name: name("a"), page: Page { n: Some(5), last: Some("x+y".into()) } }
        );
        assert_eq!(
            read(&format!("/v2/a/referrers/{digest}?artifactType=application/x%2Bjson")).unwrap(),
            Action::ListReferrers {
                name: name("a"),
                subject: digest,
                artifact_type: Some("application/x+json".into())
            }
        );
    }

    /// C67: repositories that are called like the API's own words.
    #[test]
    fn c67_names_like_the_apis_words() {
        for path in ["blobs", "manifests", "tags/list/tags", "a/blobs/uploads", "v2", "manifests/manifests"] {
            match read(&format!("/v2/{path}/manifests/latest")).unwrap() {
                Action::ReadManifest { name, .. } => assert_eq!(name.path.as_str(), path),
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn the_namespace_and_the_host_are_kept() {
        let mut request = parts("GET", "/v2/x/tags/list?ns=Docker.IO");
        request.headers.insert(HOST, "Mirror:5000".parse().unwrap());
        let Action::ListTags { name, .. } = route(&request).unwrap() else { panic!() };
        assert_eq!((name.namespace.as_deref(), name.host.as_deref()), (Some("Docker.IO"), Some("mirror:5000")));
    }

    #[test]
    fn writes_are_actions_too() {
        for (method, uri) in [
            ("POST", "/v2/a/blobs/uploads/"),
            ("POST", "/v2/a/blobs/uploads"),
            ("PATCH", "/v2/a/blobs/uploads/1"),
            ("PUT", "/v2/a/manifests/x"),
            ("DELETE", "/v2/a/manifests/x"),
        ] {
            let action = route(&parts(method, uri)).unwrap();
            assert!(action.repository().is_some_and(|name| name.path.as_str() == "a"), "{action:?}");
        }
    }

    #[test]
    fn refusals() {
        assert!(matches!(read("/"), Err(RouteError::NoSuchPath(_))));
        assert!(matches!(read("/v2/a/unknown/x/y"), Err(RouteError::NoSuchPath(_))));
        assert!(matches!(read("/v2/A/tags/list"), Err(RouteError::Name(_))));
        assert!(matches!(read("/v2/a%2Fb/tags/list"), Err(RouteError::Name(_))));
        assert!(matches!(read("/v2/a/../b/tags/list"), Err(RouteError::Name(_))));
        assert!(matches!(read("/v2/a/blobs/sha256:x"), Err(RouteError::Digest(_))));
        assert!(matches!(read("/v2/a/manifests/.INVALID"), Err(RouteError::Tag(_))));
        assert!(matches!(read("/v2/a/tags/list?n=-1"), Err(RouteError::PageSize(_))));
        assert!(matches!(route(&parts("TRACE", "/v2/")), Err(RouteError::MethodNotAllowed(_))));
    }
}
