//! Manifests, blobs and referrers that a registry has.

use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderMap, LINK};
use reqwest::{Method, Response, Url};

use super::answer::{ask, chunk, whole};
use super::retry::persist;
use super::{Error, Registry};
use crate::cli::transfer::layout::MAX_DOCUMENT_BYTES;
use crate::cli::transfer::plan::Document;
use crate::oci::{AcceptSet, Descriptor, Digest, Manifest, MediaType, Reference, RepositoryName, Tag};

const DOCKER_CONTENT_DIGEST: &str = "docker-content-digest";

/// Pages of referrers of one manifest.
const MAX_PAGES: usize = 1000;

/// A blob that is on its way.
pub(in crate::cli) struct Incoming {
    response: Response,
    object: String,
}

impl Incoming {
    pub(in crate::cli) async fn chunk(&mut self) -> Result<Option<bytes::Bytes>, Error> {
        chunk(&mut self.response, &self.object).await
    }
}

impl Registry {
    /// Asks once whether a registry is there.
    pub(in crate::cli) async fn answers(&self) -> Result<(), Error> {
        ask(self.request(Method::GET, self.url("")?), self.base.as_str()).await.map(drop)
    }

    /// The digest that a tag has now, where the registry tells it.
    pub(in crate::cli) async fn digest_of(
        &self,
        repository: &RepositoryName,
        tag: &Tag,
    ) -> Result<Option<Digest>, Error> {
        let object = format!("{repository}:{tag}");
        let url = self.url(&format!("{repository}/manifests/{tag}"))?;
        let response = persist(async || {
            ask(self.request(Method::HEAD, url.clone()).header(ACCEPT, AcceptSet::current().header()), &object).await
        })
        .await?;
        Ok(told_digest(response.headers()))
    }

    /// A manifest, verified against the digest that was asked for or that the registry tells.
    pub(in crate::cli) async fn manifest(
        &self,
        repository: &RepositoryName,
        reference: &Reference,
    ) -> Result<Document, Error> {
        let object = match reference {
            Reference::Tag(tag) => format!("{repository}:{tag}"),
            Reference::Digest(digest) => format!("{repository}@{digest}"),
        };
        let url = self.url(&format!("{repository}/manifests/{reference}"))?;
        let (headers, bytes) = persist(async || {
            let accept = AcceptSet::current().header();
            let response = ask(self.request(Method::GET, url.clone()).header(ACCEPT, accept), &object).await?;
            let headers = response.headers().clone();
            Ok((headers, whole(response, MAX_DOCUMENT_BYTES as usize, &object).await?))
        })
        .await?;
        let digest = match reference {
            Reference::Digest(digest) => *digest,
            Reference::Tag(_) => told_digest(&headers).unwrap_or_else(|| Digest::of(&bytes)),
        };
        if !digest.verifies(&bytes) {
            let detail = format!("the manifest that came is not {digest} but {}", Digest::of(&bytes));
            return Err(Error::wrong(object, detail));
        }
        let told = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).map(MediaType::new);
        Ok(Document { media_type: media_type(told, &bytes), digest, bytes })
    }

    /// The bytes of a blob, not verified yet.
    pub(in crate::cli) async fn blob(&self, repository: &RepositoryName, digest: &Digest) -> Result<Incoming, Error> {
        let object = format!("blob {digest} of {repository}");
        let url = self.url(&format!("{repository}/blobs/{digest}"))?;
        let response = ask(self.request(Method::GET, url), &object).await?;
        Ok(Incoming { response, object })
    }

    /// What refers to `subject`: by the API, or by the tag of registries that have no API.
    pub(in crate::cli) async fn referrers(
        &self,
        repository: &RepositoryName,
        subject: &Digest,
    ) -> Result<Vec<Descriptor>, Error> {
        match self.listed_referrers(repository, subject).await {
            Err(error) if matches!(error.status(), Some(404 | 405)) => {}
            listed => return listed,
        }
        match self.manifest(repository, &Reference::Tag(Tag::of_referrers(subject))).await {
            Ok(document) => descriptors(&document.bytes, subject),
            Err(error) if error.status() == Some(404) => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }

    async fn listed_referrers(&self, repository: &RepositoryName, subject: &Digest) -> Result<Vec<Descriptor>, Error> {
        let object = format!("the referrers of {repository}@{subject}");
        let mut url = self.url(&format!("{repository}/referrers/{subject}"))?;
        let mut found = Vec::new();
        for _ in 0..MAX_PAGES {
            let (next, bytes) = persist(async || {
                let response = ask(self.request(Method::GET, url.clone()), &object).await?;
                let next = next_page(response.headers(), &url);
                Ok((next, whole(response, MAX_DOCUMENT_BYTES as usize, &object).await?))
            })
            .await?;
            found.extend(descriptors(&bytes, subject)?);
            match next {
                Some(next) => url = next,
                None => return Ok(found),
            }
        }
        Err(Error::wrong(object, format!("they have more than {MAX_PAGES} pages")))
    }
}

/// The type that came, or that the document says, or that it looks like.
pub(in crate::cli::transfer) fn media_type(told: Option<MediaType>, bytes: &[u8]) -> MediaType {
    let told = told.filter(|told| {
        told.may_be_manifest() && !matches!(told.as_str(), "application/json" | "application/octet-stream")
    });
    told.or_else(|| Manifest::parse(bytes).ok()?.media_type).unwrap_or_else(|| {
        let is_index = Manifest::parse(bytes).is_ok_and(|manifest| !manifest.manifests.is_empty());
        if is_index { MediaType::oci_index() } else { MediaType::oci_manifest() }
    })
}

pub(super) fn told_digest(headers: &HeaderMap) -> Option<Digest> {
    headers.get(DOCKER_CONTENT_DIGEST)?.to_str().ok()?.parse().ok()
}

fn descriptors(bytes: &[u8], subject: &Digest) -> Result<Vec<Descriptor>, Error> {
    let list = Manifest::parse(bytes);
    list.map(|list| list.manifests)
        .map_err(|error| Error::wrong(format!("the referrers of {subject}"), error.to_string()))
}

/// Where a list goes on (RFC 8288), if that is at the same registry.
fn next_page(headers: &HeaderMap, url: &Url) -> Option<Url> {
    let link = headers.get(LINK)?.to_str().ok()?;
    let (target, relation) = link.trim_start().strip_prefix('<')?.split_once('>')?;
    let next = url.join(target).ok()?;
    (relation.contains("next") && next.origin() == url.origin() && next != *url).then_some(next)
}
