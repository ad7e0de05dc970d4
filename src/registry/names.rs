//! Which upstream a name means, or that it is a repository of one's own.
//!
//! Upstreams are named in four ways, in this order: the namespace that the client sends, the host that it came to, the first
//! components of the path, and, for what is no repository of one's own, the default upstream. The world is closed: only
//! configured upstreams exist, and a namespace is a key into this table, never something to connect to.
//!
//! The default upstream stands in for a name that the registry does not have, so it decides what is pulled under that name. It answers
//! as much as [`DefaultFor`] says, and never a name that begins with a host: that is another registry's.

use std::collections::HashMap;
use std::sync::Arc;

use crate::action::RequestedName;
use crate::config::{DefaultFor, UpstreamSettings};
use crate::oci::{AccountId, QualifiedName, RepositoryName};
use crate::turns::Asker;
use crate::upstream::Upstream;

/// A repository of an upstream.
#[derive(Clone)]
pub struct Repository {
    pub upstream: Arc<Upstream>,
    /// As upstream knows it.
    pub remote: RepositoryName,
    /// As the cache knows it, whichever way the client named it: the upstream's name, then the remote name.
    pub local: RepositoryName,
    /// As the registry of an account knows it, where the upstream of a rule is named by its prefix.
    pub own: QualifiedName,
    /// On whose behalf it is asked.
    pub asker: Asker,
}

impl Repository {
    pub(super) fn on_behalf_of(self, asker: Asker) -> Self {
        Self { asker, ..self }
    }

    /// Bytes of its names.
    pub(super) fn bytes(&self) -> usize {
        [&self.remote, &self.local, &self.own.name].iter().map(|name| name.as_str().len()).sum()
    }
}

/// What a name means.
#[derive(Clone)]
pub enum Named {
    Upstream(Repository),
    /// A repository of one's own; where there is none of this name, the default upstream's, or an offline one's.
    Own {
        name: QualifiedName,
        otherwise: Option<Repository>,
    },
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    #[error("no upstream is configured for the namespace {0:?}; add an [[upstream]] with it in `ns`")]
    UnknownNamespace(String),
    /// In ECR's words, which scripts look for.
    #[error(
        "The repository with name '{}' does not exist in the registry with id '{}': {hint}", .0.name, .0.account, hint = hint(&.0.name)
    )]
    Unknown(QualifiedName),
    #[error("there is no registry {0} here; its account would be an [[account]] of the configuration")]
    UnknownRegistry(AccountId),
    #[error("{0} names an upstream but no repository of it")]
    NoRepository(RepositoryName),
    #[error(
        "{name} is a name of upstream {owner} here, so {upstream} is not asked for it; a repository of {upstream} of that name cannot be had"
    )]
    Nested { name: RepositoryName, owner: String, upstream: String },
}

/// What names mean in the registry of one account.
pub struct Names {
    account: AccountId,
    upstreams: Vec<Arc<Upstream>>,
    by_host: HashMap<String, Arc<Upstream>>,
    /// By path prefix; `longest_prefix` is the most components that one has.
    by_prefix: HashMap<String, Arc<Upstream>>,
    longest_prefix: usize,
    /// Those whose name is below another's.
    nested: Vec<Arc<Upstream>>,
    default: Option<Arc<Upstream>>,
}

impl Names {
    /// Where two upstreams have a host, it is the first one's.
    pub fn new(account: AccountId, upstreams: Vec<Arc<Upstream>>) -> Self {
        let mut by_host = HashMap::new();
        let mut by_prefix = HashMap::new();
        for upstream in &upstreams {
            for host in &upstream.settings().ns {
                by_host.entry(host.clone()).or_insert_with(|| upstream.clone());
                by_prefix.entry(host.clone()).or_insert_with(|| upstream.clone());
            }
        }
        // A name goes before another upstream's host.
        for upstream in &upstreams {
            by_prefix.insert(upstream.settings().known_as().to_owned(), upstream.clone());
        }
        let longest_prefix = by_prefix.keys().map(|prefix| prefix.split('/').count()).max().unwrap_or_default();
        let default = upstreams.iter().find(|upstream| upstream.settings().default != DefaultFor::None).cloned();
        let is_below = |inner: &str, outer: &str| inner.strip_prefix(outer).is_some_and(|rest| rest.starts_with('/'));
        let names = |upstream: &Upstream| upstream.name().as_str().to_owned();
        let outer: Vec<String> = upstreams.iter().map(|upstream| names(upstream)).collect();
        let is_nested = |upstream: &&Arc<Upstream>| outer.iter().any(|outer| is_below(upstream.name().as_str(), outer));
        let nested = upstreams.iter().filter(is_nested).cloned().collect();
        Self { account, upstreams, by_host, by_prefix, longest_prefix, nested, default }
    }

