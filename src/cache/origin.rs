//! Where the bytes of a blob come from that is not kept here: an upstream registry, or the bucket that all replicas share.

use std::sync::Arc;

use bytes::Bytes;

use super::error::Error;
use crate::oci::{ByteRange, Digest};
use crate::storage::{Bucket, ObjectStream};
use crate::upstream;

/// Cheap to clone.
#[derive(Clone)]
pub enum Origin {
    Upstream(upstream::Source),
    Bucket(Arc<Bucket>, Digest),
}

/// A blob's bytes while they arrive.
pub(super) struct Stream {
    /// Bytes of the whole blob, if the origin told.
    pub(super) total: Option<u64>,
    /// Offset in the blob of the first byte.
    pub(super) start: u64,
    digest: Digest,
    from: From,
}

enum From {
    Upstream(Box<upstream::Stream>),
    Bucket(ObjectStream),
}

impl Origin {
    pub fn digest(&self) -> &Digest {
        match self {
            Self::Upstream(source) => source.digest(),
            Self::Bucket(_, digest) => digest,
        }
    }

    /// Who is told to have sent wrong bytes.
    pub(super) fn name(&self) -> String {
        match self {
            Self::Upstream(source) => source.upstream().name().to_string(),
            Self::Bucket(..) => "the bucket".to_owned(),
        }
    }

    /// Opens the blob from byte `start` to its end.
    pub(super) async fn open(&self, start: u64, expected: Option<u64>) -> Result<Stream, Error> {
        let digest = *self.digest();
        let (total, start, from) = match self {
            Self::Upstream(source) => {
                let stream = source.open(start, expected).await?;
                (stream.total, stream.start, From::Upstream(Box::new(stream)))
            }
            Self::Bucket(bucket, _) => {
                let stream = open_object(bucket, digest, start, None).await?;
                (Some(stream.total), start, From::Bucket(stream))
            }
        };
        Ok(Stream { total, start, digest, from })
    }

    /// Opens one range only.
    pub(super) async fn open_range(&self, range: ByteRange) -> Result<Stream, Error> {
        let digest = *self.digest();
        let (total, from) = match self {
            Self::Upstream(source) => {
                let stream = source.open_range(range).await?;
                (stream.total, From::Upstream(Box::new(stream)))
            }
            Self::Bucket(bucket, _) => {
                let stream = open_object(bucket, digest, range.start, Some(range.end)).await?;
                (Some(stream.total), From::Bucket(stream))
            }
        };
        Ok(Stream { total, start: range.start, digest, from })
    }

    /// The bytes that came were not the blob's.
    pub(super) fn distrust(&self) {
        match self {
            Self::Upstream(source) => source.distrust(),
            Self::Bucket(..) => {
                tracing::error!(digest = %self.digest(), "an object in the bucket is not what its name says");
            }
        }
    }
}

impl Stream {
    /// The next bytes, or `None` at the end.
    pub(super) async fn chunk(&mut self) -> Result<Option<Bytes>, Error> {
        let digest = self.digest;
        match &mut self.from {
            From::Upstream(stream) => Ok(stream.chunk().await?),
            From::Bucket(stream) => stream.chunk().await.map_err(|error| bucket_error(digest, error)),
        }
    }
}

async fn open_object(bucket: &Bucket, digest: Digest, start: u64, end: Option<u64>) -> Result<ObjectStream, Error> {
    let found = bucket.get(&digest, start, end).await.map_err(|error| bucket_error(digest, error))?;
    found.ok_or(Error::Lost { digest })
}

fn bucket_error(digest: Digest, error: crate::storage::Error) -> Error {
    Error::Bucket { digest, source: Arc::new(error) }
}
