//! What a Bearer challenge asks for: a token of which service, for what. Pure.

use reqwest::Url;

use super::challenge::Challenge;
use crate::oci::RepositoryName;

/// A token to ask for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Grant {
    pub(super) realm: Url,
    pub(super) service: Option<String>,
    pub(super) scope: String,
}

impl Grant {
    /// Bytes of its texts.
    pub(super) fn bytes(&self) -> usize {
        self.realm.as_str().len() + self.service.as_ref().map_or(0, String::len) + self.scope.len()
    }
}

/// What an endpoint's challenges have in common, so that the next request need not be challenged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TokenService {
    realm: Url,
    service: Option<String>,
    scope: Scope,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Scope {
    /// `repository:<name>:pull`
    Repository,
    /// One for everything, such as ECR Public's `aws`.
    Fixed(String),
    /// The registry knows the repository under another name; only a challenge tells which.
    Told(String),
}

/// Who may issue tokens for an upstream.
pub(super) struct Realms {
    /// Of the upstream's own URLs.
    pub(super) own_hosts: Vec<String>,
    /// `realms` of the settings: hosts, with or without a port.
    pub(super) allowed: Vec<String>,
}

impl TokenService {
    /// Reads a Bearer challenge that came in answer to a request for `repository`. The error says what is wrong with it.
    pub(super) fn read(challenge: &Challenge, repository: &RepositoryName, realms: &Realms) -> Result<Self, String> {
        let realm = challenge.parameter("realm").ok_or("its challenge names no realm")?;
        let mut realm = Url::parse(realm).map_err(|_| format!("its realm {realm:?} is not a URL"))?;
        if !matches!(realm.scheme(), "http" | "https") {
            return Err(format!("its realm has the scheme {:?}", realm.scheme()));
        }
        // A user in the URL would be sent as a credential.
        let _ = realm.set_username("");
        let _ = realm.set_password(None);
        realm.set_fragment(None);
        realms.check(&realm)?;
        let service = challenge.parameter("service").map(str::to_owned);
        let scope = Scope::read(challenge.parameter("scope").unwrap_or_default(), repository);
        Ok(Self { realm, service, scope })
    }

    /// Whether it holds for other repositories, too.
    pub(super) fn is_general(&self) -> bool {
        !matches!(self.scope, Scope::Told(_))
    }

    pub(super) fn grant(&self, repository: &RepositoryName) -> Grant {
        let scope = match &self.scope {
            Scope::Repository => pull_of(repository.as_str()),
            Scope::Fixed(scope) | Scope::Told(scope) => scope.clone(),
        };
        Grant { realm: self.realm.clone(), service: self.service.clone(), scope }
    }
}

impl Scope {
    /// A challenge cannot make us fetch a token for more than pulling, or for a repository that has nothing to do with the
    /// one that was asked for. A registry behind a path prefix, or one that adds a prefix, names it with or without it.
    fn read(told: &str, repository: &RepositoryName) -> Self {
        let wanted = repository.as_str();
        if !told.is_empty() && !told.contains([':', ' ']) {
            return Self::Fixed(told.to_owned());
        }
        let name = told.strip_prefix("repository:").and_then(|rest| rest.rsplit_once(':')).map(|(name, _)| name);
        let is_suffix = |long: &str, short: &str| long.strip_suffix(short).is_some_and(|prefix| prefix.ends_with('/'));
        match name {
            Some(name) if !name.contains(' ') && (is_suffix(name, wanted) || is_suffix(wanted, name)) => {
                Self::Told(pull_of(name))
            }
            _ => Self::Repository,
        }
    }
}

fn pull_of(name: &str) -> String {
    format!("repository:{name}:pull")
}

impl Realms {
    fn check(&self, realm: &Url) -> Result<(), String> {
        let host = realm.host_str().unwrap_or_default();
        let with_port = format!("{host}:{}", realm.port_or_known_default().unwrap_or_default());
        let known = self.own_hosts.iter().any(|own| own == host)
            || self.allowed.iter().any(|allowed| allowed == host || *allowed == with_port);
        if known {
            return Ok(());
        }
        Err(format!(
            "tokens are issued by {host}; if it may receive the credential, add it to this upstream's `realms`"
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upstream::challenge::parse_challenges;

    fn realms() -> Realms {
        Realms {
            own_hosts: vec!["registry.example".to_owned()],
            allowed: vec!["auth.example".to_owned(), "tokens.example:8443".to_owned()],
        }
    }

    fn read(header: &str) -> Result<TokenService, String> {
        TokenService::read(&parse_challenges(header)[0], &"team/app".parse().unwrap(), &realms())
    }

    #[test]
    fn realms_are_a_closed_list() {
        for realm in ["https://registry.example/token", "http://registry.example:5001/t", "https://auth.example:99/x"] {
            assert!(read(&format!("Bearer realm=\"{realm}\"")).is_ok(), "{realm}");
        }
        assert!(read("Bearer realm=\"https://tokens.example:8443/t\"").is_ok());
        for realm in [
            "https://evil.example/token",
            "https://tokens.example/t",
            "https://registry.example.evil/t",
            "https://registry.example@evil.example/t",
            "https://127.0.0.1/t",
        ] {
            let error = read(&format!("Bearer realm=\"{realm}\"")).unwrap_err();
            assert!(error.contains("`realms`"), "{realm}: {error}");
        }
        for header in ["Bearer", "Bearer realm=\"\"", "Bearer realm=\"/token\"", "Bearer realm=\"file:///etc/passwd\""]
        {
            assert!(read(header).is_err(), "{header}");
        }
    }

    #[test]
    fn no_credential_hides_in_the_realm() {
        let service = read("Bearer realm=\"https://user:secret@auth.example/t?a=b#c\"").unwrap();
        assert_eq!(service.realm.as_str(), "https://auth.example/t?a=b");
    }

    #[test]
    fn scopes() {
        for (told, general, expected) in [
            ("", true, "repository:team/app:pull"),
            ("repository:team/app:pull", true, "repository:team/app:pull"),
            ("repository:team/app:pull,push,delete", true, "repository:team/app:pull"),
            ("repository:secret/other:pull", true, "repository:team/app:pull"),
            ("repository:steam/app:pull", true, "repository:team/app:pull"),
            ("registry:catalog:*", true, "repository:team/app:pull"),
            ("repository:team/app:pull repository:other:pull", true, "repository:team/app:pull"),
            ("repository:prefix/team/app:pull,push", false, "repository:prefix/team/app:pull"),
            ("repository:app:pull", false, "repository:app:pull"),
            ("aws", true, "aws"),
        ] {
            let service = read(&format!("Bearer realm=\"https://auth.example/t\",scope=\"{told}\"")).unwrap();
            let grant = service.grant(&"team/app".parse().unwrap());
            assert_eq!((grant.scope.as_str(), service.is_general()), (expected, general), "{told}");
        }
    }
}
