//! A Docker `config.json`, or podman's `auth.json`: which credential belongs to which server.

use std::collections::HashMap;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use base64::Engine;
use serde::Deserialize;

use super::credential::Login;
use super::error::ErrorKind;
use crate::config::Secret;

const MAX_FILE_BYTES: u64 = 1 << 20;
/// The file is looked at no more often than this.
const LOOK_EVERY: Duration = Duration::from_secs(1);

pub(super) struct DockerConfig {
    path: PathBuf,
    last: Mutex<Option<Look>>,
}

/// What the file says of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Entry {
    Login(Login),
    /// The helper `docker-credential-<name>` knows.
    Helper(String),
}

#[derive(Clone)]
struct Look {
    at: Instant,
    stamp: Stamp,
    file: Arc<File>,
}

/// Changes when the file does; a Kubernetes secret is replaced by another inode behind a symlink.
#[derive(Clone, PartialEq, Eq)]
struct Stamp {
    inode: u64,
    length: u64,
    modified: Option<SystemTime>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct File {
    auths: HashMap<String, Auth>,
    cred_helpers: HashMap<String, String>,
    creds_store: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Auth {
    auth: String,
    username: String,
    password: String,
    identitytoken: String,
}

impl DockerConfig {
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path, last: Mutex::new(None) }
    }

    pub(super) async fn find(&self, server: &str) -> Result<Option<Entry>, ErrorKind> {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(look) = &last
            && look.at.elapsed() < LOOK_EVERY
        {
            return self.said(look.file.find(server));
        }
        let path = self.path.clone();
        let read = tokio::task::spawn_blocking(move || look(&path, last)).await;
        let look = read
            .map_err(|error| error.to_string())
            .and_then(|look| look)
            .map_err(|detail| login_failed(format!("`docker_config` {} {detail}", self.path.display())))?;
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(look.clone());
        self.said(look.file.find(server))
    }

    fn said(&self, found: Result<Option<Entry>, String>) -> Result<Option<Entry>, ErrorKind> {
        found.map_err(|detail| login_failed(format!("`docker_config` {} {detail}", self.path.display())))
    }
}

fn look(path: &Path, last: Option<Look>) -> Result<Look, String> {
    let metadata = std::fs::metadata(path).map_err(|error| format!("cannot be read: {error}"))?;
    let stamp = Stamp { inode: metadata.ino(), length: metadata.len(), modified: metadata.modified().ok() };
    let at = Instant::now();
    match last {
        Some(look) if look.stamp == stamp => Ok(Look { at, ..look }),
        _ if stamp.length > MAX_FILE_BYTES => Err(format!("is longer than {MAX_FILE_BYTES} bytes")),
        _ => {
            let bytes = std::fs::read(path).map_err(|error| format!("cannot be read: {error}"))?;
            // serde's message may quote a value, so only the place is told.
            let file = serde_json::from_slice(&bytes)
                .map_err(|error| format!("is not a Docker configuration: line {}", error.line()))?;
            Ok(Look { at, stamp, file: Arc::new(file) })
        }
    }
}

impl File {
    /// `credHelpers` before `auths` before `credsStore`, which Docker fills with empty `auths`.
    fn find(&self, server: &str) -> Result<Option<Entry>, String> {
        let matching = |key: &&String| host_of(key) == host_of(server);
        if let Some(name) = self.cred_helpers.get(server).or_else(|| {
            let key = self.cred_helpers.keys().find(matching)?;
            self.cred_helpers.get(key)
        }) {
            return helper(name).map(Some);
        }
        let auth = self.auths.get(server).or_else(|| self.auths.get(self.auths.keys().find(matching)?));
        if let Some(login) = auth.map(Auth::login).transpose()?.flatten() {
            return Ok(Some(Entry::Login(login)));
        }
        self.creds_store.as_deref().filter(|name| !name.is_empty()).map(helper).transpose()
    }
}

/// The name becomes part of a program's name, so it must not be a path.
fn helper(name: &str) -> Result<Entry, String> {
    let plain = !name.is_empty() && name.bytes().all(|c| c.is_ascii_alphanumeric() || b"-_.".contains(&c));
    if plain { Ok(Entry::Helper(name.to_owned())) } else { Err(format!("names a credential helper {name:?}")) }
}

/// Keys are hosts, or URLs whose path is an API version; a longer path is podman's key of some repositories only.
fn host_of(key: &str) -> &str {
    let rest = key.strip_prefix("https://").or_else(|| key.strip_prefix("http://")).unwrap_or(key);
    match rest.split_once('/') {
        None => rest,
        Some((host, "" | "v1" | "v1/" | "v2" | "v2/")) => host,
        Some(_) => rest,
    }
}

