//! Hashing and writing what arrives, off the threads that serve.

use bytes::Bytes;

use super::{Error, Staged};
use crate::oci::{Algorithm, Hasher};

/// The staging file and the hash over all that is in it. It moves to a blocking thread for each batch and back, so the two
/// always agree and nothing is shared.
pub struct Writer {
    pub staged: Staged,
    pub hasher: Hasher,
}

/// Bytes read back at a time to bring the hash up to what a file already holds.
const REHASH_BYTES: usize = 1 << 20;

impl Writer {
    pub fn new(staged: Staged, algorithm: Algorithm) -> Self {
        Self { staged, hasher: Hasher::new(algorithm) }
    }

    /// Appends the batch. After an error, file and hash hold what came before the chunk that failed.
    pub async fn append(self, batch: Vec<Bytes>) -> (Self, Result<(), Error>) {
        self.on_blocking_thread(move |writer| {
            for chunk in batch {
                writer.staged.write(&chunk)?;
                writer.hasher.update(&chunk);
            }
            Ok(())
        })
        .await
    }

    /// Hashes what is already in the file, from its beginning.
    pub async fn rehash(self, algorithm: Algorithm) -> (Self, Result<(), Error>) {
        self.on_blocking_thread(move |writer| {
            writer.hasher = Hasher::new(algorithm);
            let mut buffer = vec![0; REHASH_BYTES];
            let mut at = 0;
            while at < writer.staged.len() {
                let count = writer.staged.read_at(&mut buffer, at)?;
                let read = buffer.get(..count).unwrap_or_default();
                if read.is_empty() {
                    break;
                }
                writer.hasher.update(read);
                at += read.len() as u64;
            }
            Ok(())
        })
        .await
    }

    async fn on_blocking_thread(
        mut self,
        work: impl FnOnce(&mut Self) -> Result<(), Error> + Send + 'static,
    ) -> (Self, Result<(), Error>) {
        let task = tokio::task::spawn_blocking(move || {
            let result = work(&mut self);
            (self, result)
        });
        match task.await {
            Ok(done) => done,
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                // Cancelled: the runtime is going down, and this task with it.
                Err(_) => std::future::pending().await,
            },
        }
    }
}
