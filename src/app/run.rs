//! The life of the process: load, build, bind, serve, wait, drain.

use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::build::{self, Core};
use super::changes;
use super::data_folder;
use super::error::Error;
use super::identities;
use super::memory;
use super::open_files;
use super::policies;
use super::reload;
use crate::config::{self, Access, HttpSettings, Settings, Watch};
use crate::http::{
    Bound, Changes, Door, Front, Gate, KnownHosts, LeastPace, Ops, Readiness, Service, Serving, TlsListener,
    TrustedProxies, Usage,
};
use crate::telemetry::{Audit, Logs};

/// Connections at once on each admin listener.
const OPERATORS: usize = 256;

/// How long a question of an operator may still take when everything else has ended.
const LAST_QUESTIONS: Duration = Duration::from_secs(1);

/// Serves until SIGTERM or SIGINT, and drains.
pub async fn run(source: config::Source) -> Result<(), Error> {
    let (watch, settings) = Watch::start(source, Watch::USUAL_INTERVAL);
    let settings = settings?;
    let _logs = Logs::start(&settings.telemetry);
    let places = open_files::raise(settings.http.max_connections, settings.listen.len());
    let readiness = Readiness::default();
    memory::set_up();
    data_folder::prepare(&settings)?;
    let core = build::core(&settings).await?;
    let audit = build::audit(&settings, &core.metrics)?;
    identities::declare(&settings, &core.meta, &core.keyring, &audit).await?;

    let per_client = open_files::per_client(&settings.http, places);
    let with_places = |max_connections| HttpSettings {
        max_connections,
        max_connections_per_client: per_client,
        ..settings.http.clone()
    };
    let serving = Serving::new(with_places(places), core.metrics.clone(), core.cache.shortage());
    let operators = Serving::new(with_places(places.min(OPERATORS)), core.metrics.clone(), core.cache.shortage());
    let stop = CancellationToken::new();
    let background = TaskTracker::new();

    let changes = Changes::default();
    let proxies = TrustedProxies::new(&settings.http.trusted_proxies);
    let hosts = known_hosts(&settings);
    let mut certificates = Vec::new();
    for listener in &settings.listen {
        let tls = listener.tls.as_ref().map(TlsListener::load).transpose()?;
        certificates.extend(tls.clone());
        let bound = bind("listen", listener.address, tls)?.behind(proxies.clone(), listener.proxy_protocol);
        let usual = if settings.auth.required { Access::Required } else { Access::Open };
        let is_open = listener.auth.unwrap_or(usual) == Access::Open;
        let (authenticator, authorizer) = (core.authenticator.clone(), core.authorizer.clone());
        let front = Front { registries: core.registry.registries().clone(), url: settings.auth.url.clone() };
        let door = Door { open: is_open, push: listener.push, secure: listener.tls.is_some() };
        let gate = Gate::new(authenticator, authorizer, front, door, audit.clone(), changes.clone());
        let service = Service {
            registry: core.registry.clone(),
            metrics: core.metrics.clone(),
            meter: core.meter.clone(),
            access_log: settings.telemetry.access,
            gate,
            accounts: core.accounts.clone(),
            redirect: listener.redirect,
            proxies: proxies.clone(),
            hosts: hosts.clone(),
            is_local: listener.address.ip().is_loopback(),
            pace: LeastPace::new(&settings.http),
        };
        let handler = move |request| {
            let service = service.clone();
            // hyper keeps room for a request's future as long as the connection lives; in a box of its own it is freed
            // when the answer's body begins, and a thousand stalled downloads do not hold it.
            Box::pin(async move { service.call(request).await })
        };
        background.spawn(bound.accept(serving.clone(), handler));
    }
    let jobs = super::jobs::jobs(&settings, &core);
    let usage = Usage::new(core.meta.clone(), settings.auth.account);
    let ops = Ops::new(
        core.metrics.clone(),
        core.cache.clone(),
        jobs.clone(),
        usage,
        readiness.clone(),
        hosts,
        audit.clone(),
    );
    for address in &settings.admin.listen {
        let (ops, is_local) = (ops.clone(), address.ip().is_loopback());
        let handler = move |request| {
            let ops = ops.clone();
            async move { ops.call(&request, is_local).await }
        };
        background.spawn(bind("admin.listen", *address, None)?.accept(operators.clone(), handler));
    }
    let (registry, stopped) = (core.registry.clone(), stop.clone());
    background.spawn(async move { registry.refresh_in_background(stopped).await });
    let (registry, stopped) = (core.registry.clone(), stop.clone());
    background.spawn(async move { registry.follow_rules(stopped).await });
    let (registry, stopped) = (core.registry.clone(), stop.clone());
    background.spawn(async move { registry.probe_upstreams(stopped).await });
    background.spawn(changes::follow(&core, stop.clone()));
    background.spawn(memory::give_back(stop.clone()));
    let (meta, stopped) = (core.meta.clone(), stop.clone());
    background.spawn(async move { stopped.run_until_cancelled(policies::tell_doubts(meta)).await });
    let working = jobs.clone();
    background.spawn(async move { working.work().await });
    readiness.set_ready();
    tell_supervisor(&[sd_notify::NotifyState::Ready]);
    say_hello(&settings);

    wait(watch, &settings, &core, &certificates, &audit).await?;

    tracing::info!("stopping: what is in flight is finished first");
    tell_supervisor(&[sd_notify::NotifyState::Stopping]);
    readiness.set_draining();
    let cut_off = serving.drain(settings.http.drain_timeout).await;
    if cut_off > 0 {
        tracing::warn!(connections = cut_off, "connections were cut off at http.drain_timeout");
    }
    changes.close().await;
    core.cache.close().await;
    jobs.close().await;
    stop.cancel();
    operators.drain(LAST_QUESTIONS).await;
    background.close();
    background.wait().await;
    core.registry.close().await;
    core.cache.flush_uses(&core.meta, SystemTime::now()).await;
    core.meter.close(&core.meta).await;
    core.meta.close().await;
    tracing::info!("stopped");
    Ok(())
}

