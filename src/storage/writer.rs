//! Hashing and writing what arrives, off the threads that serve.

use std::io::IoSlice;

use bytes::Bytes;

use super::joined::joined;
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

    /// Appends the batch. After an error, file and hash hold what could be written.
    pub async fn append(self, batch: Vec<Bytes>) -> (Self, Result<(), Error>) {
        self.on_blocking_thread(move |writer| {
            let before = writer.staged.len();
            let written = writer.staged.write_slices(batch.iter().map(|chunk| IoSlice::new(chunk)).collect());
            let mut left = usize::try_from(writer.staged.len() - before).unwrap_or(usize::MAX);
            for chunk in &batch {
                let count = chunk.len().min(left);
                writer.hasher.update(chunk.get(..count).unwrap_or_default());
                left -= count;
            }
            written
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
        joined(task.await).await
    }
}

#[cfg(test)]
mod tests {
    use super::super::{OriginId, Storage};
    use super::*;
    use crate::oci::Digest;

    #[tokio::test]
    async fn many_small_chunks_are_hashed_and_written_as_they_came() {
        let folder = tempfile::tempdir().unwrap();
        let storage = Storage::open(folder.path()).unwrap();
        let content: Vec<u8> = (0..100_000u32).flat_map(u32::to_le_bytes).collect();
        let digest = Digest::of(&content);
        let mut writer = Writer::new(storage.stage(&digest, OriginId::of("an origin")).unwrap(), Algorithm::Sha256);
        for part in content.chunks(90_000) {
            // More chunks than the kernel takes at once, and some with nothing in them.
            let batch = part.chunks(7).flat_map(|chunk| [Bytes::new(), Bytes::copy_from_slice(chunk)]).collect();
            let (back, written) = writer.append(batch).await;
            written.unwrap();
            writer = back;
        }
        assert_eq!(writer.hasher.clone().finish(), digest);
        let (rehashed, result) = writer.rehash(Algorithm::Sha256).await;
        result.unwrap();
        assert_eq!(rehashed.hasher.clone().finish(), digest);
        assert_eq!(rehashed.staged.len(), content.len() as u64);
    }
}
