//! A world from a seed: who has what, who asks for it when, and what befalls the process.

use std::fmt;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use bytes::Bytes;

use super::script::{Body, Holding, Nature, Refusal, Reply, Server};
use crate::oci::Digest;

/// Repositories of each server.
pub(super) const REPOSITORIES: usize = 2;

/// Around the bytes that are held back, and around blocks.
const SIZES: [usize; 10] = [0, 1, 1000, 4096, 50_000, 65_536, 65_537, 100_000, 200_000, 300_000];

/// A limit below which all that is small enough fits, however much of it comes at once.
const ROOMY_BYTES: u64 = 32 << 20;
const ROOMY_OBJECT_BYTES: u64 = 1 << 20;

/// More than any limit here.
static ENDLESS: LazyLock<Bytes> = LazyLock::new(|| vec![0x5a; 33 << 20].into());

#[derive(Debug)]
pub(super) struct Plan {
    pub(super) seed: u64,
    pub(super) disk: u64,
    pub(super) disk_object: u64,
    pub(super) memory: u64,
    pub(super) memory_object: u64,
    pub(super) range_window: u64,
    /// All that is small enough fits, and no fault befalls the disk: nothing has to be fetched twice.
    pub(super) is_roomy: bool,
    pub(super) blobs: Vec<Blob>,
    pub(super) servers: Vec<Arc<Server>>,
    pub(super) lives: Vec<Life>,
}

pub(super) struct Blob {
    pub(super) digest: Digest,
    pub(super) content: Bytes,
}

/// What one process lives through.
#[derive(Debug)]
pub(super) struct Life {
    pub(super) visits: Vec<Visit>,
    pub(super) faults: Vec<(Duration, Fault)>,
    pub(super) end: End,
}

/// A client with one request.
#[derive(Clone, Debug)]
pub(super) struct Visit {
    pub(super) at: Duration,
    pub(super) server: usize,
    pub(super) repository: usize,
    pub(super) blob: usize,
    /// Bytes of the blob, as some manifest says.
    pub(super) told: Option<u64>,
    pub(super) wants: Wants,
    /// Between what the head of the answer says and its first byte.
    pub(super) dwells: Duration,
}

#[derive(Clone, Debug)]
pub(super) enum Wants {
    Head,
    Whole {
        leaves_after: Option<usize>,
        /// Between two pieces.
        pause: Duration,
    },
    Range {
        start: u64,
        bytes: u64,
    },
    /// The blob is a manifest here: it comes whole and verified, and is kept.
    Manifest,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Fault {
    Limit(u64),
    /// No file can be made or published for a while.
    StagingGone(Duration),
    /// A folder stands where the blob would be published.
    Obstacle(usize),
    /// The file of a kept blob is removed.
    Unlink(usize),
}

#[derive(Clone, Copy, Debug)]
pub(super) enum End {
    /// After all clients and fills have ended.
    Rest,
    /// Orderly, in the middle.
    Stop(Duration),
    /// The disk is left as it is in the middle.
    Kill(Duration),
}

impl fmt::Debug for Blob {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} of {} bytes", self.digest, self.content.len())
    }
}

impl Life {
    /// Files are moved behind the back of the process, which knows only at its next start.
    pub(super) fn loses_files(&self) -> bool {
        self.faults.iter().any(|(_, fault)| !matches!(fault, Fault::Limit(_)))
    }
}

struct Chance(fastrand::Rng);

impl Plan {
    pub(super) fn of(seed: u64) -> Self {
        let mut chance = Chance(fastrand::Rng::with_seed(seed));
        let is_roomy = chance.one_in(3);
        let mut blobs: Vec<Blob> = (0..chance.0.usize(2..5)).map(|_| chance.blob()).collect();
        if chance.one_in(3) {
            // Larger than what is kept.
            blobs.push(chance.blob_of(if is_roomy { 1_200_000 } else { 700_000 }));
        }
        // Small ones may be the same by chance.
        blobs.sort_by_key(|blob| blob.digest.hex());
        blobs.dedup_by_key(|blob| blob.digest);
        let disk = if is_roomy { ROOMY_BYTES } else { chance.0.u64(30_000..900_000) };
        let disk_object = match is_roomy {
            true => ROOMY_OBJECT_BYTES,
            false => chance.of(&[disk / 2, disk]),
        };
        let servers = chance.servers(&blobs);
        let lives = (0..chance.0.usize(1..4)).map(|_| chance.life(&servers, &blobs, is_roomy)).collect();
        let memory = if chance.one_in(2) { 0 } else { 1 << 20 };
        Self {
            seed,
            disk,
            disk_object,
            memory,
            memory_object: memory.min(60_000),
            range_window: chance.0.u64(0..100_000),
            is_roomy,
            blobs,
            servers,
            lives,
        }
    }
}

