//! Where the bytes of a blob come from that is not kept here: an upstream registry, or the bucket that all replicas share.

use std::sync::Arc;

use bytes::Bytes;

use super::error::Error;
use crate::oci::{ByteRange, Digest};
use crate::storage::{self, Bucket, ObjectStream, OriginId};
use crate::turns::Asker;
use crate::upstream;

/// Cheap to clone.
#[derive(Clone)]
pub enum Origin {
    Upstream(upstream::Source),
    /// Told when the bucket turns out to have something else in the blob's place, or nothing.
    Bucket(Arc<Bucket>, Digest, Option<Lost>),
    #[cfg(test)]
    Scripted(super::simulation::Scripted),
}

/// What is to be done when a bucket has lost a blob.
pub(super) type Lost = Arc<dyn Fn() + Send + Sync>;

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
    #[cfg(test)]
    Scripted(Box<super::simulation::ScriptedStream>),
}

impl Origin {
    pub fn digest(&self) -> &Digest {
        match self {
            Self::Upstream(source) => source.digest(),
            Self::Bucket(_, digest, _) => digest,
            #[cfg(test)]
            Self::Scripted(source) => source.digest(),
        }
    }

    /// Whose bytes are under way: fills and what they leave are apart for each.
    pub(super) fn id(&self) -> OriginId {
        match self {
            Self::Upstream(source) => source.upstream().origin(),
            Self::Bucket(..) => OriginId::of("the bucket"),
            #[cfg(test)]
            Self::Scripted(source) => source.id(),
        }
    }

