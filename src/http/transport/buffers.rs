//! Memory of answers that clients have not taken: buffers for files that cannot leave by `sendfile`, and bodies from memory.
//!
//! It is counted for the whole process, and for each client. Memory is *short* for a client who holds more than is left of
//! `http.body_memory`, so for a single one from half of it on: its reads get small, and it is given up early when it stalls. Others do
//! not notice. Buffers never wait for one another: how many there are is bounded by connections and streams, each of which has two at
//! most.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{LazyLock, Mutex, PoisonError};

use bytes::Bytes;

use crate::turns::Asker;

/// Large enough that system calls and TLS records cost little, small enough to stay in a core's cache.
pub(super) const BUFFER_BYTES: usize = 64 << 10;

/// The first piece of a file. Pieces double while the client takes them, so that one that takes nothing holds little.
pub(super) const FIRST_BYTES: usize = 4 << 10;

/// Bodies from memory up to this size are not counted: manifests, mostly.
const SMALL_BYTES: usize = 16 << 10;

/// Buffers kept for the next body: 4 MiB.
const MAX_KEPT: usize = 64;

static KEPT: Mutex<Vec<Box<[u8]>>> = Mutex::new(Vec::new());

/// Bytes of buffers and of bodies in `HELD`.
static IN_USE: AtomicUsize = AtomicUsize::new(0);

/// `http.body_memory`.
static LIMIT: AtomicUsize = AtomicUsize::new(128 << 20);

/// Large bodies from memory, and who was the first to be sent each. One that many clients are sent is there once.
static HELD: LazyLock<Mutex<HashMap<Body, Sent>>> = LazyLock::new(Mutex::default);

/// Bytes of `IN_USE` that each client holds; none is zero.
static CLIENTS: LazyLock<Mutex<HashMap<Asker, usize>>> = LazyLock::new(Mutex::default);

/// Bytes of bodies that one client may hold for each byte that is left: three quarters, if it is alone.
const SHARE: usize = 3;

/// Who takes an answer. `None` is a proxy, for which many clients wait.
pub(super) type Client = Option<Asker>;

struct Sent {
    answers: usize,
    client: Client,
}

/// Address and length.
type Body = (usize, usize);

/// Sets the limit of the process.
pub(super) fn limit(bytes: usize) {
    LIMIT.store(bytes, Ordering::Relaxed);
}

/// This client holds much of what there is; what a proxy's clients hold is not its own.
pub(super) fn is_short(client: Client) -> bool {
    let (used, limit) = (IN_USE.load(Ordering::Relaxed), LIMIT.load(Ordering::Relaxed));
    // Below half nobody holds more than is left.
    used > limit / 2 && client.is_none_or(|client| held_by(client) > limit.saturating_sub(used))
}

fn held_by(client: Asker) -> usize {
    CLIENTS.lock().unwrap_or_else(PoisonError::into_inner).get(&client).copied().unwrap_or_default()
}

fn take(client: Client, bytes: usize) {
    IN_USE.fetch_add(bytes, Ordering::Relaxed);
    if let Some(client) = client {
        *CLIENTS.lock().unwrap_or_else(PoisonError::into_inner).entry(client).or_default() += bytes;
    }
}

fn give_back(client: Client, bytes: usize) {
    IN_USE.fetch_sub(bytes, Ordering::Relaxed);
    let Some(client) = client else { return };
    let mut clients = CLIENTS.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(held) = clients.get_mut(&client) {
        *held = held.saturating_sub(bytes);
        if *held == 0 {
            clients.remove(&client);
        }
    }
}

/// A buffer that goes back when its last reader is done.
pub(super) struct Buffer {
    bytes: Box<[u8]>,
    len: usize,
    client: Client,
}

impl Buffer {
    /// A buffer of `size` bytes, at most [`BUFFER_BYTES`].
    pub(super) fn take(size: usize, client: Client) -> Self {
        let size = size.min(BUFFER_BYTES);
        let kept = (size == BUFFER_BYTES).then(|| KEPT.lock().unwrap_or_else(PoisonError::into_inner).pop()).flatten();
        take(client, size);
        Self { bytes: kept.unwrap_or_else(|| vec![0; size].into_boxed_slice()), len: 0, client }
    }

