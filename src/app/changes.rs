//! What is announced, here or by other replicas, passed on to whoever remembers it.
//!
//! Pull-through rules and jobs are not among it: reading them takes time, and the registry and the queue follow them by themselves.

use tokio_util::sync::CancellationToken;

use super::build::Core;
use crate::auth::Authenticator;
use crate::meta::Change;
use crate::policy::Authorizer;
use crate::registry::Registry;
use crate::telemetry::Metrics;

struct Memories {
    authenticator: Authenticator,
    authorizer: Authorizer,
    registry: Registry,
    metrics: Metrics,
}

/// Listens and passes on, until `stop`.
pub(super) fn follow(core: &Core, stop: CancellationToken) -> impl Future<Output = ()> + use<> {
    let memories = Memories {
        authenticator: core.authenticator.clone(),
        authorizer: core.authorizer.clone(),
        registry: core.registry.clone(),
        metrics: core.metrics.clone(),
    };
    let (meta, mut changes) = (core.meta.clone(), core.meta.changes());
    async move {
        let pass_on = async {
            loop {
                for change in changes.next().await {
                    memories.forget(change);
                }
            }
        };
        tokio::select! {
            () = stop.cancelled() => {}
            ((), ()) = async { tokio::join!(meta.listen(), pass_on) } => {}
        }
    }
}

impl Memories {
    fn forget(&self, change: Change) {
        match change {
            Change::Principals => {
                self.authenticator.forget();
                self.authorizer.policies_changed();
            }
            Change::Policies => self.authorizer.policies_changed(),
            Change::Exclusions => self.registry.hosted().exclusions_changed(),
            Change::Pulled => self.registry.forget_pulled(),
            // They are followed where they are used.
            Change::Rules | Change::Jobs => return,
        }
        tracing::debug!(kind = change.name(), "what was remembered of these was forgotten: a change was announced");
        self.metrics.announced_changes.with_label_values(&[change.name()]).inc();
    }
}