impl Chance {
    fn one_in(&mut self, count: u32) -> bool {
        self.0.u32(0..count) == 0
    }

    fn of<T: Clone>(&mut self, choices: &[T]) -> T {
        choices[self.0.usize(0..choices.len())].clone()
    }

    fn noise(&mut self, bytes: usize) -> Bytes {
        let mut noise = vec![0; bytes];
        self.0.fill(&mut noise);
        noise.into()
    }

    fn blob(&mut self) -> Blob {
        let bytes = self.of(&SIZES);
        self.blob_of(bytes)
    }

    fn blob_of(&mut self, bytes: usize) -> Blob {
        let content = self.noise(bytes);
        Blob { digest: Digest::of(&content), content }
    }

    fn servers(&mut self, blobs: &[Blob]) -> Vec<Arc<Server>> {
        let mut natures = vec![Nature::Honest, Nature::Wrong];
        natures.extend((0..self.0.usize(0..3)).map(|_| Nature::Wrong));
        if self.one_in(2) {
            natures.push(Nature::Honest);
        }
        if self.one_in(3) {
            natures.push(Nature::Bucket);
        }
        let servers = natures.into_iter().enumerate().map(|(number, nature)| {
            let holdings = (0..REPOSITORIES).map(|_| {
                let of_blob = |blob| match nature {
                    Nature::Honest => self.honest(blob),
                    Nature::Bucket => self.honest_of(blob),
                    Nature::Wrong => self.wrong(blob),
                };
                blobs.iter().map(of_blob).collect()
            });
            let holdings = holdings.collect();
            Arc::new(Server { name: format!("{nature:?}-{number}").to_lowercase(), nature, holdings })
        });
        servers.collect()
    }

    fn honest(&mut self, blob: &Blob) -> Holding {
        if self.one_in(4) {
            let refusal = self.of(&[Refusal::NotFound, Refusal::NotFound, Refusal::Denied]);
            return Holding { head: Err(refusal), bodies: vec![Reply::Refuse(refusal)] };
        }
        self.honest_of(blob)
    }

    fn honest_of(&mut self, blob: &Blob) -> Holding {
        let size = blob.content.len() as u64;
        let head = Ok(Some(size).filter(|_| self.0.bool()));
        Holding { head, bodies: vec![Reply::Send(self.body(blob.content.clone()))] }
    }

    /// In good order, at some pace, perhaps in several parts.
    fn body(&mut self, content: Bytes) -> Body {
        let size = content.len();
        let piece = self.of(&[700, 5000, 20_000, 70_000]).max(size / 50);
        let told = Some(size as u64).filter(|_| !self.one_in(3));
        let millis = self.of(&[0, 0, 5, 300, 4000]);
        let before = self.of(&[0, 10, 10, 2000, 20_000]);
        let breaks_after = self.one_in(4).then(|| piece.max(size / 4) + 1);
        Body {
            told,
            before: Duration::from_millis(before),
            piece,
            pause: Duration::from_millis(millis),
            breaks_after,
            stalls: self.one_in(3),
            content,
        }
    }

    fn wrong(&mut self, blob: &Blob) -> Holding {
        let size = blob.content.len();
        let refusal = self.of(&[Refusal::NotFound, Refusal::Denied, Refusal::Failed, Refusal::Misbehaved]);
        let head = match self.0.u8(0..4) {
            0 => Err(refusal),
            1 => Ok(Some(self.0.u64(0..400_000))),
            2 => Ok(None),
            _ => Ok(Some(size as u64)),
        };
        let bodies = (0..self.0.usize(1..4)).map(|_| self.wrong_reply(blob)).collect();
        Holding { head, bodies }
    }

