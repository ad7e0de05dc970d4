//! Lists that upstream owns: tags, and the referrers of a manifest.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::value::RawValue;

use super::PullThrough;
use super::Repository;
use super::freshness::Rules;
use super::kept::Kept;
use super::perishable::{Confirmed, Question};
use super::tag_list::TagList;
use crate::action::{Page, RequestedName};
use crate::config::OnNotFound;
use crate::memory::Held;
use crate::meta::{Listing, Speaker, now_ms};
use crate::oci::{AcceptSet, Digest, Reference, RepositoryName, Tag, json};
use crate::registry::PAGE_ENTRIES;
use crate::registry::{Answer, Body};
use crate::registry::{Error, Object};
use crate::storage::OriginId;
use crate::telemetry::ObjectKind;
use crate::upstream::{self, Received, Upstream};

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
    Tags(TagList),
    /// An OCI index.
    Referrers(Bytes),
}

/// A longer list lasts until the next start, or until others need its room in memory.
const MAX_WRITTEN_BYTES: usize = 4 << 20;

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
            let (tags, more) = all.page(page, PAGE_ENTRIES);
            answer.body = Body::Tags { name: name.path.to_string(), tags, more };
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
            Self::Tags(tags) => tags.text().is_empty(),
            Self::Referrers(index) => !has_manifests(index),
        }
    }

    /// Bytes that it points to.
    fn bytes(&self) -> usize {
        match self {
            Self::Tags(tags) => tags.text().len(),
            Self::Referrers(index) => index.len(),
        }
    }

    fn body(&self) -> Bytes {
        match self {
            Self::Tags(tags) => tags.text().clone(),
            Self::Referrers(index) => index.clone(),
        }
    }

    fn read(list: List, body: Bytes) -> Self {
        match list {
            List::Tags => Self::Tags(TagList::of_sorted(body)),
            List::Referrers(_) => Self::Referrers(body),
        }
    }
}

impl Question for ListQuestion {
    type Key = (OriginId, RepositoryName, List);
    type Value = Entries;

    fn key(&self) -> Self::Key {
        (self.repository.upstream.origin(), self.repository.local.clone(), self.list)
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

    fn bytes(&self) -> usize {
        self.repository.bytes()
    }

    fn value_bytes(entries: &Entries) -> usize {
        entries.bytes()
    }

    async fn recall(&self) -> Option<Confirmed<Entries>> {
        let _turn = self.upstream().list_turn(self.repository.asker).await;
        // A list that is not read is asked for, and told there that there is no room.
        let _room = self.upstream().room_for(2 * MAX_WRITTEN_BYTES).await.ok()?;
        let listing = self.kept.meta.listing(&self.repository.local, &self.list.name()).await;
        let Listing { body, checked_at_ms } = listing.unwrap_or_else(|error| {
            tracing::warn!(%error, repository = %self.repository.local, "a list cannot be read");
            None
        })?;
        let value = Entries::read(self.list, body);
        let short_lived = value.is_empty();
        Some(Confirmed { value, checked_at_ms, short_lived })
    }

    async fn ask(&self, _known: Option<Entries>) -> Result<Confirmed<Entries>, upstream::Error> {
        let _turn = self.upstream().list_turn(self.repository.asker).await;
        // The room is held until the list has its place.
        let (value, _room) = match self.list {
            List::Tags => self.ask_tags().await?,
            List::Referrers(subject) => self.ask_referrers(&subject).await?,
        };
        let listing = Listing { body: value.body(), checked_at_ms: now_ms() };
        let meta = self.kept.meta.on_behalf_of(self.repository.asker);
        let upstream = self.upstream();
        let speaker = Some(Speaker { name: upstream.name().as_str(), origin: upstream.origin() });
        if listing.body.len() <= MAX_WRITTEN_BYTES
            && let Err(error) = meta.put_listing(&self.repository.local, &self.list.name(), &listing, speaker).await
        {
            tracing::warn!(%error, repository = %self.repository.local, "a list cannot be written");
        }
        // A signature may be on its way: an empty list is not believed for long (C84).
        let short_lived = value.is_empty();
        Ok(Confirmed { value, checked_at_ms: listing.checked_at_ms, short_lived })
    }

    async fn forget(&self, _refusal: &upstream::Error) {
        if let Err(error) = self.kept.meta.remove_listing(&self.repository.local, &self.list.name()).await {
            tracing::warn!(%error, repository = %self.repository.local, "a list cannot be forgotten");
        }
    }
}

impl ListQuestion {
    async fn ask_tags(&self) -> Result<(Entries, Option<Held>), upstream::Error> {
        let Received { value: names, room } = self.upstream().tags(&self.repository.remote).await?;
        Ok((Entries::Tags(TagList::sorted(&names)), Some(room)))
    }

