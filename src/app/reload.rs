//! A changed configuration, taken up while serving.

use std::convert::Infallible;
use std::path::PathBuf;
use std::sync::Arc;

use super::build::Core;
use crate::config::{Settings, UpstreamSettings, Watch};
use crate::http::TlsListener;
use crate::upstream::Upstream;

/// Applies each change, for ever. A bad one is refused whole and what is there keeps serving.
pub(super) async fn follow(
    mut watch: Watch,
    started: Settings,
    core: &Core,
    certificates: &[TlsListener],
) -> Infallible {
    loop {
        let result = match watch.next().await {
            Ok(new) => match apply(&new, watch.changed_files(), core, certificates) {
                Ok(()) => {
                    if let Err(error) = core.registry.note_origins().await {
                        tracing::error!(%error, "it was not noted where upstreams are; those that moved may still be answered for as before");
                    }
                    let later = started.needs_restart(&new);
                    if later.is_empty() {
                        tracing::info!("the configuration was read again and applied");
                    } else {
                        tracing::warn!(
                            keys = later.join(", "),
                            "the configuration was read again and applied, but for these keys, which need a restart"
                        );
                    }
                    "applied"
                }
                Err(error) => {
                    tracing::error!(error, "the changed configuration was refused; the old one keeps serving");
                    "refused"
                }
            },
            Err(errors) => {
                for problem in errors.to_string().lines() {
                    tracing::error!(problem, "the changed configuration was refused; the old one keeps serving");
                }
                "refused"
            }
        };
        core.metrics.config_reloads.with_label_values(&[result]).inc();
    }
}

fn apply(new: &Settings, changed: &[PathBuf], core: &Core, certificates: &[TlsListener]) -> Result<(), String> {
    let present = core.registry.upstreams();
    let upstreams: Result<Vec<_>, _> =
        new.upstreams.iter().map(|settings| keep_or_make(settings, &present, changed, core)).collect();
    let upstreams = upstreams.map_err(|error| error.to_string())?;
    for listener in certificates {
        listener.reload().map_err(|error| error.to_string())?;
    }
    core.registry.declare(upstreams);
    core.cache.apply(&new.cache);
    Ok(())
}

/// An upstream that did not change keeps its tokens, connections and circuit breakers.
fn keep_or_make(
    settings: &UpstreamSettings,
    present: &[Arc<Upstream>],
    changed: &[PathBuf],
    core: &Core,
) -> Result<Arc<Upstream>, crate::upstream::Error> {
    let files =
        settings.ca.iter().chain(settings.client_certificate.iter().flat_map(|(certificate, key)| [certificate, key]));
    let untouched = files.into_iter().all(|file| !changed.contains(file));
    match present.iter().find(|upstream| untouched && upstream.settings() == settings) {
        Some(upstream) => Ok(upstream.clone()),
        None => Upstream::metered(settings.clone(), core.metrics.clone(), core.meter.clone()),
    }
}