    pub fn upstreams(&self) -> &[Arc<Upstream>] {
        &self.upstreams
    }

    pub fn resolve(&self, name: &RequestedName) -> Result<Named, NameError> {
        if let Some(namespace) = &name.namespace {
            let known = self.by_host(namespace);
            let upstream = known.ok_or_else(|| NameError::UnknownNamespace(namespace.clone()))?;
            return self.named(upstream, name.path.as_str(), &name.path);
        }
        if let Some(upstream) = name.host.as_deref().and_then(|host| self.by_virtual_host(host)) {
            return self.named(upstream, name.path.as_str(), &name.path);
        }
        let path = name.path.as_str();
        let ends = path.match_indices('/').map(|(at, _)| at).take(self.longest_prefix).collect::<Vec<_>>();
        for end in ends.into_iter().rev() {
            let (prefix, rest) = path.split_at(end);
            if let Some(upstream) = self.by_prefix.get(prefix) {
                return self.named(upstream, rest.trim_start_matches('/'), &name.path);
            }
        }
        if self.by_prefix.contains_key(path) {
            return Err(NameError::NoRepository(name.path.clone()));
        }
        let own = QualifiedName::new(self.account, name.path.clone());
        match &self.default {
            // Nobody may put something of their own in the place of the default upstream's official images.
            Some(upstream) if is_official(upstream.settings(), path) => self.named(upstream, path, &name.path),
            Some(upstream) if is_default_for(upstream.settings(), path) => {
                Ok(Named::Own { name: own, otherwise: Some(self.repository(upstream, path, &name.path)?) })
            }
            _ => Ok(Named::Own { name: own, otherwise: None }),
        }
    }

    /// What a name means that says which upstream it is of.
    fn named(&self, upstream: &Arc<Upstream>, path: &str, whole: &RepositoryName) -> Result<Named, NameError> {
        let repository = self.repository(upstream, path, whole)?;
        Ok(if upstream.settings().offline {
            Named::Own { name: repository.own.clone(), otherwise: Some(repository) }
        } else {
            Named::Upstream(repository)
        })
    }

    /// Whether requests that come to this host mean an upstream.
    pub fn is_host(&self, host: &str) -> bool {
        self.by_virtual_host(host).is_some()
    }

    /// The port that a client came to is this registry's own, unless an upstream is named with it. The upstream of a rule is none: whoever
    /// may make rules would decide what every name means that comes to a host.
    fn by_virtual_host(&self, host: &str) -> Option<&Arc<Upstream>> {
        let bare = || host.rsplit_once(':').filter(|(_, port)| port.bytes().all(|c| c.is_ascii_digit()));
        let named = self.by_host(host).or_else(|| self.by_host(bare()?.0));
        named.filter(|upstream| upstream.settings().rule.is_none())
    }

    /// Host names do not tell case apart, and `:443` goes without saying.
    fn by_host(&self, host: &str) -> Option<&Arc<Upstream>> {
        let host = host.to_ascii_lowercase();
        self.by_host.get(&host).or_else(|| self.by_host.get(host.strip_suffix(":443")?))
    }

    /// `path` is a part of `whole`, cut between components, so it is a name, too.
    fn repository(
        &self,
        upstream: &Arc<Upstream>,
        path: &str,
        whole: &RepositoryName,
    ) -> Result<Repository, NameError> {
        let settings = upstream.settings();
        let named = match &settings.library {
            Some(library) if !path.contains('/') => format!("{library}/{path}").parse(),
            _ => path.parse(),
        };
        let named: RepositoryName = named.unwrap_or_else(|_| whole.clone());
        let local = RepositoryName::under(upstream.name().as_str(), &named);
        if let Some(owner) = self.nested.iter().find(|other| is_taken(other, upstream, &local)) {
            let (owner, upstream) = (owner.name().to_string(), upstream.name().to_string());
            return Err(NameError::Nested { name: local, owner, upstream });
        }
        let own = RepositoryName::under(settings.known_as(), &named);
        let remote = match &settings.repository_prefix {
            // What would be too long with the prefix cannot be there.
            Some(prefix) => format!("{prefix}/{named}").parse().map_err(|_| NameError::NoRepository(whole.clone()))?,
            None => named,
        };
        Ok(Repository {
            upstream: upstream.clone(),
            remote,
            local,
            own: QualifiedName::new(self.account, own),
            asker: Asker::work("questions"),
        })
    }
}

