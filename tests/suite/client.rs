//! An HTTP/1.1 client that shows how an answer ended: complete, or cut off inside its framing.
//!
//! One connection for each request. A reader that stops reading, leaves, or resets is a line of test.

use std::net::SocketAddr;

use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use crate::bound::within;

#[derive(Clone, Debug)]
pub struct Client {
    address: SocketAddr,
    /// The `Host` header.
    host: String,
    /// Bytes of the kernel's buffer for what has come and was not read.
    receive_buffer: Option<u32>,
}

/// A whole answer.
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Bytes,
    /// False when the connection ended before the body did.
    pub complete: bool,
}

/// An answer that is being read.
pub struct Exchange {
    stream: TcpStream,
    raw: Vec<u8>,
    framing: Framing,
    /// The connection has ended.
    closed: bool,
    is_head: bool,
    pub status: u16,
    pub headers: Vec<(String, String)>,
    /// Of the body, so far.
    pub received: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Framing {
    Unknown,
    Length(u64),
    /// Bytes left of the chunk; `None` before its size line.
    Chunk(Option<u64>),
    UntilClose,
    Done,
}

impl Client {
    pub fn new(address: SocketAddr) -> Self {
        Self { address, host: address.to_string(), receive_buffer: None }
    }

    /// The `Host` header.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The same server under another `Host`.
    pub fn as_host(&self, host: &str) -> Self {
        Self { host: host.to_owned(), ..self.clone() }
    }

    /// A client that lets little pile up in the kernel, so that not reading is felt by the server.
    pub fn slow(&self) -> Self {
        Self { receive_buffer: Some(4096), ..self.clone() }
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.request("GET", path, &[]).await
    }

    pub async fn head(&self, path: &str) -> Answer {
        self.request("HEAD", path, &[]).await
    }

    pub async fn get_range(&self, path: &str, range: &str) -> Answer {
        self.request("GET", path, &[("Range", range)]).await
    }

    pub async fn request(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
        self.open(method, path, headers).await.rest().await
    }

    /// A request with a body.
    pub async fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        let length = body.len().to_string();
        let headers: Vec<_> = headers.iter().copied().chain([("Content-Length", length.as_str())]).collect();
        let mut exchange = self.open(method, path, &headers).await;
        exchange.write(body).await;
        exchange.rest().await
    }

