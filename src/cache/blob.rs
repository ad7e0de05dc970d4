//! A blob that can be read.

use std::fs::File;
use std::sync::Arc;

use bytes::Bytes;

use super::blob_cache::BlobCache;
use super::chunks::Version;
use super::disk::{Opened, Pin};
use super::error::Error;
use super::fill::{Progress, Reading};
use super::origin::Origin;
use super::pass_through::{self, ByteStream};
use super::reader::BlobReader;
use crate::oci::{ByteRange, Digest};
use crate::telemetry::CacheOutcome;

/// A blob of which at least the headers can be answered.
#[derive(Clone)]
pub struct Blob {
    digest: Digest,
    outcome: CacheOutcome,
    range_window: u64,
    held: Held,
}

#[derive(Clone)]
pub(super) enum Held {
    Memory(Bytes),
    /// `pin` keeps it from eviction, where there is any.
    File {
        file: Arc<File>,
        size: u64,
        pin: Option<Arc<Pin>>,
    },
    Filling(Reading),
    /// In the bucket, and nothing of it was asked for yet.
    Away(Away),
}

/// A pushed blob that is in the bucket only.
#[derive(Clone)]
pub(super) struct Away {
    pub(super) cache: BlobCache,
    pub(super) origin: Origin,
    pub(super) version: Version,
}

/// Bytes for one answer, or one part of it.
pub enum Content {
    Memory(Bytes),
    File(BlobReader),
    Stream(ByteStream),
}

impl Blob {
    pub(super) fn new(digest: Digest, outcome: CacheOutcome, range_window: u64, held: Held) -> Self {
        Self { digest, outcome, range_window, held }
    }

    /// A blob that is not in the cache's keeping: a whole verified file.
    pub fn of_file(digest: Digest, file: File, size: u64) -> Self {
        Self::new(digest, CacheOutcome::Hit, 0, Held::File { file: Arc::new(file), size, pin: None })
    }

    pub fn digest(&self) -> &Digest {
        &self.digest
    }

    pub fn outcome(&self) -> CacheOutcome {
        self.outcome
    }

    /// Bytes; `None` when upstream does not tell before it has sent them all.
    pub fn size(&self) -> Option<u64> {
        match &self.held {
            Held::Memory(bytes) => Some(bytes.len() as u64),
            Held::File { size, .. } | Held::Away(Away { version: Version { size, .. }, .. }) => Some(*size),
            Held::Filling(Reading { fill, .. }) => match fill.progress() {
                Progress::Verified(size) => Some(size),
                _ => fill.total(),
            },
        }
    }

    /// Whether nothing more comes.
    #[cfg(test)]
    pub(super) fn has_failed(&self) -> bool {
        matches!(&self.held, Held::Filling(reading) if matches!(reading.fill.progress(), Progress::Failed(_)))
    }

    /// Returns when the size is known or never will be, for a client that cannot tell a cut from an end. Of a blob that is coming it is known
    /// when all of it has come and was verified.
    pub async fn measure(&self) -> Result<Option<u64>, Error> {
        if let (None, Held::Filling(reading @ Reading { fill, .. })) = (self.size(), &self.held) {
            fill.ended().await.map_err(|error| reading.told(error))?;
        }
        Ok(self.size())
    }

    /// Everything.
    pub async fn whole(self) -> Result<Content, Error> {
        let held = match self.held {
            Held::Away(away) => away.cache.clone().fetch_pushed(away).await?.held,
            held => held,
        };
        Ok(match held {
            Held::Memory(bytes) => Content::Memory(bytes),
            Held::File { file, size, pin } => Content::File(BlobReader::whole(file, size, None, pin)),
            Held::Filling(reading) => match (reading.fill.file().cloned(), reading.fill.progress()) {
                (_, Progress::Failed(error)) => return Err(reading.told(error)),
                (Some(file), _) => Content::File(BlobReader::growing(file, reading, None)),
                (None, Progress::Detached(detached)) => {
                    Content::Stream(pass_through::whole(&reading.fill, reading.source, &detached).await?)
                }
                (None, _) => return Err(Error::Stopped { digest: self.digest }),
            },
            // What was fetched is here.
            Held::Away(_) => return Err(Error::Stopped { digest: self.digest }),
        })
    }

    /// One range, which lies within the size. Of a blob that is still coming, a range that is near waits for its bytes, and
    /// one that is far is fetched from upstream directly. Of a blob in the bucket no more than the range is fetched. A range that is all of
    /// the blob is the whole, which is verified before its end is given.
    pub async fn range(&self, range: ByteRange) -> Result<Content, Error> {
        if range.start == 0 && self.size() == Some(range.end) {
            return self.clone().whole().await;
        }
        match &self.held {
            Held::Memory(bytes) => {
                let within = |offset: u64| usize::try_from(offset).unwrap_or(usize::MAX).min(bytes.len());
                Ok(Content::Memory(bytes.slice(within(range.start)..within(range.end))))
            }
            Held::File { file, size, pin } => {
                Ok(Content::File(BlobReader::whole(file.clone(), *size, Some(range), pin.clone())))
            }
            Held::Filling(reading) => {
                let fill = &reading.fill;
                let arrived = match fill.progress() {
                    Progress::Arriving(arrived) => arrived,
                    Progress::Verified(size) => size,
                    Progress::Failed(error) => return Err(reading.told(error)),
                    // Nobody waits for a place with another in hand.
                    Progress::Detached(detached) => {
                        drop(detached.take_spare());
                        0
                    }
                    _ => 0,
                };
                let near = range.start <= arrived.saturating_add(self.range_window);
                match fill.file() {
                    Some(file) if near => {
                        Ok(Content::File(BlobReader::growing(file.clone(), reading.clone(), Some(range))))
                    }
                    _ => Ok(Content::Stream(pass_through::range(reading.source.clone(), range).await?)),
                }
            }
            Held::Away(Away { cache, origin, version }) => {
                Ok(Content::Stream(cache.chunks().range(origin, *version, range).await?))
            }
        }
    }
}

impl From<Opened> for Held {
    fn from(opened: Opened) -> Self {
        Self::File { file: opened.file, size: opened.size, pin: Some(opened.pin) }
    }
}
