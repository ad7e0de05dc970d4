//! Buffers for bodies that cannot leave by `sendfile`, used again and again.

use std::sync::{Mutex, PoisonError};

use bytes::Bytes;

/// Large enough that system calls and TLS records cost little, small enough to stay in a core's cache.
pub(super) const BUFFER_BYTES: usize = 256 << 10;

/// Buffers kept for the next body: 4 MiB. Those in use are bounded by the connections, which have one or two each.
const MAX_KEPT: usize = 16;

static KEPT: Mutex<Vec<Box<[u8]>>> = Mutex::new(Vec::new());

/// A buffer that goes back when its last reader is done.
pub(super) struct Buffer {
    bytes: Box<[u8]>,
    len: usize,
}

impl Buffer {
    pub(super) fn take() -> Self {
        let kept = KEPT.lock().unwrap_or_else(PoisonError::into_inner).pop();
        Self { bytes: kept.unwrap_or_else(|| vec![0; BUFFER_BYTES].into_boxed_slice()), len: 0 }
    }

    /// At most `count` bytes to read into.
    pub(super) fn space(&mut self, count: usize) -> &mut [u8] {
        let count = count.min(self.bytes.len());
        self.bytes.get_mut(..count).unwrap_or_default()
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
        let mut kept = KEPT.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() < MAX_KEPT {
            kept.push(std::mem::take(&mut self.bytes));
        }
    }
}
