//! What upstreams have confirmed: which repository has an object, and which origin has sent it.

use super::{LinkKind, repository_id};
use crate::meta::scope::Scope;
use crate::meta::{Error, Meta};
use crate::oci::{Digest, RepositoryName};
use crate::storage::OriginId;

impl Meta {
    /// Whether the origin has confirmed that the repository has the object, as one of this kind.
    pub async fn has_right(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
        kind: LinkKind,
        origin: OriginId,
    ) -> Result<bool, Error> {
        let found: Option<i64> = sqlx::query_scalar(
            "SELECT allowed.repository_id FROM upstream_right AS allowed JOIN upstream_repository AS repository \
             ON repository.id = allowed.repository_id WHERE repository.name = $1 AND allowed.digest = $2 AND allowed.kind = $3 \
             AND allowed.origin = $4",
        )
        .bind(repository.as_str())
        .bind(digest.to_string())
        .bind(kind.as_str())
        .bind(origin.to_string())
        .fetch_optional(&self.pool)
        .await
        .map_err(Error::Query)?;
        Ok(found.is_some())
    }

    /// Whether any origin has both confirmed that the repository has the object and sent its bytes: for repositories whose
    /// upstream is not asked any more.
    pub async fn has_kept_right(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
        kind: LinkKind,
    ) -> Result<bool, Error> {
        let found: Option<String> = sqlx::query_scalar(
            "SELECT allowed.digest FROM upstream_right AS allowed JOIN upstream_repository AS repository \
             ON repository.id = allowed.repository_id JOIN upstream_sent AS sent \
             ON sent.digest = allowed.digest AND sent.origin = allowed.origin \
             WHERE repository.name = $1 AND allowed.digest = $2 AND allowed.kind = $3 LIMIT 1",
        )
        .bind(repository.as_str())
        .bind(digest.to_string())
        .bind(kind.as_str())
        .fetch_optional(&self.pool)
        .await
        .map_err(Error::Query)?;
        Ok(found.is_some())
    }

    /// Whether the origin has ever sent the bytes of the digest.
    pub async fn has_sent(&self, origin: OriginId, digest: &Digest) -> Result<bool, Error> {
        let found: Option<String> =
            sqlx::query_scalar("SELECT digest FROM upstream_sent WHERE digest = $1 AND origin = $2")
                .bind(digest.to_string())
                .bind(origin.to_string())
                .fetch_optional(&self.pool)
                .await
                .map_err(Error::Query)?;
        Ok(found.is_some())
    }

    /// Notes that the origin has the object in the repository and, with `sent`, that it has sent its bytes.
    pub async fn put_right(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
        kind: LinkKind,
        origin: OriginId,
        sent: bool,
        now_ms: i64,
    ) -> Result<(), Error> {
        let mut writing = self.write(Scope::Rows).await?;
        let repository_id = repository_id(writing.connection(), repository).await?;
        sqlx::query(
            "INSERT INTO upstream_right (repository_id, digest, kind, origin, noted_at_ms) VALUES ($1, $2, $3, $4, $5) \
             ON CONFLICT (repository_id, digest, kind, origin) DO UPDATE SET noted_at_ms = excluded.noted_at_ms",
        )
        .bind(repository_id)
        .bind(digest.to_string())
        .bind(kind.as_str())
        .bind(origin.to_string())
        .bind(now_ms)
        .execute(writing.connection())
        .await
        .map_err(Error::Query)?;
        if sent {
            sqlx::query(
                "INSERT INTO upstream_sent (digest, origin, noted_at_ms) VALUES ($1, $2, $3) \
                 ON CONFLICT (digest, origin) DO UPDATE SET noted_at_ms = excluded.noted_at_ms",
            )
            .bind(digest.to_string())
            .bind(origin.to_string())
            .bind(now_ms)
            .execute(writing.connection())
            .await
            .map_err(Error::Query)?;
        }
        writing.commit().await
    }
}
