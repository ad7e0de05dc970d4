//! An origin that sends what a script says, within what `upstream::Source` promises of any stream.

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use tokio::time::{Instant, sleep, sleep_until};

use crate::cache::error::Error;
use crate::config::UpstreamName;
use crate::oci::{ByteRange, Digest};
use crate::storage::OriginId;
use crate::upstream::{self, ErrorKind};

/// The end of waiting for a head, and for the next bytes, as `header_timeout` and `stall_timeout` are.
const PATIENCE: Duration = Duration::from_secs(30);

/// A source that breaks off more often is too slow, as one below `min_rate` is.
const MAX_BREAKS: usize = 12;

/// An origin with all its repositories.
#[derive(Debug)]
pub(super) struct Server {
    pub(super) name: String,
    pub(super) nature: Nature,
    /// By repository and blob.
    pub(super) holdings: Vec<Vec<Holding>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Nature {
    /// Sends what it has, slowly or in parts, and refuses what it has not.
    Honest,
    /// As an honest one; its repositories are those of pushed blobs.
    Bucket,
    Wrong,
}

/// All that is said of one blob in one repository.
#[derive(Debug)]
pub(super) struct Holding {
    /// The answer to a HEAD: the size in bytes where it is told.
    pub(super) head: Result<Option<u64>, Refusal>,
    /// The answers to GET in order; the last is given again and again.
    pub(super) bodies: Vec<Reply>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    NotFound,
    Denied,
    Failed,
    Misbehaved,
}

#[derive(Clone, Debug)]
pub(super) enum Reply {
    Refuse(Refusal),
    Hang,
    Send(Body),
}

#[derive(Clone)]
pub(super) struct Body {
    pub(super) content: Bytes,
    /// Bytes of the whole, as the head says.
    pub(super) told: Option<u64>,
    pub(super) before: Duration,
    pub(super) piece: usize,
    pub(super) pause: Duration,
    /// The body breaks off after so many bytes, counted from where it began.
    pub(super) breaks_after: Option<usize>,
    /// Nothing comes where it would break off.
    pub(super) stalls: bool,
}

/// Counts what is asked of a server in one life of the process.
#[derive(Default)]
pub(super) struct Asked {
    /// Bodies of which the first byte came, by blob. One that is left before that costs nothing, and the next repository may be asked.
    pub(super) fetches: Mutex<Vec<usize>>,
    /// Bodies that are open.
    pub(super) open: AtomicUsize,
    /// By repository and blob, how many GETs there were.
    turns: Mutex<Vec<(usize, usize)>>,
}

/// A blob of a repository of a server, as the cache asks for it.
#[derive(Clone)]
pub struct Scripted {
    pub(super) server: Arc<Server>,
    pub(super) asked: Arc<Asked>,
    pub(super) repository: usize,
    pub(super) blob: usize,
    pub(super) digest: Digest,
    /// Bodies that broke off, of all clones.
    pub(super) breaks: Arc<AtomicUsize>,
}

pub struct ScriptedStream {
    pub(in crate::cache) total: Option<u64>,
    pub(in crate::cache) start: u64,
    name: UpstreamName,
    body: Body,
    at: usize,
    /// Offset after the last byte that is wanted, if it is known; and whether the body must end there.
    end: Option<usize>,
    is_part: bool,
    sent: usize,
    blob: usize,
    /// When the next piece comes. Kept between calls: a call may be dropped while it waits.
    due: Option<Instant>,
    asked: Arc<Asked>,
    breaks: Arc<AtomicUsize>,
}

impl Refusal {
    pub(super) fn kind(self) -> ErrorKind {
        match self {
            Self::NotFound => ErrorKind::NotFound,
            Self::Denied => ErrorKind::Denied,
            Self::Failed => ErrorKind::Failed { status: 500, retry_after: None },
            Self::Misbehaved => ErrorKind::Misbehaved { detail: "scripted".to_owned() },
        }
    }
}

impl Holding {
    /// Every content that a reader may see a part of.
    pub(super) fn contents(&self) -> impl Iterator<Item = &Bytes> {
        self.bodies.iter().filter_map(|reply| match reply {
            Reply::Send(body) => Some(&body.content),
            _ => None,
        })
    }

    /// Whether the server ever says that the repository has the blob.
    pub(super) fn is_confirmed(&self) -> bool {
        self.head.is_ok() || self.contents().next().is_some()
    }

    pub(super) fn refuses(&self, kind: &ErrorKind) -> bool {
        let by_body = self.bodies.iter().filter_map(|reply| match reply {
            Reply::Refuse(refusal) => Some(*refusal),
            _ => None,
        });
        let same = |refusal: Refusal| std::mem::discriminant(&refusal.kind()) == std::mem::discriminant(kind);
        by_body.chain(self.head.as_ref().err().copied()).any(same)
    }
}

impl Scripted {
    pub(in crate::cache) fn digest(&self) -> &Digest {
        &self.digest
    }

    pub(in crate::cache) fn id(&self) -> OriginId {
        OriginId::of(&self.server.name)
    }

