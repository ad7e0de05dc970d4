//! The limits of the process.

use std::sync::LazyLock;

use super::kind;
use super::room::Room;
use crate::config::Settings;
use crate::telemetry::Metrics;

/// Documents of upstreams that are being received and read.
static DOCUMENTS: LazyLock<Room> = LazyLock::new(|| Room::new(128 << 20, 64 << 20));

/// Bodies of requests that are read whole.
static BODIES: LazyLock<Room> = LazyLock::new(|| Room::new(256 << 20, LARGEST_BODY_BYTES));

/// Larger than any body of the API.
const LARGEST_BODY_BYTES: usize = 32 << 20;

/// Room for documents of upstreams, from their first byte until what they say is kept.
pub fn documents() -> &'static Room {
    &DOCUMENTS
}

/// Room for bodies of requests that are read whole, until what is asked for is done.
pub fn bodies() -> &'static Room {
    &BODIES
}

/// Sets the limits of the process: of maps that are made from now on, and of rooms.
pub fn limit(settings: &Settings) {
    kind::limit(settings.cache.remembered);
    DOCUMENTS.limit(settings.cache.documents, settings.cache.documents / 2);
    let largest = usize::try_from(settings.hosted.max_manifest).unwrap_or(usize::MAX).max(LARGEST_BODY_BYTES);
    BODIES.limit(settings.http.request_memory.max(2 * largest), largest);
}

/// Brings the gauges up to date.
pub fn observe(metrics: &Metrics) {
    kind::observe(metrics);
    let gauge = |bytes: usize| i64::try_from(bytes).unwrap_or(i64::MAX);
    for (what, room) in [("documents", documents()), ("bodies", bodies())] {
        let (used, limit) = room.usage();
        metrics.receiving_bytes.with_label_values(&[what]).set(gauge(used));
        metrics.receiving_limit_bytes.with_label_values(&[what]).set(gauge(limit));
    }
}
