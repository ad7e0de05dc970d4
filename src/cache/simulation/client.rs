//! Reading an answer as a connection does, at the pace of its client.

use std::future::poll_fn;
use std::os::unix::fs::FileExt;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;

use crate::cache::error::Error;
use crate::cache::{ByteStream, Content, Visible};

/// Bytes that are read at a time.
const PIECE_BYTES: u64 = 20_000;

/// An answer as far as it was read.
#[derive(Debug)]
pub(super) enum Seen {
    /// Before any header.
    Refused(Error),
    /// The answer to a HEAD.
    Size(Option<u64>),
    Body {
        /// Offset of the first byte of a range.
        start: Option<u64>,
        /// Bytes that the headers announced.
        announced: Option<u64>,
        bytes: Vec<u8>,
        end: BodyEnd,
    },
    /// A manifest was taken in.
    Kept,
}

#[derive(Debug)]
pub(super) enum BodyEnd {
    Complete,
    Left,
    /// With the reason.
    #[expect(dead_code, reason = "for the eyes of whoever looks into a failure")]
    Cut(String),
}

pub(super) struct Reading {
    pub(super) leaves_after: Option<usize>,
    pub(super) pause: Duration,
}

impl Reading {
    pub(super) async fn read(self, content: Content) -> (Vec<u8>, BodyEnd) {
        let mut bytes = Vec::new();
        let end = match content {
            Content::Memory(whole) => {
                bytes.extend_from_slice(&whole);
                BodyEnd::Complete
            }
            Content::Stream(stream) => self.follow(stream, &mut bytes).await,
            Content::File(mut reader) => loop {
                let at = reader.start() + bytes.len() as u64;
                if reader.end().is_some_and(|end| at >= end) {
                    break BodyEnd::Complete;
                }
                if self.leaves(&bytes) {
                    break BodyEnd::Left;
                }
                match poll_fn(|context| reader.poll_visible(context, at)).await {
                    Ok(Visible::Until(until)) => {
                        let count = usize::try_from((until - at).min(PIECE_BYTES)).unwrap();
                        let mut piece = vec![0; count];
                        if let Err(error) = reader.file().read_exact_at(&mut piece, at) {
                            break BodyEnd::Cut(format!("the file: {error}"));
                        }
                        bytes.extend_from_slice(&piece);
                    }
                    Ok(Visible::End) => break BodyEnd::Complete,
                    Ok(Visible::Rest(rest)) => break self.follow(rest, &mut bytes).await,
                    Err(error) => break BodyEnd::Cut(error.to_string()),
                }
                self.pause().await;
            },
        };
        (bytes, end)
    }

    async fn follow(&self, mut stream: ByteStream, bytes: &mut Vec<u8>) -> BodyEnd {
        loop {
            if self.leaves(bytes) {
                return BodyEnd::Left;
            }
            let piece: Bytes = match stream.next().await {
                Some(Ok(piece)) => piece,
                Some(Err(error)) => return BodyEnd::Cut(error.to_string()),
                None => return BodyEnd::Complete,
            };
            bytes.extend_from_slice(&piece);
            self.pause().await;
        }
    }

    async fn pause(&self) {
        if self.pause.is_zero() {
            tokio::task::yield_now().await;
        } else {
            tokio::time::sleep(self.pause).await;
        }
    }

    fn leaves(&self, bytes: &[u8]) -> bool {
        self.leaves_after.is_some_and(|most| bytes.len() >= most)
    }
}
