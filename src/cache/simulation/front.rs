//! The registry in the small: which repository has a right to what, as `registry/pull_through` keeps it.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};

use bytes::Bytes;

use super::client::{BodyEnd, Reading, Seen};
use super::plan::{Visit, Wants};
use super::script::{Nature, Scripted};
use crate::cache::error::Error;
use crate::cache::{Blob, BlobCache, Claim, Origin};
use crate::oci::{ByteRange, Digest};

/// Outlasts the process, as the database does.
#[derive(Clone, Default)]
pub(super) struct Rights(Arc<Mutex<Facts>>);

#[derive(Default)]
struct Facts {
    /// By server, repository and digest.
    confirmed: HashSet<(String, usize, Digest)>,
    /// By server and digest.
    sent: HashSet<(String, Digest)>,
}

#[derive(Clone)]
pub(super) struct Front {
    pub(super) cache: BlobCache,
    pub(super) rights: Rights,
}

impl Rights {
    fn claim(&self, source: &Scripted) -> Claim {
        if source.server.nature == Nature::Bucket {
            return Claim::PUSHED;
        }
        let facts = self.0.lock().unwrap();
        Claim {
            confirmed: facts.confirmed.contains(&confirmed_key(source)),
            sent: facts.sent.contains(&sent_key(source)),
        }
    }

    fn confirm(&self, source: &Scripted) {
        self.0.lock().unwrap().confirmed.insert(confirmed_key(source));
    }

    fn note_sent(&self, source: &Scripted) {
        self.0.lock().unwrap().sent.insert(sent_key(source));
        self.confirm(source);
    }
}

fn confirmed_key(source: &Scripted) -> (String, usize, Digest) {
    (source.server.name.clone(), source.repository, source.digest)
}

fn sent_key(source: &Scripted) -> (String, Digest) {
    (source.server.name.clone(), source.digest)
}

impl Front {
    pub(super) async fn visit(&self, source: Scripted, visit: &Visit, content: &Bytes) -> Seen {
        let answered = match &visit.wants {
            Wants::Head => self.head(&source, visit.told).await.map(Seen::Size),
            Wants::Manifest => {
                self.cache.keep(source.digest, content.clone()).await;
                self.rights.note_sent(&source);
                Ok(Seen::Kept)
            }
            Wants::Whole { leaves_after, pause } => {
                let reading = Reading { leaves_after: *leaves_after, pause: *pause };
                self.get(&source, visit, None, reading).await
            }
            Wants::Range { start, bytes } => {
                let range = ByteRange::new(*start, start + bytes);
                let reading = Reading { leaves_after: None, pause: std::time::Duration::ZERO };
                self.get(&source, visit, range, reading).await
            }
        };
        answered.unwrap_or_else(Seen::Refused)
    }

    async fn head(&self, source: &Scripted, told: Option<u64>) -> Result<Option<u64>, Error> {
        let claim = self.rights.claim(source);
        if let Some(blob) = self.cache.present(&Origin::Scripted(source.clone()), claim, told).await? {
            return Ok(blob.size());
        }
        let size = source.confirm().await?;
        self.rights.confirm(source);
        Ok(size)
    }

    async fn get(
        &self,
        source: &Scripted,
        visit: &Visit,
        range: Option<ByteRange>,
        reading: Reading,
    ) -> Result<Seen, Error> {
        let blob = self.blob(source, visit.told).await?;
        tokio::time::sleep(visit.dwells).await;
        let has_failed = blob.has_failed();
        let size = blob.size();
        // A range is looked at where the size is known, and is cut to it.
        let within = range.zip(size).and_then(|(range, size)| ByteRange::new(range.start, range.end.min(size)));
        let (content, announced) = match within {
            Some(range) => (blob.range(range).await?, Some(range.len())),
            None => (blob.whole().await?, size),
        };
        assert!(!has_failed, "an answer of which nothing comes");
        let (bytes, end) = reading.read(content).await;
        let end = match (end, announced) {
            (BodyEnd::Complete, Some(announced)) if announced != bytes.len() as u64 => {
                BodyEnd::Cut(format!("{} bytes came where {announced} were announced", bytes.len()))
            }
            (end, _) => end,
        };
        Ok(Seen::Body { start: within.map(|range| range.start), announced, bytes, end })
    }

    async fn blob(&self, source: &Scripted, told: Option<u64>) -> Result<Blob, Error> {
        let origin = Origin::Scripted(source.clone());
        if let Some(blob) = self.cache.present(&origin, self.rights.claim(source), told).await? {
            return Ok(blob);
        }
        for _ in 0..2 {
            let claim = || self.rights.claim(source);
            let report = {
                let (rights, source) = (self.rights.clone(), source.clone());
                move || async move { rights.note_sent(&source) }
            };
            if let Some(blob) = self.cache.fetch(origin.clone(), claim, told, report).await? {
                self.rights.confirm(source);
                return Ok(blob);
            }
            source.confirm().await?;
            self.rights.confirm(source);
        }
        Err(Error::Stopped { digest: source.digest })
    }
}
