//! A registry that does what a test tells it: it stalls, lies, truncates, limits and moves away.
//!
//! It speaks real HTTP/1.1 on an address of its own, keeps what was put in ([`store`]), answers as the distribution
//! specification says ([`serve`]), and changes its answers where a [`Behaviour`] matches a request. Every request is
//! logged. Order in time is controlled by [`Gate`]s.
//!
//! *Never* here: knowledge of the program under test.

mod behaviour;
mod body;
mod content;
mod gate;
mod image;
mod log;
mod self_tests;
mod serve;
mod store;
mod tokens;

pub use behaviour::Behaviour;
pub use content::{gzip, noise, noise_range, sha256, sha512};
pub use gate::Gate;
pub use image::{DOCKER_LIST, DOCKER_MANIFEST, DOCKER_SCHEMA1, Image, OCI_CONFIG, OCI_INDEX, OCI_MANIFEST, Part};
pub use log::Logged;
pub use tokens::{TokenField, TokenRules, TokenService, basic};

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpSocket};
use tokio::task::{AbortHandle, JoinSet};

use crate::addresses::fresh_ip;
use crate::bound::{until, until_async};
use behaviour::Scripted;
use content::Content;
use store::Store;

#[derive(Clone)]
pub struct FakeUpstream(Arc<Shared>);

struct Shared {
    address: SocketAddr,
    state: Mutex<State>,
    accepting: Mutex<Option<AbortHandle>>,
    bodies: Bodies,
    connections: AtomicU64,
}

/// Blob bodies under way.
#[derive(Default)]
struct Bodies {
    now: AtomicU64,
    most: AtomicU64,
}

#[derive(Default)]
struct State {
    store: Store,
    scripted: Vec<Scripted>,
    next_id: u64,
    log: Vec<Logged>,
    options: Options,
    auth: Auth,
    /// Hosted at `/token`.
    tokens: Option<TokenService>,
    /// Signed URLs that are still good.
    signed: HashMap<String, Content>,
    signatures: u64,
}

#[derive(Clone, Default)]
enum Auth {
    #[default]
    Open,
    Basic {
        user: &'static str,
        password: &'static str,
    },
    Bearer {
        service: TokenService,
        realm: String,
    },
}

#[derive(Clone)]
struct Options {
    referrers_api: bool,
    filter_referrers: bool,
    page_size: Option<usize>,
    absolute_links: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { referrers_api: true, filter_referrers: true, page_size: None, absolute_links: false }
    }
}

impl FakeUpstream {
    pub async fn start() -> Self {
        let listener = listen((fresh_ip(), 0).into()).expect("a free port");
        let address = listener.local_addr().expect("an address");
        let upstream = Self(Arc::new(Shared {
            address,
            state: Mutex::default(),
            accepting: Mutex::default(),
            bodies: Bodies::default(),
            connections: AtomicU64::new(0),
        }));
        upstream.accept_on(listener);
        upstream
    }

    /// Without a slash at the end.
    pub fn url(&self) -> String {
        format!("http://{}", self.0.address)
    }

    /// Address and port.
    pub fn host(&self) -> String {
        self.0.address.to_string()
    }

    /// Closes the listener and every connection: connecting is refused from now on.
    pub fn refuse(&self) {
        if let Some(accepting) = self.0.accepting.lock().unwrap().take() {
            accepting.abort();
        }
    }

    /// Opens the listener again, on the same port.
    pub async fn accept(&self) {
        // A child that is being started holds every open file for a moment, and so the port of what was just closed.
        let mut listener = None;
        until("the port is ours again", || {
            listener = listen(self.0.address).ok();
            listener.is_some()
        })
        .await;
        self.accept_on(listener.expect("it listens"));
    }

    fn accept_on(&self, listener: TcpListener) {
        let task = tokio::spawn(self.clone().run(listener));
        if let Some(before) = self.0.accepting.lock().unwrap().replace(task.abort_handle()) {
            before.abort();
        }
    }

