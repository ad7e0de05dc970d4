//! `listen` and `[http]`: the wire towards clients.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;
use serde::Serialize;

use super::account;
use crate::config::printing::document as show;
use crate::config::reading::key::{Fallback, Key, Kind, Section};
use crate::config::reading::pem;
use crate::config::reading::problem::Place;
use crate::config::reading::reader::{Context, MAX_ELEMENTS, Reader};
use crate::config::reading::tree::{Entry, Node, Value};
use crate::config::reading::value;

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Listener {
    pub address: SocketAddr,
    /// Whether whoever reaches it may push and delete. Default: where only this machine reaches it.
    pub push: bool,
    /// Whether blobs that lie in a bucket are fetched from there by the client itself. Default no.
    pub redirect: bool,
    /// Whether each connection begins with a header of the PROXY protocol. Default no.
    #[serde(skip_serializing_if = "is_false")]
    pub proxy_protocol: bool,
    /// `None` is as `auth.required` says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auth: Option<Access>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<ListenerTls>,
}

/// Who is let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Access {
    /// Whoever reaches the listener may read, and push where it says so. Credentials are not looked at.
    Open,
    /// Policies decide, by who asks.
    Required,
}

/// `tls = { certificate, key, client_ca, client_certificate }`: PEM files. With `client_ca`, clients show a certificate of that
/// authority.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ListenerTls {
    pub certificate: PathBuf,
    pub key: PathBuf,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_ca: Option<PathBuf>,
    /// Whether clients must show one. Without `client_ca` nobody is asked.
    #[serde(skip_serializing_if = "ClientCertificate::is_required")]
    pub client_certificate: ClientCertificate,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ClientCertificate {
    /// Who shows none is not talked to.
    #[default]
    Required,
    /// Who shows none may show something else. A wrong one is refused all the same.
    Optional,
}

