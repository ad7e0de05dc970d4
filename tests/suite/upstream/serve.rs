//! The upstream's usual answers, and how a behaviour changes them.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde_json::json;

use super::behaviour::{Behaviour, Instead};
use super::body::{Body, Sending};
use super::content::{Content, gzip};
use super::log::Logged;
use super::store::Repository;
use super::tokens::{basic, decode, pairs};
use super::{Auth, BodyGuard, FakeUpstream, State};

/// An answer before its body is shaped.
struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    content: Content,
    is_blob: bool,
}

impl Answer {
    fn new(status: u16, content_type: &str, body: impl Into<Bytes>) -> Self {
        let mut headers = HeaderMap::new();
        headers.insert("content-type", value(content_type));
        let status = StatusCode::from_u16(status).expect("a status");
        Self { status, headers, content: Content::Held(body.into()), is_blob: false }
    }

    fn error(status: u16, code: &str) -> Self {
        Self::new(status, "application/json", json!({ "errors": [{ "code": code, "message": code }] }).to_string())
    }

    fn with(mut self, name: &'static str, text: impl AsRef<str>) -> Self {
        self.headers.insert(name, value(text.as_ref()));
        self
    }

    fn content(content: Content, content_type: &str) -> Self {
        Self { content, ..Self::new(200, content_type, Bytes::new()) }
    }
}

fn value(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).expect("a header value")
}

pub(super) async fn answer(upstream: FakeUpstream, request: Request<Incoming>) -> Result<Response<Body>, io::Error> {
    let (parts, body) = request.into_parts();
    let path = parts.uri.path_and_query().map_or_else(|| parts.uri.path().to_owned(), ToString::to_string);
    let logged = Logged {
        method: parts.method.to_string(),
        path: path.clone(),
        headers: parts.headers.clone(),
        status: Arc::new(AtomicU64::new(0)),
        sent: Arc::new(AtomicU64::new(0)),
    };
    upstream.state().log.push(logged.clone());
    let form = match parts.method == Method::POST {
        true => String::from_utf8_lossy(&body.collect().await.map_err(io::Error::other)?.to_bytes()).into_owned(),
        false => String::new(),
    };

    if let Some(refusal) = refuse(&upstream.state(), &path, &parts.headers) {
        return Ok(send(&upstream, &parts.method, &HeaderMap::new(), refusal, &Behaviour::usual(), &logged));
    }
    let ranged = parts.headers.contains_key("range");
    let behaviour = upstream
        .state()
        .scripted
        .iter_mut()
        .find_map(|scripted| scripted.take(parts.method.as_str(), &path, ranged).then(|| scripted.behaviour.clone()))
        .unwrap_or_default();
    if let Some(gate) = &behaviour.head_gate {
        gate.pass().await;
    }
    let answer = match behaviour.instead.as_deref() {
        Some(Instead::Hang) => return std::future::pending().await,
        Some(Instead::Drop) => return Err(io::Error::other("dropped by the script")),
        Some(Instead::Answer { status, content_type, body }) => Answer::new(*status, content_type, body.clone()),
        Some(Instead::Redirect { status, location }) => Answer::error(*status, "MOVED").with("location", location),
        Some(Instead::Presign(store)) => presign(&upstream, store, &path),
        None => usual(&mut upstream.state(), &upstream, &parts.method, &path, &form, &parts.headers),
    };
    Ok(send(&upstream, &parts.method, &parts.headers, answer, &behaviour, &logged))
}

