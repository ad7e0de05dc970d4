//! The life of the process: load, build, bind, serve, wait, drain.

use std::time::{Duration, SystemTime};

use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::build::{self, Core};
use super::error::Error;
use super::reload;
use crate::cache::BlobCache;
use crate::config::{self, Settings, Watch};
use crate::http::{Ops, Readiness, Service, serve};
use crate::meta::Meta;
use crate::telemetry::Logs;

/// Time between writes of when blobs were used.
const FLUSH_EVERY: Duration = Duration::from_secs(30);

/// Serves until SIGTERM or SIGINT, and drains.
pub async fn run(source: config::Source) -> Result<(), Error> {
    let (watch, settings) = Watch::start(source, Watch::USUAL_INTERVAL);
    let settings = settings?;
    let _logs = Logs::start(&settings.telemetry);
    let readiness = Readiness::default();
    let core = build::core(&settings).await?;

    let stop_accepting = CancellationToken::new();
    let stop_background = CancellationToken::new();
    let background = TaskTracker::new();
    let connections = TaskTracker::new();

    let service = Service::new(core.registry.clone(), core.metrics.clone(), settings.telemetry.access);
    for listener in &settings.listen {
        let socket = bind(listener.address).await?;
        let service = service.clone();
        let call = move |request| {
            let service = service.clone();
            async move { service.call(request).await }
        };
        connections.spawn(serve(socket, call, stop_accepting.clone()));
    }
    let ops = Ops::new(core.metrics.clone(), core.cache.clone(), readiness.clone());
    for address in &settings.admin.listen {
        let socket = bind(*address).await?;
        let ops = ops.clone();
        let call = move |request| std::future::ready(ops.call(&request));
        background.spawn(serve(socket, call, stop_background.clone()));
    }
    let registry = core.registry.clone();
    let stop = stop_background.clone();
    background.spawn(async move { registry.refresh_in_background(stop).await });
    background.spawn(flush_uses(core.cache.clone(), core.meta.clone(), stop_background.clone()));
    readiness.set_ready();
    say_hello(&settings);

    wait(watch, &settings, &core).await?;

    tracing::info!("stopping: requests in flight are finished first");
    readiness.set_draining();
    stop_accepting.cancel();
    connections.close();
    let _ = tokio::time::timeout(settings.http.drain_timeout, connections.wait()).await;
    core.cache.close().await;
    stop_background.cancel();
    background.close();
    let _ = tokio::time::timeout(Duration::from_secs(5), background.wait()).await;
    core.registry.close().await;
    core.cache.flush_uses(&core.meta, SystemTime::now()).await;
    core.meta.close().await;
    tracing::info!("stopped");
    Ok(())
}

/// Follows the configuration until a signal says to stop.
async fn wait(watch: Watch, settings: &Settings, core: &Core) -> Result<(), Error> {
    let mut terminate = signal(SignalKind::terminate()).map_err(Error::Signals)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(Error::Signals)?;
    let mut hangup = signal(SignalKind::hangup()).map_err(Error::Signals)?;
    let trigger = watch.trigger();
    let stop = CancellationToken::new();
    let following = reload::follow(watch, settings.clone(), core, stop.clone());
    tokio::pin!(following);
    loop {
        tokio::select! {
            () = &mut following => return Ok(()),
            _ = terminate.recv() => return Ok(()),
            _ = interrupt.recv() => return Ok(()),
            _ = hangup.recv() => trigger.fire(),
        }
    }
}

async fn flush_uses(cache: BlobCache, meta: Meta, stop: CancellationToken) {
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(FLUSH_EVERY) => cache.flush_uses(&meta, SystemTime::now()).await,
        }
    }
}

async fn bind(address: std::net::SocketAddr) -> Result<TcpListener, Error> {
    TcpListener::bind(address).await.map_err(|source| Error::Listen { address, source })
}

/// What to type next.
fn say_hello(settings: &Settings) {
    let names: Vec<&str> = settings.upstreams.iter().map(|upstream| upstream.name.as_str()).collect();
    let addresses: Vec<String> = settings.listen.iter().map(|listener| listener.address.to_string()).collect();
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        commit = env!("ENTREPOT_COMMIT"),
        listen = addresses.join(", "),
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