impl ClientCertificate {
    fn is_required(&self) -> bool {
        matches!(self, Self::Required)
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct HttpSettings {
    /// Connections at once on each listener, and requests at once over HTTP/2 on each. Default 10,000.
    pub max_connections: usize,
    /// Connections of one client on each listener, and its requests over HTTP/2. Default half of `max_connections`.
    pub max_connections_per_client: usize,
    /// Requests at once on one HTTP/2 connection. Default 32.
    pub max_streams: u32,
    /// Bytes of answers in memory that clients have not taken, over all listeners. Default 128 MiB.
    #[serde(serialize_with = "show::size_of_buffer")]
    pub body_memory: usize,
    /// Time for a request's head, and for a TLS handshake. Default 15 s.
    #[serde(serialize_with = "show::duration")]
    pub header_timeout: Duration,
    /// A connection without a request is closed after this. Default 120 s.
    #[serde(serialize_with = "show::duration")]
    pub idle_timeout: Duration,
    /// A body of which the client takes no byte for this long is aborted. Default 5 min.
    #[serde(serialize_with = "show::duration")]
    pub stall_timeout: Duration,
    /// Bytes of a request's head. Default 32 KiB.
    #[serde(serialize_with = "show::size_of_buffer")]
    pub max_header_bytes: usize,
    /// How long bodies in flight may go on after SIGTERM. Default 30 s.
    #[serde(serialize_with = "show::duration")]
    pub drain_timeout: Duration,
    /// Host names by which clients reach listeners that only this machine reaches, in lower case and without a port.
    pub hosts: Vec<String>,
    /// Networks of proxies that say for whom they ask. Default none.
    #[serde(serialize_with = "show::texts")]
    pub trusted_proxies: Vec<IpNet>,
}

fn is_false(flag: &bool) -> bool {
    !flag
}

pub static SECTION: Section = Section {
    name: "http",
    meaning: "The wire towards clients.",
    keys: &[
        Key {
            name: "max_connections",
            kind: Kind::Count { min: 1, max: 1_000_000 },
            fallback: Fallback::Value("10000"),
            meaning: "Connections at once on each listener; further ones wait in the kernel's queue. As many requests may be under way over HTTP/2 \
                      on each; further ones get 503.",
        },
        Key {
            name: "max_connections_per_client",
            kind: Kind::Count { min: 1, max: 1_000_000 },
            fallback: Fallback::Follows("half of `max_connections`"),
            meaning: "Connections at once of one client address (of one /64 network with IPv6) on each listener; further ones are closed. As many of \
                      its requests may be under way over HTTP/2. Many clients behind one NAT count as one; `trusted_proxies` are not counted.",
        },
        Key {
            name: "max_streams",
            kind: Kind::Count { min: 1, max: 1_000 },
            fallback: Fallback::Value("32"),
            meaning: "Requests at once on one HTTP/2 connection; clients are told and wait.",
        },
        Key {
            name: "body_memory",
            kind: Kind::Size { min: 1 << 20, max: 1 << 40 },
            fallback: Fallback::Value(r#""128MiB""#),
            meaning: "Bytes of answers in memory that clients have not taken yet, over all listeners. From half of it on, files are read in small \
                      pieces, and clients that have taken nothing for 10 s are given up. Beyond it, answers of more than 64 KiB that are made in memory \
                      get 503. Blobs that leave by `sendfile` take none.",
        },
        Key {
            name: "header_timeout",
            kind: Kind::Timeout,
            fallback: Fallback::Value(r#""15s""#),
            meaning: "Time for a request's head, and for a TLS handshake.",
        },
        Key {
            name: "idle_timeout",
            kind: Kind::Timeout,
            fallback: Fallback::Value(r#""120s""#),
            meaning: "A connection without a request is closed after this; over HTTP/2 also when it answers pings.",
        },
        Key {
            name: "stall_timeout",
            kind: Kind::Timeout,
            fallback: Fallback::Value(r#""5m""#),
            meaning: "A body of which the client takes no byte for this long is aborted; over HTTP/2 its stream is reset and the connection lives. A \
                      body of which the client sends nothing for this long is given up.",
        },
        Key {
            name: "max_header_bytes",
            // hyper refuses to work with less than 8 KiB.
            kind: Kind::Size { min: 8 << 10, max: 1 << 20 },
            fallback: Fallback::Value(r#""32KiB""#),
            meaning: "The largest head of a request.",
        },
        Key {
            name: "drain_timeout",
            kind: Kind::Window,
            fallback: Fallback::Value(r#""30s""#),
            meaning: "How long bodies in flight may go on after SIGTERM.",
        },
        Key {
            name: "hosts",
            kind: Kind::Texts,
            fallback: Fallback::Value("[]"),
            meaning: "Host names by which clients reach open listeners on loopback addresses, besides `localhost`, addresses, names without a dot, those of \
                      `auth.url`, `[[account]]` and upstreams. Requests that come by other names are refused: a web page can have its name lead to this \
                      machine.",
        },
        Key {
            name: "trusted_proxies",
            kind: Kind::Networks,
            fallback: Fallback::Value("[]"),
            meaning: "Networks of reverse proxies and load balancers, such as `\"10.0.0.0/8\"`. From them, `X-Forwarded-For`, `X-Forwarded-Proto` and \
                      `X-Forwarded-Host` are believed: for the log, the audit log, `aws:SourceIp`, `aws:SecureTransport`, limits of failed logins, and the URL of the \
                      token endpoint. See docs/proxies.md.",
        },
    ],
};

pub static LISTENER: Section = Section {
    name: "listen",
    meaning: "A listener in its long form.",
    keys: &[
        Key {
            name: "address",
            kind: Kind::Text,
            fallback: Fallback::Required,
            meaning: "IP address and port, such as `\"0.0.0.0:5000\"`.",
        },
        Key {
            name: "push",
            kind: Kind::Flag,
            fallback: Fallback::Follows(
                "`true` for an address that only this machine reaches, such as 127.0.0.1; `false` for others",
            ),
            meaning: "Whether whoever reaches this listener may push to repositories of one's own and delete from them.",
        },
        Key {
            name: "redirect",
            kind: Kind::Flag,
            fallback: Fallback::Value("false"),
            meaning: "Whether clients are sent to the bucket for pushed blobs (307 with a signed URL), with `[storage] kind = \"s3\"`. They must be \
                      able to reach it.",
        },
        Key {
            name: "auth",
            kind: Kind::Choice(&["open", "required"]),
            fallback: Fallback::Follows("`required` with `auth.required`, else `open`"),
            meaning: "`open`: whoever reaches this listener may read, and push where `push` says so; credentials are not looked at. `required`: \
                      policies decide, by who asks.",
        },
        Key {
            name: "proxy_protocol",
            kind: Kind::Flag,
            fallback: Fallback::Value("false"),
            meaning: "Whether each connection begins with a header of the PROXY protocol, version 1 or 2, which says whose it is. Connections without \
                      it, and from outside `http.trusted_proxies`, are closed.",
        },
        Key {
            name: "tls",
            kind: Kind::Table(&TLS),
            fallback: Fallback::Unset,
            meaning: "The listener speaks TLS with these files.",
        },
    ],
};

pub static TLS: Section = Section {
    name: "listen.tls",
    meaning: "PEM files of a listener.",
    keys: &[
        Key {
            name: "certificate",
            kind: Kind::Path,
            fallback: Fallback::Required,
            meaning: "The certificate that clients see, followed by its intermediate authorities.",
        },
        Key { name: "key", kind: Kind::Path, fallback: Fallback::Required, meaning: "The certificate's private key." },
        Key {
            name: "client_ca",
            kind: Kind::Path,
            fallback: Fallback::Unset,
            meaning: "Certificate authorities; clients then show a certificate of one of them. Whose it is, `[[certificate]]` says.",
        },
        Key {
            name: "client_certificate",
            kind: Kind::Choice(&["required", "optional"]),
            fallback: Fallback::Follows("`required`"),
            meaning: "With `client_ca`: whether clients must show a certificate. With `optional` those that have none log in otherwise; a wrong one \
                      is refused all the same.",
        },
    ],
};

pub fn read(reader: &Reader<'_>) -> Option<HttpSettings> {
    let max_connections = reader.get("max_connections", value::count);
    let max_connections_per_client = reader.optional("max_connections_per_client", value::count);
    let max_streams = reader.get("max_streams", value::count);
    let body_memory = reader.get("body_memory", value::size);
    let header_timeout = reader.get("header_timeout", value::duration);
    let idle_timeout = reader.get("idle_timeout", value::duration);
    let stall_timeout = reader.get("stall_timeout", value::duration);
    let max_header_bytes = reader.get("max_header_bytes", value::size);
    let drain_timeout = reader.get("drain_timeout", value::duration);
    let max_connections = max_connections?;
    let per_client = max_connections_per_client?.unwrap_or(max_connections.div_ceil(2));
    let hosts = reader.list("hosts", account::host);
    let trusted_proxies = reader.list("trusted_proxies", value::network);
    Some(HttpSettings {
        max_connections: usize::try_from(max_connections).ok()?,
        max_connections_per_client: usize::try_from(per_client).ok()?,
        max_streams: u32::try_from(max_streams?).ok()?,
        body_memory: usize::try_from(body_memory?).ok()?,
        header_timeout: header_timeout?,
        idle_timeout: idle_timeout?,
        stall_timeout: stall_timeout?,
        max_header_bytes: usize::try_from(max_header_bytes?).ok()?,
        drain_timeout: drain_timeout?,
        hosts: hosts?.unwrap_or_default().into_iter().map(|(_, host)| host).collect(),
        trusted_proxies: trusted_proxies?.unwrap_or_default().into_iter().map(|(_, network)| network).collect(),
    })
}

/// A header of the PROXY protocol is believed from somebody only.
pub fn report_untrusted_proxies(reader: &Reader<'_>, http: &HttpSettings, listen: &[Listener]) {
    if http.trusted_proxies.is_empty()
        && let Some(listener) = listen.iter().find(|listener| listener.proxy_protocol)
    {
        let message = format!(
            "is empty, and the listener {} has `proxy_protocol`: write the networks of the balancers in front of it, such as [\"10.0.0.0/8\"]",
            listener.address
        );
        reader.report("trusted_proxies", message);
    }
}

/// `listen`: texts, tables, or a mixture.
pub fn read_listeners(entry: Entry, context: &Context) -> Option<Vec<Listener>> {
    let nodes = match entry.node.value {
        Value::List(nodes) => nodes,
        value => vec![Node::new(entry.node.place.clone(), value)],
    };
    if nodes.is_empty() {
        context.report(&entry.place, "listen", "is empty: at least one address is needed");
        return None;
    }
    if nodes.len() > MAX_ELEMENTS {
        context.report(&entry.place, "listen", format!("has more than {MAX_ELEMENTS} elements"));
        return None;
    }
    let listeners: Vec<Option<(Place, Listener)>> = nodes
        .into_iter()
        .enumerate()
        .map(|(index, node)| {
            let place = node.place.clone();
            read_listener(node, format!("listen[{index}]"), context).map(|listener| (place, listener))
        })
        .collect();
    let listeners: Vec<_> = listeners.into_iter().collect::<Option<_>>()?;
    report_repeated(&listeners, context);
    Some(listeners.into_iter().map(|(_, listener)| listener).collect())
}

fn read_listener(node: Node, path: String, context: &Context) -> Option<Listener> {
    let table = match node.value {
        Value::Text(text) => {
            return match value::parse_address(&text) {
                Ok(address) => Some(Listener {
                    address,
                    push: address.ip().is_loopback(),
                    redirect: false,
                    proxy_protocol: false,
                    auth: None,
                    tls: None,
                }),
                Err(message) => {
                    context.report(&node.place, path, message);
                    None
                }
            };
        }
        value @ Value::Table(_) => Node::new(node.place, value),
        other => {
            context.report(&node.place, path, format!("is {} where an address or a table is needed", other.words()));
            return None;
        }
    };
    let mut reader = Reader::of_node(&LISTENER, path, table, context)?;
    let address = reader.get("address", |key, value| value::parse_address(&value::text(key, value)?));
    let push = reader.optional("push", value::flag);
    let redirect = reader.get("redirect", value::flag);
    let proxy_protocol = reader.get("proxy_protocol", value::flag);
    let auth = reader.optional("auth", value::choice);
    let tls = if reader.has("tls") { read_tls(&reader.table("tls", &TLS)?).map(Some) } else { Some(None) };
    let address = address?;
    Some(Listener {
        address,
        push: push?.unwrap_or_else(|| address.ip().is_loopback()),
        redirect: redirect?,
        proxy_protocol: proxy_protocol?,
        auth: auth?.map(|word| if word == "open" { Access::Open } else { Access::Required }),
        tls: tls?,
    })
}

fn read_tls(reader: &Reader<'_>) -> Option<ListenerTls> {
    let certificate = required_path(reader, "certificate");
    let key = required_path(reader, "key");
    let client_ca = reader.path("client_ca");
    let client_certificate = reader.optional("client_certificate", value::choice);
    let good = [
        certificate.as_ref().is_some_and(|path| pem::check_certificates(reader, "certificate", path).is_some()),
        key.as_ref().is_some_and(|path| pem::check_key(reader, "key", path).is_some()),
        match &client_ca {
            Some(Some(path)) => pem::check_certificates(reader, "client_ca", path).is_some(),
            _ => true,
        },
        is_asked_of_somebody(reader),
    ];
    let client_certificate = match client_certificate? {
        Some("optional") => ClientCertificate::Optional,
        _ => ClientCertificate::Required,
    };
    let tls = ListenerTls { certificate: certificate?, key: key?, client_ca: client_ca?, client_certificate };
    good.into_iter().all(|good| good).then_some(tls)
}

fn is_asked_of_somebody(reader: &Reader<'_>) -> bool {
    let good = reader.has("client_ca") || !reader.has("client_certificate");
    if !good {
        reader
            .report("client_certificate", "has no `client_ca` beside it: no certificate of a client could be verified");
    }
    good
}

fn required_path(reader: &Reader<'_>, name: &str) -> Option<PathBuf> {
    if !reader.has(name) {
        reader.get(name, value::text)?;
    }
    reader.path(name)?
}

/// Port 0 asks the kernel for a free port and may stand there several times.
fn report_repeated(listeners: &[(Place, Listener)], context: &Context) {
    for (index, (place, listener)) in listeners.iter().enumerate() {
        let before = listeners.iter().take(index);
        if listener.address.port() != 0 && before.clone().any(|(_, other)| other.address == listener.address) {
            context.report(place, "listen", format!("{} is listed twice", listener.address));
        }
    }
}
