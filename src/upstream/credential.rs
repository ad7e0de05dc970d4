//! Who we are at an upstream.

use std::time::{Duration, Instant};

use super::docker_config::{DockerConfig, Entry};
use super::error::ErrorKind;
use super::flight::Flights;
use super::helper;
use crate::config::{Credential, Secret};
use crate::memory::{self, Map};
use crate::oci::Digest;

/// How long the answer of a helper that a Docker configuration names is used.
const CONFIG_HELPER_LIFETIME: Duration = Duration::from_secs(300);
/// A helper that was asked a moment ago is not asked again: its answer is as new as it gets.
const RENEW_AFTER: Duration = Duration::from_secs(1);

/// Under this name Docker's tools keep the credential of Docker Hub, whatever its hosts.
const DOCKER_HUB_KEY: &str = "https://index.docker.io/v1/";
const DOCKER_HUB_HOSTS: [&str; 4] = ["docker.io", "index.docker.io", "registry-1.docker.io", "registry.hub.docker.com"];

/// A credential that can be used now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Login {
    Anonymous,
    Basic {
        username: String,
        password: Secret,
    },
    /// An OAuth2 refresh token: shown to the token service only.
    IdentityToken(Secret),
}

/// A login, and whether a new one may differ: it came from a helper some time ago.
#[derive(Clone, Debug)]
pub(super) struct Resolved {
    pub(super) login: Login,
    pub(super) kept: bool,
}

pub(super) struct Credentials {
    source: Source,
    answers: Map<HelperKey, (Login, Instant)>,
    flights: Flights<HelperKey, Login>,
}

enum Source {
    Fixed(Login),
    DockerConfig(DockerConfig),
    Helper { command: Vec<String>, lifetime: Duration },
}

/// A command and the server that it is asked about.
type HelperKey = (Vec<String>, String);

impl Login {
    fn bytes(&self) -> usize {
        match self {
            Self::Anonymous => 0,
            Self::Basic { username, password } => username.len() + password.expose().len(),
            Self::IdentityToken(token) => token.expose().len(),
        }
    }

    /// Distinguishes credentials in the key of a token without keeping them there.
    pub(super) fn fingerprint(&self) -> Digest {
        match self {
            Self::Anonymous => Digest::of(b"anonymous"),
            Self::Basic { username, password } => {
                Digest::of(format!("basic\0{username}\0{}", password.expose()).as_bytes())
            }
            Self::IdentityToken(token) => Digest::of(format!("token\0{}", token.expose()).as_bytes()),
        }
    }
}

impl Credentials {
    pub(super) fn new(credential: &Credential) -> Self {
        let source = match credential {
            Credential::Anonymous => Source::Fixed(Login::Anonymous),
            Credential::Basic { username, password } => {
                Source::Fixed(Login::Basic { username: username.clone(), password: password.clone() })
            }
            Credential::DockerConfig { path } => Source::DockerConfig(DockerConfig::new(path.clone())),
            Credential::Helper { command, lifetime } => {
                Source::Helper { command: command.clone(), lifetime: *lifetime }
            }
        };
        Self {
            source,
            answers: Map::new(memory::Kind::Helpers, |(command, server), (login, _)| {
                command.iter().map(|word| size_of::<String>() + word.len()).sum::<usize>()
                    + server.len()
                    + login.bytes()
            }),
            flights: Flights::new(),
        }
    }

    /// The credential for a registry's `host` (with its port, where it has one). With `renew`, a helper is asked again even
    /// if its last answer is still within its lifetime.
    pub(super) async fn login(&self, host: &str, renew: bool) -> Result<Resolved, ErrorKind> {
        let server = if DOCKER_HUB_HOSTS.contains(&host) { DOCKER_HUB_KEY } else { host };
        match &self.source {
            Source::Fixed(login) => Ok(Resolved { login: login.clone(), kept: false }),
            Source::Helper { command, lifetime } => {
                self.ask_helper((command.clone(), server.to_owned()), *lifetime, renew).await
            }
            Source::DockerConfig(config) => match config.find(server).await? {
                None => Ok(Resolved { login: Login::Anonymous, kept: false }),
                Some(Entry::Login(login)) => Ok(Resolved { login, kept: false }),
                Some(Entry::Helper(name)) => {
                    let command = vec![format!("docker-credential-{name}")];
                    self.ask_helper((command, server.to_owned()), CONFIG_HELPER_LIFETIME, renew).await
                }
            },
        }
    }

