//! Lists that upstream owns: tags, and the referrers of a manifest.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::Value;

use super::Repository;
use super::freshness::Rules;
use super::kept::Kept;
use super::perishable::{Confirmed, Question};
use super::{MAX_LISTS_KIB, PullThrough};
use crate::action::{Page, RequestedName};
use crate::config::OnNotFound;
use crate::meta::{Listing, now_ms};
use crate::oci::{AcceptSet, Digest, Reference, RepositoryName, Tag};
use crate::registry::PAGE_ENTRIES;
use crate::registry::{Answer, Body};
use crate::registry::{Error, Object};
use crate::telemetry::ObjectKind;
use crate::upstream::{self, Upstream};

/// "What is on this list?"
#[derive(Clone)]
pub(super) struct ListQuestion {
    kept: Arc<Kept>,
    repository: Repository,
    list: List,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum List {
    Tags,
    Referrers(Digest),
}

/// A list as it is kept.
#[derive(Clone)]
pub(super) enum Entries {
    /// Sorted.
    Tags(Arc<[Tag]>),
    /// An OCI index.
    Referrers(Bytes),
}

/// A longer list lasts until the next start, or until others need its room in memory.
const MAX_WRITTEN_BYTES: usize = 4 << 20;

/// Of the allocation of a tag's text.
const TAG_OVERHEAD_BYTES: usize = 16;

const EMPTY_INDEX: &str = r#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}"#;

impl PullThrough {
    pub(in crate::registry) async fn list_tags(
        &self,
        repository: Repository,
        name: &RequestedName,
        page: &Page,
    ) -> Result<Answer, Error> {
        let (entries, mut answer) = self.list(repository, List::Tags).await?;
        if let Entries::Tags(all) = entries {
            let (tags, more) = page.cut(&all, PAGE_ENTRIES);
            answer.body = Body::Tags { name: name.path.to_string(), tags: tags.to_vec(), more };
        }
        Ok(answer)
    }

    pub(in crate::registry) async fn list_referrers(
        &self,
        repository: Repository,
        subject: Digest,
        artifact_type: Option<&str>,
    ) -> Result<Answer, Error> {
        let (entries, mut answer) = self.list(repository, List::Referrers(subject)).await?;
        if let Entries::Referrers(index) = entries {
            answer.body = match artifact_type {
                Some(artifact_type) => {
                    Body::Referrers { index: filter(&index, artifact_type), filtered: true, next: None }
                }
                None => Body::Referrers { index, filtered: false, next: None },
            };
        }
        Ok(answer)
    }

    async fn list(&self, repository: Repository, list: List) -> Result<(Entries, Answer), Error> {
        let question = ListQuestion { kept: self.kept.clone(), repository: repository.clone(), list };
        let served = self.lists.get(&question).await.map_err(|error| {
            let object = match list {
                List::Tags => Object::Tags(repository.local.clone()),
                List::Referrers(subject) => Object::Referrers(repository.local.clone(), subject),
            };
            Error::from_upstream(object, error)
        })?;
        self.count(ObjectKind::List, &repository, served.outcome);
        let answer = Answer {
            body: Body::Pong,
            upstream: Some(repository.upstream),
            outcome: Some(served.outcome),
            staleness: served.staleness,
        };
        Ok((served.value, answer))
    }
}

impl List {
    /// The row's name in the database.
    fn name(&self) -> String {
        match self {
            Self::Tags => "tags".to_owned(),
            Self::Referrers(subject) => format!("referrers {subject}"),
        }
    }
}

impl Entries {
    fn is_empty(&self) -> bool {
        match self {
            Self::Tags(tags) => tags.is_empty(),
            Self::Referrers(index) => !has_manifests(index),
        }
    }

    /// Bytes in memory, about.
    fn bytes(&self) -> usize {
        match self {
            Self::Tags(tags) => tags.iter().map(|tag| size_of::<Tag>() + tag.as_str().len() + TAG_OVERHEAD_BYTES).sum(),
            Self::Referrers(index) => index.len(),
        }
    }

    fn body(&self) -> Bytes {
        match self {
            Self::Tags(tags) => {
                let names: Vec<&str> = tags.iter().map(Tag::as_str).collect();
                Bytes::from(names.join("\n"))
            }
            Self::Referrers(index) => index.clone(),
        }
    }

    fn read(list: List, body: &Bytes) -> Option<Self> {
        Some(match list {
            List::Tags => {
                Self::Tags(std::str::from_utf8(body).ok()?.lines().filter_map(|line| line.parse().ok()).collect())
            }
            List::Referrers(_) => Self::Referrers(body.clone()),
        })
    }
}

impl Question for ListQuestion {
    type Key = (RepositoryName, List);
    type Value = Entries;

    fn key(&self) -> Self::Key {
        (self.repository.local.clone(), self.list)
    }

    fn upstream(&self) -> &Upstream {
        &self.repository.upstream
    }

    fn rules(&self) -> Rules {
        Rules::of(self.upstream().settings())
    }

    fn keeps_what_upstream_lost(&self) -> bool {
        self.upstream().settings().on_not_found == OnNotFound::Keep
    }

    /// KiB. The longest count for half of the limit, so that they are kept at all.
    fn weight(entries: &Entries) -> u32 {
        let most = u32::try_from(MAX_LISTS_KIB / 2).unwrap_or(u32::MAX);
        u32::try_from(entries.bytes().div_ceil(1024)).unwrap_or(most).clamp(1, most)
    }