    /// Whether both ask the same question: an upstream may refuse one repository what another has.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Upstream(this), Self::Upstream(other)) => this.is_same(other),
            (Self::Bucket(..), Self::Bucket(..)) => true,
            #[cfg(test)]
            (Self::Scripted(this), Self::Scripted(other)) => this.is_same(other),
            _ => false,
        }
    }

    /// The same fetch, going on with what `other` would ask; `None` where they have nothing in common.
    pub(super) fn turned_to(&self, other: &Self) -> Option<Self> {
        match (self, other) {
            (Self::Upstream(this), Self::Upstream(other)) => Some(Self::Upstream(this.turned_to(other))),
            _ => None,
        }
    }

    /// Whether somebody waits for the place that fetching from here takes.
    pub(super) fn is_waited_for(&self) -> bool {
        match self {
            Self::Upstream(source) => source.is_waited_for(),
            Self::Bucket(bucket, ..) => bucket.is_waited_for(),
            #[cfg(test)]
            Self::Scripted(_) => false,
        }
    }

    /// Who is told to have sent wrong bytes.
    pub(super) fn name(&self) -> String {
        match self {
            Self::Upstream(source) => source.upstream().name().to_string(),
            Self::Bucket(..) => "the bucket".to_owned(),
            #[cfg(test)]
            Self::Scripted(source) => source.name(),
        }
    }

    /// Opens the blob from byte `start` to its end, to be read as fast as it comes.
    pub(super) async fn open(&self, start: u64, expected: Option<u64>) -> Result<Stream, Error> {
        match self {
            Self::Upstream(source) => Ok(Stream::of_upstream(*self.digest(), source.open(start, expected).await?)),
            Self::Bucket(bucket, digest, _) => self.opened(start, bucket.get_in_turn(digest, start, None).await),
            #[cfg(test)]
            Self::Scripted(source) => Ok(Stream::of_script(*self.digest(), source.open(start, expected).await?)),
        }
    }

    /// For a fill that others may join. The bucket makes nobody wait.
    pub(super) fn party(&self) -> Option<upstream::Party> {
        match self {
            Self::Upstream(source) => Some(source.party()),
            Self::Bucket(..) => None,
            #[cfg(test)]
            Self::Scripted(_) => None,
        }
    }

    /// On whose behalf it is opened, where that matters.
    pub(super) fn asker(&self) -> Option<Asker> {
        match self {
            Self::Upstream(source) => Some(source.asker()),
            Self::Bucket(..) => None,
            #[cfg(test)]
            Self::Scripted(_) => None,
        }
    }

    /// Waits for its turn to be asked, on behalf of those who have joined. The bucket has none.
    pub(super) async fn place(&self, party: Option<&upstream::Party>) -> Result<Option<upstream::Place>, Error> {
        match (self, party) {
            (Self::Upstream(source), Some(party)) => Ok(Some(source.place(party).await?)),
            (Self::Upstream(source), None) => Ok(Some(source.place(&source.party()).await?)),
            (Self::Bucket(..), _) => Ok(None),
            #[cfg(test)]
            (Self::Scripted(_), _) => Ok(None),
        }
    }

    /// As [`Self::open`], in a place that was waited for.
    pub(super) async fn open_in(
        &self,
        place: Option<upstream::Place>,
        start: u64,
        expected: Option<u64>,
    ) -> Result<Stream, Error> {
        match (self, place) {
            (Self::Upstream(source), Some(place)) => {
                Ok(Stream::of_upstream(*self.digest(), source.open_in_place(place, start, expected).await?))
            }
            _ => self.open(start, expected).await,
        }
    }

    /// As [`Self::open`], to be read at the pace of one client.
    pub(super) async fn open_at_readers_pace(&self, start: u64, expected: Option<u64>) -> Result<Stream, Error> {
        match self {
            Self::Upstream(source) => {
                Ok(Stream::of_upstream(*self.digest(), source.open_at_readers_pace(start, expected).await?))
            }
            Self::Bucket(bucket, digest, _) => self.opened(start, bucket.get(digest, start, None).await),
            #[cfg(test)]
            Self::Scripted(source) => Ok(Stream::of_script(*self.digest(), source.open(start, expected).await?)),
        }
    }

    /// Opens one range only.
    pub(super) async fn open_range(&self, range: ByteRange) -> Result<Stream, Error> {
        let digest = *self.digest();
        let (total, from) = match self {
            Self::Upstream(source) => {
                let stream = source.open_range(range).await?;
                (stream.total, From::Upstream(Box::new(stream)))
            }
            Self::Bucket(bucket, _, _) => {
                return self.opened(range.start, bucket.get(&digest, range.start, Some(range.end)).await);
            }
            #[cfg(test)]
            Self::Scripted(source) => {
                let stream = source.open_range(range).await?;
                (stream.total, From::Scripted(Box::new(stream)))
            }
        };
        Ok(Stream { total, start: range.start, digest, from })
    }

    /// As [`Self::open_range`], to be read as fast as it comes, whether or not somebody waits for it any more.
    pub(super) async fn open_chunk(&self, range: ByteRange) -> Result<Stream, Error> {
        match self {
            Self::Bucket(bucket, digest, _) => {
                self.opened(range.start, bucket.get_in_turn(digest, range.start, Some(range.end)).await)
            }
            _ => self.open_range(range).await,
        }
    }

    /// The bytes that came were not the blob's. A bucket is `to_blame` where it has sent all of them: then it has lost the blob.
    pub(super) fn distrust(&self, to_blame: bool) {
        match self {
            Self::Upstream(source) => source.distrust(),
            Self::Bucket(..) if to_blame => {
                tracing::error!(digest = %self.digest(), "an object in the bucket is not what its name says");
                self.is_lost();
            }
            Self::Bucket(..) => {}
            #[cfg(test)]
            Self::Scripted(_) => {}
        }
    }

    /// What the bucket has from byte `start` on.
    fn opened(&self, start: u64, found: Result<Option<ObjectStream>, storage::Error>) -> Result<Stream, Error> {
        let digest = *self.digest();
        let found = found.map_err(|error| bucket_error(digest, error))?;
        if found.is_none() {
            self.is_lost();
        }
        let stream = found.ok_or(Error::Lost { digest })?;
        Ok(Stream { total: Some(stream.total), start, digest, from: From::Bucket(stream) })
    }

    fn is_lost(&self) {
        if let Self::Bucket(_, _, Some(lost)) = self {
            lost();
        }
    }
}

impl Stream {
    fn of_upstream(digest: Digest, stream: upstream::Stream) -> Self {
        Self { total: stream.total, start: stream.start, digest, from: From::Upstream(Box::new(stream)) }
    }

    #[cfg(test)]
    fn of_script(digest: Digest, stream: super::simulation::ScriptedStream) -> Self {
        Self { total: stream.total, start: stream.start, digest, from: From::Scripted(Box::new(stream)) }
    }

    /// Goes on at the pace of one client, where there is a place for that; otherwise it must be opened again.
    pub(super) fn at_readers_pace(mut self) -> Option<Self> {
        let may_go_on = match &mut self.from {
            From::Upstream(stream) => stream.turn_to_readers_pace(),
            From::Bucket(stream) => {
                stream.turn_to_readers_pace();
                true
            }
            #[cfg(test)]
            From::Scripted(_) => true,
        };
        may_go_on.then_some(self)
    }

    /// The next bytes, or `None` at the end.
    pub(super) async fn chunk(&mut self) -> Result<Option<Bytes>, Error> {
        let digest = self.digest;
        match &mut self.from {
            From::Upstream(stream) => Ok(stream.chunk().await?),
            From::Bucket(stream) => stream.chunk().await.map_err(|error| bucket_error(digest, error)),
            #[cfg(test)]
            From::Scripted(stream) => stream.chunk().await,
        }
    }
}

fn bucket_error(digest: Digest, error: storage::Error) -> Error {
    Error::Bucket { digest, source: Arc::new(error) }
}
