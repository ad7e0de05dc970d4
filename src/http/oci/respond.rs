//! Answers become responses.

use std::sync::Arc;

use bytes::Bytes;
use http::header::{
    ACCEPT_RANGES, AGE, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, LINK, LOCATION, RANGE,
    RETRY_AFTER, WARNING, WWW_AUTHENTICATE,
};
use http::response::Builder;
use http::{HeaderName, HeaderValue, Response, StatusCode};

use super::error::Failure;
use super::ranges::{Conditions, Multipart, entity_tag};
use crate::cache::{self, Blob, Content};
use crate::http::transport::{FileRegions, Later, ResponseBody};
use crate::oci::{ByteRange, Digest, MediaType, RangeRequest, RepositoryName, UploadId};
use crate::registry::{Answer, Body, Error, Object, Staleness, UploadState};

const DOCKER_CONTENT_DIGEST: HeaderName = HeaderName::from_static("docker-content-digest");
const OCI_NAMESPACE: HeaderName = HeaderName::from_static("oci-namespace");
const OCI_FILTERS_APPLIED: HeaderName = HeaderName::from_static("oci-filters-applied");
const OCI_SUBJECT: HeaderName = HeaderName::from_static("oci-subject");
const OCI_TAG: HeaderName = HeaderName::from_static("oci-tag");
const DOCKER_UPLOAD_UUID: HeaderName = HeaderName::from_static("docker-upload-uuid");
const API_VERSION: HeaderName = HeaderName::from_static("docker-distribution-api-version");
const BLOB_TYPE: &str = "application/octet-stream";

/// Writes an answer. `regions` is the connection's, where bodies can leave by `sendfile`; `uri` is the request's, for the
/// link to a list's next page.
pub async fn respond(
    answer: Answer,
    conditions: &Conditions,
    regions: Option<&FileRegions>,
    uri: &http::Uri,
) -> Result<Response<ResponseBody>, Failure> {
    let path = uri.path();
    let mut builder = Response::builder().header(API_VERSION, HeaderValue::from_static("registry/2.0"));
    if let Some(upstream) = &answer.upstream
        && let Some(namespace) = upstream.settings().ns.first()
    {
        builder = builder.header(OCI_NAMESPACE, namespace);
    }
    if let Some(staleness) = &answer.staleness {
        builder = stale(builder, staleness);
    }
    let response = match answer.body {
        Body::Pong => json(builder, "{}".into()),
        Body::Manifest { digest, media_type, size, bytes } => {
            manifest(builder, conditions, &digest, &media_type, size, bytes)
        }
        Body::Elsewhere { digest, url, .. } => described(builder, &digest)
            .status(StatusCode::TEMPORARY_REDIRECT)
            .header(LOCATION, url)
            .header(CACHE_CONTROL, HeaderValue::from_static("no-store"))
            .body(ResponseBody::empty()),
        Body::BlobHead { digest, size } => blob_head(builder, conditions, &digest, size),
        Body::Blob(blob) => return self::blob(builder, conditions, regions, blob).await,
        Body::Tags { name, tags, more } => {
            let names: Vec<&str> = tags.iter().map(|tag| tag.as_str()).collect();
            let next = names.last().copied().filter(|_| more);
            let document = serde_json::json!({ "name": name, "tags": names }).to_string();
            json(link(builder, path, names.len(), next), document.into())
        }
        Body::Repositories { names, next } => {
            let document = serde_json::json!({ "repositories": names }).to_string();
            let (next, n) = next.map_or((None, 0), |(next, n)| (Some(next), n as usize));
            json(link(builder, path, n, next.as_deref()), document.into())
        }
        Body::Referrers { index, filtered, next } => {
            if filtered {
                builder = builder.header(OCI_FILTERS_APPLIED, "artifactType");
            }
            if let Some(next) = next {
                builder = link_to(builder, uri, &next.to_string());
            }
            let builder = builder.header(CONTENT_TYPE, MediaType::oci_index().as_str());
            builder.body(ResponseBody::full(index))
        }
        pushed => self::pushed(builder, pushed),
    };
    Ok(built(response))
}

