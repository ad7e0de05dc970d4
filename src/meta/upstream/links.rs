//! Which repositories refer to which bytes.

use super::repository_id;
use crate::meta::{Error, Meta};
use crate::oci::{Digest, MediaType, RepositoryName};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LinkKind {
    Manifest,
    Blob,
}

/// An object that a manifest or list of a repository names. It says what the object would be; it is no right to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    pub digest: Digest,
    pub kind: LinkKind,
    pub media_type: MediaType,
    /// Bytes, where a descriptor or upstream told.
    pub size: Option<u64>,
}

impl LinkKind {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Manifest => "manifest",
            Self::Blob => "blob",
        }
    }
}

impl Meta {
    pub async fn link(&self, repository: &RepositoryName, digest: &Digest) -> Result<Option<Link>, Error> {
        let row: Option<(String, String, Option<i64>)> = sqlx::query_as(
            "SELECT link.kind, link.media_type, link.size FROM upstream_link AS link \
             JOIN upstream_repository AS repository ON repository.id = link.repository_id WHERE repository.name = $1 AND link.digest = $2",
        )
        .bind(repository.as_str())
        .bind(digest.to_string())
        .fetch_optional(&self.pool)
        .await
        .map_err(Error::Query)?;
        Ok(row.map(|(kind, media_type, size)| Link {
            digest: *digest,
            kind: if kind == "manifest" { LinkKind::Manifest } else { LinkKind::Blob },
            media_type: MediaType::new(&media_type),
            size: size.and_then(|size| u64::try_from(size).ok()),
        }))
    }

    /// Adds links, all or none. One that is there already is brought up to date: a manifest stays a manifest, and a known
    /// size is not forgotten.
    pub async fn put_links(&self, repository: &RepositoryName, links: &[Link]) -> Result<(), Error> {
        let mut transaction = self.write().await?;
        let repository_id = repository_id(transaction.connection(), repository).await?;
        for link in links {
            sqlx::query(
                "INSERT INTO upstream_link (repository_id, digest, kind, media_type, size) VALUES ($1, $2, $3, $4, $5) \
                 ON CONFLICT (repository_id, digest) DO UPDATE SET \
                 kind = CASE WHEN upstream_link.kind = 'manifest' THEN upstream_link.kind ELSE excluded.kind END, \
                 media_type = CASE WHEN excluded.media_type = '' THEN upstream_link.media_type ELSE excluded.media_type END, \
                 size = COALESCE(excluded.size, upstream_link.size)",
            )
            .bind(repository_id)
            .bind(link.digest.to_string())
            .bind(link.kind.as_str())
            .bind(link.media_type.as_str())
            .bind(link.size.and_then(|size| i64::try_from(size).ok()))
            .execute(transaction.connection())
            .await
            .map_err(Error::Query)?;
        }
        transaction.commit().await
    }

    /// Takes back a repository's right: upstream says that it no longer has the object there.
    pub async fn remove_link(&self, repository: &RepositoryName, digest: &Digest) -> Result<(), Error> {
        sqlx::query(
            "DELETE FROM upstream_link WHERE digest = $2 AND repository_id = (SELECT id FROM upstream_repository WHERE name = $1)",
        )
        .bind(repository.as_str())
        .bind(digest.to_string())
        .execute(&self.pool)
        .await
        .map_err(Error::Query)?;
        Ok(())
    }
}
