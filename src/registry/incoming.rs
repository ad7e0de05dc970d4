//! The bytes that a request brings.

use std::pin::Pin;

use bytes::Bytes;
use futures_util::{Stream, StreamExt};

use crate::memory::{self, Held};
use crate::policy::Denied;
use crate::turns::Asker;

/// A request's body. It ends early with an error when the client leaves or stalls, and where its end is not confirmed.
pub struct Incoming {
    stream: Pin<Box<dyn Stream<Item = Result<Bytes, BrokenOff>> + Send>>,
    /// From whom it comes. `None` is in memory already.
    client: Option<Asker>,
}

/// A body that was read whole, with the room that it has.
#[derive(Debug)]
pub struct Whole {
    pub bytes: Bytes,
    _room: Option<Held>,
}

/// Of each body so much takes no room: what nearly every request has. There are no more of them than requests.
const SMALL_BYTES: usize = 64 << 10;

/// Why a body did not come to its end.
#[derive(Debug, thiserror::Error)]
pub enum BrokenOff {
    #[error("the request's body broke off: {0}")]
    Client(String),
    /// Others that are being received have the memory that there is.
    #[error("bodies of requests that are being received take all of `http.request_memory`: try again later")]
    NoRoom,
    /// All of it came, and its client may not do any more what it began.
    #[error(transparent)]
    Denied(#[from] Denied),
}

impl Incoming {
    pub fn new(stream: impl Stream<Item = Result<Bytes, BrokenOff>> + Send + 'static) -> Self {
        Self { stream: Box::pin(stream), client: None }
    }

    /// The same, which comes from this client: read whole, it takes room as it comes.
    #[must_use]
    pub fn sent_by(self, client: Asker) -> Self {
        Self { client: Some(client), ..self }
    }

    pub fn empty() -> Self {
        Self::new(futures_util::stream::empty())
    }

    /// Asks `confirm` when all has come. Nothing that takes the body to its end takes it for whole before.
    pub fn confirmed_by(self, confirm: impl Future<Output = Result<(), Denied>> + Send + 'static) -> Self {
        let end = futures_util::stream::once(confirm);
        let end = end.filter_map(|confirmed| std::future::ready(confirmed.err().map(|denied| Err(denied.into()))));
        Self { stream: Box::pin(self.stream.chain(end)), client: self.client }
    }

    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, BrokenOff> {
        self.stream.next().await.transpose()
    }

    /// All of it, if it is at most `limit` bytes; `None` if it is longer.
    pub async fn all(mut self, limit: u64) -> Result<Option<Whole>, BrokenOff> {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let (mut all, mut room, mut taken) = (Vec::new(), None, 0);
        while let Some(bytes) = self.next().await? {
            if all.len() + bytes.len() > limit {
                return Ok(None);
            }
            let beyond = (all.len() + bytes.len()).saturating_sub(SMALL_BYTES);
            if let Some(client) = self.client.filter(|_| beyond > 0) {
                let room = room.get_or_insert_with(|| memory::bodies().begin(client));
                room.grow(beyond - taken).await.map_err(|_| BrokenOff::NoRoom)?;
                taken = beyond;
            }
            all.extend_from_slice(&bytes);
        }
        Ok(Some(Whole { bytes: all.into(), _room: room }))
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
        assert_eq!(whole.unwrap().unwrap().bytes, b"ab"[..]);
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
