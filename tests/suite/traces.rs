//! Traces, as a collector gets them: OTLP over HTTP in protobuf, read here field by field.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

use crate::addresses::fresh_ip;
use crate::bound::until;
use crate::proxy::{HUB, Setup, manifest};
use crate::upstream::{Behaviour, FakeUpstream};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00f067aa0ba902b7";
const SERVER: u64 = 2;
const ERROR: u64 = 2;

/// Everything that was exported.
#[derive(Clone, Default)]
struct Collector(Arc<Mutex<Vec<Bytes>>>);

#[derive(Clone, Debug, PartialEq)]
enum Value {
    Text(String),
    Flag(bool),
    Number(u64),
    Other,
}

#[derive(Debug)]
struct Span {
    service: String,
    trace: String,
    parent: String,
    name: String,
    kind: u64,
    status: u64,
    attributes: BTreeMap<String, Value>,
}

impl Collector {
    async fn start() -> (Self, String) {
        let collector = Self::default();
        let listener = TcpListener::bind((fresh_ip(), 0)).await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let taking = collector.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let collector = taking.clone();
                tokio::spawn(async move {
                    let service = service_fn(move |request: Request<Incoming>| {
                        let collector = collector.clone();
                        async move {
                            assert_eq!(request.uri().path(), "/v1/traces");
                            let body = request.into_body().collect().await?.to_bytes();
                            collector.0.lock().unwrap().push(body);
                            Ok::<_, hyper::Error>(Response::new(Full::new(Bytes::new())))
                        }
                    });
                    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
                });
            }
        });
        (collector, url)
    }

    fn spans(&self) -> Vec<Span> {
        self.0.lock().unwrap().iter().flat_map(|body| spans(body)).collect()
    }

    async fn span(&self, name: &str) -> Span {
        until("the span is exported", || self.spans().iter().any(|span| span.name == name)).await;
        self.spans().into_iter().find(|span| span.name == name).unwrap()
    }
}

/// The fields of a protobuf message: number, and bytes or a number.
fn fields(mut bytes: &[u8]) -> Vec<(u64, &[u8], u64)> {
    let mut found = Vec::new();
    while !bytes.is_empty() {
        let key = varint(&mut bytes);
        let (content, number) = match key & 7 {
            0 => (&[][..], varint(&mut bytes)),
            1 => (take(&mut bytes, 8), 0),
            2 => {
                let length = varint(&mut bytes);
                (take(&mut bytes, length as usize), 0)
            }
            5 => (take(&mut bytes, 4), 0),
            kind => panic!("wire type {kind}"),
        };
        found.push((key >> 3, content, number));
    }
    found
}

fn take<'a>(bytes: &mut &'a [u8], count: usize) -> &'a [u8] {
    let (taken, rest) = bytes.split_at(count);
    *bytes = rest;
    taken
}

fn varint(bytes: &mut &[u8]) -> u64 {
    let mut value = 0;
    for shift in (0..).step_by(7) {
        let byte = take(bytes, 1)[0];
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return value;
        }
    }
    unreachable!()
}

fn each(message: &[u8], field: u64) -> impl Iterator<Item = &[u8]> {
    fields(message).into_iter().filter(move |(number, ..)| *number == field).map(|(_, content, _)| content)
}

fn number(message: &[u8], field: u64) -> u64 {
    fields(message).into_iter().find(|(number, ..)| *number == field).map_or(0, |(.., value)| value)
}

fn string(message: &[u8], field: u64) -> String {
    each(message, field).next().map_or_else(String::new, |bytes| String::from_utf8(bytes.to_vec()).unwrap())
}

