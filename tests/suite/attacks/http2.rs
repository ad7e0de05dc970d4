//! HTTP/2 with heads that no library writes: frames by hand (RFC 9113), headers without compression (RFC 7541).

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::bound::within;
use crate::client::Client;
use crate::edge::{basic, guarded, push};
use crate::push::{an_image, path};
use crate::upstream::FakeUpstream;

const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const GOAWAY: u8 = 7;
const END_STREAM_AND_HEADERS: u8 = 5;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut frame = u32::try_from(payload.len()).unwrap().to_be_bytes()[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// Literals without a name from the table; a length may be continued.
fn block(headers: &[(&str, &str)]) -> Vec<u8> {
    let mut block = Vec::new();
    let text = |block: &mut Vec<u8>, text: &str| {
        if text.len() < 127 {
            block.push(text.len() as u8);
        } else {
            block.push(127);
            let mut rest = text.len() - 127;
            while rest >= 128 {
                block.push((rest % 128) as u8 | 128);
                rest /= 128;
            }
            block.push(rest as u8);
        }
        block.extend(text.as_bytes());
    };
    for (name, value) in headers {
        block.push(0);
        text(&mut block, name);
        text(&mut block, value);
    }
    block
}

/// The status of the first header of an answer: of the static table, or three digits, perhaps in Huffman's code.
fn status(block: &[u8]) -> u16 {
    // Changes of the table's size may come before.
    let block = &block[block.iter().take_while(|byte| **byte & 0xe0 == 0x20).count()..];
    let known = [200, 204, 206, 304, 400, 404, 500];
    if block[0] & 0x80 != 0 {
        return known[usize::from(block[0] & 0x7f) - 8];
    }
    let (is_huffman, length) = (block[1] & 0x80 != 0, usize::from(block[1] & 0x7f));
    let text = &block[2..2 + length];
    if !is_huffman {
        return std::str::from_utf8(text).unwrap().parse().unwrap();
    }
    let bits: String = text.iter().map(|byte| format!("{byte:08b}")).collect();
    let (mut rest, mut number) = (bits.as_str(), 0);
    for _ in 0..3 {
        // `0` to `2` have five bits, the others six, from 011001.
        let five = u16::from_str_radix(&rest[..5], 2).unwrap();
        let (digit, taken) =
            if five < 3 { (five, 5) } else { (u16::from_str_radix(&rest[..6], 2).unwrap() - 0b01_1001 + 3, 6) };
        number = number * 10 + digit;
        rest = &rest[taken..];
    }
    number
}

/// The status, or nothing when the stream or the connection is ended instead.
async fn asked(client: &Client, headers: &[(&str, &str)]) -> Option<u16> {
    let mut stream = client.connect().await.unwrap();
    let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
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