/// Writes a failure. Its message is logged by the caller with the same id.
pub fn refuse(failure: &Failure, request_id: &str) -> Response<ResponseBody> {
    let mut builder =
        Response::builder().status(failure.status).header(API_VERSION, HeaderValue::from_static("registry/2.0"));
    if let Some(after) = failure.retry_after {
        builder = builder.header(RETRY_AFTER, after.as_secs().max(1));
    }
    if let Some((repository, id, at)) = &failure.upload {
        builder = builder.header(LOCATION, upload_location(repository, id)).header(RANGE, upload_range(*at));
    }
    if let Some(challenge) = &failure.challenge {
        builder = builder.header(WWW_AUTHENTICATE, challenge);
    }
    if let Some(upstream) = &failure.challenged_by {
        // RFC 9110 section 15.5.2 wants a challenge. There is nothing to log in to here: it names whose door is shut.
        builder = builder.header(WWW_AUTHENTICATE, format!("Basic realm=\"upstream {upstream}\""));
    }
    built(json(builder, failure.document(request_id).into()))
}

/// What came of a write (distribution-spec, "Push").
fn pushed(builder: Builder, body: Body) -> Result<Response<ResponseBody>, http::Error> {
    let builder = match body {
        Body::Upload { repository, id, bytes, state } => {
            let status = if state == UploadState::Known { StatusCode::NO_CONTENT } else { StatusCode::ACCEPTED };
            builder
                .status(status)
                .header(LOCATION, upload_location(&repository, &id))
                .header(DOCKER_UPLOAD_UUID, id.as_str())
                .header(RANGE, upload_range(bytes))
        }
        Body::UploadCancelled => builder.status(StatusCode::NO_CONTENT),
        Body::BlobPushed { repository, digest } => builder
            .status(StatusCode::CREATED)
            .header(LOCATION, format!("/v2/{repository}/blobs/{digest}"))
            .header(DOCKER_CONTENT_DIGEST, digest.to_string()),
        Body::ManifestPushed { repository, reference, digest, subject, tags } => {
            let mut builder = builder
                .status(StatusCode::CREATED)
                .header(LOCATION, format!("/v2/{repository}/manifests/{reference}"))
                .header(DOCKER_CONTENT_DIGEST, digest.to_string());
            if let Some(subject) = subject {
                builder = builder.header(OCI_SUBJECT, subject.to_string());
            }
            for tag in tags {
                builder = builder.header(OCI_TAG, tag.as_str());
            }
            builder
        }
        Body::Deleted => builder.status(StatusCode::ACCEPTED),
        _ => builder,
    };
    builder.body(ResponseBody::empty())
}

fn upload_location(repository: &RepositoryName, id: &UploadId) -> String {
    format!("/v2/{repository}/blobs/uploads/{id}")
}

/// Inclusive at both ends; of nothing it says the same as of one byte, as every registry does.
fn upload_range(bytes: u64) -> String {
    format!("0-{}", bytes.saturating_sub(1))
}

fn manifest(
    builder: Builder,
    conditions: &Conditions,
    digest: &Digest,
    media_type: &MediaType,
    size: Option<u64>,
    bytes: Option<Bytes>,
) -> Result<Response<ResponseBody>, http::Error> {
    let builder = described(builder, digest);
    if conditions.not_modified(digest) {
        return builder.status(StatusCode::NOT_MODIFIED).body(ResponseBody::empty());
    }
    let builder = builder.header(CONTENT_TYPE, media_type.as_str());
    let Some(bytes) = bytes else {
        return sized(builder, size).body(ResponseBody::empty());
    };
    let total = bytes.len() as u64;
    match conditions.wanted(digest, total) {
        RangeRequest::Unsatisfiable => unsatisfiable(builder, total),
        RangeRequest::Ranges(ranges) => match ranges.as_slice() {
            [range] => partial(builder, *range, total).body(ResponseBody::full(slice(&bytes, *range))),
            // A manifest is small: all of it is as good as some parts of it.
            _ => builder.body(ResponseBody::full(bytes)),
        },
        RangeRequest::Whole => builder.body(ResponseBody::full(bytes)),
    }
}

