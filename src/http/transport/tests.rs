//! Bodies over real sockets: the same bytes whatever way they leave, and cut off where they must not be completed.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;

use super::body::{Later, ResponseBody};
use super::listener::{Bound, Serving};
use super::mapping::FileRegions;
use super::tls::TlsListener;
use crate::cache::{BlobCache, Content, Error, Shortage};
use crate::config::ListenerTls;
use crate::oci::{ByteRange, Digest};
use crate::telemetry::Metrics;

/// A blob cache with one blob, served at every path; `Range: bytes=a-b` gives a part.
struct Server {
    address: std::net::SocketAddr,
    serving: Serving,
    content: Vec<u8>,
    /// A body was made on a connection that sends files.
    sends_files: Arc<AtomicBool>,
    _runtime: tokio::runtime::Runtime,
    _folder: tempfile::TempDir,
}

impl Server {
    fn start(size: usize, tls: Option<ListenerTls>, stall: Duration) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let content: Vec<u8> = (0..size).map(|at| (at.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
        let digest = Digest::of(&content);
        publish(folder.path(), &digest, &content);
        let settings = crate::config::parse("").unwrap();
        let metrics = Metrics::new().unwrap();
        let storage = crate::storage::Storage::open(folder.path()).unwrap();
        let mut cache_settings = settings.cache.clone();
        cache_settings.memory_object = 0;
        let cache =
            BlobCache::load(storage, &cache_settings, &Default::default(), false, None, metrics.clone()).unwrap();
        let mut http_settings = settings.http;
        http_settings.stall_timeout = stall;
        http_settings.header_timeout = stall.min(http_settings.header_timeout);
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let serving = Serving::new(http_settings, metrics, Shortage::default());
        let sends_files = Arc::new(AtomicBool::new(false));
        let seen = sends_files.clone();
        let handler = move |request: Request<Incoming>| {
            let (cache, seen) = (cache.clone(), seen.clone());
            async move { answer(&cache, &digest, request, &seen).await }
        };
        let _entered = runtime.enter();
        let tls = tls.map(|files| TlsListener::load(&files).unwrap());
        let bound = Bound::bind("127.0.0.1:0".parse().unwrap(), tls).unwrap();
        let address = bound.address().unwrap();
        runtime.spawn(bound.accept(serving.clone(), handler));
        drop(_entered);
        Self { address, serving, content, sends_files, _runtime: runtime, _folder: folder }
    }
}

fn publish(data: &Path, digest: &Digest, content: &[u8]) {
    let hex = digest.hex();
    let folder = data.join("blobs/sha256").join(&hex[..2]);
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join(&hex), content).unwrap();
}

async fn answer(
    cache: &BlobCache,
    digest: &Digest,
    request: Request<Incoming>,
    seen: &AtomicBool,
) -> Response<ResponseBody> {
    let regions = request.extensions().get::<FileRegions>();
    seen.fetch_or(regions.is_some(), Ordering::SeqCst);
    let blob = cache.kept(digest, None).await.unwrap().unwrap();
    let size = blob.size().unwrap();
    if request.uri().path() == "/broken" {
        // Half of it, then an error.
        let half = blob.range(ByteRange { start: 0, end: size / 2 }).await.unwrap();
        let failing = futures_util::stream::once(async { Err(Error::Stopped { digest: Digest::of(b"") }) });
        let empty = bytes::Bytes::new;
        let later: Later = Box::pin(async { Ok(Content::Stream(Box::pin(failing))) });
        let others = vec![(empty(), later)];
        return Response::new(ResponseBody::parts((empty(), half), others, empty(), size, regions));
    }
    let range = request.headers().get("range").and_then(|value| value.to_str().ok());
    let range = range.and_then(|text| text.strip_prefix("bytes=")).and_then(|text| text.split_once('-'));
    let body = match range {
        Some((from, to)) => {
            let range = ByteRange { start: from.parse().unwrap(), end: to.parse::<u64>().unwrap() + 1 };
            ResponseBody::content(blob.range(range).await.unwrap(), Some(range.len()), regions)
        }
        None => ResponseBody::content(blob.whole().await.unwrap(), Some(size), regions),
    };
    Response::new(body)
}

/// Sends a request and reads to the end of the connection: head and body.
fn fetch(address: std::net::SocketAddr, path: &str, headers: &str, pause: Option<Duration>) -> (String, Vec<u8>) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{headers}\r\n").unwrap();
    let mut received = Vec::new();
    let mut buffer = vec![0; 100_003];
    // A connection that is reset ends like one that is closed: what counts is how much came.
    while let Ok(count @ 1..) = stream.read(&mut buffer) {
        received.extend_from_slice(&buffer[..count]);
        pause.into_iter().for_each(std::thread::sleep);
    }
    let head = received.windows(4).position(|window| window == b"\r\n\r\n").map_or(received.len(), |at| at + 4);
    let body = received.split_off(head.min(received.len()));
    (String::from_utf8_lossy(&received).into_owned(), body)
}