fn hex(message: &[u8], field: u64) -> String {
    each(message, field).next().unwrap_or_default().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// `KeyValue`s of opentelemetry/proto/common/v1/common.proto.
fn attributes(message: &[u8], field: u64) -> BTreeMap<String, Value> {
    let pair = |pair: &[u8]| {
        let value = each(pair, 2).next().unwrap_or_default();
        let value = match fields(value).first() {
            Some((1, text, _)) => Value::Text(String::from_utf8(text.to_vec()).unwrap()),
            Some((2, _, flag)) => Value::Flag(*flag == 1),
            Some((3, _, number)) => Value::Number(*number),
            _ => Value::Other,
        };
        (string(pair, 1), value)
    };
    each(message, field).map(pair).collect()
}

/// `ExportTraceServiceRequest` of opentelemetry/proto/collector/trace/v1/trace_service.proto.
fn spans(request: &[u8]) -> Vec<Span> {
    let mut found = Vec::new();
    for of_resource in each(request, 1) {
        let resource = attributes(each(of_resource, 1).next().unwrap(), 1);
        let Some(Value::Text(service)) = resource.get("service.name") else { panic!("{resource:?}") };
        for span in each(of_resource, 2).flat_map(|scope| each(scope, 2).collect::<Vec<_>>()) {
            found.push(Span {
                service: service.clone(),
                trace: hex(span, 1),
                parent: hex(span, 4),
                name: string(span, 5),
                kind: number(span, 6),
                status: each(span, 15).next().map_or(0, |status| number(status, 3)),
                attributes: attributes(span, 9),
            });
        }
    }
    found
}

fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

#[tokio::test]
async fn nm04_a_request_is_a_span_of_its_caller_s_trace() {
    let upstream = FakeUpstream::start().await;
    let image = upstream.image("library/app", "1", 1, &[100_000]);
    let (collector, url) = Collector::start().await;
    let mut setup = Setup::of(&upstream);
    setup.log.text("format", "json");
    for (name, value) in [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", url.as_str()),
        ("OTEL_SERVICE_NAME", "registry-of-the-site"),
        ("OTEL_BSP_SCHEDULE_DELAY", "20"),
    ] {
        setup.environment.insert(name.to_owned(), value.to_owned());
    }
    let proxy = setup.start().await;
    let parent = format!("00-{TRACE}-{PARENT}-01");
    let answer =
        proxy.client().request("GET", &manifest("library/app", "1"), &[("traceparent", parent.as_str())]).await;
    answer.assert_body(&image.manifest.bytes);
    let span = collector.span("GET /v2/<name>/manifests/<reference>").await;
    assert_eq!(
        (span.service.as_str(), span.trace.as_str(), span.parent.as_str(), span.kind, span.status),
        ("registry-of-the-site", TRACE, PARENT, SERVER, 0)
    );
    let request_id = answer.headers.iter().find(|(name, _)| name == "x-request-id").unwrap().1.clone();
    let expected = [
        ("entrepot.cache", text("miss")),
        ("entrepot.complete", Value::Flag(true)),
        ("entrepot.request_id", text(&request_id)),
        ("entrepot.upstream", text(HUB)),
        ("http.request.method", text("GET")),
        ("http.response.body.size", Value::Number(image.manifest.bytes.len() as u64)),
        ("http.response.status_code", Value::Number(200)),
        ("http.route", text("/v2/<name>/manifests/<reference>")),
        ("url.path", text(&manifest("library/app", "1"))),
    ];
    let expected = expected.map(|(name, value)| (name.to_owned(), value));
    assert_eq!(span.attributes, BTreeMap::from(expected), "and nothing else");
    // The line of the log names the trace.
    let is_of = |line: &&str, part: &str| line.contains(part) && line.contains("\"method\"");
    let line = |part: &str| proxy.log().lines().find(|line| is_of(line, part)).map(str::to_owned);
    until("the line is written", || line(&request_id).is_some()).await;
    assert!(line(&request_id).unwrap().contains(&format!("\"trace_id\":\"{TRACE}\"")));

    // One that failed here, without a caller who traces; and one whose caller says what is none.
    upstream.on("GET", "/manifests/", Behaviour::status(500));
    upstream.on("HEAD", "/manifests/", Behaviour::status(500));
    proxy.client().request("HEAD", &manifest("other", "1"), &[("traceparent", "00-zz-zz-01")]).await.assert_status(502);
    let span = collector.span("HEAD /v2/<name>/manifests/<reference>").await;
    assert_eq!((span.parent.as_str(), span.status), ("", ERROR));
    assert!(span.trace.len() == 32 && span.trace != TRACE);
    // Outside of the registry's routes there is one name, and odd methods have none of their own.
    proxy.client().request("BREW", "/etc/passwd", &[]).await;
    assert_eq!(collector.span("HTTP *").await.attributes["http.request.method"], text("_OTHER"));
}

#[tokio::test]
async fn nm04_a_dead_collector_is_told_and_harms_nobody() {
    let upstream = FakeUpstream::start().await;
    let image = upstream.image("library/app", "1", 1, &[1000]);
    let mut setup = Setup::of(&upstream);
    let nobody = format!("http://{}:9", fresh_ip());
    for (name, value) in [("OTEL_EXPORTER_OTLP_ENDPOINT", nobody.as_str()), ("OTEL_BSP_SCHEDULE_DELAY", "10")] {
        setup.environment.insert(name.to_owned(), value.to_owned());
    }
    let mut proxy = setup.start().await;
    let told = "the collector takes no traces";
    let ask = async || proxy.get(&manifest("library/app", "1")).await.assert_body(&image.manifest.bytes);
    ask().await;
    until("it is told", || proxy.log().contains(told)).await;
    for _ in 0..20 {
        ask().await;
    }
    assert!(proxy.terminate().await.success());
    assert_eq!(proxy.log().matches(told).count(), 1, "{}", proxy.log());
}