    /// The referrers API, else the index under the fallback tag (distribution-spec, "Referrers tag schema").
    async fn ask_referrers(&self, subject: &Digest) -> Result<(Entries, Option<Held>), upstream::Error> {
        let Repository { upstream, remote, .. } = &self.repository;
        if let Some(Received { value: index, room }) = upstream.referrers(remote, subject).await? {
            self.adopt(&index).await;
            return Ok((Entries::Referrers(index), Some(room)));
        }
        let empty = || Entries::Referrers(Bytes::from_static(EMPTY_INDEX.as_bytes()));
        let tag = Reference::Tag(Tag::of_referrers(subject));
        let deadline = upstream.settings().patience();
        match upstream.manifest(remote, &tag, AcceptSet::current(), deadline).await {
            Ok(Received { value: manifest, room }) if manifest.media_type.is_index() => {
                self.kept.keep_manifest(&self.repository, &manifest).await;
                Ok((Entries::Referrers(manifest.bytes), Some(room)))
            }
            Ok(_) => Ok((empty(), None)),
            Err(error) if error.is_not_found() => Ok((empty(), None)),
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

fn has_manifests(index: &[u8]) -> bool {
    let mut found = false;
    // A document that is no index has none.
    let _ = each_manifest(index, |_| {
        found = true;
        Ok(())
    });
    found
}

fn each_manifest<'a>(index: &'a [u8], mut each: impl FnMut(&'a RawValue) -> Result<(), String>) -> Result<(), String> {
    json::members(index, |name, value| match name {
        "manifests" if value.get() != "null" => json::elements(value.get().as_bytes(), &mut each),
        _ => Ok(()),
    })
}

/// Keeps the descriptors of one artifact type; everything else stays as it was.
fn filter(index: &[u8], artifact_type: &str) -> Bytes {
    filtered(index, artifact_type).unwrap_or_else(|_| Bytes::from_static(EMPTY_INDEX.as_bytes()))
}

fn filtered(index: &[u8], artifact_type: &str) -> Result<Bytes, String> {
    let mut kept = String::new();
    json::members(index, |name, value| {
        let separator = if kept.is_empty() { "{" } else { "," };
        let written = serde_json::to_string(name).map_err(|error| error.to_string())?;
        kept.extend([separator, &written, ":"]);
        if name != "manifests" || value.get() == "null" {
            kept.push_str(value.get());
            return Ok(());
        }
        kept.push('[');
        let mut separator = "";
        json::elements(value.get().as_bytes(), |descriptor| {
            if is_of(descriptor, artifact_type) {
                kept.extend([separator, descriptor.get()]);
                separator = ",";
            }
            Ok(())
        })?;
        kept.push(']');
        Ok(())
    })?;
    kept.push_str(if kept.is_empty() { "{}" } else { "}" });
    Ok(Bytes::from(kept))
}

fn is_of(descriptor: &RawValue, artifact_type: &str) -> bool {
    let mut found = false;
    let read = json::members(descriptor.get().as_bytes(), |name, value| {
        if name == "artifactType" {
            found = json::text(value).is_some_and(|text| text == artifact_type);
        }
        Ok(())
    });
    read.is_ok() && found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filter_by_artifact_type() {
        let index = Bytes::from_static(
            br#"{"schemaVersion":2,"manifests":[{"artifactType":"a","n":1},{"artifactType":"b"},{}]}"#,
        );
        assert_eq!(&*filter(&index, "a"), br#"{"schemaVersion":2,"manifests":[{"artifactType":"a","n":1}]}"#);
        assert_eq!(&*filter(&index, "c"), br#"{"schemaVersion":2,"manifests":[]}"#);
        let two =
            br#"{ "manifests" : [ {"artifactType":"a"}, {"b":{"artifactType":"c"},"artifactType":"a"} ], "x" : "y" }"#;
        assert_eq!(
            &*filter(two, "a"),
            br#"{"manifests":[{"artifactType":"a"},{"b":{"artifactType":"c"},"artifactType":"a"}],"x":"y"}"#
        );
        assert_eq!(&*filter(br#"{"manifests":null}"#, "a"), br#"{"manifests":null}"#);
        assert_eq!(&*filter(b"{}", "a"), b"{}");
        assert_eq!(&*filter(b"<html>", "a"), EMPTY_INDEX.as_bytes());
        for none in [EMPTY_INDEX, "<html>", r#"{"manifests":null}"#, "{}"] {
            assert!(!has_manifests(none.as_bytes()), "{none}");
        }
        assert!(has_manifests(&index));
    }
}