/// Whether `name`, of a repository of `upstream`, is one of a repository of `other`, whose name is the longer one: what is kept by the name
/// would be both's.
fn is_taken(other: &Upstream, upstream: &Upstream, name: &RepositoryName) -> bool {
    let (longer, shorter) = (other.name().as_str(), upstream.name().as_str());
    longer.len() > shorter.len() && name.as_str().strip_prefix(longer).is_some_and(|rest| rest.starts_with('/'))
}

/// Docker Hub's `library/nginx`, as dockerd asks its mirrors for `nginx`.
fn is_official(settings: &UpstreamSettings, path: &str) -> bool {
    let library = settings.library.as_deref();
    library.is_some_and(|library| path.split_once('/').is_some_and(|(first, _)| first == library))
}

fn is_default_for(settings: &UpstreamSettings, path: &str) -> bool {
    match settings.default {
        DefaultFor::None => false,
        DefaultFor::Library => is_official(settings, path),
        DefaultFor::All => host_of(path).is_none(),
    }
}

/// The host that a name begins with, by the rule of Docker's references; a colon cannot be in a path.
fn host_of(path: &str) -> Option<&str> {
    let (first, _) = path.split_once('/')?;
    (first.contains('.') || first == "localhost").then_some(first)
}

fn hint(name: &RepositoryName) -> String {
    let path = name.as_str();
    match host_of(path) {
        Some(host) => format!("{host} is not a configured upstream; add [[upstream]] name = {host:?}"),
        None => {
            format!("its first part names no upstream; an upstream's repository is named whole, as docker.io/{path}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::Metrics;

    const CONFIG: &str = r#"
        [[upstream]]
        name = "docker.io"
        default = "all"
        [[upstream]]
        name = "team/mirror"
        ns = ["registry.team.example:8443", "[::1]:5000"]
        url = ["https://registry.team.example:8443"]
        [[upstream]]
        name = "team"
        ns = ["team.example"]
        url = ["https://other.team.example"]
    "#;

    fn names(config: &str) -> Names {
        let settings = crate::config::parse(config).unwrap();
        let metrics = Metrics::new().unwrap();
        let account = settings.auth.account;
        Names::new(
            account,
            settings.upstreams.into_iter().map(|one| Upstream::new(one, metrics.clone()).unwrap()).collect(),
        )
    }

    fn resolve(names: &Names, path: &str, namespace: Option<&str>, host: Option<&str>) -> Result<String, NameError> {
        let requested = RequestedName {
            path: path.parse().unwrap(),
            namespace: namespace.map(str::to_owned),
            host: host.map(str::to_owned),
            registry: None,
        };
        names.resolve(&requested).map(|named| match named {
            Named::Upstream(repository) => format!("{} {}", repository.upstream.name(), repository.remote),
            Named::Own { name, otherwise: None } => format!("own {name}"),
            Named::Own { name, otherwise: Some(other) } => {
                format!("own {name}, or {} {}", other.upstream.name(), other.remote)
            }
        })
    }

    /// C64 and C66: namespaces in any spelling, the aliases of Docker Hub, `library/`; what is not configured is not there.
    #[test]
    fn c64_c66_names() {
        let names = names(CONFIG);
        for (path, namespace, host, expected) in [
            ("docker.io/library/nginx", None, None, "docker.io library/nginx"),
            ("docker.io/nginx", None, None, "docker.io library/nginx"),
            ("index.docker.io/nginx", None, None, "docker.io library/nginx"),
            ("registry-1.docker.io/a/b", None, None, "docker.io a/b"),
            ("nginx", None, None, "own nginx, or docker.io library/nginx"),
            ("library/nginx", None, None, "docker.io library/nginx"),
            ("a/b", None, None, "own a/b, or docker.io a/b"),
            ("nginx", Some("Docker.IO"), None, "docker.io library/nginx"),
            ("nginx", Some("index.docker.io:443"), None, "docker.io library/nginx"),
            ("docker.io/nginx", Some("docker.io"), None, "docker.io docker.io/nginx"),
            ("a", Some("registry.team.example:8443"), None, "team/mirror a"),
            ("a", Some("[::1]:5000"), None, "team/mirror a"),
            ("a", None, Some("registry.team.example:8443"), "team/mirror a"),
            ("a", None, Some("localhost:5000"), "own a, or docker.io library/a"),
            ("a/b", None, Some("docker.io:5000"), "docker.io a/b"),
            ("a", None, Some("registry.team.example:5000"), "own a, or docker.io library/a"),
            ("a", None, Some("[::1]"), "own a, or docker.io library/a"),
            ("team/mirror/a/b", None, None, "team/mirror a/b"),
            ("team/mirrors/a", None, None, "team mirrors/a"),
            ("mirrors/a", Some("team.example"), None, "team mirrors/a"),
            ("mirror", Some("team.example"), None, "team mirror"),
            ("team/a", None, None, "team a"),
        ] {
            assert_eq!(
                resolve(&names, path, namespace, host).as_deref(),
                Ok(expected),
                "{path} {namespace:?} {host:?}"
            );
        }
        for namespace in
            ["unknown.example", "127.0.0.1:22", "[::1]", "169.254.169.254", "docker.io:5000", "docker.io/x"]
        {
            assert_eq!(
                resolve(&names, "a", Some(namespace), None),
                Err(NameError::UnknownNamespace(namespace.to_owned()))
            );
        }
        assert!(matches!(resolve(&names, "docker.io", None, None), Err(NameError::NoRepository(_))));
        // By the names that things are kept by, this would be a repository of both.
        for (namespace, host) in [(Some("team.example"), None), (None, Some("team.example"))] {
            assert!(matches!(resolve(&names, "mirror/a", namespace, host), Err(NameError::Nested { .. })));
        }
    }

    /// Nothing of one's own, and nothing of a registry that is not configured, is asked of the default upstream.
    #[test]
    fn nh6_the_default_answers_for_no_other_registry() {
        let all = names(CONFIG);
        let library = names("[[upstream]]\nname = \"docker.io\"\n");
        for (path, of_all, of_library) in [
            ("library/nginx", "docker.io library/nginx", "docker.io library/nginx"),
            ("library/a/b", "docker.io library/a/b", "docker.io library/a/b"),
            ("libraryx/a", "own libraryx/a, or docker.io libraryx/a", "own libraryx/a"),
            ("library", "own library, or docker.io library/library", "own library"),
            ("nginx", "own nginx, or docker.io library/nginx", "own nginx"),
            ("org/tool", "own org/tool, or docker.io org/tool", "own org/tool"),
            ("quay.io/org/tool", "own quay.io/org/tool", "own quay.io/org/tool"),
            (
                "registry.example/library/nginx",
                "own registry.example/library/nginx",
                "own registry.example/library/nginx",
            ),
            ("localhost/app", "own localhost/app", "own localhost/app"),
            ("localhosts/app", "own localhosts/app, or docker.io localhosts/app", "own localhosts/app"),
            ("node.js", "own node.js, or docker.io library/node.js", "own node.js"),
            ("docker.io/org/tool", "docker.io org/tool", "docker.io org/tool"),
        ] {
            assert_eq!(resolve(&all, path, None, None).as_deref(), Ok(of_all), "{path}");
            assert_eq!(resolve(&library, path, None, None).as_deref(), Ok(of_library), "{path}");
        }
        let account = "000000000000".parse().unwrap();
        let told = |path: &str| NameError::Unknown(QualifiedName::new(account, path.parse().unwrap())).to_string();
        assert!(
            told("quay.io/org/tool")
                .ends_with("quay.io is not a configured upstream; add [[upstream]] name = \"quay.io\"")
        );
        assert!(told("org/tool").ends_with("named whole, as docker.io/org/tool"));
    }

    #[test]
    fn without_a_default_a_name_without_upstream_is_our_own() {
        let names = names("[[upstream]]\nname = \"quay.io\"\n");
        assert_eq!(resolve(&names, "nginx", None, None).as_deref(), Ok("own nginx"));
        assert_eq!(resolve(&names, "library/nginx", None, None).as_deref(), Ok("own library/nginx"));
        assert_eq!(resolve(&names, "quay.io/a/b", None, None).as_deref(), Ok("quay.io a/b"));
    }
}
