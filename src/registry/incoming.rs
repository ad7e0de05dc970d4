//! The bytes that a request brings.

use std::pin::Pin;

use bytes::Bytes;
use futures_util::{Stream, StreamExt};

/// A request's body. It ends early with an error when the client leaves or stalls.
pub struct Incoming(Pin<Box<dyn Stream<Item = Result<Bytes, BrokenOff>> + Send>>);

/// Why a body did not come to its end.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the request's body broke off: {0}")]
pub struct BrokenOff(pub String);

impl Incoming {
    pub fn new(stream: impl Stream<Item = Result<Bytes, BrokenOff>> + Send + 'static) -> Self {
        Self(Box::pin(stream))
    }

    pub fn empty() -> Self {
        Self::new(futures_util::stream::empty())
    }

    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, BrokenOff> {
        self.0.next().await.transpose()
    }

    /// All of it, if it is at most `limit` bytes; `None` if it is longer.
    pub async fn all(mut self, limit: u64) -> Result<Option<Bytes>, BrokenOff> {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let mut all = Vec::new();
        while let Some(bytes) = self.next().await? {
            if all.len() + bytes.len() > limit {
                return Ok(None);
            }
            all.extend_from_slice(&bytes);
        }
        Ok(Some(all.into()))
    }
}
