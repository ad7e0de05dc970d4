//! Changes are carried out to their end, whether their client stays or not, and their records say how they ended.

use std::future::Future;

use tokio_util::task::TaskTracker;
use tracing::Instrument as _;

use crate::storage::joined;
use crate::telemetry::Entry;

/// Changes under way. Cheap to clone.
#[derive(Clone, Default)]
pub struct Changes(TaskTracker);

/// How an operation that was allowed failed.
pub enum Fault {
    /// The fault's name.
    Failed(String),
    /// It was refused by something that came to light only while it was carried out.
    Refused { name: String, why: String },
}

impl Changes {
    /// An operation with a record runs in a task of its own, to which the record belongs: neither is cut off when the client leaves.
    /// Without a record it is no change, and ends with its client. `outcome` is what the record says of one that was carried out.
    pub async fn carry_out<T, E>(
        &self,
        entry: Option<Entry>,
        work: impl Future<Output = Result<T, E>> + Send + 'static,
        fault: fn(&E) -> Fault,
        outcome: fn(&T) -> Option<String>,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: Send + 'static,
    {
        let Some(mut entry) = entry else { return work.await };
        let work = async move {
            let done = work.await;
            if let Some(detail) = done.as_ref().ok().and_then(outcome) {
                entry.says(&detail);
            }
            match done.as_ref().map_err(fault) {
                Ok(_) => entry.done(),
                Err(Fault::Failed(name)) => entry.failed(&name),
                Err(Fault::Refused { name, why }) => entry.refused(&name, &why),
            }
            done
        };
        joined(self.0.spawn(work.in_current_span()).await).await
    }

    /// Waits for those under way.
    pub async fn close(&self) {
        self.0.close();
        self.0.wait().await;
    }
}
