//! `listen`: the addresses where clients are served.

use std::net::SocketAddr;
use std::ops::Deref;
use std::path::PathBuf;

use serde::ser::SerializeMap;

use crate::config::reading::{
    Declaration, FLAG, Fallback, Key, Kind, MAX_ELEMENTS, Node, Optional, PATH, Part, Parts as _, Pem, Place, Reader,
    SELDOM, Section, Shape, TableKey, Value, Written, choice, choice_of, parse_address, section, settings,
};

settings! {
    pub struct Listener {
        pub address: SocketAddr = ADDRESS,
        /// Everybody who reaches it may push and delete.
        pub push: bool = PUSH,
        /// Blobs that lie in a bucket are fetched from there by the client itself.
        pub redirect: bool = REDIRECT,
        /// Each connection begins with a header of the PROXY protocol.
        pub proxy_protocol: bool = PROXY_PROTOCOL,
        /// `None` is as `auth.required` says.
        pub auth: Option<Access> = AUTH,
        pub tls: Option<ListenerTls> = TLS,
    }
}

choice! {
    /// Access to a listener.
    pub enum Access {
        /// Everybody may read, and push where the listener says so. Credentials are not looked at.
        Open = "open",
        /// Policies decide, by who asks.
        Required = "required",
    }
}

settings! {
    /// PEM files. With `client_ca`, clients show a certificate of that authority.
    pub struct ListenerTls {
        pub certificate: PathBuf = Pem::certificates(&CERTIFICATE),
        pub key: PathBuf = Pem::private_key(&KEY),
        pub client_ca: Option<PathBuf> = Pem::certificates(&CLIENT_CA),
        /// Without `client_ca` no client is asked.
        pub client_certificate: ClientCertificate = CLIENT_CERTIFICATE,
    }
}

choice! {
    #[derive(Default)]
    pub enum ClientCertificate {
        /// Clients that show none are turned away.
        #[default]
        Required = "required",
        /// Clients that show none may log in otherwise. A wrong one is refused all the same.
        Optional = "optional",
    }
}

section! {
    pub static LISTENER = Section::many("listen", "A listener in its long form.");

    static ADDRESS: Key<SocketAddr> = Key::required(
        "address",
        Kind::parsed(Shape::Text, parse_address),
        "IP address and port, such as `\"0.0.0.0:5000\"`.",
    );
    static PUSH: Key<bool> = Key::follows(
        "push",
        FLAG,
        "`true` for an address that only this machine reaches, such as 127.0.0.1; `false` for others",
        |reader| Some(reader.get(&ADDRESS)?.ip().is_loopback()),
        "Whether whoever reaches this listener may push to repositories of one's own and delete from them.",
    );
    static REDIRECT: Key<bool> = Key::usual(
        "redirect",
        FLAG,
        "false",
        "Whether clients are sent to the bucket for pushed blobs (307 with a signed URL), with `[storage] kind = \
         \"s3\"`. They must be able to reach it.",
    );
    static AUTH: Optional<Access> = Optional::follows(
        "auth",
        choice_of(),
        "`required` with `auth.required`, else `open`",
        "`open`: whoever reaches this listener may read, and push where `push` says so; credentials are not looked at. \
         `required`: policies decide, by who asks.",
    );
    static PROXY_PROTOCOL: Key<bool> = Key::usual(
        "proxy_protocol",
        SELDOM,
        "false",
        "Whether each connection begins with a header of the PROXY protocol, version 1 or 2, which says whose it is. \
         Connections without it, and from outside `http.trusted_proxies`, are closed.",
    );
    static TLS: TableKey<ListenerTls> =
        TableKey::new("tls", &TLS_SECTION, read_tls, "The listener speaks TLS with these files.");
}

section! {
    pub static TLS_SECTION = Section::one("listen.tls", "PEM files of a listener.");

    static CERTIFICATE: Key<PathBuf> = Key::required(
        "certificate",
        PATH,
        "The certificate that clients see, followed by its intermediate authorities.",
    );
    static KEY: Key<PathBuf> = Key::required("key", PATH, "The certificate's private key.");
    static CLIENT_CA: Optional<PathBuf> = Optional::new(
        "client_ca",
        PATH,
        "Certificate authorities; clients then show a certificate of one of them. Whose it is, `[[certificate]]` says.",
    );
    static CLIENT_CERTIFICATE: Key<ClientCertificate> = Key::follows(
        "client_certificate",
        choice_of().writing(write_unless_required),
        "`required`",
        |_| Some(ClientCertificate::Required),
        "With `client_ca`: whether clients must show a certificate. With `optional` those that have none log in \
         otherwise; a wrong one is refused all the same.",
    );
}