    fn wrong_reply(&mut self, blob: &Blob) -> Reply {
        let content = &blob.content;
        let size = content.len();
        let at = self.0.usize(0..size.max(1));
        let garbage = self.noise(size);
        let wrong = match self.0.u8(0..12) {
            0 => return Reply::Refuse(self.of(&[Refusal::NotFound, Refusal::Denied])),
            1 => return Reply::Refuse(self.of(&[Refusal::Failed, Refusal::Misbehaved])),
            2 => return Reply::Hang,
            3 => content.slice(0..at.min(size)),
            4 => [&content[..], &garbage[..at.min(size)], b"more"].concat().into(),
            5 if size > 0 => {
                let mut flipped = content.to_vec();
                flipped[at] ^= 1;
                flipped.into()
            }
            // What is right so far, and something else then.
            6 => [&content[..at.min(size)], &garbage[at.min(size)..]].concat().into(),
            7 => content.clone(),
            _ => garbage,
        };
        let mut body = self.body(wrong);
        match self.0.u8(0..8) {
            // A byte at a time, until the least pace ends it.
            0 => (body.piece, body.pause, body.breaks_after) = (1, Duration::from_secs(20), Some(4)),
            1 => body.breaks_after = Some(self.0.usize(0..70_000)),
            2 => (body.breaks_after, body.stalls) = (Some(at), true),
            3 => body.told = Some(self.0.u64(0..400_000)),
            // More than there is room for.
            4 => body.told = Some(self.of(&[1 << 20, 20 << 20, 1 << 40, u64::MAX])),
            5 if self.one_in(8) => {
                body.content = ENDLESS.clone();
                (body.piece, body.pause, body.told, body.breaks_after) = (200_000, Duration::ZERO, None, None);
            }
            6 => body.told = None,
            _ => {}
        }
        Reply::Send(body)
    }

    fn life(&mut self, servers: &[Arc<Server>], blobs: &[Blob], is_roomy: bool) -> Life {
        let mut visits = Vec::new();
        while visits.len() < 20 {
            let visit = self.visit(servers, blobs);
            // A crowd comes at once.
            let crowd = if self.one_in(4) { self.0.usize(2..8) } else { 1 };
            for _ in 0..crowd {
                let wants = if self.one_in(3) { self.wants(servers, &visit, blobs) } else { visit.wants.clone() };
                visits.push(Visit { wants, ..visit.clone() });
            }
        }
        visits.sort_by_key(|visit| visit.at);
        let mut faults = Vec::new();
        if !is_roomy {
            for _ in 0..self.0.usize(0..3) {
                let fault = match self.0.u8(0..8) {
                    0 => Fault::StagingGone(Duration::from_millis(self.0.u64(0..20_000))),
                    1 => Fault::Obstacle(self.0.usize(0..blobs.len())),
                    2 => Fault::Unlink(self.0.usize(0..blobs.len())),
                    _ => Fault::Limit(self.0.u64(20_000..900_000)),
                };
                faults.push((self.moment(), fault));
            }
            faults.sort_by_key(|(at, _)| *at);
        }
        let end = match self.0.u8(0..4) {
            0 => End::Stop(self.moment()),
            1 => End::Kill(self.moment()),
            _ => End::Rest,
        };
        Life { visits, faults, end }
    }

    /// Often the same, so that much happens at once.
    fn moment(&mut self) -> Duration {
        let at = self.of(&[0, 1, 30, 1000, 1000, 5000, 20_000, 60_000]);
        Duration::from_millis(at + if self.0.bool() { self.0.u64(0..1000) } else { 0 })
    }

    fn visit(&mut self, servers: &[Arc<Server>], blobs: &[Blob]) -> Visit {
        let (server, repository) = (self.0.usize(0..servers.len()), self.0.usize(0..REPOSITORIES));
        let blob = self.0.usize(0..blobs.len());
        let told = match self.0.u8(0..4) {
            0 => None,
            1 => Some(self.0.u64(0..400_000)),
            _ => Some(blobs[blob].content.len() as u64),
        };
        let dwells = Duration::from_millis(self.of(&[0, 0, 1, 3000, 40_000]));
        let visit = Visit { at: self.moment(), server, repository, blob, told, wants: Wants::Head, dwells };
        Visit { wants: self.wants(servers, &visit, blobs), ..visit }
    }

    fn wants(&mut self, servers: &[Arc<Server>], visit: &Visit, blobs: &[Blob]) -> Wants {
        let size = blobs[visit.blob].content.len();
        let server = &servers[visit.server];
        match self.0.u8(0..10) {
            0 => Wants::Head,
            1 | 2 if size > 0 => {
                let start = self.0.u64(0..size as u64);
                Wants::Range { start, bytes: self.0.u64(1..=size as u64) }
            }
            3 if server.nature == Nature::Honest && server.holdings[visit.repository][visit.blob].is_confirmed() => {
                Wants::Manifest
            }
            4 => Wants::Whole { leaves_after: Some(self.0.usize(0..=size)), pause: Duration::ZERO },
            5 => Wants::Whole { leaves_after: None, pause: Duration::from_millis(self.0.u64(0..30_000)) },
            _ => Wants::Whole { leaves_after: None, pause: Duration::ZERO },
        }
    }
}
