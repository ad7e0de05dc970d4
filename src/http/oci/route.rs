//! A request's method, path and headers become an [`Action`], once.

use std::borrow::Cow;

use http::header::{ACCEPT, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE};
use http::request::Parts;
use http::{HeaderMap, Method};
use percent_encoding::percent_decode_str;

use crate::action::{Action, Chunk, Mount, Page, RequestedName, UploadStart, Want};
use crate::oci::{AcceptSet, Algorithm, DigestError, MediaType, NameError, Reference, ReferenceError, UploadIdError};

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
    /// A tag that somebody wants to make.
    #[error(transparent)]
    BadTag(ReferenceError),
    #[error(transparent)]
    Upload(#[from] UploadIdError),
    #[error("Content-Range {0:?} is not first-last, both inclusive, of as many bytes as Content-Length says")]
    ContentRange(String),
    #[error("n is a number of entries, not {0:?}")]
    PageSize(String),
    #[error("{0} has control characters in it, which nothing here has in its name")]
    Control(&'static str),
}

/// `host` is the host that the client came to.
pub fn route(request: &Parts, host: Option<&str>) -> Result<Action, RouteError> {
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
        return if want.is_some() {
            Ok(Action::ListRepositories { page: page(request)?, host: host.map(str::to_owned) })
        } else {
            not_allowed()
        };
    }
    // Repositories may be called `blobs` or `tags`, so a path is read from its end.
    let segments: Vec<&str> = rest.split('/').collect();
    let (name, endpoint) = match segments.as_slice() {
        [name @ .., "blobs", "uploads", ""] | [name @ .., "blobs", "uploads"] if request.method == Method::POST => {
            (name, Endpoint::Uploads)
        }
        [name @ .., "tags", "list"] => (name, Endpoint::Tags),
        [name @ .., "manifests", reference] => (name, Endpoint::Manifest(decode(reference))),
        [name @ .., "blobs", digest] => (name, Endpoint::Blob(decode(digest))),
        [name @ .., "referrers", digest] => (name, Endpoint::Referrers(decode(digest))),
        [name @ .., "blobs", "uploads", id] => (name, Endpoint::Upload(id)),
        _ => return Err(no_such_path()),
    };
    let name = requested_name(&name.join("/"), request, host)?;
    Ok(match (endpoint, want, &request.method) {
        (Endpoint::Tags, Some(_), _) => Action::ListTags { name, page: page(request)? },
        (Endpoint::Manifest(text), Some(want), _) => {
            Action::ReadManifest { name, reference: reference(&text)?, accept: accept(&request.headers), want }
        }
        (Endpoint::Blob(digest), Some(want), _) => Action::ReadBlob { name, digest: digest.parse()?, want },
        (Endpoint::Referrers(digest), Some(_), _) => {
            let artifact_type = text(request, "artifactType")?;
            Action::ListReferrers { name, subject: digest.parse()?, artifact_type, page: page(request)? }
        }
        (Endpoint::Manifest(text), None, &Method::PUT) => {
            let media_type =
                request.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).map(MediaType::new);
            let tags = parameters(request, "tag")
                .map(|tag| tag.parse().map_err(RouteError::BadTag))
                .collect::<Result<_, _>>()?;
            let reference = reference(&text).map_err(RouteError::of_push)?;
            Action::PushManifest { name, reference, media_type, tags }
        }
        (Endpoint::Manifest(text), None, &Method::DELETE) => {
            Action::DeleteManifest { name, reference: reference(&text)? }
        }
        (Endpoint::Blob(digest), None, &Method::DELETE) => Action::DeleteBlob { name, digest: digest.parse()? },
        (Endpoint::Uploads, None, &Method::POST) => Action::StartUpload { name, start: upload_start(request)? },
        (Endpoint::Upload(id), Some(_), _) => Action::ReadUpload { name, id: id.parse()? },
        (Endpoint::Upload(id), None, &Method::PATCH) => {
            Action::AppendUpload { name, id: id.parse()?, chunk: chunk(&request.headers)? }
        }
        (Endpoint::Upload(id), None, &Method::PUT) => {
            let digest = parameter(request, "digest").ok_or(DigestError::Malformed)?.parse()?;
            Action::FinishUpload { name, id: id.parse()?, digest, chunk: chunk(&request.headers)? }
        }
        (Endpoint::Upload(id), None, &Method::DELETE) => Action::CancelUpload { name, id: id.parse()? },
        _ => return not_allowed(),
    })
}

