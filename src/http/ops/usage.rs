//! `/usage`: what was used, from the database.
//!
//! Who asks while two others do is told to come back (`asking.rs`).

use std::time::SystemTime;

use http::{Response, StatusCode};

use super::super::transport::ResponseBody;
use super::asking::Asking;
use super::{json, text};
use crate::meta::Meta;
use crate::metering::{Wanted, report};
use crate::oci::AccountId;

/// Questions at once.
const MAX_QUESTIONS: usize = 2;

/// Cheap to clone.
#[derive(Clone)]
pub struct Usage {
    meta: Meta,
    account: AccountId,
    asking: Asking,
}

impl Usage {
    pub fn new(meta: Meta, account: AccountId) -> Self {
        Self { meta, account, asking: Asking::new(MAX_QUESTIONS) }
    }

    /// The database that is asked.
    pub(super) const fn meta(&self) -> &Meta {
        &self.meta
    }

    pub(super) async fn tell(&self, query: &str) -> Response<ResponseBody> {
        let asked = Wanted::of_query(query).and_then(|wanted| wanted.question(self.account, SystemTime::now()));
        let question = match asked {
            Ok(question) => question,
            Err(error) => return text(StatusCode::BAD_REQUEST, format!("{error}\n")),
        };
        let meta = self.meta.clone();
        let asked = self.asking.ask("usage", async move { report(&meta, &question).await }).await;
        asked.map_or_else(|refused| refused, |report| json(StatusCode::OK, &report))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::header::RETRY_AFTER;

    #[tokio::test]
    async fn nobody_waits_long() {
        let folder = tempfile::tempdir().unwrap();
        let meta = Meta::open(&folder.path().join("db")).await.unwrap();
        let usage = Usage::new(meta.clone(), "000000000000".parse().unwrap());
        assert_eq!(usage.tell("by=hour").await.status(), StatusCode::OK);
        assert_eq!(usage.tell("by=day").await.status(), StatusCode::BAD_REQUEST);
        let others = usage.asking.places().acquire_many(2).await.unwrap();
        let busy = usage.tell("").await;
        assert_eq!(busy.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert!(busy.headers().contains_key(RETRY_AFTER));
        drop(others);
        assert_eq!(usage.tell("").await.status(), StatusCode::OK);
        meta.close().await;
        assert_eq!(usage.tell("").await.status(), StatusCode::SERVICE_UNAVAILABLE);
    }
}