fn blob_head(
    builder: Builder,
    conditions: &Conditions,
    digest: &Digest,
    size: Option<u64>,
) -> Result<Response<ResponseBody>, http::Error> {
    let builder = described(builder, digest).header(CONTENT_TYPE, BLOB_TYPE);
    if conditions.not_modified(digest) {
        return builder.status(StatusCode::NOT_MODIFIED).body(ResponseBody::empty());
    }
    match size.map(|size| (size, conditions.wanted(digest, size))) {
        Some((size, RangeRequest::Unsatisfiable)) => unsatisfiable(builder, size),
        Some((size, RangeRequest::Ranges(ranges))) if ranges.len() == 1 => {
            let range = ranges.first().copied().unwrap_or(ByteRange { start: 0, end: size });
            sized(partial(builder, range, size), Some(range.len())).body(ResponseBody::empty())
        }
        _ => sized(builder, size).body(ResponseBody::empty()),
    }
}

async fn blob(
    builder: Builder,
    conditions: &Conditions,
    regions: Option<&FileRegions>,
    blob: Blob,
) -> Result<Response<ResponseBody>, Failure> {
    let digest = *blob.digest();
    let builder = described(builder, &digest);
    if conditions.not_modified(&digest) {
        return Ok(built(builder.status(StatusCode::NOT_MODIFIED).body(ResponseBody::empty())));
    }
    let size = if conditions.needs_length() {
        let measured = blob.measure().await.map_err(|source| unreadable(digest, source))?;
        Some(measured.ok_or_else(Failure::length_unknown)?)
    } else {
        blob.size()
    };
    let wanted = size.map(|size| (size, conditions.wanted_parts(&digest, size)));
    let response = match wanted {
        Some((size, RangeRequest::Unsatisfiable)) => unsatisfiable(builder, size),
        Some((size, RangeRequest::Ranges(ranges))) => match ranges.as_slice() {
            [range] => {
                let content = read(&blob, *range).await?;
                let builder = partial(builder, *range, size).header(CONTENT_TYPE, BLOB_TYPE);
                builder.body(ResponseBody::content(content, Some(range.len()), regions))
            }
            [first, others @ ..] => {
                let multipart = Multipart::new(BLOB_TYPE, size);
                let head = |range: ByteRange| Bytes::from(multipart.head(range));
                let length = multipart.length(&ranges);
                let opened = (head(*first), read(&blob, *first).await?);
                let blob = Arc::new(blob);
                let later = |range: ByteRange| -> Later {
                    let blob = blob.clone();
                    Box::pin(async move { blob.range(range).await })
                };
                let others = others.iter().map(|range| (head(*range), later(*range))).collect();
                let builder =
                    builder.status(StatusCode::PARTIAL_CONTENT).header(CONTENT_TYPE, multipart.content_type());
                builder.body(ResponseBody::parts(opened, others, multipart.tail().into(), length, regions))
            }
            [] => unsatisfiable(builder, size),
        },
        Some((size, RangeRequest::Whole)) => {
            let builder = builder.header(CONTENT_TYPE, BLOB_TYPE);
            builder.body(ResponseBody::content(whole(blob).await?, Some(size), regions))
        }
        // Upstream does not say how long it is; it ends where the body ends.
        None => {
            let content = whole(blob).await?;
            builder.header(CONTENT_TYPE, BLOB_TYPE).body(ResponseBody::content(content, None, regions))
        }
    };
    Ok(built(response))
}

async fn whole(blob: Blob) -> Result<Content, Failure> {
    let digest = *blob.digest();
    blob.whole().await.map_err(|source| unreadable(digest, source))
}

