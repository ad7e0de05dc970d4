//! What the upstream has been asked.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use http::HeaderMap;

/// One request, in the order of arrival.
#[derive(Clone)]
pub struct Logged {
    pub method: String,
    /// Path and query.
    pub path: String,
    pub headers: HeaderMap,
    pub(super) status: Arc<AtomicU64>,
    pub(super) sent: Arc<AtomicU64>,
}

impl Logged {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// The answer's status, or 0 while there is none.
    pub fn status(&self) -> u16 {
        self.status.load(Ordering::SeqCst) as u16
    }

    /// Bytes of the body that were handed to the connection.
    pub fn sent(&self) -> u64 {
        self.sent.load(Ordering::SeqCst)
    }

    /// First byte asked for by a `Range: bytes=N-...`.
    pub fn range_start(&self) -> Option<u64> {
        self.header("range")?.strip_prefix("bytes=")?.split_once('-')?.0.parse().ok()
    }
}

impl std::fmt::Debug for Logged {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {} -> {} ({} bytes)", self.method, self.path, self.status(), self.sent())?;
        match self.header("range") {
            Some(range) => write!(f, " range {range}"),
            None => Ok(()),
        }
    }
}
