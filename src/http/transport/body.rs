use super::FileRegions;
use crate::cache::{BlobReader, Content, Error, Visible};
use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use http_body::{Body, Frame, SizeHint};
use std::os::unix::fs::FileExt;
use std::pin::Pin;
use std::task::{Context, Poll};

pub struct ResponseBody {
    inner: Pin<Box<dyn Stream<Item = Result<Bytes, Error>> + Send>>,
    left: Option<u64>,
}

impl ResponseBody {
    pub fn empty() -> Self {
        Self { inner: Box::pin(stream::empty()), left: Some(0) }
    }
    pub fn full(bytes: Bytes) -> Self {
        let left = Some(bytes.len() as u64);
        Self { inner: Box::pin(stream::once(async { Ok(bytes) })), left }
    }
    pub fn content(content: Content, length: Option<u64>, _regions: Option<&FileRegions>) -> Self {
        Self { inner: content_stream(content), left: length }
    }
    pub fn parts(parts: Vec<(Bytes, Option<Content>)>, length: u64, _regions: Option<&FileRegions>) -> Self {
        let inner = stream::iter(parts).flat_map(|(head, content)| {
            let content = content.map_or_else(|| stream::empty().boxed(), content_stream);
            stream::once(async { Ok(head) }).chain(content)
        });
        Self { inner: Box::pin(inner), left: Some(length) }
    }
}

fn content_stream(content: Content) -> Pin<Box<dyn Stream<Item = Result<Bytes, Error>> + Send>> {
    match content {
        Content::Memory(bytes) => Box::pin(stream::once(async { Ok(bytes) })),
        Content::Stream(stream) => stream,
        Content::File(reader) => {
            Box::pin(stream::unfold(Some((reader.start(), 0u64, reader, None)), |state| async move {
                let (mut at, mut until, mut reader, mut rest): (
                    u64,
                    u64,
                    BlobReader,
                    Option<crate::cache::ByteStream>,
                ) = state?;
                if let Some(r) = &mut rest {
                    let item = r.next().await?;
                    return Some((item, Some((at, until, reader, rest))));
                }
                if reader.end().is_some_and(|end| at >= end) {
                    return None;
                }
                if at >= until {
                    match std::future::poll_fn(|cx| reader.poll_visible(cx, at)).await {
                        Ok(Visible::Until(u)) => until = u,
                        Ok(Visible::End) => return None,
                        Ok(Visible::Rest(r)) => {
                            rest = Some(r);
                            let item = rest.as_mut().unwrap().next().await?;
                            return Some((item, Some((at, until, reader, rest))));
                        }
                        Err(e) => return Some((Err(e), None)),
                    }
                }
                let n = (until - at).min(256 << 10) as usize;
                let file = reader.file().clone();
                let bytes = tokio::task::spawn_blocking(move || {
                    let mut v = vec![0; n];
                    file.read_exact_at(&mut v, at).map(|()| v)
                })
                .await
                .unwrap()
                .unwrap();
                at += n as u64;
                Some((Ok(bytes.into()), Some((at, until, reader, rest))))
            }))
        }
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = Error;
    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let p = self.inner.as_mut().poll_next(cx);
        if let Poll::Ready(Some(Ok(b))) = &p {
            if let Some(l) = &mut self.left {
                *l -= b.len() as u64;
            }
        }
        p.map(|o| o.map(|r| r.map(Frame::data)))
    }
    fn is_end_stream(&self) -> bool {
        self.left == Some(0)
    }
    fn size_hint(&self) -> SizeHint {
        self.left.map_or_else(SizeHint::new, SizeHint::with_exact)
    }
}