/// The key `listen`: addresses as texts, tables, or a mixture.
pub struct Listeners {
    declared: Declaration,
}

impl Listeners {
    pub const fn usual(name: &'static str, usual: &'static str, meaning: &'static str) -> Self {
        Self { declared: Declaration::new(name, Shape::Listeners(&LISTENER), Fallback::Value(usual), meaning) }
    }

    pub const fn declared(&self) -> &Declaration {
        &self.declared
    }

    fn read_one(&self, reader: &Reader<'_>, index: usize, node: &Node) -> Option<(Place, Listener)> {
        let path = format!("{}[{index}]", reader.key_path(self));
        let listener = match &node.value {
            Value::Text(text) => match parse_address(text) {
                Ok(address) => Listener::plain(address),
                Err(message) => {
                    reader.context().report(&node.place, path, message);
                    return None;
                }
            },
            Value::Table(_) => Listener::read(&Reader::of_node(&LISTENER, path, node.clone(), reader.context())?)?,
            other => {
                let message = format!("is {} where an address or a table is needed", other.words());
                reader.context().report(&node.place, path, message);
                return None;
            }
        };
        Some((node.place.clone(), listener))
    }

    /// Port 0 asks the kernel for a free port and may stand there several times.
    fn report_repeated(&self, listeners: &[(Place, Listener)], reader: &Reader<'_>) {
        for (index, (place, listener)) in listeners.iter().enumerate() {
            let mut before = listeners.iter().take(index);
            if listener.address.port() != 0 && before.any(|(_, other)| other.address == listener.address) {
                let message = format!("{} is listed twice", listener.address);
                reader.context().report(place, reader.key_path(self), message);
            }
        }
    }
}

impl Deref for Listeners {
    type Target = Declaration;

    fn deref(&self) -> &Declaration {
        &self.declared
    }
}

impl Part<Vec<Listener>> for Listeners {
    fn read(&self, reader: &Reader<'_>) -> Option<Vec<Listener>> {
        let node = reader.find(self)?;
        let nodes = match &node.value {
            Value::List(nodes) => nodes.as_slice(),
            _ => std::slice::from_ref(node.as_ref()),
        };
        if nodes.is_empty() {
            reader.report(self, "is empty: at least one address is needed");
            return None;
        }
        if nodes.len() > MAX_ELEMENTS {
            reader.report(self, format!("has more than {MAX_ELEMENTS} elements"));
            return None;
        }
        let listeners: Vec<_> =
            nodes.iter().enumerate().map(|(index, node)| self.read_one(reader, index, node)).collect();
        let listeners: Vec<_> = listeners.into_iter().collect::<Option<_>>()?;
        self.report_repeated(&listeners, reader);
        Some(listeners.into_iter().map(|(_, listener)| listener).collect())
    }

    fn write<M: SerializeMap>(&self, listeners: &Vec<Listener>, map: &mut M) -> Result<(), M::Error> {
        if listeners.iter().all(Listener::is_plain) {
            let addresses: Vec<_> = listeners.iter().map(|listener| listener.address).collect();
            return Written::texts(&addresses).add(self.name, map);
        }
        map.serialize_entry(self.name, listeners)
    }
}

impl Listener {
    /// As an address alone says it.
    fn plain(address: SocketAddr) -> Self {
        Self {
            address,
            push: address.ip().is_loopback(),
            redirect: false,
            proxy_protocol: false,
            auth: None,
            tls: None,
        }
    }

    fn is_plain(&self) -> bool {
        *self == Self::plain(self.address)
    }
}

fn read_tls(reader: &Reader<'_>) -> Option<ListenerTls> {
    let is_asked = reader.has(&CLIENT_CA) || !reader.has(&CLIENT_CERTIFICATE);
    if !is_asked {
        let message = "has no `client_ca` beside it: no certificate of a client could be verified";
        reader.report(&CLIENT_CERTIFICATE, message);
    }
    ListenerTls::read(reader).filter(|_| is_asked)
}

fn write_unless_required(certificate: &ClientCertificate) -> Written {
    match certificate {
        ClientCertificate::Required => Written::Nothing,
        ClientCertificate::Optional => Written::text("optional"),
    }
}
