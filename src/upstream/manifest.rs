//! Manifests: HEAD and GET, and whether what came is one.

use std::time::Duration;

use bytes::Bytes;
use reqwest::Method;
use serde::Deserialize;
use serde::de::IgnoredAny;
use tokio::time::Instant;

use super::body::read_body;
use super::client::Channel;
use super::error::{Error, ErrorKind};
use super::remote::{Turn, Upstream};
use super::request::{Ask, Reply};
use crate::oci::{AcceptSet, Digest, Manifest, MediaType, Reference, RepositoryName};

/// distribution-spec, "Pushing manifests": registries take at least this; more is refused (C44).
const MAX_MANIFEST_BYTES: usize = 4 << 20;

const DIGEST_HEADER: &str = "docker-content-digest";

/// What upstream says of a manifest without its bytes.
#[derive(Clone, Debug)]
pub struct ManifestHead {
    /// `None` where upstream does not tell it (C13): ask with GET.
    pub digest: Option<Digest>,
    pub media_type: MediaType,
    pub size: Option<u64>,
}

/// A manifest's exact bytes; the digest is computed from them and, where one was asked for or announced, holds.
#[derive(Clone, Debug)]
pub struct ManifestBody {
    pub digest: Digest,
    pub media_type: MediaType,
    pub bytes: Bytes,
}

impl Upstream {
    /// HEAD; does not count as a pull at Docker Hub. `deadline` bounds the whole, login and retries included.
    ///
    /// A registry that has no HEAD is asked with GET. Where the answer leaves out the type, `digest` is `None` as well: only
    /// the manifest itself tells what it is.
    pub async fn manifest_head(
        &self,
        repository: &RepositoryName,
        reference: &Reference,
        accept: AcceptSet,
        deadline: Duration,
    ) -> Result<ManifestHead, Error> {
        let until = Instant::now() + deadline;
        let ask = manifest_ask(Method::HEAD, repository, reference, accept);
        let head = self.over_endpoints(Some(until), |turn| self.head_once(turn, repository, &ask)).await;
        match head {
            Err(Error { kind: ErrorKind::Failed { status: 405 | 501, .. }, .. }) => {
                let left = until.saturating_duration_since(Instant::now());
                let body = self.manifest(repository, reference, accept, left).await?;
                let size = Some(body.bytes.len() as u64);
                Ok(ManifestHead { digest: Some(body.digest), media_type: body.media_type, size })
            }
            head => head,
        }
    }

    pub async fn manifest(
        &self,
        repository: &RepositoryName,
        reference: &Reference,
        accept: AcceptSet,
        deadline: Duration,
    ) -> Result<ManifestBody, Error> {
        let until = Instant::now() + deadline;
        let ask = manifest_ask(Method::GET, repository, reference, accept);
        self.over_endpoints(Some(until), |turn| self.manifest_once(turn, repository, reference, &ask)).await
    }

    async fn head_once(
        &self,
        turn: Turn<'_>,
        repository: &RepositoryName,
        ask: &Ask,
    ) -> Result<ManifestHead, ErrorKind> {
        let reply = self.send(turn, repository, ask).await?;
        let media_type = reply.media_type();
        if let Some(media_type) = media_type.as_ref().filter(|media_type| !media_type.may_be_manifest()) {
            return Err(no_manifest(media_type));
        }
        let size = reply.header("content-length").and_then(|length| length.parse().ok());
        let digest = reply.header(DIGEST_HEADER).and_then(|digest| digest.trim().parse().ok());
        Ok(match media_type.filter(|media_type| !is_generic(media_type)) {
            Some(media_type) => ManifestHead { digest, media_type, size },
            None => ManifestHead { digest: None, media_type: MediaType::new("application/octet-stream"), size },
        })
    }

    async fn manifest_once(
        &self,
        turn: Turn<'_>,
        repository: &RepositoryName,
        reference: &Reference,
        ask: &Ask,
    ) -> Result<ManifestBody, ErrorKind> {
        let reply = self.send(turn, repository, ask).await?;
        reply.check_encoding()?;
        if reply.response.status() != reqwest::StatusCode::OK {
            let detail = format!("it answers {} where a manifest was asked for", reply.response.status().as_u16());
            return Err(ErrorKind::Misbehaved { detail });
        }
        let told = Told::of(&reply);
        let bytes = read_body(reply.response, MAX_MANIFEST_BYTES).await?;
        self.received_bytes.inc_by(bytes.len() as u64);
        let wanted = match reference {
            Reference::Digest(digest) => Some(*digest),
            Reference::Tag(_) => None,
        };
        read_manifest(bytes, told, wanted).map_err(|refusal| {
            if matches!(refusal, Refusal::WrongDigest(_)) {
                self.metrics.cache_digest_mismatches.with_label_values(&[self.name().as_str()]).inc();
            }
            refusal.into_kind()
        })
    }
}

