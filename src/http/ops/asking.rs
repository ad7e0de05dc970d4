//! Questions to the database, a few at once.
//!
//! Who asks while too many others do is told to come back, and nobody waits longer than ten seconds. A question that nobody waits for
//! any more keeps its place until the database is done with it: else those that are given up could take every connection. Closing
//! the database waits for it.

use std::sync::Arc;
use std::time::Duration;

use http::header::RETRY_AFTER;
use http::{HeaderValue, Response, StatusCode};
use tokio::sync::Semaphore;

use super::super::transport::ResponseBody;
use super::text;
use crate::meta;
use crate::storage::joined;

const PATIENCE: Duration = Duration::from_secs(10);

/// Cheap to clone.
#[derive(Clone)]
pub(super) struct Asking(Arc<Semaphore>);

impl Asking {
    pub(super) fn new(at_once: usize) -> Self {
        Self(Arc::new(Semaphore::new(at_once)))
    }

    /// The answer, or what is sent instead. `what` is asked for.
    pub(super) async fn ask<T: Send + 'static>(
        &self,
        what: &'static str,
        question: impl Future<Output = Result<T, meta::Error>> + Send + 'static,
    ) -> Result<T, Response<ResponseBody>> {
        let Ok(place) = self.0.clone().try_acquire_owned() else {
            return Err(later(format!("others are asking for {what}: ask again in a moment\n")));
        };
        let asking = tokio::spawn(async move {
            let _place = place;
            question.await
        });
        match tokio::time::timeout(PATIENCE, async { joined(asking.await).await }).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => {
                tracing::error!(%error, what, "an operator's question cannot be answered");
                Err(later("the database does not tell; the log says why\n".to_owned()))
            }
            Err(_) => Err(later("the database takes too long: ask for less, or in a moment\n".to_owned())),
        }
    }

    #[cfg(test)]
    pub(super) fn places(&self) -> &Semaphore {
        &self.0
    }
}

fn later(why: String) -> Response<ResponseBody> {
    let mut response = text(StatusCode::SERVICE_UNAVAILABLE, why);
    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("5"));
    response
}
