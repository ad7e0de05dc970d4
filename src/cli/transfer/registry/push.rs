//! Putting blobs and manifests into a registry.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{CONTENT_LENGTH, CONTENT_TYPE, LOCATION};
use reqwest::{Body, Method, Response, Url};
use tokio::task::JoinHandle;

use super::answer::{STALL, ask, describe, judge, send};
use super::body::Outgoing;
use super::pull::told_digest;
use super::retry::persist;
use super::{Error, Registry};
use crate::cli::transfer::layout::Piece;
use crate::cli::transfer::plan::Document;
use crate::oci::{Algorithm, Digest, RepositoryName, Tag};

impl Registry {
    /// Whether the repository has the blob.
    pub(in crate::cli) async fn has_blob(&self, repository: &RepositoryName, digest: &Digest) -> Result<bool, Error> {
        let object = format!("blob {digest} of {repository}");
        let url = self.url(&format!("{repository}/blobs/{digest}"))?;
        match persist(async || ask(self.request(Method::HEAD, url.clone()), &object).await).await {
            Ok(_) => Ok(true),
            Err(error) if error.status() == Some(404) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Uploads a blob in one request, verified while it goes out. `sent` counts its bytes, from 0 at each try.
    pub(in crate::cli::transfer) async fn push_blob(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
        piece: &Piece,
        sent: &Arc<AtomicU64>,
    ) -> Result<(), Error> {
        let object = format!("blob {digest} of {repository}");
        persist(async || {
            sent.store(0, Ordering::Relaxed);
            let url = self.begin_upload(repository, digest, &object).await?;
            let (body, reading) = Outgoing::start(piece.clone(), *digest, sent.clone());
            let request = self
                .request(Method::PUT, url)
                .header(CONTENT_TYPE, "application/octet-stream")
                .header(CONTENT_LENGTH, piece.size())
                .body(Body::wrap(body));
            self.finish_upload(request, reading, sent, &object).await
        })
        .await
    }

    /// Uploads a blob that is in memory anyway.
    pub(in crate::cli) async fn push_bytes(&self, repository: &RepositoryName, bytes: Bytes) -> Result<(), Error> {
        let digest = Digest::of(&bytes);
        let object = format!("blob {digest} of {repository}");
        persist(async || {
            let url = self.begin_upload(repository, &digest, &object).await?;
            ask(self.request(Method::PUT, url).body(bytes.clone()), &object).await.map(drop)
        })
        .await
    }

    /// Puts a manifest under its digest, or under a tag.
    pub(in crate::cli) async fn push_manifest(
        &self,
        repository: &RepositoryName,
        tag: Option<&Tag>,
        document: &Document,
    ) -> Result<(), Error> {
        let (object, path) = match tag {
            Some(tag) if document.digest.algorithm() == Algorithm::Sha256 => {
                (format!("{repository}:{tag}"), format!("{repository}/manifests/{tag}"))
            }
            // Under a tag alone it would get its SHA-256 for a digest.
            Some(tag) => {
                (format!("{repository}:{tag}"), format!("{repository}/manifests/{}?tag={tag}", document.digest))
            }
            None => {
                let object = format!("{repository}@{}", document.digest);
                (object, format!("{repository}/manifests/{}", document.digest))
            }
        };
        let url = self.url(&path)?;
        let response = persist(async || {
            let request = self.request(Method::PUT, url.clone()).header(CONTENT_TYPE, document.media_type.as_str());
            ask(request.body(document.bytes.clone()), &object).await
        })
        .await?;
        match told_digest(response.headers()) {
            Some(told) if told != document.digest => {
                let detail = format!("the registry took {} for {told}", document.digest);
                Err(Error::wrong(object, detail))
            }
            _ => Ok(()),
        }
    }

    async fn begin_upload(&self, repository: &RepositoryName, digest: &Digest, object: &str) -> Result<Url, Error> {
        let url = self.url(&format!("{repository}/blobs/uploads/"))?;
        let response = ask(self.request(Method::POST, url.clone()).header(CONTENT_LENGTH, 0), object).await?;
        let location = response.headers().get(LOCATION).and_then(|value| value.to_str().ok());
        let upload = location.and_then(|location| url.join(location).ok());
        let mut upload = upload.ok_or_else(|| Error::wrong(object, "the registry did not say where to upload it"))?;
        upload.query_pairs_mut().append_pair("digest", &digest.to_string());
        Ok(upload)
    }

    async fn finish_upload(
        &self,
        request: reqwest::RequestBuilder,
        reading: JoinHandle<Result<(), Error>>,
        sent: &AtomicU64,
        object: &str,
    ) -> Result<(), Error> {
        let (had_login, answer) = send(request);
        let answered = match unless_stalled(answer, sent).await {
            Some(Ok(response)) => judge(response, had_login, object).await.map(drop),
            Some(Err(error)) => Err(Error::broken(object, describe(&error))),
            None => Err(Error::broken(object, format!("nothing moved for {} s", STALL.as_secs()))),
        };
        if matches!(answered, Err(Error::Refused { .. })) && !reading.is_finished() {
            // The registry did not want the rest.
            return answered;
        }
        // What is wrong with the layout goes before what the registry made of it.
        match reading.await {
            Ok(read) => read.and(answered),
            Err(error) => Err(Error::broken(object, format!("it was not read to its end: {error}"))),
        }
    }
}

/// `None` when no byte was taken for too long, and no answer came.
async fn unless_stalled(
    answer: impl Future<Output = reqwest::Result<Response>>,
    sent: &AtomicU64,
) -> Option<reqwest::Result<Response>> {
    let mut answer = std::pin::pin!(answer);
    let mut seen = 0;
    let mut waited = Duration::ZERO;
    let look = STALL / 8;
    while waited < STALL {
        if let Ok(answer) = tokio::time::timeout(look, &mut answer).await {
            return Some(answer);
        }
        let now = sent.load(Ordering::Relaxed);
        waited = if now == seen { waited + look } else { Duration::ZERO };
        seen = now;
    }
    None
}