    async fn recall(&self) -> Option<Confirmed<Entries>> {
        let _turn = self.upstream().list_turn(self.repository.asker).await;
        let listing = self.kept.meta.listing(&self.repository.local, &self.list.name()).await;
        let Listing { body, checked_at_ms } = listing.unwrap_or_else(|error| {
            tracing::warn!(%error, repository = %self.repository.local, "a list cannot be read");
            None
        })?;
        let value = Entries::read(self.list, &body)?;
        let short_lived = value.is_empty();
        Some(Confirmed { value, checked_at_ms, short_lived })
    }

    async fn ask(&self, _known: Option<Entries>) -> Result<Confirmed<Entries>, upstream::Error> {
        let _turn = self.upstream().list_turn(self.repository.asker).await;
        let value = match self.list {
            List::Tags => self.ask_tags().await?,
            List::Referrers(subject) => Entries::Referrers(self.ask_referrers(&subject).await?),
        };
        let listing = Listing { body: value.body(), checked_at_ms: now_ms() };
        let meta = self.kept.meta.on_behalf_of(self.repository.asker);
        if listing.body.len() <= MAX_WRITTEN_BYTES
            && let Err(error) = meta.put_listing(&self.repository.local, &self.list.name(), &listing).await
        {
            tracing::warn!(%error, repository = %self.repository.local, "a list cannot be written");
        }
        // A signature may be on its way: an empty list is not believed for long (C84).
        let short_lived = value.is_empty();
        Ok(Confirmed { value, checked_at_ms: listing.checked_at_ms, short_lived })
    }

    async fn forget(&self) {}
}

impl ListQuestion {
    async fn ask_tags(&self) -> Result<Entries, upstream::Error> {
        let names = self.upstream().tags(&self.repository.remote).await?;
        let mut tags: Vec<Tag> = names.iter().filter_map(|name| name.parse().ok()).collect();
        tags.sort_unstable();
        tags.dedup();
        Ok(Entries::Tags(tags.into()))
    }

    /// The referrers API, else the index under the fallback tag (distribution-spec, "Referrers tag schema").
    async fn ask_referrers(&self, subject: &Digest) -> Result<Bytes, upstream::Error> {
        let Repository { upstream, remote, .. } = &self.repository;
        if let Some(index) = upstream.referrers(remote, subject).await? {
            self.adopt(&index).await;
            return Ok(index);
        }
        let tag = Reference::Tag(Tag::of_referrers(subject));
        let deadline = upstream.settings().patience();
        match upstream.manifest(remote, &tag, AcceptSet::current(), deadline).await {
            Ok(manifest) if manifest.media_type.is_index() => {
                self.kept.keep_manifest(&self.repository, &manifest).await;
                Ok(manifest.bytes)
            }
            Ok(_) => Ok(Bytes::from_static(EMPTY_INDEX.as_bytes())),
            Err(error) if error.is_not_found() => Ok(Bytes::from_static(EMPTY_INDEX.as_bytes())),
            Err(error) => Err(error),
        }
    }

    /// A repository may serve its referrers.
    async fn adopt(&self, index: &Bytes) {
        use crate::meta::{Link, LinkKind};
        let Ok(document) = crate::oci::Manifest::parse(index) else { return };
        let links = document.manifests.into_iter().map(|referrer| Link {
            digest: referrer.digest,
            kind: LinkKind::Manifest,
            media_type: referrer.media_type,
            size: Some(referrer.size),
        });
        self.kept.add_links(&self.repository, links.collect()).await;
    }
}

/// Told without building the document, which is many times as large as its text.
fn has_manifests(index: &[u8]) -> bool {
    #[derive(serde::Deserialize)]
    struct Index {
        #[serde(default)]
        manifests: Vec<serde::de::IgnoredAny>,
    }
    serde_json::from_slice::<Index>(index).is_ok_and(|index| !index.manifests.is_empty())
}

fn manifests(index: &[u8]) -> Vec<Value> {
    let Ok(mut document) = serde_json::from_slice::<Value>(index) else { return Vec::new() };
    match document.get_mut("manifests").map(Value::take) {
        Some(Value::Array(manifests)) => manifests,
        _ => Vec::new(),
    }
}

/// Keeps the descriptors of one artifact type; everything else of them stays as it was.
fn filter(index: &Bytes, artifact_type: &str) -> Bytes {
    let mut kept = manifests(index);
    kept.retain(|descriptor| descriptor.get("artifactType").and_then(Value::as_str) == Some(artifact_type));
    let mut document: Value = serde_json::from_slice(index).unwrap_or_default();
    if let Some(object) = document.as_object_mut() {
        object.insert("manifests".to_owned(), Value::Array(kept));
    }
    Bytes::from(document.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_count_by_their_size() {
        let tags: Arc<[Tag]> = (0..1000).map(|n| format!("v{n:0>20}").parse().unwrap()).collect();
        let kib = ListQuestion::weight(&Entries::Tags(tags));
        assert!((36..=80).contains(&kib), "{kib}");
        let referrers = |bytes| ListQuestion::weight(&Entries::Referrers(Bytes::from(vec![b'x'; bytes])));
        assert_eq!([referrers(0), referrers(10_000), referrers(60 << 20)], [1, 10, 16 << 10]);
    }

    #[test]
    fn filter_by_artifact_type() {
        let index = Bytes::from_static(
            br#"{"schemaVersion":2,"manifests":[{"artifactType":"a","n":1},{"artifactType":"b"},{}]}"#,
        );
        let filtered = filter(&index, "a");
        assert_eq!(manifests(&filtered), [serde_json::json!({"artifactType":"a","n":1})]);
        assert!(manifests(&filter(&index, "c")).is_empty());
        assert!(manifests(EMPTY_INDEX.as_bytes()).is_empty());
        assert!(has_manifests(&index) && !has_manifests(EMPTY_INDEX.as_bytes()) && !has_manifests(b"<html>"));
    }
}
