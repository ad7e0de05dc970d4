//! Credentials of rules: files in a folder, named as Secrets Manager names secrets.
//!
//! The secret `arn:aws:secretsmanager:…:secret:ecr-pullthroughcache/hub-AbCdEf` is `ecr-pullthroughcache/hub.json` in the
//! folder: the service adds a hyphen and six random characters to a secret's name in its ARN.
//!
//! A secret is sent only to the registries that its file names. Whoever may make rules chooses where they point, and a server of
//! their own would be told every secret of the account; in ECR a closed list of registries stands before that.

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use reqwest::Url;
use serde::Deserialize;
use tokio::io::AsyncReadExt;

use crate::config::{Credential, Secret};

/// Secrets Manager keeps no larger one.
const MAX_BYTES: u64 = 64 << 10;

const SUFFIX_CHARS: usize = 6;

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    #[error("its secret does not exist")]
    NotFound,
    #[error("its secret cannot be read")]
    Unreadable,
    #[error("its secret is not of the form {{\"username\": …, \"accessToken\": …}}")]
    Malformed,
    #[error("its secret does not say which registry it is for: add \"registry\": \"{host}\" to the secret's file")]
    ForNobody { host: String },
    #[error("its secret is not for {host}: the \"registry\" of the secret's file names others")]
    ForOthers { host: String },
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Content {
    username: String,
    access_token: String,
    registry: Option<Registries>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Registries {
    One(String),
    Several(Vec<String>),
}

/// Reads the secret of this ARN below `folder`, for the registry at this URL.
pub(super) async fn read(folder: &Path, arn: &str, url: &Url) -> Result<Credential, SecretError> {
    for file in files(arn) {
        match read_file(&folder.join(file)).await {
            Ok(bytes) => return credential(&bytes, url),
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {}
            Err(error) => {
                tracing::warn!(arn, %error, "the secret of a pull-through rule cannot be read");
                return Err(SecretError::Unreadable);
            }
        }
    }
    Err(SecretError::NotFound)
}

async fn read_file(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    tokio::fs::File::open(path).await?.take(MAX_BYTES).read_to_end(&mut bytes).await?;
    Ok(bytes)
}

/// Where the secret may lie: by its name as the ARN has it, then without the suffix. Empty for a name that leads elsewhere.
fn files(arn: &str) -> Vec<PathBuf> {
    let name = arn.split_once(":secret:").map_or("", |(_, name)| name);
    let stays = |name: &str| name.split('/').all(|part| !matches!(part, "" | "." | ".."));
    let bare = name.rsplit_once('-').filter(|(_, suffix)| is_random(suffix)).map(|(bare, _)| bare);
    let names = std::iter::once(name).chain(bare).filter(|name| stays(name));
    names.map(|name| PathBuf::from(format!("{name}.json"))).collect()
}

fn is_random(suffix: &str) -> bool {
    suffix.len() == SUFFIX_CHARS && suffix.bytes().all(|c| c.is_ascii_alphanumeric())
}

fn credential(bytes: &[u8], url: &Url) -> Result<Credential, SecretError> {
    let content: Content = serde_json::from_slice(bytes).map_err(|_| SecretError::Malformed)?;
    let Content { username, access_token, registry } = content;
    // HTTP's Basic scheme cannot carry a colon in the name.
    if username.is_empty() || username.contains(':') || access_token.is_empty() {
        return Err(SecretError::Malformed);
    }
    let host = host(url).ok_or(SecretError::Malformed)?;
    let is_for = match registry {
        None => return Err(SecretError::ForNobody { host }),
        Some(Registries::One(name)) => is_called(&name, &host),
        Some(Registries::Several(names)) => names.iter().any(|name| is_called(name, &host)),
    };
    if is_for {
        Ok(Credential::Basic { username, password: Secret::new(&access_token) })
    } else {
        Err(SecretError::ForOthers { host })
    }
}

/// With its port, where it is not the usual one of https.
fn host(url: &Url) -> Option<String> {
    let host = url.host_str().filter(|_| url.scheme() == "https")?;
    Some(url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}")))
}

/// The URL of a rule may be copied into the file as it is.
fn is_called(name: &str, host: &str) -> bool {
    let name = name.strip_prefix("https://").unwrap_or(name).trim_end_matches('/');
    name.strip_suffix(":443").unwrap_or(name).eq_ignore_ascii_case(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arn(name: &str) -> String {
        format!("arn:aws:secretsmanager:eu-central-1:012345678901:secret:{name}")
    }

    #[test]
    fn where_a_secret_lies() {
        for (name, expected) in [
            ("ecr-pullthroughcache/hub-AbC12z", &["ecr-pullthroughcache/hub-AbC12z", "ecr-pullthroughcache/hub"][..]),
            ("ecr-pullthroughcache/hub", &["ecr-pullthroughcache/hub"]),
            ("ecr-pullthroughcache/a/b-token", &["ecr-pullthroughcache/a/b-token"]),
            ("ecr-pullthroughcache/hub-abc", &["ecr-pullthroughcache/hub-abc"]),
            ("ecr-pullthroughcache/../../etc/passwd", &[]),
            ("ecr-pullthroughcache/./hub", &[]),
            ("ecr-pullthroughcache//hub", &[]),
            ("/etc/passwd", &[]),
            ("", &[]),
        ] {
            let expected: Vec<PathBuf> = expected.iter().map(|name| PathBuf::from(format!("{name}.json"))).collect();
            assert_eq!(files(&arn(name)), expected, "{name}");
        }
        assert!(files("nonsense").is_empty());
    }

    #[tokio::test]
    async fn each_problem_has_its_name() {
        let folder = tempfile::tempdir().unwrap();
        let secrets = folder.path().join("ecr-pullthroughcache");
        std::fs::create_dir(&secrets).unwrap();
        std::fs::create_dir(secrets.join("folder.json")).unwrap();
        for (name, text) in [
            ("good", r#"{"username":"u","accessToken":"t","registry":"a.example","more":1}"#),
            ("several", r#"{"username":"u","accessToken":"t","registry":["b.example:8443","https://A.example:443/"]}"#),
            ("old", r#"{"username":"u","accessToken":"t"}"#),
            ("number", r#"{"username":"u","accessToken":"t","registry":7}"#),
            ("colon", r#"{"username":"u:v","accessToken":"t","registry":"a.example"}"#),
            ("lacking", r#"{"username":"u"}"#),
            ("text", "t"),
        ] {
            std::fs::write(secrets.join(format!("{name}.json")), text).unwrap();
        }
        let read_for = async |name: &str, url: &str| {
            read(folder.path(), &arn(&format!("ecr-pullthroughcache/{name}")), &url.parse().unwrap()).await
        };
        let read = async |name: &str| read_for(name, "https://a.example").await;
        let good = Credential::Basic { username: "u".to_owned(), password: Secret::new("t") };
        assert_eq!(read("good").await, Ok(good.clone()));
        assert_eq!(read("good-AAAAAA").await, Ok(good));
        assert_eq!(read("absent").await, Err(SecretError::NotFound));
        assert_eq!(read("good/x").await, Err(SecretError::NotFound));
        assert_eq!(read("folder").await, Err(SecretError::Unreadable));
        let good = Credential::Basic { username: "u".to_owned(), password: Secret::new("t") };
        assert_eq!(read("several").await, Ok(good.clone()));
        assert_eq!(read_for("several", "https://b.example:8443").await, Ok(good));
        // To whoever else it would be told.
        let others = |host: &str| Err(SecretError::ForOthers { host: host.to_owned() });
        for (name, url, host) in [
            ("good", "https://mallory.example", "mallory.example"),
            ("good", "https://a.example:8443", "a.example:8443"),
            ("good", "https://a.example.mallory.example", "a.example.mallory.example"),
            ("several", "https://b.example", "b.example"),
        ] {
            assert_eq!(read_for(name, url).await, others(host), "{name} {url}");
        }
        assert_eq!(read("old").await, Err(SecretError::ForNobody { host: "a.example".to_owned() }));
        assert_eq!(read_for("good", "http://a.example").await, Err(SecretError::Malformed));
        for name in ["colon", "lacking", "text", "number"] {
            assert_eq!(read(name).await, Err(SecretError::Malformed), "{name}");
        }
    }
}
