//! Asking again, before somebody has to wait.
//!
//! Tags and lists that were used since they were last checked, and whose time is over, are asked for in the background.
//! What nobody uses any more is asked for once after its last use and then left alone.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::PullThrough;
use super::perishable::{Perishables, Question};

/// Time between rounds.
const EVERY: Duration = Duration::from_secs(10);

/// Questions at once.
const AT_ONCE: usize = 4;

impl PullThrough {
    /// Runs until `stop`.
    pub(in crate::registry) async fn refresh_in_background(&self, stop: CancellationToken) {
        let places = Arc::new(Semaphore::new(AT_ONCE));
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(EVERY) => {}
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = refresh_due(&self.tags, &places) => {}
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = refresh_due(&self.lists, &places) => {}
            }
        }
    }
}

async fn refresh_due<Q: Question>(perishables: &Arc<Perishables<Q>>, places: &Arc<Semaphore>) {
    let questions = perishables.due().into_iter().map(|question| async move {
        let _place = places.acquire().await;
        perishables.refresh(&question).await;
    });
    futures_util::future::join_all(questions).await;
}
