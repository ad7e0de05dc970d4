//! The configuration of a process under test.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::net::SocketAddr;
use std::path::Path;

use super::{HUB, Proxy};
use crate::addresses::{free_ports, fresh_ip};
use crate::upstream::FakeUpstream;

/// One table of the file: keys and values as they are written in TOML.
#[derive(Clone, Default)]
pub struct Table(BTreeMap<String, String>);

#[derive(Clone)]
pub struct Setup {
    listen: SocketAddr,
    admin: SocketAddr,
    pub cache: Table,
    pub hosted: Table,
    /// `[storage]`, if it says anything.
    pub storage: Table,
    /// `[meta]`, if it says anything.
    pub meta: Table,
    pub http: Table,
    pub log: Table,
    pub upstreams: Vec<Table>,
    /// Text at the end of the file, for mistakes.
    pub more: String,
    pub environment: BTreeMap<String, String>,
    /// `tls` of the listener, in TOML.
    pub tls: Option<String>,
    push: Option<bool>,
    redirect: bool,
    proxy_protocol: bool,
}

impl Table {
    /// `value` is TOML: `3`, `true`, `"text"`.
    pub fn set(&mut self, key: &str, value: impl ToString) -> &mut Self {
        self.0.insert(key.to_owned(), value.to_string());
        self
    }

    /// A text, which gets its quotes here.
    pub fn text(&mut self, key: &str, value: impl AsRef<str>) -> &mut Self {
        self.set(key, format!("{:?}", value.as_ref()))
    }

    pub fn texts(&mut self, key: &str, values: &[&str]) -> &mut Self {
        self.set(key, format!("{values:?}"))
    }

    fn write(&self, header: &str, out: &mut String) {
        let _ = writeln!(out, "{header}");
        for (key, value) in &self.0 {
            let _ = writeln!(out, "{key} = {value}");
        }
    }
}

impl Setup {
    /// No upstream yet.
    pub fn new() -> Self {
        let [listen, admin] = free_ports(fresh_ip());
        Self {
            listen,
            admin,
            cache: Table::default(),
            hosted: Table::default(),
            storage: Table::default(),
            meta: Table::default(),
            http: Table::default(),
            log: Table::default(),
            upstreams: Vec::new(),
            more: String::new(),
            environment: BTreeMap::new(),
            tls: None,
            push: None,
            redirect: false,
            proxy_protocol: false,
        }
    }

    /// One upstream by the name [`HUB`].
    pub fn of(upstream: &FakeUpstream) -> Self {
        let mut setup = Self::new();
        setup.add(HUB, &upstream.url());
        setup
    }

    /// Adds an upstream; its keys are set on the table that is returned.
    pub fn add(&mut self, name: &str, url: &str) -> &mut Table {
        let mut table = Table::default();
        table.text("name", name).texts("url", &[url]);
        self.upstreams.push(table);
        self.upstreams.last_mut().expect("the one just added")
    }

    /// The first upstream.
    pub fn hub(&mut self) -> &mut Table {
        self.upstreams.first_mut().expect("an upstream")
    }

    /// Deadlines of the first upstream that a test can wait for.
    pub fn impatient(mut self) -> Self {
        self.hub()
            .text("connect_timeout", "500ms")
            .text("header_timeout", "1s")
            .text("stall_timeout", "1s")
            .text("revalidate_timeout", "500ms");
        self
    }

    /// Every tag is asked for anew, and failures are not remembered.
    pub fn fresh_tags(mut self) -> Self {
        self.hub().text("tag_ttl", "0s").text("stale_while_revalidate", "0s").text("negative_ttl", "0s");
        self
    }

    /// Nobody may push.
    pub fn read_only(&mut self) {
        self.push = Some(false);
    }

    /// Clients are sent to the bucket.
    pub fn redirect(&mut self) {
        self.redirect = true;
    }

    /// Connections begin with a header of the PROXY protocol.
    pub fn proxy_protocol(&mut self) {
        self.proxy_protocol = true;
    }

    pub async fn start(self) -> Proxy {
        let mut proxy = self.prepare();
        proxy.start().await;
        proxy
    }

    /// The process with its folder, not started.
    pub fn prepare(self) -> Proxy {
        Proxy::new(self)
    }

    /// Of clients, and of operators.
    pub fn addresses(&self) -> (SocketAddr, SocketAddr) {
        (self.listen, self.admin)
    }

    pub(super) fn text(&self, data: &Path) -> String {
        let (push, redirect) = (self.push.unwrap_or(true), self.redirect);
        let tls = self.tls.as_ref().map(|tls| format!(", tls = {tls}")).unwrap_or_default();
        let listen = match self.push {
            None if !redirect && tls.is_empty() && !self.proxy_protocol => format!("{:?}", self.listen.to_string()),
            _ => format!(
                "{{ address = {:?}, push = {push}, redirect = {redirect}, proxy_protocol = {}{tls} }}",
                self.listen.to_string(),
                self.proxy_protocol
            ),
        };
        let mut out = format!("listen = [{listen}]\ndata = {data:?}\n");
        let mut admin = Table::default();
        admin.texts("listen", &[&self.admin.to_string()]).write("[admin]", &mut out);
        for (header, table) in [
            ("[cache]", &self.cache),
            ("[hosted]", &self.hosted),
            ("[storage]", &self.storage),
            ("[meta]", &self.meta),
            ("[http]", &self.http),
            ("[log]", &self.log),
        ] {
            table.write(header, &mut out);
        }
        for upstream in &self.upstreams {
            upstream.write("[[upstream]]", &mut out);
        }
        out + &self.more
    }
}