enum Endpoint<'a> {
    Tags,
    Manifest(Cow<'a, str>),
    Blob(Cow<'a, str>),
    Referrers(Cow<'a, str>),
    Uploads,
    Upload(&'a str),
}

fn reference(text: &str) -> Result<Reference, RouteError> {
    text.parse().map_err(|error| match error {
        ReferenceError::BadDigest(error) => RouteError::Digest(error),
        error @ ReferenceError::BadTag(_) => RouteError::Tag(error),
    })
}

impl RouteError {
    /// A tag that cannot exist is not "not there" for who wants to make it.
    fn of_push(self) -> Self {
        match self {
            Self::Tag(error) => Self::BadTag(error),
            other => other,
        }
    }
}

fn upload_start(request: &Parts) -> Result<UploadStart, RouteError> {
    let digest = parameter(request, "digest").map(|text| text.parse()).transpose()?;
    let algorithm = match parameter(request, "digest-algorithm").as_deref() {
        None | Some("sha256") => Algorithm::Sha256,
        Some("sha512") => Algorithm::Sha512,
        Some(other) => return Err(DigestError::UnsupportedAlgorithm(other.chars().take(64).collect()).into()),
    };
    let mount = match parameter(request, "mount") {
        None => None,
        Some(text) => {
            let from = parameter(request, "from").filter(|from| !from.is_empty());
            Some(Mount { digest: text.parse()?, from: from.map(|from| from.parse()).transpose()? })
        }
    };
    Ok(UploadStart { digest, algorithm, mount })
}

/// `Content-Range: 0-99`, inclusive, without a unit (distribution-spec, "Pushing a blob in chunks"); what RFC 9110 would write is
/// understood, too.
fn chunk(headers: &HeaderMap) -> Result<Chunk, RouteError> {
    let text = |name| headers.get(name).and_then(|value: &http::HeaderValue| value.to_str().ok());
    let length = text(CONTENT_LENGTH).and_then(|text| text.parse::<u64>().ok());
    let Some(range) = text(CONTENT_RANGE) else { return Ok(Chunk { start: None, length }) };
    let wrong = || RouteError::ContentRange(range.chars().take(100).collect());
    let bare = range.trim().strip_prefix("bytes ").unwrap_or(range.trim());
    let bare = bare.split_once('/').map_or(bare, |(bare, _)| bare);
    let (start, end) = bare.split_once('-').ok_or_else(wrong)?;
    let number = |text: &str| text.parse::<u64>().map_err(|_| wrong());
    let (start, end) = (number(start)?, number(end)?);
    let told = end.checked_sub(start).and_then(|less| less.checked_add(1)).ok_or_else(wrong)?;
    match length {
        Some(length) if length != told => Err(wrong()),
        _ => Ok(Chunk { start: Some(start), length: Some(told) }),
    }
}

/// Clients write the colon of a digest as `%3A`, too. Names are never decoded: no name needs it.
fn decode(segment: &str) -> Cow<'_, str> {
    percent_decode_str(segment).decode_utf8_lossy()
}

fn requested_name(path: &str, request: &Parts, host: Option<&str>) -> Result<RequestedName, NameError> {
    let header = |name| request.headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let namespace = parameter(request, "ns").or_else(|| header("oci-namespace")).filter(|text| !text.is_empty());
    Ok(RequestedName { path: path.parse()?, namespace, host: host.map(str::to_owned), registry: None })
}

fn accept(headers: &HeaderMap) -> AcceptSet {
    AcceptSet::parse(headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok()))
}

fn page(request: &Parts) -> Result<Page, RouteError> {
    let n = match parameter(request, "n") {
        None => None,
        Some(text) => Some(text.parse().map_err(|_| RouteError::PageSize(text.chars().take(40).collect()))?),
    };
    Ok(Page { n, last: text(request, "last")? })
}

/// A parameter that names are compared with.
fn text(request: &Parts, name: &'static str) -> Result<Option<String>, RouteError> {
    match parameter(request, name) {
        Some(text) if text.chars().any(char::is_control) => Err(RouteError::Control(name)),
        text => Ok(text),
    }
}

fn parameter(request: &Parts, name: &str) -> Option<String> {
    parameters(request, name).next()
}

fn parameters(request: &Parts, name: &str) -> impl Iterator<Item = String> {
    let pairs = form_urlencoded::parse(request.uri.query().unwrap_or_default().as_bytes());
    pairs.filter(move |(key, _)| key == name).map(|(_, value)| value.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oci::Digest;

    fn parts(method: &str, uri: &str) -> Parts {
        http::Request::builder().method(method).uri(uri).body(()).unwrap().into_parts().0
    }

    fn read(uri: &str) -> Result<Action, RouteError> {
        route(&parts("GET", uri), None)
    }

    #[test]
    fn reads() {
        let digest = Digest::of(b"");
        let name =
            |path: &str| RequestedName { path: path.parse().unwrap(), namespace: None, host: None, registry: None };
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
                artifact_type: Some("application/x+json".into()),
                page: Page::default()
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
        let request = parts("GET", "/v2/x/tags/list?ns=Docker.IO");
        let Action::ListTags { name, .. } = route(&request, Some("mirror:5000")).unwrap() else { panic!() };
        assert_eq!((name.namespace.as_deref(), name.host.as_deref()), (Some("Docker.IO"), Some("mirror:5000")));
    }

    #[test]
    fn writes_are_actions_too() {
        for (method, uri) in [
            ("POST", "/v2/a/blobs/uploads/"),
            ("POST", "/v2/a/blobs/uploads"),
            ("PATCH", "/v2/a/blobs/uploads/00000000-0000-4000-8000-000000000000"),
            ("GET", "/v2/a/blobs/uploads/00000000-0000-4000-8000-000000000000"),
            ("PUT", "/v2/a/manifests/x"),
            ("DELETE", "/v2/a/manifests/x"),
        ] {
            let action = route(&parts(method, uri), None).unwrap();
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
        assert!(matches!(route(&parts("TRACE", "/v2/"), None), Err(RouteError::MethodNotAllowed(_))));
    }
}
