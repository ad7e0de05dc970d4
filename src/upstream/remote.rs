//! An upstream registry: its endpoints in order, and how a question goes over them.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use prometheus::IntCounter;
use tokio::time::Instant;

use super::body::no_room;
use super::breaker::Health;
use super::client::{Channel, Clients};
use super::endpoint::Endpoint;
use super::error::{Error, ErrorKind};
use super::grant::Realms;
use super::places::Places;
use super::retry::{self, Next, Verdict};
use super::seldom::Seldom;
use super::source::{Distrust, Source};
use super::token::Tokens;
use crate::config::{UpstreamName, UpstreamSettings};
use crate::memory::{self, Map};
use crate::metering::Meter;
use crate::oci::{Digest, RepositoryName};
use crate::storage::OriginId;
use crate::telemetry::Metrics;
use crate::turns::{Asker, Turn as ListTurn, Turns};

/// How long an endpoint that sent wrong bytes for a blob is asked last for it.
const DISTRUST: Duration = Duration::from_secs(600);

/// Lists of one upstream that are in the making: each may take a hundred megabytes.
const LISTS_AT_ONCE: usize = 4;

pub struct Upstream {
    settings: UpstreamSettings,
    origin: OriginId,
    endpoints: Vec<Endpoint>,
    pub(super) clients: Clients,
    pub(super) tokens: Arc<Tokens>,
    pub(super) realms: Realms,
    pub(super) metrics: Metrics,
    pub(super) login_failures_told: Seldom,
    failures_told: Seldom,
    pub(super) meter: Meter,
    pub(super) received_bytes: IntCounter,
    /// Below `max_fetches`.
    pub(super) places: Places,
    lists: Turns,
    /// Which endpoints sent wrong bytes for a blob.
    pub(super) distrusted: Map<Digest, Distrust>,
}

/// One try of a question at one endpoint.
#[derive(Clone, Copy)]
pub(super) struct Turn<'a> {
    pub(super) endpoint: &'a Endpoint,
    /// Of the endpoint in the list of URLs.
    pub(super) index: usize,
    /// The try is given up then.
    until: Option<Instant>,
}

impl<'a> Turn<'a> {
    pub(super) fn new(endpoint: &'a Endpoint, index: usize, until: Option<Instant>) -> Self {
        Self { endpoint, index, until }
    }

    /// Tells a token service that takes all the time from a registry that does: the registry's circuit stays closed.
    pub(super) async fn login<T>(&self, work: impl Future<Output = Result<T, ErrorKind>>) -> Result<T, ErrorKind> {
        let Some(until) = self.until else { return work.await };
        tokio::time::timeout_at(until, work).await.unwrap_or_else(|_| {
            Err(ErrorKind::LoginFailed { detail: "no answer in time".to_owned(), retry_after: None })
        })
    }
}

impl Upstream {
    /// As [`Self::metered`], with nothing counted for repositories.
    pub fn new(settings: UpstreamSettings, metrics: Metrics) -> Result<Arc<Self>, Error> {
        Self::metered(settings, metrics, Meter::default())
    }