    async fn run(self, listener: TcpListener) {
        // Aborting this task drops the set, which closes the connections.
        let mut connections = JoinSet::new();
        loop {
            let Ok((stream, _)) = listener.accept().await else { continue };
            let _ = stream.set_nodelay(true);
            self.0.connections.fetch_add(1, Ordering::SeqCst);
            let upstream = self.clone();
            connections.spawn(async move {
                let service = service_fn(move |request| serve::answer(upstream.clone(), request));
                let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
            });
            while connections.try_join_next().is_some() {}
        }
    }

    /// Changes the answers to requests of this method (`*` for any) whose path and query contain `path`. Of several
    /// that match, the one that was added last is asked first.
    pub fn on(&self, method: &'static str, path: impl Into<String>, behaviour: Behaviour) -> u64 {
        let mut state = self.state();
        state.next_id += 1;
        let id = state.next_id;
        state.scripted.insert(0, Scripted { id, method, path: path.into(), behaviour, used: 0 });
        id
    }

    /// Takes a behaviour away again.
    pub fn forget(&self, id: u64) {
        self.state().scripted.retain(|scripted| scripted.id != id);
    }

    pub fn forget_all(&self) {
        self.state().scripted.clear();
    }

    /// With or without the referrers API.
    pub fn referrers_api(&self, on: bool) {
        self.state().options.referrers_api = on;
    }

    /// Whether the referrers API filters by `artifactType` itself.
    pub fn filter_referrers(&self, on: bool) {
        self.state().options.filter_referrers = on;
    }

    /// At most so many tags or referrers in one answer, with `Link` to the next page.
    pub fn page_size(&self, entries: usize, absolute_links: bool) {
        let mut state = self.state();
        state.options.page_size = Some(entries);
        state.options.absolute_links = absolute_links;
    }

    pub fn require_basic(&self, user: &'static str, password: &'static str) {
        self.state().auth = Auth::Basic { user, password };
    }

    /// Requests need a token of `service`; the challenge names `realm`.
    pub fn require_tokens(&self, service: &TokenService, realm: impl Into<String>) {
        self.state().auth = Auth::Bearer { service: service.clone(), realm: realm.into() };
    }

    /// Hosts the token service at [`FakeUpstream::realm`].
    pub fn host_tokens(&self, service: &TokenService) {
        self.state().tokens = Some(service.clone());
    }

    pub fn realm(&self) -> String {
        format!("{}/token", self.url())
    }

    /// No URL that was signed so far is good any more.
    pub fn expire_signatures(&self) {
        self.state().signed.clear();
    }

    pub fn log(&self) -> Vec<Logged> {
        self.state().log.clone()
    }

    pub fn clear_log(&self) {
        self.state().log.clear();
    }

    /// Requests of this method (`*` for any) whose path and query contain `path`.
    pub fn asked(&self, method: &str, path: &str) -> Vec<Logged> {
        let state = self.state();
        let matches = |entry: &&Logged| (method == "*" || entry.method == method) && entry.path.contains(path);
        state.log.iter().filter(matches).cloned().collect()
    }

    pub fn count(&self, method: &str, path: &str) -> usize {
        self.asked(method, path).len()
    }

    /// Blob bodies under way.
    pub fn bodies_now(&self) -> u64 {
        self.0.bodies.now.load(Ordering::SeqCst)
    }

    /// The most blob bodies that were under way at once.
    pub fn bodies_most(&self) -> u64 {
        self.0.bodies.most.load(Ordering::SeqCst)
    }

    /// Connections taken since the start.
    pub fn connections(&self) -> u64 {
        self.0.connections.load(Ordering::SeqCst)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap()
    }
}

fn listen(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(1024)
}

/// Counts one blob body from its head to its end.
struct BodyGuard(FakeUpstream);

impl BodyGuard {
    fn new(upstream: FakeUpstream) -> Self {
        let bodies = &upstream.0.bodies;
        let now = bodies.now.fetch_add(1, Ordering::SeqCst) + 1;
        bodies.most.fetch_max(now, Ordering::SeqCst);
        Self(upstream)
    }
}

impl Drop for BodyGuard {
    fn drop(&mut self) {
        self.0.0.bodies.now.fetch_sub(1, Ordering::SeqCst);
    }
}
