//! A pull-through rule, as it is kept and as the upstream that it stands for.
//!
//! It is kept in the form in which it is asked for, so that one reader checks both.

use crate::config::{self, Credential, DefaultFor, UpstreamName, UpstreamSettings};
use crate::ecr::{CreatePullThroughCacheRule, Operation, Prefix};
use crate::meta::DocumentRow;
use crate::oci::AccountId;

const TARGET: &str = "AmazonEC2ContainerRegistry_V20150921.CreatePullThroughCacheRule";

/// What the upstream of the rule `ROOT` is called; its repositories are listed below this name.
const ROOT_NAME: &str = "root";

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    pub said: CreatePullThroughCacheRule,
    pub created_at_ms: i64,
    pub updated_at_ms: i64,
}

impl Rule {
    /// `None` for a row that no version wrote.
    pub fn of_row(row: &DocumentRow) -> Option<Self> {
        match Operation::parse(TARGET, row.document.as_bytes()) {
            Ok(Operation::CreatePullThroughCacheRule(said)) => {
                Some(Self { said, created_at_ms: row.created_at_ms, updated_at_ms: row.updated_at_ms })
            }
            _ => None,
        }
    }

    /// Under which name it is kept. Prefixes that differ only in the last slash are one.
    pub fn key(&self) -> &str {
        key(&self.said.rule.prefix)
    }

    /// The upstream that it stands for. `account` is that of its registry, if that is not the home registry. The error says what is
    /// wrong with its URL.
    pub fn upstream(&self, account: Option<AccountId>, credential: Credential) -> Result<UpstreamSettings, String> {
        let prefix = &self.said.rule.prefix;
        let mut settings = config::upstream_for_rule(name(prefix), &self.said.upstream_registry_url)?;
        if let Some(account) = account {
            settings.name = UpstreamName::new(&format!("{account}/{}", name(prefix)));
        }
        settings.registry = account;
        settings.default = if prefix.is_root() { DefaultFor::All } else { DefaultFor::None };
        settings.credential = credential;
        if let Some(path) = self.said.upstream_repository_prefix.path() {
            let repository_prefix = path.parse().map_err(|_| format!("{path:?} is no repository name"))?;
            settings.repository_prefix = Some(repository_prefix);
            // It is only a part of that registry.
            settings.ns.clear();
            settings.library = None;
        }
        Ok(settings)
    }
}

/// Under which name a rule of this prefix is kept.
pub fn key(prefix: &Prefix) -> &str {
    prefix.path().unwrap_or(prefix.as_str())
}

/// What the upstream of a rule of this prefix is called.
pub fn name(prefix: &Prefix) -> UpstreamName {
    UpstreamName::new(prefix.path().unwrap_or(ROOT_NAME))
}

/// Whether the prefix could be taken for the name of the rule `ROOT`.
pub fn is_name_of_root(prefix: &Prefix) -> bool {
    prefix.path().is_some_and(|path| path.split('/').next() == Some(ROOT_NAME))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(document: &str) -> Option<Rule> {
        let document = document.to_owned();
        Rule::of_row(&DocumentRow { name: "x".to_owned(), document, created_at_ms: 1, updated_at_ms: 2 })
    }

    fn upstream(prefix: &str, url: &str, upstream_prefix: &str) -> UpstreamSettings {
        let document = serde_json::json!({
            "ecrRepositoryPrefix": prefix, "upstreamRegistryUrl": url, "upstreamRepositoryPrefix": upstream_prefix,
            "createdAt": 7.5,
        });
        rule(&document.to_string()).unwrap().upstream(None, Credential::Anonymous).unwrap()
    }

    #[test]
    fn a_rule_is_an_upstream() {
        let hub = upstream("hub/", "registry-1.docker.io", "ROOT");
        assert_eq!((hub.name.as_str(), hub.library.as_deref()), ("hub", Some("library")));
        assert_eq!((hub.realms.as_slice(), hub.ns.as_slice()), (&["auth.docker.io".to_owned()][..], &[][..]));
        assert_eq!(hub.urls[0].as_str(), "https://registry-1.docker.io/");
        assert!(hub.default == DefaultFor::None && hub.repository_prefix.is_none());

        let part = upstream("docker.io", "registry-1.docker.io", "library");
        assert_eq!(part.repository_prefix, Some("library".parse().unwrap()));
        assert_eq!((part.library, part.ns.len()), (None, 0));

        let root = upstream("ROOT", "https://harbor.example:8443/", "ROOT");
        assert_eq!((root.name.as_str(), root.default), ("root", DefaultFor::All));
        assert_eq!(root.urls[0].as_str(), "https://harbor.example:8443/");
    }

    #[test]
    fn kept_by_its_path() {
        let key = |prefix: &str| {
            let document =
                serde_json::json!({ "ecrRepositoryPrefix": prefix, "upstreamRegistryUrl": "a.example" }).to_string();
            rule(&document).unwrap().key().to_owned()
        };
        assert_eq!([key("ROOT"), key("quay/"), key("quay")], ["ROOT", "quay", "quay"]);
        assert_eq!(rule("{}"), None);
        assert_eq!(rule("nonsense"), None);
    }

    #[test]
    fn names() {
        let is_root = |text: &str| is_name_of_root(&text.parse().unwrap());
        assert_eq!([is_root("root"), is_root("root/a"), is_root("roots")], [true, true, false]);
        assert!(!is_name_of_root(&Prefix::root()));
    }
}
