//! Manifests, by HEAD and GET.

use std::time::Duration;

use bytes::Bytes;
use reqwest::Method;
use tokio::time::Instant;

use super::body::{Received, read_body};
use super::client::Channel;
use super::document::{Refusal, Told, is_generic, read_manifest};
use super::error::{Error, ErrorKind};
use super::remote::{Turn, Upstream};
use super::request::{Ask, Reply};
use crate::oci::{AcceptSet, Digest, MediaType, Reference, RepositoryName};

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
                let Received { value: body, .. } = self.manifest(repository, reference, accept, left).await?;
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
    ) -> Result<Received<ManifestBody>, Error> {
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
        // No manifest is empty, and the length of a packed one is not its own.
        let told = reply.header("content-length").and_then(|length| length.parse().ok());
        let is_likely = |size: &u64| reply.check_encoding().is_ok() && (1..=MAX_MANIFEST_BYTES as u64).contains(size);
        let size = told.filter(is_likely);
        let digest = told_digest(&reply);
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
    ) -> Result<Received<ManifestBody>, ErrorKind> {
        let reply = self.send(turn, repository, ask).await?;
        reply.check_encoding()?;
        if reply.response.status() != reqwest::StatusCode::OK {
            let detail = format!("it answers {} where a manifest was asked for", reply.response.status().as_u16());
            return Err(ErrorKind::Misbehaved { detail });
        }
        let told = Told { media_type: reply.media_type(), digest: told_digest(&reply) };
        let mut room = self.room();
        let bytes = read_body(reply.response, MAX_MANIFEST_BYTES, &mut room).await?;
        self.received(repository, bytes.len());
        let wanted = match reference {
            Reference::Digest(digest) => Some(*digest),
            Reference::Tag(_) => None,
        };
        let read = read_manifest(bytes, told, wanted).map_err(|refusal| {
            if matches!(refusal, Refusal::WrongDigest(_)) {
                self.metrics.cache_digest_mismatches.with_label_values(&[self.name().as_str()]).inc();
            }
            refusal.into_kind()
        });
        Ok(Received { value: read?, room })
    }
}

fn manifest_ask(method: Method, repository: &RepositoryName, reference: &Reference, accept: AcceptSet) -> Ask {
    let path = format!("{repository}/manifests/{reference}");
    Ask { accept: Some(accept.header()), ..Ask::new(method, Channel::Api, path) }
}

/// A digest of an algorithm that we do not know cannot be checked; the bytes get one that can.
fn told_digest(reply: &Reply) -> Option<Digest> {
    reply.header(DIGEST_HEADER)?.trim().parse().ok()
}

fn no_manifest(media_type: &MediaType) -> ErrorKind {
    ErrorKind::Misbehaved { detail: format!("it sends {media_type} where a manifest was asked for") }
}