    /// Sends a request and does not wait for the answer. Panics when the server cannot be reached.
    pub async fn open(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> Exchange {
        self.try_open(method, path, headers).await.expect("the server can be reached")
    }

    pub async fn try_open(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> std::io::Result<Exchange> {
        let mut text = format!("{method} {path} HTTP/1.1\r\nHost: {}\r\n", self.host);
        for (name, value) in headers {
            text += &format!("{name}: {value}\r\n");
        }
        text += "\r\n";
        let mut stream = self.connect().await?;
        stream.write_all(text.as_bytes()).await?;
        Ok(Exchange {
            stream,
            raw: Vec::new(),
            framing: Framing::Unknown,
            closed: false,
            is_head: method == "HEAD",
            status: 0,
            headers: Vec::new(),
            received: Vec::new(),
        })
    }

    /// A connection, to say something on it that is not HTTP.
    pub async fn connect(&self) -> std::io::Result<TcpStream> {
        let socket = TcpSocket::new_v4()?;
        if let Some(bytes) = self.receive_buffer {
            socket.set_recv_buffer_size(bytes)?;
        }
        within("connecting", socket.connect(self.address)).await
    }
}

impl Exchange {
    /// Sends a part of the request's body. A server that has heard enough may have closed the connection.
    pub async fn write(&mut self, bytes: &[u8]) {
        let _ = within("the server takes a body", self.stream.write_all(bytes)).await;
    }

    /// The status; `None` when the server goes away before it has said one.
    pub async fn try_status(&mut self) -> Option<u16> {
        while !self.raw.windows(4).any(|window| window == b"\r\n\r\n") {
            if !self.fill().await {
                return None;
            }
        }
        Some(self.head().await.status)
    }

    /// Waits for status and headers.
    pub async fn head(&mut self) -> &mut Self {
        while self.framing == Framing::Unknown {
            if let Some(end) = self.raw.windows(4).position(|window| window == b"\r\n\r\n") {
                let head = String::from_utf8(self.raw[..end].to_vec()).expect("a head in ASCII");
                self.raw.drain(..end + 4);
                self.parse_head(&head);
                self.decode();
            } else if !self.fill().await {
                // No head came: status 0 says so.
                self.framing = Framing::UntilClose;
            }
        }
        self
    }

    /// Waits until `count` bytes of the body have come, or its end.
    pub async fn read(&mut self, count: usize) -> &[u8] {
        self.head().await;
        while self.received.len() < count && self.framing != Framing::Done && self.fill().await {
            self.decode();
        }
        &self.received[..count.min(self.received.len())]
    }

    /// Reads to the end.
    pub async fn rest(mut self) -> Answer {
        self.read(usize::MAX).await;
        let complete = match self.framing {
            Framing::Done => true,
            Framing::UntilClose => self.status != 0,
            _ => false,
        };
        Answer { status: self.status, headers: self.headers, body: self.received.into(), complete }
    }

    /// Leaves with a reset instead of a close.
    pub fn reset(self) {
        let _ = self.stream.set_zero_linger();
    }

    async fn fill(&mut self) -> bool {
        if self.closed {
            return false;
        }
        let mut piece = vec![0; 64 << 10];
        let count = within("the next bytes of an answer", self.stream.read(&mut piece)).await.unwrap_or(0);
        self.closed = count == 0;
        self.raw.extend_from_slice(&piece[..count]);
        !self.closed
    }

    fn parse_head(&mut self, head: &str) {
        let mut lines = head.split("\r\n");
        let status = lines.next().expect("a status line");
        self.status = status.split(' ').nth(1).and_then(|code| code.parse().ok()).expect("a status code");
        self.headers = lines
            .map(|line| {
                let (name, value) = line.split_once(':').expect("a header");
                (name.to_ascii_lowercase(), value.trim().to_owned())
            })
            .collect();
        let length = find(&self.headers, "content-length").map(|text| text.parse().expect("a length"));
        self.framing = match length {
            _ if self.is_head || matches!(self.status, 204 | 304) => Framing::Done,
            _ if find(&self.headers, "transfer-encoding") == Some("chunked") => Framing::Chunk(None),
            Some(0) => Framing::Done,
            Some(length) => Framing::Length(length),
            None => Framing::UntilClose,
        };
    }

    fn decode(&mut self) {
        loop {
            match self.framing {
                Framing::Length(left) => {
                    let taken = self.take(left);
                    self.framing = if taken == left { Framing::Done } else { Framing::Length(left - taken) };
                    return;
                }
                Framing::UntilClose => {
                    self.take(u64::MAX);
                    return;
                }
                Framing::Chunk(Some(left)) => {
                    let taken = self.take(left);
                    self.framing = Framing::Chunk(Some(left - taken));
                    if taken < left || self.raw.len() < 2 {
                        return;
                    }
                    self.raw.drain(..2);
                    self.framing = Framing::Chunk(None);
                }
                Framing::Chunk(None) => {
                    let Some(end) = self.raw.windows(2).position(|window| window == b"\r\n") else { return };
                    let line = String::from_utf8_lossy(&self.raw[..end]).into_owned();
                    let size = u64::from_str_radix(line.trim(), 16).expect("a chunk size");
                    self.raw.drain(..end + 2);
                    if size == 0 {
                        self.framing = Framing::Done;
                        return;
                    }
                    self.framing = Framing::Chunk(Some(size));
                }
                Framing::Unknown | Framing::Done => return,
            }
        }
    }

    fn take(&mut self, most: u64) -> u64 {
        let count = (self.raw.len() as u64).min(most);
        self.received.extend(self.raw.drain(..count as usize));
        count
    }
}

impl Exchange {
    pub fn header(&self, name: &str) -> Option<&str> {
        find(&self.headers, name)
    }
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        find(&self.headers, name)
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("status {}, not JSON ({error}): {}", self.status, self.text()))
    }

    /// Complete, 200, and exactly these bytes.
    #[track_caller]
    pub fn assert_body(&self, expected: &[u8]) {
        self.assert_bytes(200, expected);
    }

    /// Complete, with this status and exactly these bytes.
    #[track_caller]
    pub fn assert_bytes(&self, status: u16, expected: &[u8]) {
        self.assert_status(status);
        assert!(self.complete, "cut off after {} of {} bytes", self.body.len(), expected.len());
        assert_eq!(self.body.len(), expected.len(), "length of the body");
        if let Some(at) = self.body.iter().zip(expected).position(|(one, other)| one != other) {
            panic!("a wrong byte at {at} of {}", expected.len());
        }
    }

    #[track_caller]
    pub fn assert_status(&self, status: u16) {
        assert_eq!(self.status, status, "{:?} {}", self.headers, String::from_utf8_lossy(head(&self.body)));
    }

    /// An error as the distribution specification wants it ("Error codes"), with a request id.
    #[track_caller]
    pub fn assert_error(&self, status: u16, code: &str) {
        self.assert_status(status);
        assert!(self.complete);
        assert_eq!(self.header("content-type"), Some("application/json"));
        assert_eq!(self.json()["errors"][0]["code"], code, "{}", self.text());
        assert!(self.header("x-request-id").is_some_and(|id| !id.is_empty()), "no X-Request-Id");
    }

    /// The client cannot take this for the blob: an error status, or a body that broke off.
    #[track_caller]
    pub fn assert_not_served(&self) {
        assert!(self.status >= 400 || !self.complete, "a complete answer {} of {} bytes", self.status, self.body.len());
    }
}

fn head(body: &[u8]) -> &[u8] {
    &body[..body.len().min(300)]
}

fn find<'a>(headers: &'a [(String, String)], name: &str) -> Option<&'a str> {
    headers.iter().find(|(header, _)| header.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
}
