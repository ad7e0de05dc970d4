//! HTTP/2 with heads that no library writes.

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::frames::{END_STREAM_AND_HEADERS, GOAWAY, HEADERS, PREFACE, RST_STREAM, SETTINGS, block, frame, status};
use crate::bound::within;
use crate::client::Client;
use crate::edge::{basic, guarded, push};
use crate::push::{an_image, path};
use crate::upstream::FakeUpstream;

/// The status, or nothing when the stream or the connection is ended instead.
async fn asked(client: &Client, headers: &[(&str, &str)]) -> Option<u16> {
    let mut stream = client.connect().await.unwrap();
    let mut bytes = PREFACE.to_vec();
    bytes.extend(frame(SETTINGS, 0, 0, &[]));
    bytes.extend(frame(HEADERS, END_STREAM_AND_HEADERS, 1, &block(headers)));
    stream.write_all(&bytes).await.unwrap();
    loop {
        let mut head = [0; 9];
        within("a frame", stream.read_exact(&mut head)).await.ok()?;
        let mut payload = vec![0; u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize];
        within("a frame's payload", stream.read_exact(&mut payload)).await.ok()?;
        match head[3] {
            HEADERS => return Some(status(&payload)),
            RST_STREAM | GOAWAY => return None,
            _ => {}
        }
    }
}

#[tokio::test]
async fn heads_of_http2_have_one_reading() {
    let upstream = FakeUpstream::start().await;
    let proxy = guarded(&upstream).await;
    push(&proxy, "team/app", "latest", &an_image(1, &[10]).await).await;
    let client = proxy.client();
    let (of, root, nobody) = (path("team/app", "manifests/latest"), basic("root"), basic("nobody"));
    let host = client.host().to_owned();
    let usual = [(":method", "GET"), (":scheme", "http"), (":authority", host.as_str()), (":path", of.as_str())];
    let with = |more: &[(&'static str, &str)]| -> Vec<(String, String)> {
        usual.iter().chain(more).map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    };
    let ask = async |headers: &[(String, String)]| {
        let headers: Vec<_> = headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        asked(&client, &headers).await
    };
    // As it should be.
    assert_eq!(ask(&with(&[])).await, Some(401));
    assert_eq!(ask(&with(&[("authorization", &root)])).await, Some(200));
    assert_eq!(ask(&with(&[("authorization", &nobody)])).await, Some(403));
    assert_eq!(ask(&with(&[("host", &host), ("authorization", &root)])).await, Some(200));
    // Two of what there is one of.
    assert_eq!(ask(&with(&[("authorization", &root), ("authorization", &nobody)])).await, Some(401));
    assert_eq!(ask(&with(&[("authorization", &nobody), ("authorization", &root)])).await, Some(401));
    assert_eq!(ask(&with(&[("host", "elsewhere.example"), ("authorization", &root)])).await, Some(400));
    let broken = format!("a\r\nauthorization: {root}");
    for wrong in [
        &[("host", host.as_str()), ("host", host.as_str()), ("authorization", root.as_str())][..],
        &[("authorization", root.as_str()), (":path", "/v2/")],
        &[(":path", "/v2/"), ("authorization", root.as_str())],
        &[(":method", "DELETE"), ("authorization", root.as_str())],
        &[(":authority", "elsewhere.example"), ("authorization", root.as_str())],
        &[(":scheme", "https"), ("authorization", root.as_str())],
        &[(":unknown", "x"), ("authorization", root.as_str())],
        &[(":status", "200"), ("authorization", root.as_str())],
        &[("Authorization", root.as_str())],
        &[("authorization", root.as_str()), ("connection", "close")],
        &[("authorization", root.as_str()), ("transfer-encoding", "chunked")],
        &[("authorization", root.as_str()), ("upgrade", "h2c")],
        &[("authorization", root.as_str()), ("te", "gzip")],
        &[("authorization", root.as_str()), ("content-length", "5")],
        &[("authorization", root.as_str()), ("x", broken.as_str())],
        &[("authorization", root.as_str()), ("x", "a\0b")],
        &[("authorization", root.as_str()), ("x y", "a")],
        &[("authorization", root.as_str()), ("", "a")],
    ] {
        let status = ask(&with(wrong)).await;
        assert!(matches!(status, None | Some(400)), "{wrong:?}: {status:?}");
    }
    for absent in [":method", ":scheme", ":path"] {
        let mut headers = with(&[("authorization", &root)]);
        headers.retain(|(name, _)| name != absent);
        let status = ask(&headers).await;
        assert!(matches!(status, None | Some(400)), "without {absent}: {status:?}");
    }
    for path in ["", "v2/", "*", "http://elsewhere.example/v2/", "/v2/ /x", "/v2/\r\nx: y", "/v2/\0"] {
        let mut headers = with(&[("authorization", &root)]);
        headers[3].1 = path.to_owned();
        let status = ask(&headers).await;
        assert!(status.is_none_or(|status| (400..500).contains(&status)), "{path:?}: {status:?}");
    }
    let large = "a".repeat(12_000);
    let many: Vec<_> = (0..4).map(|_| ("x", large.as_str())).collect();
    let headers = with(&many);
    // More than one frame holds would be another connection error; this is refused for its size.
    let status = ask(&headers[..5]).await;
    assert_eq!(status, Some(401));
    let status = ask(&headers).await;
    assert!(matches!(status, None | Some(431)), "{status:?}");
    assert_eq!(ask(&with(&[("authorization", &root)])).await, Some(200), "and the next is served");
}