fn manifest_ask(method: Method, repository: &RepositoryName, reference: &Reference, accept: AcceptSet) -> Ask {
    let path = format!("{repository}/manifests/{reference}");
    Ask { accept: Some(accept.header()), ..Ask::new(method, Channel::Api, path) }
}

/// What the answer's head says of its body.
#[derive(Default)]
struct Told {
    media_type: Option<MediaType>,
    digest: Option<Digest>,
}

impl Told {
    fn of(reply: &Reply) -> Self {
        // A digest of an algorithm that we do not know cannot be checked; the bytes get one that can.
        let digest = reply.header(DIGEST_HEADER).and_then(|digest| digest.trim().parse().ok());
        Self { media_type: reply.media_type(), digest }
    }
}

#[derive(Debug)]
enum Refusal {
    NoManifest(String),
    WrongDigest(String),
}

impl Refusal {
    fn into_kind(self) -> ErrorKind {
        let (Self::NoManifest(detail) | Self::WrongDigest(detail)) = self;
        ErrorKind::Misbehaved { detail }
    }
}

/// The members by which a manifest is known, whatever they hold.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Members {
    schema_version: Option<IgnoredAny>,
    media_type: Option<String>,
    config: Option<IgnoredAny>,
    layers: Option<IgnoredAny>,
    manifests: Option<IgnoredAny>,
    blobs: Option<IgnoredAny>,
    fs_layers: Option<IgnoredAny>,
    signatures: Option<IgnoredAny>,
    errors: Option<IgnoredAny>,
}

impl Members {
    fn are_of_a_manifest(&self) -> bool {
        self.schema_version.is_some()
            || self.media_type.is_some()
            || [&self.config, &self.layers, &self.manifests, &self.blobs, &self.fs_layers].iter().any(|it| it.is_some())
    }

    /// The type of a document that came without one.
    fn media_type(&self) -> MediaType {
        match &self.media_type {
            Some(declared) => MediaType::new(declared),
            None if self.manifests.is_some() => MediaType::oci_index(),
            None if self.fs_layers.is_some() && self.signatures.is_some() => {
                MediaType::new("application/vnd.docker.distribution.manifest.v1+prettyjws")
            }
            None if self.fs_layers.is_some() => MediaType::new("application/vnd.docker.distribution.manifest.v1+json"),
            None => MediaType::new("application/vnd.oci.image.manifest.v1+json"),
        }
    }
}

/// Accepts `bytes` as the manifest that was asked for, by `wanted` where that was a digest.
///
/// The digest of a *signed* Docker schema 1 manifest is of its payload, not of its bytes, so it can neither be kept nor
/// checked like any other: it is refused. The format was retired in 2019 and no current client runs such an image.
fn read_manifest(bytes: Bytes, told: Told, wanted: Option<Digest>) -> Result<ManifestBody, Refusal> {
    if let Some(media_type) = told.media_type.as_ref().filter(|media_type| !media_type.may_be_manifest()) {
        return Err(Refusal::NoManifest(format!("it sends {media_type} where a manifest was asked for")));
    }
    let no_manifest = |error: String| Refusal::NoManifest(format!("it sends what is not a manifest: {error}"));
    let members: Members = serde_json::from_slice(&bytes).map_err(|error| no_manifest(error.to_string()))?;
    // An artifact may look like nothing that we know: then its name is enough, if it is not an error document (C15).
    let named = told.media_type.as_ref().is_some_and(|media_type| !is_generic(media_type)) && members.errors.is_none();
    let asked_for = wanted.is_some_and(|wanted| wanted.verifies(&bytes));
    if !(members.are_of_a_manifest() || named || asked_for) {
        return Err(no_manifest("a JSON document without any member of one".to_owned()));
    }
    Manifest::parse(&bytes).map_err(|error| no_manifest(error.to_string()))?;
    let media_type = match told.media_type {
        Some(media_type) if !is_generic(&media_type) => media_type,
        Some(media_type) if members.media_type.is_none() && media_type.as_str() == "application/json" => media_type,
        _ => members.media_type(),
    };
    for (digest, origin) in [(wanted, "asked for"), (told.digest, "announced")] {
        match digest {
            Some(digest) if !digest.verifies(&bytes) => {
                let detail = if members.fs_layers.is_some() && members.signatures.is_some() {
                    "it sends a signed Docker schema 1 manifest, a format that is no longer supported".to_owned()
                } else {
                    format!("the bytes of the manifest are not those of the digest that was {origin}, {digest}")
                };
                return Err(Refusal::WrongDigest(detail));
            }
            _ => {}
        }
    }
    let digest = wanted.or(told.digest).unwrap_or_else(|| Digest::of(&bytes));
    Ok(ManifestBody { digest, media_type, bytes })
}