    async fn ask_helper(&self, key: HelperKey, lifetime: Duration, renew: bool) -> Result<Resolved, ErrorKind> {
        if let Some((login, asked_at)) = self.answers.get(&key) {
            let age = asked_at.elapsed();
            let kept = !renew && age >= RENEW_AFTER;
            if age < if renew { RENEW_AFTER } else { lifetime } {
                return Ok(Resolved { login, kept });
            }
        }
        let flight = self.flights.join(&key, || {
            let (answers, key) = (self.answers.clone(), key.clone());
            async move {
                let asked_at = Instant::now();
                let login = helper::get(&key.0, &key.1).await?;
                answers.insert(key, (login.clone(), asked_at));
                Ok(login)
            }
        });
        Ok(Resolved { login: flight.await?, kept: false })
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn helper(folder: &std::path::Path, script: &str) -> Vec<String> {
        let path = folder.join("helper");
        std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        vec![path.to_str().unwrap().to_owned()]
    }

    #[tokio::test]
    async fn a_helper_is_asked_once_in_its_lifetime() {
        let folder = tempfile::tempdir().unwrap();
        let script = format!(
            r#"echo x >> {0}/calls; sleep 0.1; read server; echo "{{\"Username\":\"$1-$server\",\"Secret\":\"s\"}}""#,
            folder.path().display()
        );
        let command = helper(folder.path(), &script);
        let calls = || std::fs::read_to_string(folder.path().join("calls")).unwrap().lines().count();
        let credentials = Credentials::new(&Credential::Helper { command, lifetime: Duration::from_secs(60) });
        let (one, two) = tokio::join!(credentials.login("host:1", false), credentials.login("host:1", false));
        let expected = Login::Basic { username: "get-host:1".to_owned(), password: Secret::new("s") };
        assert_eq!(one.unwrap().login, expected);
        assert_eq!(two.unwrap().login, expected);
        assert_eq!(calls(), 1);
        assert!(!credentials.login("host:1", true).await.unwrap().kept);
        assert_eq!(calls(), 1);
        tokio::time::sleep(RENEW_AFTER).await;
        assert!(credentials.login("host:1", false).await.unwrap().kept);
        assert_eq!(calls(), 1);
        assert!(!credentials.login("host:1", true).await.unwrap().kept);
        assert_eq!(calls(), 2);
    }

    #[tokio::test]
    async fn docker_hub_has_one_name() {
        let folder = tempfile::tempdir().unwrap();
        let command = helper(folder.path(), r#"read server; echo "{\"Username\":\"$server\",\"Secret\":\"s\"}""#);
        let credentials = Credentials::new(&Credential::Helper { command, lifetime: Duration::from_secs(60) });
        let login = credentials.login("registry-1.docker.io", false).await.unwrap().login;
        assert!(matches!(login, Login::Basic { username, .. } if username == DOCKER_HUB_KEY));
    }

    #[test]
    fn fingerprints_differ() {
        let basic = |username: &str, password: &str| {
            Login::Basic { username: username.to_owned(), password: Secret::new(password) }.fingerprint()
        };
        assert_eq!(basic("a", "b"), basic("a", "b"));
        assert_ne!(basic("a", "b"), basic("a", "c"));
        assert_ne!(basic("ab", ""), basic("a", "b"));
        assert_ne!(Login::Anonymous.fingerprint(), Login::IdentityToken(Secret::new("")).fingerprint());
    }

    #[test]
    fn secrets_are_not_printed() {
        let login = Login::Basic { username: "u".to_owned(), password: Secret::new("hunter2") };
        assert!(!format!("{login:?} {:?}", Login::IdentityToken(Secret::new("hunter2"))).contains("hunter2"));
    }
}
