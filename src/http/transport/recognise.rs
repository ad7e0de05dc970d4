//! Telling from its first bytes which protocol a connection speaks, and turning TLS away from plaintext listeners.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::seldom::Seldom;

/// The first byte of a TLS ClientHello: a client that speaks TLS to a plaintext port.
const TLS_HANDSHAKE: u8 = 0x16;

/// How an HTTP/2 connection begins (RFC 9113 section 3.4); no method of HTTP/1.1 is called so.
const HTTP2_PREFACE: &[u8] = b"PRI ";

/// The answer to TLS on a plaintext port. Clients written in Go (docker, crane) recognise HTTP in it and go on with `http://` at once.
const NOT_TLS: &[u8] = b"HTTP/1.0 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nX-Content-Type-Options: nosniff\r\n\
    Connection: close\r\n\r\nClient sent a TLS request to a plaintext port: use http://, or configure this listener's `tls`.\n";

/// Bytes of a client's hello, and what it sends behind it, that are read before the connection is closed.
const MAX_HELLO_BYTES: u64 = 64 << 10;

pub(super) enum Speaks {
    Http1,
    Http2,
    Tls,
}

/// How long a client that has sent a part of the preface is left alone, at first and at most: such a socket is ready all the time, and
/// looking at thousands of them again and again costs a core.
const FIRST_PAUSE: Duration = Duration::from_millis(5);
const LONGEST_PAUSE: Duration = Duration::from_millis(500);

/// Looks at the first bytes without taking them. `None` when the client leaves, or says no more than a part of the preface for
/// `header_timeout`.
pub(super) async fn recognise(stream: &TcpStream, header_timeout: Duration) -> Option<Speaks> {
    let mut first = [0; HTTP2_PREFACE.len()];
    let (mut pause, mut begun) = (FIRST_PAUSE, None);
    loop {
        let count = stream.peek(&mut first).await.ok()?;
        let seen = first.get(..count)?;
        match seen.first()? {
            &TLS_HANDSHAKE => return Some(Speaks::Tls),
            _ if seen == HTTP2_PREFACE => return Some(Speaks::Http2),
            _ if HTTP2_PREFACE.starts_with(seen) => {
                if begun.get_or_insert_with(Instant::now).elapsed() >= header_timeout {
                    return None;
                }
                tokio::time::sleep(pause.min(header_timeout)).await;
                pause = LONGEST_PAUSE.min(pause * 2);
            }
            _ => return Some(Speaks::Http1),
        }
    }
}

/// Says in plain text that this port has no TLS. What the client has sent is read, or the kernel would reset the connection and the
/// client might lose the answer.
pub(super) async fn turn_tls_away(mut stream: TcpStream, peer: SocketAddr, patience: Duration) {
    say_that_tls_came(peer);
    let turned_away = async {
        stream.write_all(NOT_TLS).await?;
        stream.shutdown().await?;
        tokio::io::copy(&mut stream.take(MAX_HELLO_BYTES), &mut tokio::io::sink()).await
    };
    // A client that is gone needs no answer.
    let _ = timeout(patience, turned_away).await;
}

fn say_that_tls_came(peer: SocketAddr) {
    static SAID: Seldom = Seldom::new();
    if SAID.now() {
        tracing::warn!(client = %peer, "a client speaks TLS to a plaintext port and was turned away; give it http://, or this listener `tls`");
    }
}
