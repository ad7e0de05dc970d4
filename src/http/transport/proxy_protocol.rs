//! The PROXY protocol, versions 1 and 2: whom a load balancer connects for, said before anything else.
//!
//! <https://www.haproxy.org/download/2.9/doc/proxy-protocol.txt>. A listener takes either version, and nothing without it: a connection that
//! does not begin so is closed, since the protocol forbids to guess.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use tokio::io::{AsyncRead, AsyncReadExt};

/// How version 2 begins.
const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";

/// Bytes of the longest line of version 1, its end included (section 2.1).
const MAX_LINE_BYTES: usize = 107;

/// Bytes after the first 16 of version 2: addresses, and what a balancer adds. AWS and others add less than 300.
const MAX_REST_BYTES: usize = 4096;

/// Reads the header and not a byte more. `None` where the balancer speaks for itself, as for its health checks.
pub(super) async fn read(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<SocketAddr>> {
    let mut first = [0; SIGNATURE.len()];
    stream.read_exact(&mut first).await?;
    if first == SIGNATURE {
        return read_version_2(stream).await;
    }
    // The shortest line is longer than this: nothing that follows it has been taken.
    let mut line = first.to_vec();
    if !line.starts_with(b"PROXY ") {
        return Err(malformed("the connection does not begin with a PROXY header"));
    }
    while !line.ends_with(b"\r\n") {
        if line.len() >= MAX_LINE_BYTES {
            return Err(malformed("the PROXY line is too long"));
        }
        line.push(stream.read_u8().await?);
    }
    let line = line.strip_suffix(b"\r\n").and_then(|line| std::str::from_utf8(line).ok());
    let said = line.and_then(parse_line);
    said.ok_or_else(|| malformed("the PROXY line is malformed"))
}

/// `PROXY TCP4 source destination source-port destination-port`, or `PROXY UNKNOWN` and whatever.
fn parse_line(line: &str) -> Option<Option<SocketAddr>> {
    let mut words = line.split(' ');
    if words.next() != Some("PROXY") {
        return None;
    }
    let is_v4 = match words.next()? {
        "TCP4" => true,
        "TCP6" => false,
        "UNKNOWN" => return Some(None),
        _ => return None,
    };
    let address = |text: &str| text.parse::<IpAddr>().ok().filter(|address| address.is_ipv4() == is_v4);
    let port = |text: &str| {
        let plain = text.bytes().all(|c| c.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
        text.parse::<u16>().ok().filter(|_| plain)
    };
    let (source, _destination) = (address(words.next()?)?, address(words.next()?)?);
    let (source_port, _destination_port) = (port(words.next()?)?, port(words.next()?)?);
    words.next().is_none().then_some(Some(SocketAddr::new(source, source_port)))
}

/// Section 2.2: version and command, family and protocol, length; addresses; whatever follows them is passed over.
async fn read_version_2(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<SocketAddr>> {
    let (command, family) = (stream.read_u8().await?, stream.read_u8().await?);
    let length = usize::from(stream.read_u16().await?);
    if length > MAX_REST_BYTES {
        return Err(malformed("the PROXY header is too long"));
    }
    let mut rest = vec![0; length];
    stream.read_exact(&mut rest).await?;
    parse_rest(command, family, &rest).ok_or_else(|| malformed("the PROXY header is malformed"))
}

fn parse_rest(command: u8, family: u8, rest: &[u8]) -> Option<Option<SocketAddr>> {
    match command {
        // LOCAL: the rest says nothing.
        0x20 => return Some(None),
        0x21 => {}
        _ => return None,
    }
    match family {
        // TCP over IPv4: two addresses, two ports.
        0x11 => {
            let (source, port) = (rest.first_chunk::<4>()?, rest.get(8..)?.first_chunk::<2>()?);
            rest.get(..12)?;
            Some(Some(SocketAddr::new(Ipv4Addr::from(*source).into(), u16::from_be_bytes(*port))))
        }
        0x21 => {
            let (source, port) = (rest.first_chunk::<16>()?, rest.get(32..)?.first_chunk::<2>()?);
            rest.get(..36)?;
            Some(Some(SocketAddr::new(Ipv6Addr::from(*source).into(), u16::from_be_bytes(*port))))
        }
        // Unspecified, or a socket of the balancer's own machine.
        0x00 | 0x31 => Some(None),
        _ => None,
    }
}

fn malformed(message: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The address, and what is left for whoever reads on.
    async fn said(bytes: &[u8]) -> io::Result<(Option<String>, Vec<u8>)> {
        let mut stream = bytes;
        let address = read(&mut stream).await?;
        Ok((address.map(|address| address.to_string()), stream.to_vec()))
    }

    #[tokio::test]
    async fn version_1() {
        for (line, expected) in [
            ("PROXY TCP4 192.0.2.1 198.51.100.1 5555 443\r\n", Some("192.0.2.1:5555")),
            ("PROXY TCP6 2001:db8::1 2001:db8::2 5555 443\r\n", Some("[2001:db8::1]:5555")),
            ("PROXY UNKNOWN\r\n", None),
            ("PROXY UNKNOWN ffff:: ffff:: 65535 65535\r\n", None),
        ] {
            let (address, left) = said(format!("{line}GET /v2/").as_bytes()).await.unwrap();
            assert_eq!((address.as_deref(), left.as_slice()), (expected, &b"GET /v2/"[..]), "{line}");
        }
        for line in [
            "GET /v2/ HTTP/1.1\r\nHost: x\r\n\r\n",
            "proxy TCP4 192.0.2.1 198.51.100.1 5555 443\r\n",
            "PROXY TCP4 192.0.2.1 198.51.100.1 5555\r\n",
            "PROXY TCP4 192.0.2.1 198.51.100.1 5555 443 1\r\n",
            "PROXY TCP4 192.0.2.1  198.51.100.1 5555 443\r\n",
            "PROXY TCP4 192.0.2.1 198.51.100.1 5555 99999\r\n",
            "PROXY TCP4 192.0.2.1 198.51.100.1 05555 443\r\n",
            "PROXY TCP4 192.0.2.1 198.51.100.1 +5555 443\r\n",
            "PROXY TCP4 192.0.2.999 198.51.100.1 5555 443\r\n",
            "PROXY TCP4 2001:db8::1 2001:db8::2 5555 443\r\n",
            "PROXY TCP6 192.0.2.1 198.51.100.1 5555 443\r\n",
            "PROXY UDP4 192.0.2.1 198.51.100.1 5555 443\r\n",
            "PROXY TCP4 192.0.2.1 198.51.100.1 5555 443\n",
            "PROXY TCP4 192.0.2.1",
            "PROXY \u{fc}\u{fc}\u{fc}\u{fc}\r\n",
            "",
        ] {
            assert!(said(line.as_bytes()).await.is_err(), "{line}");
        }
        let long = format!("PROXY UNKNOWN {}\r\n", "x".repeat(MAX_LINE_BYTES));
        assert!(said(long.as_bytes()).await.is_err());
    }

    fn version_2_of(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
        let length = u16::try_from(rest.len()).unwrap().to_be_bytes();
        [&SIGNATURE[..], &[command, family], &length, rest].concat()
    }

    #[tokio::test]
    async fn version_2() {
        let v4 = [192, 0, 2, 1, 198, 51, 100, 1, 0x15, 0xb3, 0x01, 0xbb];
        let v6 = [&[0x20, 1, 0xd, 0xb8][..], &[0; 11], &[1], &[0; 16], &[0x15, 0xb3, 0x01, 0xbb]].concat();
        let with_more = [&v4[..], &[0xea, 0, 3, 1, 2, 3]].concat();
        for (command, family, rest, expected) in [
            (0x21, 0x11, &v4[..], Some("192.0.2.1:5555")),
            (0x21, 0x11, &with_more, Some("192.0.2.1:5555")),
            (0x21, 0x21, &v6, Some("[2001:db8::1]:5555")),
            (0x21, 0x00, &[], None),
            (0x21, 0x31, &[0; 216], None),
            (0x20, 0x00, &[], None),
            (0x20, 0x11, &v4, None),
            (0x20, 0x99, &[1; 7], None),
        ] {
            let bytes = [version_2_of(command, family, rest), b"GET".to_vec()].concat();
            let (address, left) = said(&bytes).await.unwrap();
            assert_eq!((address.as_deref(), left.as_slice()), (expected, &b"GET"[..]), "{command} {family}");
        }
        for (command, family, rest) in [
            (0x11, 0x11, &v4[..]),
            (0x22, 0x11, &v4),
            (0x21, 0x12, &v4),
            (0x21, 0x11, &v4[..11]),
            (0x21, 0x21, &v6[..35]),
            (0x21, 0x11, &[]),
            (0x20, 0x00, &[0; MAX_REST_BYTES + 1]),
        ] {
            assert!(said(&version_2_of(command, family, rest)).await.is_err(), "{command} {family}");
        }
        let cut = version_2_of(0x21, 0x11, &v4);
        for end in 0..cut.len() {
            assert!(said(cut.get(..end).unwrap()).await.is_err(), "{end}");
        }
    }

    proptest::proptest! {
        /// Nothing panics, and no more is taken than a header may have.
        #[test]
        fn any_bytes(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..300), version in 0..3_u8) {
            let start: &[u8] = match version { 0 => b"PROXY ", 1 => &SIGNATURE, _ => b"" };
            let bytes = [start, &bytes].concat();
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let _ = runtime.block_on(said(&bytes));
        }
    }
}