/// What a request without the right credential is told.
fn refuse(state: &State, path: &str, headers: &HeaderMap) -> Option<Answer> {
    let rest = path.strip_prefix("/v2/")?;
    match &state.auth {
        Auth::Open => None,
        Auth::Basic { user, password } => {
            let sent = headers.get("authorization").and_then(|value| value.to_str().ok());
            (sent != Some(&basic(user, password)))
                .then(|| Answer::error(401, "UNAUTHORIZED").with("www-authenticate", r#"Basic realm="fake""#))
        }
        Auth::Bearer { service, realm } => {
            let repository = split(rest).map(|(repository, ..)| repository);
            let scope = repository.map(|repository| format!("repository:{repository}:pull"));
            let status = service.refuse(headers, scope.as_deref())?;
            let scope = scope.map_or_else(String::new, |scope| format!(r#",scope="{scope}""#));
            let challenge = format!(r#"Bearer realm="{realm}",service="fake registry"{scope}"#);
            let refusal = Answer::error(status, "UNAUTHORIZED");
            Some(if status == 401 { refusal.with("www-authenticate", challenge) } else { refusal })
        }
    }
}

/// `library/nginx/manifests/latest?x` to repository, kind and rest.
fn split(rest: &str) -> Option<(&str, &str, &str)> {
    let path = rest.split('?').next()?;
    ["manifests", "blobs", "tags", "referrers"]
        .iter()
        .filter_map(|kind| {
            let at = path.rfind(&format!("/{kind}/"))?;
            Some((&path[..at], *kind, &path[at + kind.len() + 2..]))
        })
        .max_by_key(|(repository, ..)| repository.len())
}

fn usual(
    state: &mut State,
    upstream: &FakeUpstream,
    method: &Method,
    path: &str,
    form: &str,
    headers: &HeaderMap,
) -> Answer {
    let (plain, query) = path.split_once('?').unwrap_or((path, ""));
    if plain == "/token" {
        return match &state.tokens {
            Some(tokens) => {
                let (status, body) = tokens.issue(query, form, headers);
                Answer::new(status.as_u16(), "application/json", body)
            }
            None => Answer::error(404, "NOT_FOUND"),
        };
    }
    if plain.starts_with("/signed/") {
        return match state.signed.get(path) {
            _ if headers.contains_key("authorization") => {
                Answer::new(400, "application/xml", "<Error>Only one auth mechanism allowed</Error>")
            }
            Some(content) => Answer::content(content.clone(), "binary/octet-stream"),
            None => Answer::new(403, "application/xml", "<Error>Request has expired</Error>"),
        };
    }
    if let Some((content_type, content)) = state.store.files.get(plain) {
        return Answer::content(content.clone(), content_type);
    }
    let Some(rest) = plain.strip_prefix("/v2/") else { return Answer::error(404, "NOT_FOUND") };
    if !matches!(*method, Method::GET | Method::HEAD) {
        return Answer::error(405, "UNSUPPORTED");
    }
    if rest.is_empty() {
        return Answer::new(200, "application/json", "{}");
    }
    let Some((name, kind, reference)) = split(rest) else { return Answer::error(404, "NOT_FOUND") };
    let options = &state.options;
    let Some(repository) = state.store.repositories.get(name) else { return Answer::error(404, "NAME_UNKNOWN") };
    let page = Page { upstream, query, size: options.page_size, absolute: options.absolute_links, path: plain };
    match kind {
        "blobs" => blob(repository, reference),
        "manifests" => manifest(repository, reference, headers),
        "tags" => tags(repository, name, &page),
        "referrers" if options.referrers_api => referrers(repository, reference, &page, options.filter_referrers),
        _ => Answer::error(404, "NOT_FOUND"),
    }
}

fn blob(repository: &Repository, digest: &str) -> Answer {
    match repository.blobs.get(digest) {
        Some(content) => Answer { is_blob: true, ..Answer::content(content.clone(), "application/octet-stream") }
            .with("docker-content-digest", digest)
            .with("etag", format!("\"{digest}\""))
            .with("accept-ranges", "bytes"),
        None => Answer::error(404, "BLOB_UNKNOWN"),
    }
}

fn manifest(repository: &Repository, reference: &str, headers: &HeaderMap) -> Answer {
    let accept: Vec<_> = headers.get_all("accept").iter().filter_map(|value| value.to_str().ok()).collect();
    let forms = repository.tags.get(reference).cloned().unwrap_or_else(|| vec![reference.to_owned()]);
    let held: Vec<_> = forms.iter().filter_map(|digest| Some((digest, repository.manifests.get(digest)?))).collect();
    let accepted = held.iter().find(|(_, (media_type, _))| accept.iter().any(|value| value.contains(media_type)));
    match accepted.or(held.last()) {
        Some((digest, (media_type, bytes))) => Answer::new(200, media_type, bytes.clone())
            .with("docker-content-digest", digest)
            .with("etag", format!("\"{digest}\"")),
        None => Answer::error(404, "MANIFEST_UNKNOWN"),
    }
}

struct Page<'a> {
    upstream: &'a FakeUpstream,
    path: &'a str,
    query: &'a str,
    size: Option<usize>,
    absolute: bool,
}

impl Page<'_> {
    fn parameter(&self, name: &str) -> Option<String> {
        pairs(self.query).find(|(key, _)| *key == name).map(|(_, value)| decode(value))
    }

    fn size(&self) -> usize {
        let asked = self.parameter("n").and_then(|text| text.parse().ok()).unwrap_or(usize::MAX);
        asked.min(self.size.unwrap_or(usize::MAX))
    }

    fn link(&self, query: &str) -> String {
        let base = if self.absolute { self.upstream.url() } else { String::new() };
        format!("<{base}{}?{query}>; rel=\"next\"", self.path)
    }
}

fn tags(repository: &Repository, name: &str, page: &Page<'_>) -> Answer {
    let last = page.parameter("last").unwrap_or_default();
    let rest: Vec<_> = repository.tags.keys().filter(|tag| **tag > last).collect();
    let shown: Vec<_> = rest.iter().take(page.size()).collect();
    let answer = Answer::new(200, "application/json", json!({ "name": name, "tags": shown }).to_string());
    match shown.last() {
        Some(last) if shown.len() < rest.len() => {
            answer.with("link", page.link(&format!("last={last}&n={}", shown.len())))
        }
        _ => answer,
    }
}

fn referrers(repository: &Repository, digest: &str, page: &Page<'_>, filters: bool) -> Answer {
    let mut found = repository.referrers(digest);
    let wanted = page.parameter("artifactType").filter(|_| filters);
    if let Some(wanted) = &wanted {
        found.retain(|descriptor| descriptor["artifactType"] == **wanted);
    }
    let from: usize = page.parameter("from").and_then(|text| text.parse().ok()).unwrap_or(0);
    let total = found.len();
    let shown: Vec<_> = found.into_iter().skip(from).take(page.size.unwrap_or(usize::MAX)).collect();
    let next = from + shown.len();
    let index = json!({ "schemaVersion": 2, "mediaType": super::OCI_INDEX, "manifests": shown });
    let mut answer = Answer::new(200, super::OCI_INDEX, index.to_string());
    if wanted.is_some() {
        answer = answer.with("oci-filters-applied", "artifactType");
    }
    if next < total { answer.with("link", page.link(&format!("from={next}"))) } else { answer }
}

fn presign(upstream: &FakeUpstream, store: &FakeUpstream, path: &str) -> Answer {
    let content = split(path.trim_start_matches("/v2/"))
        .and_then(|(name, _, digest)| upstream.state().store.repositories.get(name)?.blobs.get(digest).cloned());
    let Some(content) = content else { return Answer::error(404, "BLOB_UNKNOWN") };
    let mut state = store.state();
    state.signatures += 1;
    let signed = format!("/signed/{}?X-Amz-Signature={}", upstream.0.address.port(), state.signatures);
    state.signed.insert(signed.clone(), content);
    drop(state);
    Answer::error(307, "MOVED").with("location", format!("{}{signed}", store.url()))
}

/// Shapes the body as the behaviour says, and sends it.
fn send(
    upstream: &FakeUpstream,
    method: &Method,
    headers: &HeaderMap,
    mut answer: Answer,
    behaviour: &Behaviour,
    logged: &Logged,
) -> Response<Body> {
    if let Some(len) = behaviour.shorten_to {
        answer.content = Content::Held(answer.content.slice(0, len));
    }
    if let Some(more) = &behaviour.append {
        let whole = [answer.content.slice(0, answer.content.len()), more.clone()].concat();
        answer.content = Content::Held(whole.into());
    }
    let accepts_gzip =
        headers.get("accept-encoding").is_some_and(|value| value.to_str().unwrap_or("").contains("gzip"));
    if behaviour.gzip.is_some_and(|always| always || accepts_gzip) {
        answer.content = Content::Held(gzip(&answer.content.slice(0, answer.content.len())));
        answer = answer.with("content-encoding", "gzip");
    }
    let total = answer.content.len();
    let (mut start, mut end) = (0, total);
    let ranged = answer.status == StatusCode::OK && !behaviour.ignore_range && range_holds(headers, &answer.headers);
    if ranged && let Some(range) = headers.get("range").and_then(|value| value.to_str().ok()) {
        match parse_range(range, total) {
            Some(Some(range)) => {
                (start, end) = range;
                answer.status = StatusCode::PARTIAL_CONTENT;
                answer = answer.with("content-range", format!("bytes {start}-{}/{total}", end - 1));
            }
            Some(None) => {
                answer.status = StatusCode::RANGE_NOT_SATISFIABLE;
                (start, end) = (0, 0);
                answer = answer.with("content-range", format!("bytes */{total}"));
            }
            None => {}
        }
    }
    if !behaviour.chunked {
        answer = answer.with("content-length", behaviour.declared_length.unwrap_or(end - start).to_string());
    }
    for name in &behaviour.drop_headers {
        answer.headers.remove(*name);
    }
    for (name, text) in &behaviour.set_headers {
        answer = answer.with(name, text);
    }
    logged.status.store(answer.status.as_u16().into(), Ordering::SeqCst);
    let guard =
        (answer.is_blob && method == Method::GET).then(|| Box::new(BodyGuard::new(upstream.clone())) as Box<dyn Send>);
    let body = match method == Method::HEAD {
        true => http_body_util::Empty::new().map_err(|never| match never {}).boxed_unsync(),
        false => Sending::new(answer.content, start, end, behaviour, logged.sent.clone(), guard).body(),
    };
    let mut response = Response::new(body);
    *response.status_mut() = answer.status;
    *response.headers_mut() = answer.headers;
    response
}

/// False when an If-Range names another version.
fn range_holds(request: &HeaderMap, answer: &HeaderMap) -> bool {
    request.get("if-range").is_none_or(|wanted| answer.get("etag") == Some(wanted))
}

/// `None` when it is not one range, `Some(None)` when it lies outside.
fn parse_range(text: &str, total: u64) -> Option<Option<(u64, u64)>> {
    let (first, last) = text.strip_prefix("bytes=")?.split_once('-')?;
    let (start, end) = match (first, last) {
        ("", suffix) => (total.saturating_sub(suffix.parse().ok()?), total),
        (first, "") => (first.parse().ok()?, total),
        (first, last) => (first.parse().ok()?, total.min(last.parse::<u64>().ok()? + 1)),
    };
    Some((start < end).then_some((start, end)))
}
