//! The bytes that a request brings.

use std::pin::Pin;

use bytes::Bytes;
use futures_util::{Stream, StreamExt};

use crate::policy::Denied;

/// A request's body. It ends early with an error when the client leaves or stalls, and where its end is not confirmed.
pub struct Incoming(Pin<Box<dyn Stream<Item = Result<Bytes, BrokenOff>> + Send>>);

/// Why a body did not come to its end.
#[derive(Debug, thiserror::Error)]
pub enum BrokenOff {
    #[error("the request's body broke off: {0}")]
    Client(String),
    /// All of it came, and its client may not do any more what it began.
    #[error(transparent)]
    Denied(#[from] Denied),
}

impl Incoming {
    pub fn new(stream: impl Stream<Item = Result<Bytes, BrokenOff>> + Send + 'static) -> Self {
        Self(Box::pin(stream))
    }

    pub fn empty() -> Self {
        Self::new(futures_util::stream::empty())
    }

    /// Asks `confirm` when all has come. Nothing that takes the body to its end takes it for whole before.
    pub fn confirmed_by(self, confirm: impl Future<Output = Result<(), Denied>> + Send + 'static) -> Self {
        let end = futures_util::stream::once(confirm);
        let end = end.filter_map(|confirmed| std::future::ready(confirmed.err().map(|denied| Err(denied.into()))));
        Self::new(self.0.chain(end))
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

#[cfg(test)]
mod tests {
    use super::*;

    fn body() -> Incoming {
        Incoming::new(futures_util::stream::iter([Ok(Bytes::from_static(b"a")), Ok(Bytes::from_static(b"b"))]))
    }

    #[tokio::test]
    async fn g24_a_body_is_whole_when_its_end_is_confirmed() {
        let whole = body().confirmed_by(async { Ok(()) }).all(2).await;
        assert_eq!(whole.unwrap().as_deref(), Some(&b"ab"[..]));
        let refused = || async { Err(Denied::Revoked) };
        assert!(matches!(body().confirmed_by(refused()).all(2).await, Err(BrokenOff::Denied(Denied::Revoked))));
        assert!(matches!(Incoming::empty().confirmed_by(refused()).all(2).await, Err(BrokenOff::Denied(_))));
        // All that has come is there before the question is asked: an upload goes on where it was.
        let mut body = body().confirmed_by(refused());
        assert_eq!(body.next().await.unwrap().as_deref(), Some(&b"a"[..]));
        assert_eq!(body.next().await.unwrap().as_deref(), Some(&b"b"[..]));
        assert!(body.next().await.is_err());
    }
}
