//! What refers to a manifest (distribution-spec, "Listing Referrers").

use std::collections::BTreeMap;

use bytes::Bytes;
use serde_json::{Value, json};

use super::{Hosted, Repository};
use crate::action::Page;
use crate::meta::ReferrerRow;
use crate::oci::{Digest, MediaType, Reference, Tag};
use crate::registry::{Answer, Body, Error};

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
        let listed = meta.referrers(repository.id, &subject, artifact_type, last, count, PAGE_BYTES as u64);
        let (rows, mut more) = listed.await?;
        // What comes behind rows that are still to come is for their page.
        let end = rows.last().filter(|_| more).map(|row| row.digest.to_string());
        let mut entries: BTreeMap<String, Value> =
            rows.into_iter().map(|row| (row.digest.to_string(), descriptor(row))).collect();
        for (digest, entry) in self.noted_under_fallback_tag(repository, &subject).await? {
            let wanted =
                artifact_type.is_none_or(|wanted| entry.get("artifactType").and_then(Value::as_str) == Some(wanted));
            let is_within = end.as_deref().is_none_or(|end| digest.as_str() <= end);
            if wanted && is_within && last.is_none_or(|last| digest.as_str() > last) {
                entries.entry(digest).or_insert(entry);
            }
        }
        let mut bytes = 0;
        let mut shown: Vec<(String, Value)> = Vec::new();
        for (digest, entry) in entries {
            bytes += entry.to_string().len();
            if shown.len() == count as usize || (bytes > PAGE_BYTES && !shown.is_empty()) {
                more = true;
                break;
            }
            shown.push((digest, entry));
        }
        let next = shown.last().filter(|_| more).and_then(|(digest, _)| digest.parse().ok());
        let manifests = shown.into_iter().map(|(_, entry)| entry).collect();
        Ok(Answer::of(Body::Referrers { index: index(manifests), filtered: artifact_type.is_some(), next }))
    }

    async fn noted_under_fallback_tag(
        &self,
        repository: &Repository,
        subject: &Digest,
    ) -> Result<Vec<(String, Value)>, Error> {
        let tag = Reference::Tag(Tag::of_referrers(subject));
        let Some(row) = self.manifest(repository, &tag).await? else { return Ok(Vec::new()) };
        let Ok(mut document) = serde_json::from_slice::<Value>(&row.content) else { return Ok(Vec::new()) };
        let Some(Value::Array(entries)) = document.get_mut("manifests").map(Value::take) else { return Ok(Vec::new()) };
        let named = entries.into_iter().filter_map(|entry| {
            let digest: Digest = entry.get("digest")?.as_str()?.parse().ok()?;
            Some((digest.to_string(), entry))
        });
        Ok(named.collect())
    }
}

/// What a repository that is not there answers.
pub(in crate::registry) fn no_referrers(filtered: bool) -> Answer {
    Answer::of(Body::Referrers { index: index(Vec::new()), filtered, next: None })
}

fn index(manifests: Vec<Value>) -> Bytes {
    let media_type = MediaType::oci_index();
    json!({ "schemaVersion": 2, "mediaType": media_type.as_str(), "manifests": manifests }).to_string().into()
}

fn descriptor(row: ReferrerRow) -> Value {
    let mut entry = json!({
        "mediaType": row.media_type.as_str(),
        "digest": row.digest.to_string(),
        "size": row.size,
    });
    if let Some(object) = entry.as_object_mut() {
        if let Some(artifact_type) = row.artifact_type {
            object.insert("artifactType".to_owned(), Value::String(artifact_type));
        }
        if !row.annotations.is_empty() {
            object.insert("annotations".to_owned(), json!(row.annotations));
        }
    }
    entry
}
