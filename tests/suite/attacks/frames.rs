//! Frames of HTTP/2 by hand (RFC 9113), headers without compression (RFC 7541), and a client that takes as little as it likes.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::bound::within;
use crate::client::Client;

pub(super) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

pub(super) const DATA: u8 = 0;
pub(super) const HEADERS: u8 = 1;
pub(super) const RST_STREAM: u8 = 3;
pub(super) const SETTINGS: u8 = 4;
pub(super) const PING: u8 = 6;
pub(super) const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
pub(super) const END_STREAM_AND_HEADERS: u8 = 5;

pub(super) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut frame = u32::try_from(payload.len()).unwrap().to_be_bytes()[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// Literals without a name from the table; a length may be continued.
pub(super) fn block(headers: &[(&str, &str)]) -> Vec<u8> {
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
pub(super) fn status(block: &[u8]) -> u16 {
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

const ACK: u8 = 1;
const HEADER_TABLE_SIZE: u16 = 1;
const INITIAL_WINDOW_SIZE: u16 = 4;

/// What the server sent, besides what a client answers by itself.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Heard {
    Status(u32, u16),
    Data(u32, usize),
    Reset(u32),
    Bye,
    Closed,
}

/// A connection that acknowledges settings and pings, and gives no window beyond the first one.
pub(super) struct Peer {
    stream: TcpStream,
    authority: String,
    next: u32,
}

impl Peer {
    /// Streams may send so many bytes.
    pub(super) async fn connect(client: &Client, window: u32) -> Self {
        let stream = client.connect().await.expect("the server can be reached");
        let mut peer = Self { stream, authority: client.host().to_owned(), next: 1 };
        let mut settings = Vec::new();
        // Without a table each answer's head can be read by itself.
        for (setting, value) in [(HEADER_TABLE_SIZE, 0), (INITIAL_WINDOW_SIZE, window)] {
            settings.extend(setting.to_be_bytes());
            settings.extend(u32::to_be_bytes(value));
        }
        let mut bytes = PREFACE.to_vec();
        bytes.extend(frame(SETTINGS, 0, 0, &settings));
        peer.stream.write_all(&bytes).await.expect("the server takes it");
        peer
    }

    /// Asks, and returns the stream's number.
    pub(super) async fn ask(&mut self, method: &str, path: &str) -> u32 {
        self.ask_with(method, path, &[]).await
    }

    pub(super) async fn ask_with(&mut self, method: &str, path: &str, more: &[(&str, &str)]) -> u32 {
        let stream = self.next;
        self.next += 2;
        let authority = self.authority.clone();
        let usual = [(":method", method), (":scheme", "http"), (":authority", authority.as_str()), (":path", path)];
        let headers: Vec<_> = usual.iter().chain(more).copied().collect();
        let asked = frame(HEADERS, END_STREAM_AND_HEADERS, stream, &block(&headers));
        self.stream.write_all(&asked).await.expect("the server takes it");
        stream
    }

    /// The stream, and the connection, may send so many bytes more.
    pub(super) async fn give(&mut self, stream: u32, bytes: u32) {
        for to in [stream, 0] {
            // A server that has closed hears nothing.
            let _ = self.stream.write_all(&frame(WINDOW_UPDATE, 0, to, &bytes.to_be_bytes())).await;
        }
    }

    pub(super) async fn hear(&mut self) -> Heard {
        loop {
            let mut head = [0; 9];
            if within("a frame", self.stream.read_exact(&mut head)).await.is_err() {
                return Heard::Closed;
            }
            let mut payload = vec![0; u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize];
            if within("a frame's payload", self.stream.read_exact(&mut payload)).await.is_err() {
                return Heard::Closed;
            }
            let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
            match head[3] {
                DATA => return Heard::Data(stream, payload.len()),
                HEADERS => return Heard::Status(stream, status(&payload)),
                RST_STREAM => return Heard::Reset(stream),
                GOAWAY => return Heard::Bye,
                SETTINGS if head[4] & ACK == 0 => self.answer(SETTINGS, &[]).await,
                PING if head[4] & ACK == 0 => self.answer(PING, &payload).await,
                _ => {}
            }
        }
    }

    /// Hears until it is this.
    pub(super) async fn hear_until(&mut self, wanted: &Heard) {
        loop {
            let heard = self.hear().await;
            if heard == *wanted {
                return;
            }
            assert_ne!(heard, Heard::Closed, "while waiting for {wanted:?}");
        }
    }

    async fn answer(&mut self, kind: u8, payload: &[u8]) {
        // A server that has closed hears nothing.
        let _ = self.stream.write_all(&frame(kind, ACK, 0, payload)).await;
    }
}
