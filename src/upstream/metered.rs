//! Counting what comes from an upstream, for the repository that it comes for.

use super::remote::Upstream;
use crate::metering::Fetched;
use crate::oci::RepositoryName;

impl Upstream {
    /// A body that was read whole.
    pub(super) fn received(&self, repository: &RepositoryName, bytes: usize) {
        self.received_bytes.inc_by(bytes as u64);
        self.fetch(repository).add(bytes as u64);
    }

    /// A body that begins to come.
    pub(super) fn fetch(&self, repository: &RepositoryName) -> Fetched {
        let settings = self.settings();
        self.meter.fetch(settings.registry, || {
            let prefix = settings.repository_prefix.as_ref().map(RepositoryName::as_str);
            local(settings.known_as(), prefix, repository.as_str())
        })
    }
}

/// How a repository of the upstream is called here: `remote` is as the upstream knows it, its prefix and all.
fn local(upstream: &str, prefix: Option<&str>, remote: &str) -> String {
    let bare = prefix.and_then(|prefix| remote.strip_prefix(prefix)?.strip_prefix('/')).unwrap_or(remote);
    format!("{upstream}/{bare}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for (prefix, remote, expected) in [
            (None, "library/nginx", "hub/library/nginx"),
            (Some("proxy"), "proxy/library/nginx", "hub/library/nginx"),
            (Some("a/b"), "a/b/c", "hub/c"),
            (Some("a"), "ab/c", "hub/ab/c"),
        ] {
            assert_eq!(local("hub", prefix, remote), expected);
        }
    }
}
