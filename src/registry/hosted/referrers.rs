//! What refers to a manifest (distribution-spec, "Listing Referrers").

use std::collections::BTreeMap;

use bytes::Bytes;
use serde_json::{Value, json};

use super::{Hosted, Repository};
use crate::action::Page;
use crate::meta::{Most, ReferrerRow};
use crate::oci::{Digest, MediaType, Reference, Tag};
use crate::registry::{Answer, Body, Error};
use crate::storage::joined;

/// Entries of one page.
const PAGE_REFERRERS: u32 = 1_000;

/// Bytes of one page: what clients take as a manifest.
const PAGE_BYTES: usize = 4 << 20;

impl Hosted {
    /// An index of the referrers. Those that an older client has noted under the fallback tag are merged in (C83); what is
    /// in the index by its own right goes first.
    pub(in crate::registry) async fn list_referrers(
        &self,
        repository: &Repository,
        subject: Digest,
        artifact_type: Option<&str>,
        page: &Page,
    ) -> Result<Answer, Error> {
        let count = page.n.unwrap_or(PAGE_REFERRERS).clamp(1, PAGE_REFERRERS);
        let last = page.last.as_deref();
        let meta = &self.meta;
        let turn = meta.list_turn().await?;
        let most = Most { rows: count, bytes: PAGE_BYTES as u64 };
        let listed = meta.referrers(&turn, repository.id, &subject, artifact_type, last, most);
        let (rows, more) = listed.await?;
        // What comes behind rows that are still to come is for their page.
        let end = rows.last().filter(|_| more).map(|row| row.digest.to_string());
        let tag = Reference::Tag(Tag::of_referrers(&subject));
        let fallback = self.manifest(repository, &tag).await?.map(|row| row.content.clone());
        let (wanted, last) = (artifact_type.map(str::to_owned), page.last.clone());
        // A page of megabytes takes its time, and its turn is held as long.
        let cut = move || {
            let _turn = turn;
            let mut noted = fallback.map(|content| noted(&content)).unwrap_or_default();
            noted.retain(|(digest, entry)| {
                let artifact_type = entry.get("artifactType").and_then(Value::as_str);
                let is_wanted = wanted.as_deref().is_none_or(|wanted| artifact_type == Some(wanted));
                let is_within = end.as_deref().is_none_or(|end| digest.as_str() <= end);
                is_wanted && is_within && last.as_deref().is_none_or(|last| digest.as_str() > last)
            });
            cut(rows, noted, count as usize, more)
        };
        let (index, next) = joined(tokio::task::spawn_blocking(cut).await).await;
        Ok(Answer::of(Body::Referrers { index, filtered: artifact_type.is_some(), next }))
    }
}

/// What an older client has noted under the fallback tag.
fn noted(content: &[u8]) -> Vec<(String, Value)> {
    let Ok(mut document) = serde_json::from_slice::<Value>(content) else { return Vec::new() };
    let Some(Value::Array(entries)) = document.get_mut("manifests").map(Value::take) else { return Vec::new() };
    let named = entries.into_iter().filter_map(|entry| {
        let digest: Digest = entry.get("digest")?.as_str()?.parse().ok()?;
        Some((digest.to_string(), entry))
    });
    named.collect()
}

/// What a repository that is not there answers.
pub(in crate::registry) fn no_referrers(filtered: bool) -> Answer {
    Answer::of(Body::Referrers { index: index(&[]), filtered, next: None })
}

/// A page of as many entries, and as long, as it may be, and where the next one begins.
fn cut(rows: Vec<ReferrerRow>, noted: Vec<(String, Value)>, count: usize, mut more: bool) -> (Bytes, Option<Digest>) {
    let mut entries: BTreeMap<String, String> =
        rows.into_iter().map(|row| (row.digest.to_string(), descriptor(&row))).collect();
    for (digest, entry) in noted {
        entries.entry(digest).or_insert_with(|| entry.to_string());
    }
    let mut bytes = 0;
    let mut shown: Vec<(String, String)> = Vec::new();
    for (digest, entry) in entries {
        bytes += entry.len();
        if shown.len() == count || (bytes > PAGE_BYTES && !shown.is_empty()) {
            more = true;
            break;
        }
        shown.push((digest, entry));
    }
    let next = shown.last().filter(|_| more).and_then(|(digest, _)| digest.parse().ok());
    let manifests: Vec<String> = shown.into_iter().map(|(_, entry)| entry).collect();
    (index(&manifests), next)
}

/// Of entries that are JSON.
fn index(manifests: &[String]) -> Bytes {
    let media_type = json!(MediaType::oci_index().as_str());
    let manifests = manifests.join(",");
    format!(r#"{{"schemaVersion":2,"mediaType":{media_type},"manifests":[{manifests}]}}"#).into()
}

/// Annotations are there as JSON: they are not read to be written again.
fn descriptor(row: &ReferrerRow) -> String {
    let (media_type, digest, size) = (json!(row.media_type.as_str()), json!(row.digest.to_string()), row.size);
    let artifact_type = row.artifact_type.as_ref();
    let artifact_type = artifact_type.map(|of| format!(r#","artifactType":{}"#, json!(of))).unwrap_or_default();
    let annotations = Some(&row.annotations).filter(|text| text.len() > "{}".len());
    let annotations = annotations.map(|text| format!(r#","annotations":{text}"#)).unwrap_or_default();
    format!(r#"{{"mediaType":{media_type},"digest":{digest},"size":{size}{artifact_type}{annotations}}}"#)
}
