//! `[http]`: the wire towards clients.

use std::time::Duration;

use ipnet::IpNet;

use super::listener::Listener;
use super::names::HOST_NAMES;
use crate::config::reading::{Key, List, NETWORKS, Reader, Section, TIMEOUT, WINDOW, count, section, settings, size};

settings! {
    pub struct HttpSettings {
        /// Connections at once on each listener, and requests at once over HTTP/2 on each.
        pub max_connections: usize = MAX_CONNECTIONS,
        /// Connections of one client on each listener, and its requests over HTTP/2.
        pub max_connections_per_client: usize = MAX_CONNECTIONS_PER_CLIENT,
        /// Requests at once on one HTTP/2 connection.
        pub max_streams: u32 = MAX_STREAMS,
        /// Bytes of answers in memory that clients have not taken, over all listeners.
        pub body_memory: usize = BODY_MEMORY,
        /// Bytes of bodies of requests that are read whole, over all listeners.
        pub request_memory: usize = REQUEST_MEMORY,
        /// Bytes a second that the body of a request must bring.
        pub min_rate: u64 = MIN_RATE,
        /// Time of waiting for a client over which `min_rate` is averaged.
        pub min_rate_window: Duration = MIN_RATE_WINDOW,
        /// Time for a request's head, and for a TLS handshake.
        pub header_timeout: Duration = HEADER_TIMEOUT,
        /// A connection without a request is closed after this.
        pub idle_timeout: Duration = IDLE_TIMEOUT,
        /// A body of which the client takes no byte for this long is aborted.
        pub stall_timeout: Duration = STALL_TIMEOUT,
        /// Bytes of a request's head.
        pub max_header_bytes: usize = MAX_HEADER_BYTES,
        /// Time that bodies in flight have after SIGTERM.
        pub drain_timeout: Duration = DRAIN_TIMEOUT,
        /// Host names by which clients reach listeners that only this machine reaches, in lower case and without a
        /// port.
        pub hosts: Vec<String> = HOSTS,
        /// Networks of proxies that say for whom they ask.
        pub trusted_proxies: Vec<IpNet> = TRUSTED_PROXIES,
    }
}

section! {
    pub static SECTION = Section::one("http", "The wire towards clients.");

    static MAX_CONNECTIONS: Key<usize> = Key::usual(
        "max_connections",
        count(1, 1_000_000),
        "10000",
        "Connections at once on each listener; further ones wait in the kernel's queue. As many requests may be under \
         way over HTTP/2 on each; further ones get 503.",
    );
    static MAX_CONNECTIONS_PER_CLIENT: Key<usize> = Key::follows(
        "max_connections_per_client",
        count(1, 1_000_000),
        "half of `max_connections`",
        |reader| Some(reader.get(&MAX_CONNECTIONS)?.div_ceil(2)),
        "Connections at once of one client address (of one /64 network with IPv6) on each listener; further ones are \
         closed. As many of its requests may be under way over HTTP/2. Many clients behind one NAT count as one; \
         `trusted_proxies` are not counted.",
    );
    static MAX_STREAMS: Key<u32> = Key::usual(
        "max_streams",
        count(1, 1_000),
        "32",
        "Requests at once on one HTTP/2 connection; clients are told and wait.",
    );
    static BODY_MEMORY: Key<usize> = Key::usual(
        "body_memory",
        size(1 << 20, 1 << 40),
        "128MiB",
        "Bytes of answers in memory that clients have not taken yet, over all listeners. A client that holds more \
         than is left, so from half of it on if it is alone, is sent files in small pieces and given up when it has taken \
         nothing for 10 s. Beyond it, or beyond three quarters for one client, answers of more than 64 KiB that are made \
         in memory get 503. Blobs that leave by `sendfile` take none.",
    );
    static REQUEST_MEMORY: Key<usize> = Key::usual(
        "request_memory",
        size(64 << 20, 1 << 40),
        "256MiB",
        "Bytes of bodies that are read whole, manifests and requests to the API, over all listeners: of each what is \
         beyond 64 KiB, as it comes. A client holds at most three quarters. One that finds no room waits 10 s and gets \
         503. It is at least twice the largest body.",
    );
    static MIN_RATE: Key<u64> = Key::usual(
        "min_rate",
        size(0, 1 << 40),
        "1KiB",
        "Bytes a second that the body of a request must bring on average, or it is given up. Only time counts in which \
         the client is waited for. 0: no limit.",
    );
    static MIN_RATE_WINDOW: Key<Duration> = Key::usual(
        "min_rate_window",
        TIMEOUT,
        "5m",
        "Time of waiting for a client over which `min_rate` is averaged. A body that pauses for less is let be.",
    );
    static HEADER_TIMEOUT: Key<Duration> =
        Key::usual("header_timeout", TIMEOUT, "15s", "Time for a request's head, and for a TLS handshake.");
    static IDLE_TIMEOUT: Key<Duration> = Key::usual(
        "idle_timeout",
        TIMEOUT,
        "120s",
        "A connection without a request is closed after this; over HTTP/2 also when it answers pings.",
    );
    static STALL_TIMEOUT: Key<Duration> = Key::usual(
        "stall_timeout",
        TIMEOUT,
        "5m",
        "A body of which the client takes no byte for this long is aborted; over HTTP/2 its stream is reset and the \
         connection lives. A body of which the client sends nothing for this long is given up. Where room on the disk is \
         short, a client is cut off that takes less than 16 KiB a second over 30 s.",
    );
    // hyper refuses to work with less than 8 KiB.
    static MAX_HEADER_BYTES: Key<usize> =
        Key::usual("max_header_bytes", size(8 << 10, 1 << 20), "32KiB", "The largest head of a request.");
    static DRAIN_TIMEOUT: Key<Duration> =
        Key::usual("drain_timeout", WINDOW, "30s", "How long bodies in flight may go on after SIGTERM.");
    static HOSTS: List<String> = List::usual(
        "hosts",
        HOST_NAMES,
        "[]",
        "Host names by which clients reach open listeners on loopback addresses, besides `localhost`, addresses, names \
         without a dot, those of `auth.url`, `[[account]]` and upstreams. Requests that come by other names are \
         refused: a web page can have its name lead to this machine.",
    );
    static TRUSTED_PROXIES: List<IpNet> = List::usual(
        "trusted_proxies",
        NETWORKS,
        "[]",
        "Networks of reverse proxies and load balancers, such as `\"10.0.0.0/8\"`. From them, `X-Forwarded-For`, \
         `X-Forwarded-Proto` and `X-Forwarded-Host` are believed: for the log, the audit log, `aws:SourceIp`, \
         `aws:SecureTransport`, limits of failed logins, and the URL of the token endpoint. See docs/proxies.md.",
    );
}

/// A header of the PROXY protocol is believed only when it comes from a trusted proxy.
pub fn report_untrusted_proxies(reader: &Reader<'_>, http: &HttpSettings, listen: &[Listener]) {
    if http.trusted_proxies.is_empty()
        && let Some(listener) = listen.iter().find(|listener| listener.proxy_protocol)
    {
        let message = format!(
            "is empty, and the listener {} has `proxy_protocol`: write the networks of the balancers in front of it, such as [\"10.0.0.0/8\"]",
            listener.address
        );
        reader.report(&TRUSTED_PROXIES, message);
    }
}