/// Follows the configuration until a signal says to stop.
async fn wait(
    watch: Watch,
    settings: &Settings,
    core: &Core,
    certificates: &[TlsListener],
    audit: &Audit,
) -> Result<(), Error> {
    let mut terminate = signal(SignalKind::terminate()).map_err(Error::Signals)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(Error::Signals)?;
    let mut hangup = signal(SignalKind::hangup()).map_err(Error::Signals)?;
    let trigger = watch.trigger();
    let following = reload::follow(watch, settings.clone(), core, certificates);
    tokio::pin!(following);
    loop {
        tokio::select! {
            never = &mut following => match never {},
            _ = terminate.recv() => return Ok(()),
            _ = interrupt.recv() => return Ok(()),
            _ = hangup.recv() => {
                audit.reopen();
                trigger.fire();
            }
        }
    }
}

fn bind(key: &'static str, address: SocketAddr, tls: Option<TlsListener>) -> Result<Bound, Error> {
    Bound::bind(address, tls).map_err(|source| Error::Listen { key, address, source })
}

/// Names that clients and operators use, besides those of registries and upstreams.
fn known_hosts(settings: &Settings) -> KnownHosts {
    let url = settings.auth.url.as_ref().and_then(|url| url.host_str()).map(str::to_ascii_lowercase);
    KnownHosts::new(settings.http.hosts.iter().cloned().chain(url).chain(settings.auth.domain.clone()))
}

/// systemd's `Type=notify`, where the environment has it.
fn tell_supervisor(state: &[sd_notify::NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::warn!(%error, "systemd could not be told");
    }
}

/// What to type next.
fn say_hello(settings: &Settings) {
    let names: Vec<&str> = settings.upstreams.iter().map(|upstream| upstream.name.as_str()).collect();
    let addresses: Vec<String> = settings.listen.iter().map(|listener| listener.address.to_string()).collect();
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        commit = env!("ENTREPOT_COMMIT"),
        listen = addresses.join(", "),
        admin = settings.admin.listen.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
        upstreams = names.join(", "),
        "serving"
    );
    if let (Some(listener), Some(name)) = (settings.listen.first(), names.first()) {
        let port = listener.address.port();
        let scheme = if listener.tls.is_some() { "https" } else { "http" };
        tracing::info!(
            "try: docker pull localhost:{port}/{name}/library/nginx   or: entrepot client-config containerd --url {scheme}://localhost:{port}"
        );
    }
}
