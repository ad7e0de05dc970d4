//! `/usage`: what was used, from the database.
//!
//! Who asks while two others do is told to come back, and nobody waits longer than ten seconds. A question that nobody waits for
//! any more keeps its place until the database is done with it: else those that are given up could take every connection. Closing
//! the database waits for it.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use http::header::RETRY_AFTER;
use http::{HeaderValue, Response, StatusCode};
use tokio::sync::Semaphore;

use super::super::transport::ResponseBody;
use super::{json, text};
use crate::meta::Meta;
use crate::metering::{Wanted, report};
use crate::oci::AccountId;
use crate::storage::joined;

/// Questions at once.
const MAX_QUESTIONS: usize = 2;

const PATIENCE: Duration = Duration::from_secs(10);

/// Cheap to clone.
#[derive(Clone)]
pub struct Usage {
    meta: Meta,
    account: AccountId,
    places: Arc<Semaphore>,
}

impl Usage {
    pub fn new(meta: Meta, account: AccountId) -> Self {
        Self { meta, account, places: Arc::new(Semaphore::new(MAX_QUESTIONS)) }
    }

    pub(super) async fn tell(&self, query: &str) -> Response<ResponseBody> {
        let asked = Wanted::of_query(query).and_then(|wanted| wanted.question(self.account, SystemTime::now()));
        let question = match asked {
            Ok(question) => question,
            Err(error) => return text(StatusCode::BAD_REQUEST, format!("{error}\n")),
        };
        let Ok(place) = self.places.clone().try_acquire_owned() else {
            return later("others are asking for usage: ask again in a moment\n");
        };
        let meta = self.meta.clone();
        let asking = tokio::spawn(async move {
            let _place = place;
            report(&meta, &question).await
        });
        match tokio::time::timeout(PATIENCE, async { joined(asking.await).await }).await {
            Ok(Ok(report)) => json(StatusCode::OK, &report),
            Ok(Err(error)) => {
                tracing::error!(%error, "usage cannot be told");
                later("the database does not tell; the log says why\n")
            }
            Err(_) => later("the database takes too long: ask for fewer hours\n"),
        }
    }
}

fn later(why: &'static str) -> Response<ResponseBody> {
    let mut response = text(StatusCode::SERVICE_UNAVAILABLE, why);
    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("5"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn nobody_waits_long() {
        let folder = tempfile::tempdir().unwrap();
        let meta = Meta::open(&folder.path().join("db")).await.unwrap();
        let usage = Usage::new(meta.clone(), "000000000000".parse().unwrap());
        assert_eq!(usage.tell("by=hour").await.status(), StatusCode::OK);
        assert_eq!(usage.tell("by=day").await.status(), StatusCode::BAD_REQUEST);
        let others = usage.places.acquire_many(2).await.unwrap();
        let busy = usage.tell("").await;
        assert_eq!(busy.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert!(busy.headers().contains_key(RETRY_AFTER));
        drop(others);
        assert_eq!(usage.tell("").await.status(), StatusCode::OK);
        meta.close().await;
        assert_eq!(usage.tell("").await.status(), StatusCode::SERVICE_UNAVAILABLE);
    }
}
