//! What a token gives access to: scopes as clients write them, and the `access` claim.
//!
//! `type[(class)]:name:action[,action]`. A name may hold colons, because it may begin with a host and a port. Whatever is
//! not understood is passed over, as distribution's token server does: the token then simply does not give it.

use std::fmt;

use serde::{Deserialize, Serialize};

const MAX_SCOPES: usize = 64;
const MAX_NAME_CHARS: usize = 512;
const MAX_CLASS_CHARS: usize = 64;

/// One resource and what may be done with it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Access {
    #[serde(rename = "type")]
    pub kind: ResourceType,
    /// `plugin`, or nothing. It changes no right.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class: Option<String>,
    /// A repository's name, or `catalog`. It is not yet known to be well formed.
    pub name: String,
    /// Sorted, without repetition.
    pub actions: Vec<AccessAction>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ResourceType {
    Repository,
    Registry,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum AccessAction {
    #[serde(rename = "pull")]
    Pull,
    #[serde(rename = "push")]
    Push,
    #[serde(rename = "delete")]
    Delete,
    #[serde(rename = "*")]
    All,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the request has more than {MAX_SCOPES} scopes: ask for fewer at a time")]
pub(super) struct TooManyScopes;

impl Access {
    /// Bytes that it takes.
    pub fn bytes(&self) -> usize {
        size_of::<Self>() + self.class.as_ref().map_or(0, String::len) + self.name.len() + self.actions.len()
    }

    /// Every scope of a request. Scopes of one resource become one.
    pub(super) fn parse_all<'a>(texts: impl IntoIterator<Item = &'a str>) -> Result<Vec<Self>, TooManyScopes> {
        let mut all: Vec<Self> = Vec::new();
        for (index, scope) in
            texts.into_iter().flat_map(|text| text.split(' ')).filter(|text| !text.is_empty()).enumerate()
        {
            if index == MAX_SCOPES {
                return Err(TooManyScopes);
            }
            let Some(access) = Self::parse(scope) else { continue };
            let same = |known: &&mut Self| {
                (known.kind, &known.class, &known.name) == (access.kind, &access.class, &access.name)
            };
            match all.iter_mut().find(same) {
                Some(known) => known.add(access.actions),
                None => all.push(access),
            }
        }
        Ok(all)
    }

    /// Nothing where it is not understood.
    pub fn parse(scope: &str) -> Option<Self> {
        let (kind, rest) = scope.split_once(':')?;
        let (name, actions) = rest.rsplit_once(':')?;
        let (kind, class) = match kind.split_once('(') {
            None => (kind, None),
            Some((kind, class)) => (kind, Some(class.strip_suffix(')').filter(|class| is_class(class))?.to_owned())),
        };
        let kind = match kind {
            "repository" => ResourceType::Repository,
            "registry" => ResourceType::Registry,
            _ => return None,
        };
        if !is_name(name) {
            return None;
        }
        let mut access = Self { kind, class, name: name.to_owned(), actions: Vec::new() };
        access.add(actions.split(',').filter_map(AccessAction::parse).collect());
        Some(access)
    }

    fn add(&mut self, actions: Vec<AccessAction>) {
        self.actions.extend(actions);
        self.actions.sort_unstable();
        self.actions.dedup();
    }
}

impl AccessAction {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pull => "pull",
            Self::Push => "push",
            Self::Delete => "delete",
            Self::All => "*",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        [Self::Pull, Self::Push, Self::Delete, Self::All].into_iter().find(|action| action.as_str() == text)
    }
}

fn is_name(text: &str) -> bool {
    (1..=MAX_NAME_CHARS).contains(&text.len())
        && text.bytes().all(|c| c.is_ascii_alphanumeric() || matches!(c, b'.' | b'_' | b'-' | b'/' | b':'))
}

fn is_class(text: &str) -> bool {
    (1..=MAX_CLASS_CHARS).contains(&text.len()) && text.bytes().all(|c| c.is_ascii_alphanumeric())
}

/// As a scope.
impl fmt::Display for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.kind {
            ResourceType::Repository => "repository",
            ResourceType::Registry => "registry",
        })?;
        if let Some(class) = &self.class {
            write!(f, "({class})")?;
        }
        let actions: Vec<_> = self.actions.iter().map(|action| action.as_str()).collect();
        write!(f, ":{}:{}", self.name, actions.join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(texts: &[&str]) -> Vec<String> {
        Access::parse_all(texts.iter().copied()).unwrap().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn scopes() {
        for (scope, read_as) in [
            ("repository:library/nginx:pull", "repository:library/nginx:pull"),
            ("repository:a:push,pull,push", "repository:a:pull,push"),
            ("repository:localhost:5000/a/b:pull", "repository:localhost:5000/a/b:pull"),
            ("repository(plugin):vieux/sshfs:pull", "repository(plugin):vieux/sshfs:pull"),
            ("registry:catalog:*", "registry:catalog:*"),
            ("repository:a:*", "repository:a:*"),
            ("repository:a:pull,metadata_read", "repository:a:pull"),
            ("repository:a:", "repository:a:"),
        ] {
            assert_eq!(read(&[scope]), [read_as], "{scope}");
        }
    }

    #[test]
    fn passed_over() {
        for scope in [
            "openid",
            "repository",
            "repository:a",
            "repository::pull",
            "artifact:a:pull",
            "Repository:a:pull",
            "repository(:a:pull",
            "repository():a:pull",
            "repository(x)y:a:pull",
            "repository:\"a\":pull",
            "repository:\u{e4}:pull",
            "*:*:*",
        ] {
            assert!(read(&[scope]).is_empty(), "{scope}");
        }
    }

    #[test]
    fn several() {
        assert_eq!(
            read(&["repository:a:pull repository:b:pull", "", "repository:a:push  nonsense", "repository(x):a:pull"]),
            ["repository:a:pull,push", "repository:b:pull", "repository(x):a:pull"]
        );
        let many = "repository:a:pull ".repeat(MAX_SCOPES);
        assert_eq!(read(&[&many]).len(), 1);
        assert_eq!(Access::parse_all([many.as_str(), "nonsense"]), Err(TooManyScopes));
        assert!(Access::parse(&format!("repository:{}:pull", "a".repeat(513))).is_none());
    }

    #[test]
    fn as_the_claim() {
        let access = Access::parse("repository:a/b:pull,push").unwrap();
        let json = r#"{"type":"repository","name":"a/b","actions":["pull","push"]}"#;
        assert_eq!(serde_json::to_string(&access).unwrap(), json);
        assert_eq!(serde_json::from_str::<Access>(json).unwrap(), access);
    }

    proptest::proptest! {
        #[test]
        fn never_panics(text in "[a-z():,* \u{e4}]{0,60}") {
            let _ = Access::parse_all([text.as_str()]);
        }

        #[test]
        fn round_trip(scope in "(repository|registry)(\\([a-z]{1,5}\\))?:[a-z0-9:/._-]{1,20}:(pull,push|delete|\\*|)") {
            proptest::prop_assert_eq!(Access::parse(&scope).map(|access| access.to_string()), Some(scope));
        }
    }
}
