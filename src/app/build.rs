//! Rooms, in the order in which each needs those before it.

use std::sync::Arc;
use std::time::Instant;

use super::ballast;
use super::error::Error;
use super::identities;
use crate::accounts::{self, Accounts};
use crate::auth::{Authenticator, Certificates, Enrolment, Keyring, RoleSources};
use crate::cache::{BlobCache, Shared};
use crate::config::{MetaSettings, Settings, StorageSettings, UpstreamSettings};
use crate::memory;
use crate::meta::{Connections, Meta};
use crate::metering::Meter;
use crate::policy::Authorizer;
use crate::registry::{Registries, Registry, Upstreams};
use crate::storage::{Bucket, Depot, Storage};
use crate::telemetry::{Audit, Metrics};
use crate::upstream::Upstream;

/// Everything below the wire.
pub(super) struct Core {
    pub(super) metrics: Metrics,
    pub(super) meta: Meta,
    pub(super) meter: Meter,
    pub(super) cache: BlobCache,
    pub(super) registry: Registry,
    /// This replica's name.
    pub(super) replica: String,
    pub(super) keyring: Arc<Keyring>,
    pub(super) authenticator: Authenticator,
    pub(super) authorizer: Authorizer,
    pub(super) accounts: accounts::Api,
}

pub(super) async fn core(settings: &Settings) -> Result<Core, Error> {
    let metrics = Metrics::new()?;
    metrics.build_info.with_label_values(&[env!("CARGO_PKG_VERSION"), env!("ENTREPOT_COMMIT")]).set(1);
    memory::limit(settings);
    let started = Instant::now();
    let data = settings.data.clone();
    let reserve = reserve(settings);
    if reserve > 0 {
        ballast::give_up(&settings.data);
    }
    let storage = blocking(move || Storage::open_leaving(&data, reserve)).await?;
    let meta = meta(settings).await?;
    meta.told_to(metrics.clone());
    if reserve > 0 {
        ballast::put_by(&settings.data, reserve);
    }
    let uses = meta.blob_uses().await?;
    let pushed = settings.data.join("hosted");
    let bucket = match &settings.storage {
        StorageSettings::Local => None,
        StorageSettings::S3(bucket) => Some(Bucket::connect(bucket)?),
    };
    let pushed = blocking(move || Depot::new(Storage::open_leaving(&pushed, reserve)?, bucket)).await?;
    let replica = pushed.holder().to_owned();
    let (has_bucket, shared) = (pushed.bucket().is_some(), shared(&settings.storage, &pushed, &meta, &metrics));
    let (cache_settings, cache_metrics) = (settings.cache.clone(), metrics.clone());
    let cache =
        blocking(move || BlobCache::load(storage, &cache_settings, &uses, has_bucket, shared, cache_metrics)).await?;
    tracing::info!(data = %settings.data.display(), seconds = started.elapsed().as_secs_f64(), "opened the data folder");
    let keyring = identities::keyring(settings).await?;
    let account = settings.auth.account;
    let sources = RoleSources::new(&settings.oidc, &settings.certificates, &settings.roles, account);
    let certificates = Certificates::new(&settings.certificates, account, &sources)?;
    let authenticator = Authenticator::new(
        keyring.clone(),
        settings.auth.clone(),
        &settings.oidc,
        certificates,
        &sources,
        meta.clone(),
    )?;
    let authorizer =
        Authorizer::new(settings.auth.clone(), &settings.repositories, meta.clone()).map_err(Error::Public)?;
    let enrolment = Enrolment::new(meta.clone(), keyring.clone(), settings.auth.account);
    let accounts = accounts::Api::new(
        Accounts::new(meta.clone(), enrolment, settings.auth.password_min_length),
        authenticator.clone(),
        authorizer.clone(),
    );
    let meter = Meter::new(&settings.metering, settings.auth.account, metrics.clone());
    let declared = declared(&settings.upstreams, &metrics, &meter)?;
    let registries = Arc::new(Registries::new(&settings.auth, &settings.accounts));
    let upstreams = Upstreams::new(registries, declared, settings.data.join("secrets"), meta.clone(), metrics.clone());
    let upstreams = upstreams.metered_by(meter.clone()).ruled_by(settings.rules.clone());
    upstreams.read_rules().await?;
    let registry =
        Registry::new(upstreams, cache.clone(), pushed, settings, meta.clone(), keyring.clone(), metrics.clone());
    registry.note_origins().await?;
    Ok(Core { metrics, meta, meter, cache, registry, replica, keyring, authenticator, authorizer, accounts })
}

/// Bytes of the disk for the database. Another machine's needs none.
pub(super) fn reserve(settings: &Settings) -> u64 {
    if settings.meta.url.is_some() { 0 } else { settings.meta.reserve }
}

pub(super) fn connections(settings: &Settings) -> Connections {
    let MetaSettings { read_connections, write_connections, timeout, probe_timeout, last_known, .. } = settings.meta;
    Connections {
        reads: read_connections,
        writes: write_connections,
        patience: timeout,
        probe: probe_timeout,
        last_known,
    }
}

pub(super) async fn meta(settings: &Settings) -> Result<Meta, Error> {
    let connections = connections(settings);
    Ok(match &settings.meta.url {
        Some(url) => Meta::open_postgres(url.expose(), connections).await?,
        None => Meta::open_with(&settings.data.join("entrepot.db"), connections).await?,
    })
}

pub(super) fn audit(settings: &Settings, metrics: &Metrics) -> Result<Audit, Error> {
    match &settings.telemetry.audit {
        Some(path) => Audit::to_file(path, &settings.data, metrics.clone())
            .map_err(|source| Error::Audit { path: path.clone(), source }),
        None => Audit::to_log(settings.telemetry.format, metrics.clone())
            .map_err(|source| Error::Audit { path: "standard error".into(), source }),
    }
}

/// What upstreams sent lies in the bucket as well, unless the settings say that it should not.
fn shared(settings: &StorageSettings, depot: &Depot, meta: &Meta, metrics: &Metrics) -> Option<Shared> {
    let StorageSettings::S3(settings) = settings else { return None };
    let bucket = depot.bucket().filter(|_| settings.pulled > 0)?;
    let (meta, metrics) = (meta.clone(), metrics.clone());
    Some(Shared::new(bucket.clone(), meta, depot.holder(), settings.fetch_wait, settings.pulled, metrics))
}

/// The upstreams of the configuration.
fn declared(settings: &[UpstreamSettings], metrics: &Metrics, meter: &Meter) -> Result<Vec<Arc<Upstream>>, Error> {
    let make = |settings: &UpstreamSettings| Upstream::metered(settings.clone(), metrics.clone(), meter.clone());
    Ok(settings.iter().map(make).collect::<Result<_, _>>()?)
}

async fn blocking<T: Send + 'static, E: Send + 'static>(
    work: impl FnOnce() -> Result<T, E> + Send + 'static,
) -> Result<T, E> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}