    /// Bytes to read into.
    pub(super) fn space(&mut self) -> &mut [u8] {
        &mut self.bytes
    }

    /// The first `len` bytes have been read.
    pub(super) fn filled(mut self, len: usize) -> Bytes {
        self.len = len;
        Bytes::from_owner(self)
    }
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        give_back(self.client, self.bytes.len());
        if self.bytes.len() < BUFFER_BYTES {
            return;
        }
        let mut kept = KEPT.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() < MAX_KEPT {
            kept.push(std::mem::take(&mut self.bytes));
        }
    }
}

/// A body from memory, counted until its last byte has left. `None` when there is no memory for it, or when the client has its share.
pub(super) fn hold(bytes: Bytes, client: Client) -> Option<Bytes> {
    if bytes.len() <= SMALL_BYTES {
        return Some(bytes);
    }
    let body = (bytes.as_ptr() as usize, bytes.len());
    let mut held = HELD.lock().unwrap_or_else(PoisonError::into_inner);
    if !held.contains_key(&body) {
        let (before, own) = (IN_USE.load(Ordering::Relaxed), client.map_or(0, held_by));
        if !fits(bytes.len(), own, before, LIMIT.load(Ordering::Relaxed)) {
            return None;
        }
        take(client, bytes.len());
    }
    held.entry(body).or_insert(Sent { answers: 0, client }).answers += 1;
    drop(held);
    Some(Bytes::from_owner(Held { bytes, body }))
}

/// Whether a body has room beside what its client holds and what is in use in all.
fn fits(bytes: usize, own: usize, used: usize, limit: usize) -> bool {
    // Alone it fits, however large it is.
    if used == 0 {
        return true;
    }
    match limit.checked_sub(used + bytes) {
        Some(left) => own == 0 || own + bytes <= SHARE * left,
        None => false,
    }
}

struct Held {
    bytes: Bytes,
    body: Body,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut held = HELD.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(sent) = held.get_mut(&self.body) else { return };
        sent.answers -= 1;
        if sent.answers == 0
            && let Some(sent) = held.remove(&self.body)
        {
            give_back(sent.client, self.body.1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_that_many_are_sent_is_counted_once() {
        let bytes = Bytes::from(vec![1; 100_000]);
        let key = (bytes.as_ptr() as usize, bytes.len());
        let answers = || HELD.lock().unwrap().get(&key).map(|sent| sent.answers);
        let asker = Asker::work("a client");
        let client = Some(asker);
        let (one, two) = (hold(bytes.clone(), client).unwrap(), hold(bytes.clone(), None).unwrap());
        assert_eq!(CLIENTS.lock().unwrap().get(&asker), Some(&100_000));
        assert!(one == bytes && two == bytes);
        assert_eq!(answers(), Some(2));
        let part = one.slice(10..20);
        drop((one, two));
        assert_eq!(answers(), Some(1), "a part of it has not left");
        drop(part);
        assert_eq!(answers(), None);
        assert_eq!(CLIENTS.lock().unwrap().get(&asker), None);
        // Small ones are not counted at all.
        let small = Bytes::from(vec![1; 1000]);
        let held = hold(small.clone(), client).unwrap();
        assert_eq!(held.as_ptr(), small.as_ptr());
    }

    /// In MiB, of 128: whoever floods has its share, and leaves room for others.
    #[test]
    fn one_client_does_not_hold_all_memory() {
        for (bytes, own, used, expected) in [
            (4, 0, 0, true),
            (500, 0, 0, true),
            (500, 0, 1, false),
            (4, 92, 92, true),
            (4, 96, 96, false),
            // Another one's first body needs room only.
            (32, 0, 96, true),
            (33, 0, 96, false),
            (8, 8, 96, true),
            (8, 40, 96, true),
            (8, 65, 96, false),
        ] {
            assert_eq!(fits(bytes, own, used, 128), expected, "{bytes} {own} {used}");
        }
    }
}