#[test]
fn a_file_arrives_whole_and_in_parts() {
    let server = Server::start(5_000_001, None, Duration::from_secs(60));
    let (head, body) = fetch(server.address, "/", "", None);
    assert!(head.starts_with("HTTP/1.1 200") && head.contains("content-length: 5000001"), "{head}");
    assert!(body == server.content);
    assert!(server.sends_files.load(Ordering::SeqCst));
    for (from, to) in [(0, 0), (1, 4095), (4095, 70_000), (99_999, 1_300_000), (4_900_000, 5_000_000), (0, 5_000_000)] {
        let (_, body) = fetch(server.address, "/", &format!("Range: bytes={from}-{to}\r\n"), None);
        assert!(body == server.content[from..=to], "{from}-{to}");
    }
}

/// Files are mapped in parts.
#[test]
fn a_file_longer_than_a_window_arrives_whole() {
    let server = Server::start(40_000_003, None, Duration::from_secs(60));
    let (_, body) = fetch(server.address, "/", "", None);
    assert!(body == server.content);
    for (from, to) in [(5, 16_777_220), (16_777_215, 16_777_217), (12_345_678, 39_999_999)] {
        let (_, body) = fetch(server.address, "/", &format!("Range: bytes={from}-{to}\r\n"), None);
        assert!(body == server.content[from..=to], "{from}-{to}");
    }
}

#[test]
fn many_readers_of_every_speed_get_the_same_bytes() {
    let server = Server::start(3_333_333, None, Duration::from_secs(60));
    std::thread::scope(|scope| {
        for n in 0..24u64 {
            let server = &server;
            scope.spawn(move || {
                let pause = (n % 3 == 0).then(|| Duration::from_micros(200 * n));
                let (_, body) = fetch(server.address, "/", "", pause);
                assert!(body == server.content);
            });
        }
    });
}

#[test]
fn requests_one_after_the_other_on_one_connection() {
    let server = Server::start(300_000, None, Duration::from_secs(60));
    let mut stream = TcpStream::connect(server.address).unwrap();
    for _ in 0..5 {
        write!(stream, "GET / HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            head.push(byte[0]);
        }
        let mut body = vec![0; 300_000];
        stream.read_exact(&mut body).unwrap();
        assert!(body == server.content);
    }
}

#[test]
fn a_body_that_fails_is_never_complete() {
    let server = Server::start(1_000_000, None, Duration::from_secs(60));
    let (head, body) = fetch(server.address, "/broken", "", None);
    assert!(head.contains("content-length: 1000000"), "{head}");
    assert!(body.len() < 1_000_000);
    assert!(server.content.starts_with(&body));
}