/// Types that object stores give to everything.
fn is_generic(media_type: &MediaType) -> bool {
    matches!(media_type.as_str(), "application/json" | "application/octet-stream" | "binary/octet-stream")
}

fn no_manifest(media_type: &MediaType) -> ErrorKind {
    ErrorKind::Misbehaved { detail: format!("it sends {media_type} where a manifest was asked for") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oci::Algorithm;

    const INDEX: &str = r#"{"schemaVersion":2,"manifests":[]}"#;

    fn read(
        text: &str,
        media_type: &str,
        announced: Option<Digest>,
        wanted: Option<Digest>,
    ) -> Result<ManifestBody, Refusal> {
        let media_type = (!media_type.is_empty()).then(|| MediaType::new(media_type));
        read_manifest(Bytes::from(text.to_owned()), Told { media_type, digest: announced }, wanted)
    }

    #[test]
    fn what_is_not_a_manifest() {
        for (text, media_type) in [
            (INDEX, "text/html"),
            (INDEX, "text/plain; charset=utf-8"),
            ("<html>log in</html>", ""),
            ("<html>log in</html>", "application/vnd.oci.image.index.v1+json"),
            (r#"{"errors":[{"code":"TOOMANYREQUESTS"}]}"#, "application/json"),
            (r#"{"message":"hello"}"#, "application/vnd.oci.image.index.v1+json"),
            ("", "application/vnd.oci.image.index.v1+json"),
            ("[]", ""),
            ("null", ""),
        ] {
            assert!(matches!(read(text, media_type, None, None), Err(Refusal::NoManifest(_))), "{text} {media_type}");
        }
    }

    #[test]
    fn the_type_is_upstreams_else_the_documents() {
        let own = r#"{"mediaType":"a/b"}"#;
        for (text, told, expected) in [
            (INDEX, "x/y; charset=utf-8", "x/y"),
            (own, "x/y", "x/y"),
            (own, "", "a/b"),
            (own, "application/json", "a/b"),
            (own, "binary/octet-stream", "a/b"),
            (INDEX, "application/json", "application/json"),
            (INDEX, "", "application/vnd.oci.image.index.v1+json"),
            (r#"{"layers":[]}"#, "application/octet-stream", "application/vnd.oci.image.manifest.v1+json"),
            (r#"{"fsLayers":[]}"#, "", "application/vnd.docker.distribution.manifest.v1+json"),
        ] {
            assert_eq!(read(text, told, None, None).unwrap().media_type.as_str(), expected, "{text} {told}");
        }
    }

    #[test]
    fn digests_hold() {
        let right = Digest::of(INDEX.as_bytes());
        let long = Digest::compute(Algorithm::Sha512, INDEX.as_bytes());
        let wrong = Digest::of(b"other");
        let media_type = "application/vnd.oci.image.index.v1+json";
        for (announced, wanted, expected) in [
            (None, None, Some(right)),
            (Some(right), Some(right), Some(right)),
            (Some(long), None, Some(long)),
            (None, Some(long), Some(long)),
            (Some(right), Some(long), Some(long)),
            (Some(wrong), None, None),
            (None, Some(wrong), None),
            (Some(wrong), Some(right), None),
        ] {
            let found = read(INDEX, media_type, announced, wanted);
            match expected {
                Some(expected) => assert_eq!(found.unwrap().digest, expected),
                None => assert!(matches!(found, Err(Refusal::WrongDigest(_)))),
            }
        }
    }

    #[test]
    fn signed_schema_1_says_what_it_is() {
        let text = r#"{"schemaVersion":1,"fsLayers":[],"signatures":[{}]}"#;
        let refusal = read(text, "", Some(Digest::of(b"payload")), None).unwrap_err();
        assert!(refusal.into_kind().to_string().contains("schema 1"));
    }
}
