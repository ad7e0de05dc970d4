//! The body of every response.

use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use super::buffers::{self, Client};
use super::file_body::FileBody;
use super::mapping::FileRegions;
use crate::cache::{self, ByteStream, Content};
use crate::turns::Asker;

/// Pieces one after the other. Where the length is known, hyper announces it, and a body that fails before it has given as
/// much is cut off in a way that no client takes for its end.
pub struct ResponseBody {
    pieces: Pieces,
    /// Bytes still to come, where that is known.
    left: Option<u64>,
    /// A piece from memory found no room.
    too_much: bool,
    /// Whoever takes it, in whose name memory is held.
    client: Client,
}

enum Pieces {
    None,
    One(Piece),
    Many(VecDeque<Piece>),
}

enum Piece {
    Bytes(Bytes),
    /// From memory, and not counted yet.
    Memory(Bytes),
    File(Box<FileBody>),
    Stream(ByteStream),
    /// Bytes from memory for which there is no room.
    TooMuch,
    /// Not opened before its turn comes: what is open may hold a place that others wait for.
    Later(Later, Option<FileRegions>),
}

/// Opens a part of an answer.
pub type Later = Pin<Box<dyn Future<Output = Result<Content, cache::Error>> + Send>>;

/// Why a body was cut off.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    #[error(transparent)]
    Blob(cache::Error),
    #[error("the file cannot be read: {0}")]
    File(io::Error),
    #[error("the body is {0} bytes longer than was announced")]
    TooLong(u64),
    #[error("clients that take nothing hold http.body_memory: there is no room for this body")]
    TooMuch,
}

impl ResponseBody {
    pub fn empty() -> Self {
        Self { pieces: Pieces::None, left: Some(0), too_much: false, client: None }
    }

    pub fn full(bytes: Bytes) -> Self {
        let length = bytes.len() as u64;
        Self::one(Piece::of(Content::Memory(bytes), None), Some(length))
    }

    /// For operators, who are answered however short memory is.
    pub fn uncounted(bytes: Bytes) -> Self {
        let length = bytes.len() as u64;
        Self::one(Piece::Bytes(bytes), Some(length))
    }

    /// `length` in bytes, if it is known. `regions` are the connection's, where it can send files.
    pub fn content(content: Content, length: Option<u64>, regions: Option<&FileRegions>) -> Self {
        Self::one(Piece::of(content, regions), length)
    }

    fn one(piece: Piece, length: Option<u64>) -> Self {
        Self { pieces: Pieces::One(piece), left: length, too_much: false, client: None }
    }

    /// The body is for the client at this address: what it holds in memory is counted for it from now on.
    pub fn taken_by(&mut self, client: Asker) {
        self.client = Some(client);
        let first = match &mut self.pieces {
            Pieces::None => None,
            Pieces::One(piece) => Some(piece),
            // The other parts are opened later.
            Pieces::Many(pieces) => pieces.get_mut(1),
        };
        if let Some(piece) = first {
            piece.hold(self.client);
            self.too_much = matches!(piece, Piece::TooMuch);
        }
    }

    /// There is no memory for this body (`http.body_memory`): something smaller has to be answered.
    pub fn is_too_much(&self) -> bool {
        self.too_much
    }

    /// Each piece of content after some bytes, and `tail` after all. The first is open; each of the others is opened when those
    /// before it were sent.
    pub fn parts(
        (head, first): (Bytes, Content),
        others: Vec<(Bytes, Later)>,
        tail: Bytes,
        length: u64,
        regions: Option<&FileRegions>,
    ) -> Self {
        let first = Piece::of(first, regions);
        let mut pieces = VecDeque::from([Piece::Bytes(head), first]);
        for (head, later) in others {
            pieces.extend([Piece::Bytes(head), Piece::Later(later, regions.cloned())]);
        }
        pieces.push_back(Piece::Bytes(tail));
        Self { pieces: Pieces::Many(pieces), left: Some(length), too_much: false, client: None }
    }
}

impl Piece {
    fn of(content: Content, regions: Option<&FileRegions>) -> Self {
        match content {
            Content::Memory(bytes) => Self::Memory(bytes),
            Content::File(reader) => Self::File(Box::new(FileBody::new(reader, regions))),
            Content::Stream(stream) => Self::Stream(stream),
        }
    }

    fn hold(&mut self, client: Client) {
        if let Self::Memory(bytes) = self {
            *self = buffers::hold(std::mem::take(bytes), client).map_or(Self::TooMuch, Self::Bytes);
        }
    }

    fn poll_next(&mut self, context: &mut Context<'_>, client: Client) -> Poll<Option<Result<Bytes, BodyError>>> {
        if let Self::Later(later, regions) = self {
            match ready!(later.as_mut().poll(context)) {
                Ok(content) => *self = Self::of(content, regions.take().as_ref()),
                Err(error) => {
                    *self = Self::Bytes(Bytes::new());
                    return Poll::Ready(Some(Err(BodyError::Blob(error))));
                }
            }
        }
        self.hold(client);
        match self {
            // They have become others.
            Self::Later(..) | Self::Memory(_) => Poll::Ready(None),
            Self::Bytes(bytes) if bytes.is_empty() => Poll::Ready(None),
            Self::Bytes(bytes) => Poll::Ready(Some(Ok(std::mem::take(bytes)))),
            Self::File(file) => file.poll_next(context, client),
            Self::TooMuch => Poll::Ready(Some(Err(BodyError::TooMuch))),
            Self::Stream(stream) => {
                stream.as_mut().poll_next(context).map(|next| next.map(|next| next.map_err(BodyError::Blob)))
            }
        }
    }
}

impl Pieces {
    fn poll_next(&mut self, context: &mut Context<'_>, client: Client) -> Poll<Option<Result<Bytes, BodyError>>> {
        loop {
            let piece = match self {
                Self::None => return Poll::Ready(None),
                Self::One(piece) => piece,
                Self::Many(pieces) => match pieces.front_mut() {
                    Some(piece) => piece,
                    None => return Poll::Ready(None),
                },
            };
            match ready!(piece.poll_next(context, client)) {
                Some(next) => return Poll::Ready(Some(next)),
                None => match self {
                    Self::Many(pieces) => drop(pieces.pop_front()),
                    _ => *self = Self::None,
                },
            }
        }
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        let next = ready!(this.pieces.poll_next(context, this.client));
        if let (Some(Ok(bytes)), Some(left)) = (&next, &mut this.left) {
            match left.checked_sub(bytes.len() as u64) {
                Some(less) => *left = less,
                None => return Poll::Ready(Some(Err(BodyError::TooLong(bytes.len() as u64 - *left)))),
            }
        }
        Poll::Ready(next.map(|next| next.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        self.left == Some(0)
    }

    fn size_hint(&self) -> SizeHint {
        self.left.map_or_else(SizeHint::new, SizeHint::with_exact)
    }
}
