//! Memory of answers that clients have not taken: buffers for files that cannot leave by `sendfile`, and bodies from memory.
//!
//! It is counted for the whole process. From half of `http.body_memory` on memory is *short*: reads get small and stalled clients
//! are given up early, so that those who read go on. Buffers never wait for one another: how many there are is bounded by
//! connections and streams, each of which has two at most.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{LazyLock, Mutex, PoisonError};

use bytes::Bytes;

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

/// Large bodies from memory: how many answers have each. One that many clients are sent is there once.
static HELD: LazyLock<Mutex<HashMap<Body, usize>>> = LazyLock::new(Mutex::default);

/// Address and length.
type Body = (usize, usize);

/// Sets the limit of the process.
pub(super) fn limit(bytes: usize) {
    LIMIT.store(bytes, Ordering::Relaxed);
}

/// Clients that take nothing hold much of what there is.
pub(super) fn is_short() -> bool {
    IN_USE.load(Ordering::Relaxed) > LIMIT.load(Ordering::Relaxed) / 2
}

/// A buffer that goes back when its last reader is done.
pub(super) struct Buffer {
    bytes: Box<[u8]>,
    len: usize,
}

impl Buffer {
    /// A buffer of `size` bytes, at most [`BUFFER_BYTES`].
    pub(super) fn take(size: usize) -> Self {
        let size = size.min(BUFFER_BYTES);
        let kept = (size == BUFFER_BYTES).then(|| KEPT.lock().unwrap_or_else(PoisonError::into_inner).pop()).flatten();
        IN_USE.fetch_add(size, Ordering::Relaxed);
        Self { bytes: kept.unwrap_or_else(|| vec![0; size].into_boxed_slice()), len: 0 }
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
        IN_USE.fetch_sub(self.bytes.len(), Ordering::Relaxed);
        if self.bytes.len() < BUFFER_BYTES {
            return;
        }
        let mut kept = KEPT.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() < MAX_KEPT {
            kept.push(std::mem::take(&mut self.bytes));
        }
    }
}

/// A body from memory, counted until its last byte has left. `None` when there is no memory for it.
pub(super) fn hold(bytes: Bytes) -> Option<Bytes> {
    if bytes.len() <= SMALL_BYTES {
        return Some(bytes);
    }
    let body = (bytes.as_ptr() as usize, bytes.len());
    let mut held = HELD.lock().unwrap_or_else(PoisonError::into_inner);
    if !held.contains_key(&body) {
        let before = IN_USE.load(Ordering::Relaxed);
        // Alone it fits, however large it is.
        if before > 0 && before + bytes.len() > LIMIT.load(Ordering::Relaxed) {
            return None;
        }
        IN_USE.fetch_add(bytes.len(), Ordering::Relaxed);
    }
    *held.entry(body).or_default() += 1;
    drop(held);
    Some(Bytes::from_owner(Held { bytes, body }))
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
        if let Some(answers) = held.get_mut(&self.body) {
            *answers -= 1;
            if *answers == 0 {
                held.remove(&self.body);
                IN_USE.fetch_sub(self.body.1, Ordering::Relaxed);
            }
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
        let answers = || HELD.lock().unwrap().get(&key).copied();
        let (one, two) = (hold(bytes.clone()).unwrap(), hold(bytes.clone()).unwrap());
        assert!(one == bytes && two == bytes);
        assert_eq!(answers(), Some(2));
        let part = one.slice(10..20);
        drop((one, two));
        assert_eq!(answers(), Some(1), "a part of it has not left");
        drop(part);
        assert_eq!(answers(), None);
        // Small ones are not counted at all.
        let small = Bytes::from(vec![1; 1000]);
        let held = hold(small.clone()).unwrap();
        assert_eq!(held.as_ptr(), small.as_ptr());
    }
}