#[test]
fn a_client_that_takes_nothing_is_cut_off() {
    let server = Server::start(64 << 20, None, Duration::from_millis(300));
    let mut stream = TcpStream::connect(server.address).unwrap();
    write!(stream, "GET / HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    std::thread::sleep(Duration::from_secs(2));
    let mut received = 0;
    let mut buffer = vec![0; 1 << 20];
    while let Ok(count @ 1..) = stream.read(&mut buffer) {
        received += count;
    }
    assert!(received < 64 << 20, "the connection must have been cut off");
}

/// Go's clients go on with `http://` when the answer begins with `HTTP/`. A connection that is reset is tried again instead.
#[test]
fn nm5_tls_on_a_plaintext_port_is_answered_in_plain_text() {
    let server = Server::start(10, None, Duration::from_secs(60));
    let mut stream = TcpStream::connect(server.address).unwrap();
    // As long as the hello of a client with post-quantum keys.
    let mut hello = vec![0x16, 0x03, 0x01, 0x06, 0xd8, 0x01];
    hello.resize(1757, 7);
    stream.write_all(&hello).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.0 400 Bad Request\r\n"), "{answer}");
    assert!(answer.contains("TLS") && answer.contains("http://"), "{answer}");
}

/// The answer was sent and the client goes on sending for ever.
#[test]
fn nm5_tls_that_does_not_end_is_ended() {
    let server = Server::start(10, None, Duration::from_secs(60));
    let mut stream = TcpStream::connect(server.address).unwrap();
    let mut sent = 0;
    while sent < 16 << 20 {
        match stream.write(&[0x16; 4096]) {
            Ok(count) => sent += count,
            Err(_) => return,
        }
    }
    panic!("{sent} bytes were taken");
}

/// A certificate in files, and a client that trusts it.
fn for_localhost() -> (tempfile::TempDir, ListenerTls, rustls::ClientConfig) {
    let folder = tempfile::tempdir().unwrap();
    let authority = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let files = ListenerTls {
        certificate: folder.path().join("cert.pem"),
        key: folder.path().join("key.pem"),
        client_ca: None,
        client_certificate: Default::default(),
    };
    std::fs::write(&files.certificate, authority.cert.pem()).unwrap();
    std::fs::write(&files.key, authority.signing_key.serialize_pem()).unwrap();
    let mut roots = rustls::RootCertStore::empty();
    roots.add(authority.cert.der().clone()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    (folder, files, config.with_root_certificates(roots).with_no_client_auth())
}

/// `idle_timeout` is two minutes here, which hyper alone would grant a head.
#[test]
fn a_head_over_tls_must_come_to_its_end_and_an_idle_connection_need_not() {
    let (_folder, files, config) = for_localhost();
    let server = Server::start(10, Some(files), Duration::from_secs(1));
    let (config, name) = (Arc::new(config), rustls::pki_types::ServerName::try_from("localhost").unwrap());
    let connect = || {
        let session = rustls::ClientConnection::new(config.clone(), name.clone()).unwrap();
        let mut stream = rustls::StreamOwned::new(session, TcpStream::connect(server.address).unwrap());
        while stream.conn.is_handshaking() {
            stream.conn.complete_io(&mut stream.sock).unwrap();
        }
        stream
    };
    let mut slow = connect();
    slow.write_all(b"GET / HTTP/1.1\r\nHost: x\r\nX: ").unwrap();
    let begun = std::time::Instant::now();
    while slow.write_all(b"a").and_then(|()| slow.flush()).is_ok() {
        assert!(begun.elapsed() < Duration::from_secs(60), "a slow head is not ended");
        std::thread::sleep(Duration::from_millis(100));
    }
    let mut patient = connect();
    for _ in 0..2 {
        std::thread::sleep(Duration::from_millis(1500));
        patient.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
        let mut answer = vec![0; 4096];
        let mut received = 0;
        while !answer[..received].ends_with(&server.content) {
            received += patient.read(&mut answer[received..]).unwrap();
        }
        assert!(answer.starts_with(b"HTTP/1.1 200"));
    }
}

#[test]
fn tls_over_both_protocols_gives_the_same_bytes() {
    let (folder, files, mut config) = for_localhost();
    let server = Server::start(2_000_003, Some(files), Duration::from_secs(60));
    drop(folder);
    let mut client = |alpn: Option<&[u8]>| {
        config.alpn_protocols = alpn.map(<[u8]>::to_vec).into_iter().collect();
        let config = config.clone();
        let builder = reqwest::Client::builder().tls_backend_preconfigured(config);
        builder.resolve("localhost", server.address).build().unwrap()
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    for (alpn, version) in [(Some(&b"http/1.1"[..]), http::Version::HTTP_11), (Some(b"h2"), http::Version::HTTP_2)] {
        runtime.block_on(async {
            let url = format!("https://localhost:{}/", server.address.port());
            let response = client(alpn).get(url).send().await.unwrap();
            assert_eq!(response.version(), version);
            assert!(response.bytes().await.unwrap() == server.content);
            let url = format!("https://localhost:{}/broken", server.address.port());
            let broken = client(alpn).get(url).send().await.unwrap();
            assert!(broken.bytes().await.is_err(), "{version:?}");
        });
    }
    assert!(!server.sends_files.load(Ordering::SeqCst));
}

#[test]
fn plaintext_http2_is_recognised() {
    let server = Server::start(2_000_003, None, Duration::from_secs(60));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let provider = rustls::crypto::aws_lc_rs::default_provider();
        let _ = provider.install_default();
        let client = reqwest::Client::builder().http2_prior_knowledge().build().unwrap();
        let response = client.get(format!("http://{}/", server.address)).send().await.unwrap();
        assert_eq!(response.version(), http::Version::HTTP_2);
        assert!(response.bytes().await.unwrap() == server.content);
    });
}

#[test]
fn a_drain_lets_downloads_end_and_cuts_off_the_rest() {
    let server = Server::start(64 << 20, None, Duration::from_secs(60));
    let mut stalled = TcpStream::connect(server.address).unwrap();
    write!(stalled, "GET / HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    let mut byte = [0];
    stalled.read_exact(&mut byte).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    std::thread::scope(|scope| {
        let reading = scope.spawn(|| fetch(server.address, "/", "", Some(Duration::from_micros(100))).1);
        std::thread::sleep(Duration::from_millis(100));
        let cut_off = runtime.block_on(server.serving.drain(Duration::from_secs(5)));
        assert_eq!(cut_off, 1, "the one that reads ends, the one that stalls is cut off");
        assert!(reading.join().unwrap() == server.content);
    });
    assert!(TcpStream::connect(server.address).is_err());
}