    /// Reads certificates, but asks nobody anything: an upstream that is down does not keep us from starting.
    pub fn metered(settings: UpstreamSettings, metrics: Metrics, meter: Meter) -> Result<Arc<Self>, Error> {
        let clients = Clients::new(&settings).map_err(|detail| Error {
            upstream: settings.name.clone(),
            kind: ErrorKind::Unreachable { detail: format!("its TLS settings cannot be used: {detail}") },
        })?;
        let name = settings.name.as_str();
        let endpoints = settings.urls.iter().enumerate().map(|(at, url)| {
            let available = metrics.upstream_available.with_label_values(&[name, &at.to_string()]);
            Endpoint::new(url.clone(), settings.namespace_at(url), available)
        });
        let own_hosts = settings.urls.iter().filter_map(|url| url.host_str()).map(str::to_owned).collect();
        let api = clients.first().of(Channel::Api).clone();
        for url in &settings.urls {
            if let Some(proxy) = clients.proxy_of(url) {
                tracing::info!(upstream = name, %url, proxy, "this upstream is asked through a proxy");
            }
        }
        let waiting = metrics.upstream_fetches_waiting.with_label_values(&[name]);
        Ok(Arc::new(Self {
            origin: OriginId::of(&identity(&settings)),
            endpoints: endpoints.collect(),
            clients,
            tokens: Tokens::new(&settings, api, metrics.upstream_requests.clone()),
            realms: Realms { own_hosts, allowed: settings.realms.clone() },
            received_bytes: metrics.upstream_received_bytes.with_label_values(&[name]),
            places: Places::new(settings.max_fetches, settings.queue_timeout, waiting),
            lists: Turns::new(LISTS_AT_ONCE),
            distrusted: Map::expiring(memory::Kind::Distrusted, DISTRUST, |_, _| 0),
            login_failures_told: Seldom::default(),
            failures_told: Seldom::default(),
            metrics,
            meter,
            settings,
        }))
    }

    /// The turn to have a list of this upstream in the making, from the question to what is kept of it.
    pub async fn list_turn(&self, asker: Asker) -> ListTurn {
        self.lists.take(asker).await
    }

    /// Room for a document that begins to come. One upstream does not hold all of it.
    pub(super) fn room(&self) -> memory::Held {
        memory::documents().begin(Asker::work(self.name().as_str()))
    }

    /// Room for so many bytes of what upstream said earlier.
    pub async fn room_for(&self, bytes: usize) -> Result<memory::Held, Error> {
        let mut room = self.room();
        room.grow(bytes).await.map_err(|why| self.error(no_room(why)))?;
        Ok(room)
    }

    pub fn name(&self) -> &UpstreamName {
        &self.settings.name
    }

    /// What bytes under way, left-overs, refusals and kept answers belong to: another URL under the same name is another
    /// origin.
    pub fn origin(&self) -> OriginId {
        self.origin
    }

    pub fn settings(&self) -> &UpstreamSettings {
        &self.settings
    }

    pub fn source(self: &Arc<Self>, repository: RepositoryName, digest: Digest) -> Source {
        Source::new(self.clone(), repository, digest)
    }

    pub(super) fn endpoints(&self) -> &[Endpoint] {
        &self.endpoints
    }

    /// Whoever may make rules is not told how a host answers that they have named: it would be a way to look around in the
    /// network of this machine. The log has it.
    pub(super) fn error(&self, kind: ErrorKind) -> Error {
        let coarse = self.settings.rule.as_ref().map_or_else(|| None, |_| kind.coarse());
        if coarse.is_some() && self.failures_told.is_due() {
            tracing::warn!(upstream = %self.name(), error = %kind, "the upstream of a pull-through rule gives no answer");
        }
        Error { upstream: self.settings.name.clone(), kind: coarse.unwrap_or(kind) }
    }

    /// Puts a question to the endpoints in order, again where that may help, until one answers.
    pub(super) async fn over_endpoints<'a, T, F>(
        &'a self,
        deadline: Option<Instant>,
        ask: impl Fn(Turn<'a>) -> F,
    ) -> Result<T, Error>
    where
        F: Future<Output = Result<T, ErrorKind>>,
    {
        self.over_endpoints_from(0, self.endpoints.len(), deadline, ask).await
    }

