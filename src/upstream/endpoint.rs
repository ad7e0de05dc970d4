//! One base URL of an upstream.

use std::sync::{PoisonError, RwLock};

use prometheus::IntGauge;
use reqwest::Url;

use super::breaker::Breaker;
use super::pass::Wanted;
use super::proofs::Proofs;
use super::reach;

pub(super) struct Endpoint {
    base: Url,
    /// With the port, where the URL has one.
    host: String,
    /// Named by every request, where the host is a mirror of several registries.
    namespace: Option<String>,
    pub(super) breaker: Breaker,
    pub(super) proofs: Proofs,
    wanted: RwLock<Option<Wanted>>,
}

impl Endpoint {
    pub(super) fn new(base: Url, namespace: Option<&str>, available: IntGauge) -> Self {
        let (host, namespace) = (reach::host(&base), namespace.map(str::to_owned));
        Self {
            base,
            host,
            namespace,
            breaker: Breaker::new(available),
            proofs: Proofs::default(),
            wanted: RwLock::new(None),
        }
    }

    /// `path` is what follows `/v2/`. A query that comes from a link may name the namespace already.
    pub(super) fn url(&self, path: &str, query: Option<&str>) -> Url {
        let mut url = self.base.clone();
        url.set_path(&format!("{}/v2/{path}", self.base.path().trim_end_matches('/')));
        let named = |pair: &&str| pair.split('=').next() == Some("ns");
        let namespace = self.namespace.as_ref().map(|namespace| format!("ns={namespace}"));
        let pairs = query.into_iter().flat_map(|query| query.split('&'));
        let pairs: Vec<&str> =
            pairs.filter(|pair| namespace.is_none() || !named(pair)).chain(namespace.as_deref()).collect();
        let query = pairs.join("&");
        url.set_query(Some(query.as_str()).filter(|query| !query.is_empty()));
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
        Endpoint::new(base.parse().unwrap(), None, IntGauge::new("a", "b").unwrap())
    }

    #[test]
    fn nh0_the_namespace_is_said_once() {
        let gauge = IntGauge::new("a", "b").unwrap();
        let mirror = Endpoint::new("http://central:5000".parse().unwrap(), Some("ghcr.io"), gauge);
        for (query, expected) in [
            (None, "ns=ghcr.io"),
            (Some("n=2"), "n=2&ns=ghcr.io"),
            (Some("last=b&ns=docker.io&n=2"), "last=b&n=2&ns=ghcr.io"),
            (Some("nsx=1"), "nsx=1&ns=ghcr.io"),
        ] {
            assert_eq!(mirror.url("a/tags/list", query).query(), Some(expected));
        }
        assert_eq!(endpoint("http://host").url("a/tags/list", Some("ns=x")).query(), Some("ns=x"));
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