async fn read(blob: &Blob, range: ByteRange) -> Result<Content, Failure> {
    blob.range(range).await.map_err(|source| unreadable(*blob.digest(), source))
}

fn unreadable(digest: Digest, source: cache::Error) -> Failure {
    Error::from_cache(Object::Content(digest), source).into()
}

fn described(builder: Builder, digest: &Digest) -> Builder {
    let quoted = Bytes::from(entity_tag(digest));
    let bare = quoted.slice(1..quoted.len() - 1);
    let value = HeaderValue::from_maybe_shared::<Bytes>;
    let builder = match (value(bare), value(quoted)) {
        (Ok(bare), Ok(quoted)) => builder.header(DOCKER_CONTENT_DIGEST, bare).header(ETAG, quoted),
        _ => builder,
    };
    builder.header(ACCEPT_RANGES, HeaderValue::from_static("bytes"))
}

fn sized(builder: Builder, size: Option<u64>) -> Builder {
    match size {
        Some(size) => builder.header(CONTENT_LENGTH, size),
        None => builder,
    }
}

fn partial(builder: Builder, range: ByteRange, total: u64) -> Builder {
    builder.status(StatusCode::PARTIAL_CONTENT).header(CONTENT_RANGE, range.content_range(total))
}

fn unsatisfiable(builder: Builder, total: u64) -> Result<Response<ResponseBody>, http::Error> {
    let builder = builder.status(StatusCode::RANGE_NOT_SATISFIABLE).header(CONTENT_RANGE, format!("bytes */{total}"));
    builder.body(ResponseBody::empty())
}

fn slice(bytes: &Bytes, range: ByteRange) -> Bytes {
    let within = |offset: u64| usize::try_from(offset).unwrap_or(usize::MAX).min(bytes.len());
    bytes.slice(within(range.start)..within(range.end))
}

fn json(builder: Builder, document: Bytes) -> Result<Response<ResponseBody>, http::Error> {
    builder.header(CONTENT_TYPE, "application/json").body(ResponseBody::full(document))
}

/// RFC 8288. `next` is the last entry of this page, if others follow.
fn link(builder: Builder, path: &str, count: usize, next: Option<&str>) -> Builder {
    let Some(last) = next else { return builder };
    let query = form_urlencoded::Serializer::new(String::new())
        .append_pair("last", last)
        .append_pair("n", &count.to_string())
        .finish();
    builder.header(LINK, format!("<{path}?{query}>; rel=\"next\""))
}

/// RFC 8288: the same list, after `last`; other parameters stay.
fn link_to(builder: Builder, uri: &http::Uri, last: &str) -> Builder {
    let pairs = form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes()).filter(|(key, _)| key != "last");
    let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).append_pair("last", last).finish();
    builder.header(LINK, format!("<{}?{query}>; rel=\"next\"", uri.path()))
}

/// RFC 9111 sections 5.1 and 5.5; distribution-spec, "Warnings": clients show code 299, so the reason is said with it.
fn stale(builder: Builder, staleness: &Staleness) -> Builder {
    let builder = builder.header(AGE, staleness.age.as_secs());
    let Some(reason) = &staleness.reason else {
        return builder.header(WARNING, HeaderValue::from_static("110 - \"Response is Stale\""));
    };
    let reason: String =
        reason.chars().filter(|c| (' '..='~').contains(c) && !matches!(c, '"' | '\\')).take(1000).collect();
    builder
        .header(WARNING, HeaderValue::from_static("111 - \"Revalidation Failed\""))
        .header(WARNING, format!("299 - \"served from cache, {} s old: {reason}\"", staleness.age.as_secs()))
}

/// Every header value here is made of visible ASCII, so a response that cannot be built is a mistake of this file.
fn built(response: Result<Response<ResponseBody>, http::Error>) -> Response<ResponseBody> {
    response.unwrap_or_else(|error| {
        tracing::error!(%error, "a response could not be built");
        let mut response = Response::new(ResponseBody::empty());
        *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
        response
    })
}
