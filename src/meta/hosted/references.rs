//! What a manifest refers to: looking whether it is there, in one statement whatever the number of references.

use std::collections::{BTreeMap, BTreeSet};

use super::manifests::Put;
use super::{RepositoryId, from_sql};
use crate::meta::database::Writing;
use crate::meta::table::{Column, rows};
use crate::meta::{Error, Meta};
use crate::oci::Digest;

/// One thing that a manifest refers to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    pub digest: Digest,
    /// Bytes, as the manifest says.
    pub size: u64,
    pub kind: ReferenceKind,
    /// Whether it must be there.
    pub required: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ReferenceKind {
    Blob,
    Manifest,
    /// An entry of an index whose media type does not tell: it keeps a blob, and a manifest, of the digest.
    Either,
}

/// What there is of what a manifest refers to, with its sizes.
#[derive(Default)]
pub(super) struct Found {
    blobs: BTreeMap<String, u64>,
    manifests: BTreeMap<String, u64>,
}

impl ReferenceKind {
    /// As rows say it.
    pub(super) const fn names(self) -> &'static [&'static str] {
        match self {
            Self::Blob => &["blob"],
            Self::Manifest => &["manifest"],
            Self::Either => &["blob", "manifest"],
        }
    }
}

impl Meta {
    /// Looks before anyone has to wait: most of what is refused is refused here.
    pub(super) async fn find_references(
        &self,
        repository: RepositoryId,
        references: &[Reference],
    ) -> Result<Found, Error> {
        if references.is_empty() {
            return Ok(Found::default());
        }
        let digests = self.dialect.table(2, &[Column::Text("digest")]);
        let statement = format!(
            "SELECT 'blob', blob_link.digest, blob_link.size FROM blob_link JOIN blob ON blob.digest = blob_link.digest \
             WHERE blob_link.repository_id = $1 AND blob.lost_at_ms IS NULL \
             AND blob_link.digest IN (SELECT digest FROM {digests} AS wanted) \
             UNION ALL SELECT 'manifest', manifest.digest, manifest.size FROM manifest \
             WHERE manifest.repository_id = $1 AND manifest.digest IN (SELECT digest FROM {digests} AS wanted)"
        );
        let found: Vec<(String, String, i64)> = sqlx::query_as(sqlx::AssertSqlSafe(statement))
            .bind(repository.0)
            .bind(unique(references))
            .fetch_all(&self.pool)
            .await
            .map_err(Error::Query)?;
        let mut all = Found::default();
        for (kind, digest, size) in found {
            let of_kind = if kind == "blob" { &mut all.blobs } else { &mut all.manifests };
            of_kind.insert(digest, from_sql(size));
        }
        Ok(all)
    }
}

impl Writing {
    /// Says that everything referred to is wanted, so that it stays, and what there is of it.
    pub(super) async fn want_references(
        &mut self,
        repository: RepositoryId,
        references: &[Reference],
        now_ms: i64,
    ) -> Result<Found, Error> {
        if references.is_empty() {
            return Ok(Found::default());
        }
        let digests = unique(references);
        let blobs = format!(
            "UPDATE blob_link SET wanted_at_ms = $2 WHERE repository_id = $1 \
             AND digest IN (SELECT digest FROM {} AS wanted) AND EXISTS \
             (SELECT 1 FROM blob WHERE blob.digest = blob_link.digest AND blob.lost_at_ms IS NULL) RETURNING digest, size",
            self.dialect.table(3, &[Column::Text("digest")])
        );
        let blobs: Vec<(String, i64)> = sqlx::query_as(sqlx::AssertSqlSafe(blobs))
            .bind(repository.0)
            .bind(now_ms)
            .bind(digests.as_str())
            .fetch_all(self.connection())
            .await
            .map_err(Error::Query)?;
        let manifests = format!(
            "SELECT digest, size FROM manifest WHERE repository_id = $1 AND digest IN (SELECT digest FROM {} AS wanted)",
            self.dialect.table(2, &[Column::Text("digest")])
        );
        let manifests: Vec<(String, i64)> = sqlx::query_as(sqlx::AssertSqlSafe(manifests))
            .bind(repository.0)
            .bind(digests.as_str())
            .fetch_all(self.connection())
            .await
            .map_err(Error::Query)?;
        let sizes =
            |rows: Vec<(String, i64)>| rows.into_iter().map(|(digest, size)| (digest, from_sql(size))).collect();
        Ok(Found { blobs: sizes(blobs), manifests: sizes(manifests) })
    }

    /// Writes down what a manifest refers to.
    pub(super) async fn insert_references(
        &mut self,
        repository: RepositoryId,
        manifest: &str,
        references: &[Reference],
    ) -> Result<(), Error> {
        if references.is_empty() {
            return Ok(());
        }
        let named = |reference: &Reference| {
            let digest = reference.digest.to_string();
            reference.kind.names().iter().map(move |kind| (digest.clone(), *kind))
        };
        let targets: BTreeSet<(String, &str)> = references.iter().flat_map(named).collect();
        let statement = format!(
            "INSERT INTO manifest_reference (repository_id, digest, target, kind) SELECT $1, $2, target, kind FROM {} AS named \
             WHERE true ON CONFLICT DO NOTHING",
            self.dialect.table(3, &[Column::Text("target"), Column::Text("kind")])
        );
        sqlx::query(sqlx::AssertSqlSafe(statement))
            .bind(repository.0)
            .bind(manifest)
            .bind(rows(&targets.into_iter().collect::<Vec<_>>()))
            .execute(self.connection())
            .await
            .map_err(Error::Query)?;
        Ok(())
    }
}

impl Found {
    /// Why a manifest with these references cannot be stored, if it cannot.
    pub(super) fn refusal(&self, references: &[Reference]) -> Option<Put> {
        let mut missing = Vec::new();
        for Reference { digest, size, kind, required } in references {
            let text = digest.to_string();
            let (blob, manifest) = (self.blobs.get(&text), self.manifests.get(&text));
            let found = match kind {
                ReferenceKind::Blob => [blob, None],
                ReferenceKind::Manifest => [None, manifest],
                ReferenceKind::Either => [blob, manifest],
            };
            let mut found = found.into_iter().flatten().peekable();
            match found.peek().copied() {
                None if *required => missing.push(*digest),
                Some(other) if found.all(|found| found != size) => {
                    return Some(Put::WrongSize { digest: *digest, size: *other });
                }
                None | Some(_) => {}
            }
        }
        missing.sort_unstable();
        missing.dedup();
        (!missing.is_empty()).then_some(Put::Missing(missing))
    }
}

/// Each digest once, in order.
fn unique(references: &[Reference]) -> String {
    let digests: BTreeSet<_> = references.iter().map(|reference| reference.digest.to_string()).collect();
    rows(&digests.into_iter().map(|digest| (digest,)).collect::<Vec<_>>())
}
