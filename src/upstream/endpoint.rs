//! One base URL of an upstream.

use std::sync::{PoisonError, RwLock};

use prometheus::IntGauge;
use reqwest::Url;

use super::breaker::Breaker;
use super::pass::Wanted;

pub(super) struct Endpoint {
    base: Url,
    /// With the port, where the URL has one.
    host: String,
    pub(super) breaker: Breaker,
    wanted: RwLock<Option<Wanted>>,
}

impl Endpoint {
    pub(super) fn new(base: Url, available: IntGauge) -> Self {
        let name = base.host_str().unwrap_or_default();
        let host = base.port().map_or_else(|| name.to_owned(), |port| format!("{name}:{port}"));
        Self { base, host, breaker: Breaker::new(available), wanted: RwLock::new(None) }
    }

    /// `path` is what follows `/v2/`.
    pub(super) fn url(&self, path: &str, query: Option<&str>) -> Url {
        let mut url = self.base.clone();
        url.set_path(&format!("{}/v2/{path}", self.base.path().trim_end_matches('/')));
        url.set_query(query);
        url
    }

    pub(super) fn host(&self) -> &str {
        &self.host
    }

    pub(super) fn is_https(&self) -> bool {
        self.base.scheme() == "https"
    }

    /// Whether `url` is of the same scheme, host and port, so that our credential may go there.
    pub(super) fn is_home_of(&self, url: &Url) -> bool {
        self.base.origin() == url.origin()
    }

    pub(super) fn wanted(&self) -> Option<Wanted> {
        self.wanted.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn set_wanted(&self, wanted: Option<Wanted>) {
        *self.wanted.write().unwrap_or_else(PoisonError::into_inner) = wanted;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(base: &str) -> Endpoint {
        Endpoint::new(base.parse().unwrap(), IntGauge::new("a", "b").unwrap())
    }

    #[test]
    fn urls() {
        let digest = format!("a/b/blobs/sha256:{}", "0".repeat(64));
        let url = endpoint("https://host:5000").url(&digest, None);
        assert_eq!(url.as_str(), format!("https://host:5000/v2/{digest}"));
        let url = endpoint("http://host/prefix/").url("a/tags/list", Some("n=1"));
        assert_eq!(url.as_str(), "http://host/prefix/v2/a/tags/list?n=1");
    }

    #[test]
    fn home() {
        let home = endpoint("https://host/prefix");
        assert_eq!((home.host(), endpoint("http://[::1]:5000").host()), ("host", "[::1]:5000"));
        for (url, expected) in [
            ("https://host/x", true),
            ("https://host:443/x", true),
            ("http://host/x", false),
            ("https://host:444/x", false),
            ("https://other/x", false),
            ("https://host.other/x", false),
        ] {
            assert_eq!(home.is_home_of(&url.parse().unwrap()), expected, "{url}");
        }
    }
}
