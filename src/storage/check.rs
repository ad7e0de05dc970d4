//! Reading kept bytes again, slowly, to see whether they are still what they were.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::bucket::Bucket;
use super::error::Error;
use super::joined::joined;
use crate::oci::{Digest, Hasher};

/// Bytes read at a time.
const STEP_BYTES: usize = 1 << 20;

/// What became of kept bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    Good,
    /// They are others now, or fewer, or more.
    Damaged,
    Missing,
}

/// Lets so many bytes through a second.
pub struct Pace {
    bytes_per_second: u64,
    begun: Instant,
    bytes: u64,
}

impl Pace {
    pub fn new(bytes_per_second: u64) -> Self {
        Self { bytes_per_second: bytes_per_second.max(1), begun: Instant::now(), bytes: 0 }
    }

    async fn keep(&mut self, bytes: u64) {
        self.bytes += bytes;
        let due = Duration::from_secs_f64(self.bytes as f64 / self.bytes_per_second as f64);
        tokio::time::sleep_until(self.begun + due).await;
    }
}

/// Hashes a file.
pub async fn check_file(file: File, digest: &Digest, pace: &mut Pace) -> Result<Condition, Error> {
    let file = Arc::new(file);
    let mut hasher = Hasher::new(digest.algorithm());
    let mut at = 0;
    loop {
        let reading = file.clone();
        let step = tokio::task::spawn_blocking(move || {
            let mut buffer = vec![0; STEP_BYTES];
            let count = reading.read_at(&mut buffer, at)?;
            buffer.truncate(count);
            if !buffer.is_empty() {
                hasher.update(&buffer);
            }
            Ok::<_, std::io::Error>((hasher, buffer.len() as u64))
        });
        let (back, count) = match joined(step.await).await {
            Ok(done) => done,
            // What cannot be read is as good as changed: the disk says so itself.
            Err(error) => {
                tracing::error!(%digest, %error, "a kept blob cannot be read");
                return Ok(Condition::Damaged);
            }
        };
        hasher = back;
        if count == 0 {
            return Ok(if hasher.finish() == *digest { Condition::Good } else { Condition::Damaged });
        }
        at += count;
        pace.keep(count).await;
    }
}

/// Hashes an object.
pub async fn check_object(bucket: &Bucket, digest: &Digest, pace: &mut Pace) -> Result<Condition, Error> {
    let Some(mut stream) = bucket.get(digest, 0, None).await? else { return Ok(Condition::Missing) };
    let mut hasher = Hasher::new(digest.algorithm());
    while let Some(bytes) = stream.chunk().await? {
        hasher.update(&bytes);
        pace.keep(bytes.len() as u64).await;
    }
    Ok(if hasher.finish() == *digest { Condition::Good } else { Condition::Damaged })
}
