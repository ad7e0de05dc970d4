//! Sending a body as the script says.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;

use super::behaviour::Behaviour;
use super::content::Content;
use super::gate::Gate;

pub(super) type Body = UnsyncBoxBody<Bytes, io::Error>;

/// How many bytes go out at once, unless a gate or a cut comes before.
const PIECE_BYTES: u64 = 16 << 10;

/// One body on its way.
pub(super) struct Sending {
    content: Content,
    at: u64,
    start: u64,
    end: u64,
    gates: Vec<(u64, Gate)>,
    behaviour: Behaviour,
    sent: Arc<AtomicU64>,
    /// Held while the body is being sent.
    _guard: Option<Box<dyn Send>>,
}

impl Sending {
    /// Sends `start..end` of `content`, counting the bytes in `sent`.
    pub fn new(
        content: Content,
        start: u64,
        end: u64,
        behaviour: &Behaviour,
        sent: Arc<AtomicU64>,
        guard: Option<Box<dyn Send>>,
    ) -> Self {
        let gates = behaviour.gates.iter().filter(|(offset, _)| *offset >= start).cloned().collect();
        Self { content, at: start, start, end, gates, behaviour: behaviour.clone(), sent, _guard: guard }
    }

    pub fn body(self) -> Body {
        StreamBody::new(stream::unfold(Some(self), |state| async move {
            let mut sending = state?;
            match sending.next().await? {
                Ok(bytes) => Some((Ok(Frame::data(bytes)), Some(sending))),
                Err(error) => Some((Err(error), None)),
            }
        }))
        .boxed_unsync()
    }

    async fn next(&mut self) -> Option<Result<Bytes, io::Error>> {
        while let Some((offset, _)) = self.gates.first()
            && *offset <= self.at
        {
            let (_, gate) = self.gates.remove(0);
            gate.pass().await;
        }
        let too_few = self.behaviour.declared_length.is_some_and(|length| length > self.end - self.start);
        let cut = self.behaviour.cut_after.map(|bytes| self.start + bytes).or(too_few.then_some(self.end));
        if cut.is_some_and(|cut| self.at >= cut) {
            // The bytes before leave the connection's buffer first.
            tokio::time::sleep(Duration::from_millis(20)).await;
            return Some(Err(io::Error::other("cut by the script")));
        }
        if self.at >= self.end {
            return None;
        }
        let mut piece = PIECE_BYTES;
        if let Some(rate) = self.behaviour.bytes_per_second {
            piece = (rate / 50).clamp(1, PIECE_BYTES);
            tokio::time::sleep(Duration::from_secs_f64(piece as f64 / rate as f64)).await;
        }
        if let Some((bytes, pause)) = self.behaviour.pause {
            piece = bytes;
            tokio::time::sleep(pause).await;
        }
        let mut until = self.end.min(self.at + piece);
        if let Some((offset, _)) = self.gates.first() {
            until = until.min(*offset);
        }
        if let Some(cut) = cut {
            until = until.min(cut);
        }
        let mut bytes = self.content.slice(self.at, until);
        if let Some(flip) = self.behaviour.flip_at
            && (self.at..until).contains(&flip)
        {
            let mut changed = bytes.to_vec();
            changed[(flip - self.at) as usize] ^= 1;
            bytes = changed.into();
        }
        self.at = until;
        self.sent.fetch_add(bytes.len() as u64, Ordering::SeqCst);
        Some(Ok(bytes))
    }
}