    /// As `over_endpoints`, beginning with the one of index `first` and coming to those before it last; at most `most` of them.
    ///
    /// Several endpoints share the time that is left until `deadline`, so that one that hangs leaves time for the next.
    /// Without a deadline, `ask` must bound itself.
    pub(super) async fn over_endpoints_from<'a, T, F>(
        &'a self,
        first: usize,
        most: usize,
        deadline: Option<Instant>,
        ask: impl Fn(Turn<'a>) -> F,
    ) -> Result<T, Error>
    where
        F: Future<Output = Result<T, ErrorKind>>,
    {
        // An offline upstream has no endpoints: what is not kept of it is not there.
        if self.settings.offline {
            return Err(self.error(ErrorKind::NotFound));
        }
        let mut verdict = Verdict::default();
        let count = self.endpoints.len().min(most);
        let turns = self.endpoints.iter().enumerate().cycle().skip(first).take(count);
        for (at, (index, endpoint)) in turns.enumerate() {
            let share = deadline.map(|deadline| {
                let left = deadline.saturating_duration_since(Instant::now());
                Instant::now() + left / u32::try_from(count - at).unwrap_or(u32::MAX)
            });
            match self.over_one(Turn { endpoint, index, until: share }, &ask).await {
                Ok(answer) => return Ok(answer),
                Err(kind) => {
                    tracing::debug!(upstream = %self.name(), endpoint = endpoint.host(), error = %kind, "no answer");
                    verdict.note(kind);
                }
            }
        }
        Err(self.error(verdict.conclude()))
    }

    /// Waits until an endpoint may be asked, at most `header_timeout` long.
    pub(super) async fn admitted(&self) {
        let closed = self.endpoints.iter().map(|endpoint| Box::pin(endpoint.breaker.closed()));
        if self.settings.offline || self.endpoints.is_empty() {
            return;
        }
        let _ = tokio::time::timeout(self.settings.header_timeout, futures_util::future::select_all(closed)).await;
    }

    async fn over_one<'a, T, F>(&'a self, turn: Turn<'a>, ask: &impl Fn(Turn<'a>) -> F) -> Result<T, ErrorKind>
    where
        F: Future<Output = Result<T, ErrorKind>>,
    {
        let Turn { endpoint, until: deadline, .. } = turn;
        let mut last = None;
        let mut tries = 0;
        loop {
            match (endpoint.breaker.admit(), last) {
                (Ok(()), _) => {}
                (Err(_), Some(kind)) => return Err(kind),
                (Err(pause), None) => return Err(left_alone(endpoint, pause)),
            }
            let began = Instant::now();
            let asked = match deadline {
                Some(deadline) => tokio::time::timeout_at(deadline, ask(turn)).await,
                None => Ok(ask(turn).await),
            };
            let kind = match asked.unwrap_or(Err(ErrorKind::TimedOut)) {
                Ok(answer) => {
                    endpoint.breaker.note(Health::Alive);
                    return Ok(answer);
                }
                Err(kind) => kind,
            };
            endpoint.breaker.note(retry::health(&kind, began.elapsed()));
            tries += 1;
            match retry::after(&kind, tries, fastrand::f64()) {
                Next::Again(pause) if deadline.is_none_or(|deadline| Instant::now() + pause < deadline) => {
                    tokio::time::sleep(pause).await;
                    self.metrics.upstream_retries.with_label_values(&[self.name().as_str()]).inc();
                    last = Some(kind);
                }
                _ => return Err(kind),
            }
        }
    }
}

/// In whole seconds, rounded up.
fn left_alone(endpoint: &Endpoint, pause: Duration) -> ErrorKind {
    ErrorKind::LeftAlone { host: endpoint.host().to_owned(), pause: Duration::from_secs(pause.as_secs() + 1) }
}

/// The name, whose it is, and where it is: one a line, as none has a line break.
fn identity(settings: &UpstreamSettings) -> String {
    let registry = settings.registry.map(|registry| registry.to_string()).unwrap_or_default();
    let prefix = settings.repository_prefix.as_ref().map(ToString::to_string).unwrap_or_default();
    let urls = settings.urls.iter().map(|url| url.as_str()).collect::<Vec<_>>().join("\n");
    format!("{}\n{registry}\n{prefix}\n{urls}", settings.name)
}
