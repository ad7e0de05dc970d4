//! A changed configuration, taken up while serving.

use tokio_util::sync::CancellationToken;

use super::build::{Core, names};
use crate::config::{Settings, Watch};

/// Applies each change until `stop`. A bad one is refused whole and what is there keeps serving.
pub(super) async fn follow(mut watch: Watch, mut settings: Settings, core: &Core, stop: CancellationToken) {
    loop {
        let loaded = tokio::select! {
            () = stop.cancelled() => return,
            loaded = watch.next() => loaded,
        };
        let applied = loaded.map_err(|errors| errors.to_string()).and_then(|new| {
            let names = names(&new.upstreams, &core.metrics).map_err(|error| error.to_string())?;
            core.registry.apply(names);
            core.cache.apply(&new.cache);
            Ok(new)
        });
        let result = match applied {
            Ok(new) => {
                let later = settings.needs_restart(&new);
                if later.is_empty() {
                    tracing::info!("the configuration was read again and applied");
                } else {
                    tracing::warn!(keys = later.join(", "), "the configuration was applied; these keys need a restart");
                }
                settings = new;
                "applied"
            }
            Err(errors) => {
                tracing::error!(%errors, "the changed configuration was refused; the old one keeps serving");
                "refused"
            }
        };
        core.metrics.config_reloads.with_label_values(&[result]).inc();
    }
}