impl Auth {
    fn login(&self) -> Result<Option<Login>, String> {
        if !self.identitytoken.is_empty() {
            return Ok(Some(Login::IdentityToken(Secret::new(&self.identitytoken))));
        }
        let (username, password) = if self.auth.is_empty() {
            (self.username.clone(), self.password.clone())
        } else {
            let decoded = base64::engine::general_purpose::STANDARD.decode(self.auth.trim());
            let text = decoded.ok().and_then(|bytes| String::from_utf8(bytes).ok());
            let Some((username, password)) = text.as_deref().and_then(|text| text.split_once(':')) else {
                return Err("has an `auth` that is not base64 of user:password".to_owned());
            };
            (username.to_owned(), password.trim_end_matches('\0').to_owned())
        };
        Ok((!username.is_empty()).then(|| Login::Basic { username, password: Secret::new(&password) }))
    }
}

fn login_failed(detail: String) -> ErrorKind {
    ErrorKind::LoginFailed { detail, retry_after: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn basic(username: &str, password: &str) -> Option<Entry> {
        Some(Entry::Login(Login::Basic { username: username.to_owned(), password: Secret::new(password) }))
    }

    const TEXT: &str = r#"{
        "auths": {
            "https://index.docker.io/v1/": {"auth": "aHViOnNlOmNyZXQ="},
            "plain.example:5000": {"username": "u", "password": "p"},
            "http://url.example/v2/": {"auth": "dTpw"},
            "token.example": {"auth": "PHRva2VuPjo=", "identitytoken": "refresh"},
            "podman.example/team": {"auth": "dTpw"},
            "broken.example": {"auth": "!"},
            "stored.example": {}
        },
        "credHelpers": {"ecr.example": "ecr-login", "evil.example": "../../x"},
        "HttpHeaders": {}
    }"#;

    #[test]
    fn forms() {
        let file: File = serde_json::from_str(TEXT).unwrap();
        for (server, expected) in [
            ("https://index.docker.io/v1/", Ok(basic("hub", "se:cret"))),
            ("plain.example:5000", Ok(basic("u", "p"))),
            ("plain.example", Ok(None)),
            ("url.example", Ok(basic("u", "p"))),
            ("token.example", Ok(Some(Entry::Login(Login::IdentityToken(Secret::new("refresh")))))),
            ("podman.example", Ok(None)),
            ("stored.example", Ok(None)),
            ("ecr.example", Ok(Some(Entry::Helper("ecr-login".to_owned())))),
            ("unknown.example", Ok(None)),
        ] {
            assert_eq!(file.find(server), expected, "{server}");
        }
        for server in ["broken.example", "evil.example"] {
            assert!(file.find(server).is_err(), "{server}");
        }
    }

    #[test]
    fn a_store_knows_what_the_file_does_not_say() {
        let file: File = serde_json::from_str(
            r#"{"auths":{"a":{},"b":{"auth":"dTpw"}},"credsStore":"pass","credHelpers":{"c":"gcr"}}"#,
        )
        .unwrap();
        assert_eq!(file.find("a"), Ok(Some(Entry::Helper("pass".to_owned()))));
        assert_eq!(file.find("b"), Ok(basic("u", "p")));
        assert_eq!(file.find("c"), Ok(Some(Entry::Helper("gcr".to_owned()))));
    }

    #[tokio::test]
    async fn read_anew_when_it_changes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.json");
        let config = DockerConfig::new(path.clone());
        let missing = config.find("a").await.unwrap_err();
        assert!(missing.to_string().contains("config.json"), "{missing}");
        std::fs::write(&path, r#"{"auths":{"a":{"auth":"dTpw"}}}"#).unwrap();
        assert_eq!(config.find("a").await.unwrap(), basic("u", "p"));
        std::fs::write(&path, r#"{"auths":{"a":{"username":"other","password":"p"}}}"#).unwrap();
        tokio::time::sleep(LOOK_EVERY).await;
        assert_eq!(config.find("a").await.unwrap(), basic("other", "p"));
        std::fs::write(&path, r#"{"auths":"secret"}"#).unwrap();
        tokio::time::sleep(LOOK_EVERY).await;
        let broken = config.find("a").await.unwrap_err().to_string();
        assert!(broken.contains("line 1") && !broken.contains("secret"), "{broken}");
    }
}
