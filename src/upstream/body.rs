//! Bodies that are read whole, within a bound.

use bytes::{Bytes, BytesMut};

use super::client;
use super::error::ErrorKind;
use crate::memory::{Held, NoRoom};

/// Of a body that nobody wants, this much is read so that its connection can be used again.
const MAX_DISCARDED_BYTES: usize = 16 << 10;

/// What a byte takes while its document is received, read and put in order.
const READING: usize = 4;

/// What was received, with the room that it has until it is kept, or is not.
pub struct Received<T> {
    pub value: T,
    pub room: Held,
}

/// The whole body, refused when it is longer than `limit` bytes. As its bytes come they take `room`. The caller bounds the time.
pub(super) async fn read_body(
    mut response: reqwest::Response,
    limit: usize,
    room: &mut Held,
) -> Result<Bytes, ErrorKind> {
    let too_long = || ErrorKind::Misbehaved { detail: format!("its answer is longer than {limit} bytes") };
    if response.content_length().is_some_and(|length| length > limit as u64) {
        return Err(too_long());
    }
    let mut whole = BytesMut::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| broken(&error))? {
        if whole.len() + chunk.len() > limit {
            return Err(too_long());
        }
        room.grow(READING * chunk.len()).await.map_err(no_room)?;
        whole.extend_from_slice(&chunk);
    }
    Ok(whole.freeze())
}

pub(super) fn no_room(why: NoRoom) -> ErrorKind {
    match why {
        NoRoom::Taken => ErrorKind::NoRoom,
        NoRoom::TooLarge => {
            let detail = "its answer is larger than `cache.documents` allows".to_owned();
            ErrorKind::Misbehaved { detail }
        }
    }
}

/// Reads an answer to its end if it is short.
pub(super) async fn discard(mut response: reqwest::Response) {
    let mut read = 0;
    while read <= MAX_DISCARDED_BYTES {
        match response.chunk().await {
            Ok(Some(chunk)) => read += chunk.len(),
            Ok(None) | Err(_) => return,
        }
    }
}

pub(super) fn broken(error: &reqwest::Error) -> ErrorKind {
    ErrorKind::BrokenBody { detail: client::describe(error) }
}