    pub(in crate::cache) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.server, &other.server)
            && (self.repository == other.repository || self.server.nature == Nature::Bucket)
    }

    pub(in crate::cache) fn name(&self) -> String {
        self.server.name.clone()
    }

    /// The answer to a HEAD.
    pub(super) async fn confirm(&self) -> Result<Option<u64>, upstream::Error> {
        sleep(Duration::from_millis(20)).await;
        self.holding().head.map_err(|refusal| self.error(refusal.kind()))
    }

    pub(in crate::cache) async fn open(&self, start: u64, expected: Option<u64>) -> Result<ScriptedStream, Error> {
        self.answer(start, None, expected).await
    }

    pub(in crate::cache) async fn open_range(&self, range: ByteRange) -> Result<ScriptedStream, Error> {
        self.answer(range.start, Some(range.end), None).await
    }

    async fn answer(&self, start: u64, end: Option<u64>, expected: Option<u64>) -> Result<ScriptedStream, Error> {
        if self.breaks.load(Ordering::SeqCst) >= MAX_BREAKS {
            return Err(self.error(ErrorKind::BrokenBody { detail: "too slow".to_owned() }).into());
        }
        let body = match self.turn() {
            Reply::Send(body) => body,
            Reply::Refuse(refusal) => {
                sleep(Duration::from_millis(20)).await;
                return Err(self.error(refusal.kind()).into());
            }
            Reply::Hang => {
                sleep(PATIENCE).await;
                return Err(self.error(ErrorKind::TimedOut).into());
            }
        };
        sleep(body.before).await;
        let misbehaved = |detail: &str| Error::from(self.error(ErrorKind::Misbehaved { detail: detail.to_owned() }));
        if body.told.is_some() && expected.is_some() && body.told != expected {
            return Err(misbehaved("another size"));
        }
        let size = body.told.or(expected).unwrap_or(body.content.len() as u64);
        if start > size || end.is_some_and(|end| end > size) {
            return Err(misbehaved("no such bytes"));
        }
        self.asked.open.fetch_add(1, Ordering::SeqCst);
        let end_at = end.or(body.told).or(expected);
        Ok(ScriptedStream {
            total: body.told,
            start,
            name: UpstreamName::new(&self.server.name),
            at: usize::try_from(start).unwrap(),
            end: end_at.map(|end| usize::try_from(end).unwrap()),
            is_part: end.is_some(),
            body,
            sent: 0,
            blob: self.blob,
            due: None,
            asked: self.asked.clone(),
            breaks: self.breaks.clone(),
        })
    }

    fn holding(&self) -> &Holding {
        &self.server.holdings[self.repository][self.blob]
    }

    fn turn(&self) -> Reply {
        let mut turns = self.asked.turns.lock().unwrap();
        let key = (self.repository, self.blob);
        let turn = turns.iter().filter(|turn| **turn == key).count();
        turns.push(key);
        let bodies = &self.holding().bodies;
        bodies[turn.min(bodies.len() - 1)].clone()
    }

    fn error(&self, kind: ErrorKind) -> upstream::Error {
        upstream::Error { upstream: UpstreamName::new(&self.server.name), kind }
    }
}

impl ScriptedStream {
    pub(in crate::cache) async fn chunk(&mut self) -> Result<Option<Bytes>, Error> {
        if self.end.is_some_and(|end| self.at >= end) {
            let goes_on = !self.is_part && self.body.content.len() > self.at;
            return if goes_on { Err(self.broken("it goes on after its announced length")) } else { Ok(None) };
        }
        let breaks = self.body.breaks_after.is_some_and(|most| self.sent >= most);
        if breaks && self.body.stalls {
            self.wait(PATIENCE).await;
            return Err(self.broken("nothing came"));
        }
        if breaks {
            return Err(self.broken("scripted"));
        }
        if self.at >= self.body.content.len() {
            return match self.end {
                Some(_) => Err(self.broken("it ended before its end")),
                None => Ok(None),
            };
        }
        self.wait(self.body.pause).await;
        let mut until = self.body.content.len().min(self.at + self.body.piece);
        if let Some(most) = self.body.breaks_after {
            until = until.min(self.at + (most - self.sent));
        }
        if let Some(end) = self.end {
            until = until.min(end);
        }
        if self.at == 0 && !self.is_part {
            self.asked.fetches.lock().unwrap().push(self.blob);
        }
        let bytes = self.body.content.slice(self.at..until);
        self.sent += bytes.len();
        self.at = until;
        self.start = until as u64;
        Ok(Some(bytes))
    }

    async fn wait(&mut self, time: Duration) {
        if time.is_zero() {
            return;
        }
        let due = *self.due.get_or_insert_with(|| Instant::now() + time);
        sleep_until(due).await;
        self.due = None;
    }

    fn broken(&self, detail: &str) -> Error {
        self.breaks.fetch_add(1, Ordering::SeqCst);
        upstream::Error { upstream: self.name.clone(), kind: ErrorKind::BrokenBody { detail: detail.to_owned() } }
            .into()
    }
}

impl Drop for ScriptedStream {
    fn drop(&mut self) {
        self.asked.open.fetch_sub(1, Ordering::SeqCst);
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} bytes ({}…), told {:?}", self.content.len(), first(&self.content), self.told)?;
        write!(formatter, ", after {:?}, {} a piece, {:?} between", self.before, self.piece, self.pause)?;
        match self.breaks_after {
            Some(after) => write!(formatter, ", {} after {after}", if self.stalls { "stalls" } else { "breaks off" }),
            None => Ok(()),
        }
    }
}

fn first(content: &Bytes) -> String {
    content.iter().take(4).map(|byte| format!("{byte:02x}")).collect()
}
