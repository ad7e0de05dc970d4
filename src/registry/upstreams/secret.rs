//! Credentials of rules: files in a folder, named as Secrets Manager names secrets.
//!
//! The secret `arn:aws:secretsmanager:…:secret:ecr-pullthroughcache/hub-AbCdEf` is `ecr-pullthroughcache/hub.json` in the
//! folder: the service adds a hyphen and six random characters to a secret's name in its ARN.

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use serde::Deserialize;
use tokio::io::AsyncReadExt;

use crate::config::{Credential, Secret};

/// Secrets Manager keeps no larger one.
const MAX_BYTES: u64 = 64 << 10;

const SUFFIX_CHARS: usize = 6;

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    #[error("its secret does not exist")]
    NotFound,
    #[error("its secret cannot be read")]
    Unreadable,
    #[error("its secret is not of the form {{\"username\": …, \"accessToken\": …}}")]
    Malformed,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Content {
    username: String,
    access_token: String,
}

/// Reads the secret of this ARN below `folder`.
pub(super) async fn read(folder: &Path, arn: &str) -> Result<Credential, SecretError> {
    for file in files(arn) {
        match read_file(&folder.join(file)).await {
            Ok(bytes) => return credential(&bytes).ok_or(SecretError::Malformed),
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

fn credential(bytes: &[u8]) -> Option<Credential> {
    let Content { username, access_token } = serde_json::from_slice(bytes).ok()?;
    // HTTP's Basic scheme cannot carry a colon in the name.
    let usable = !username.is_empty() && !username.contains(':') && !access_token.is_empty();
    usable.then(|| Credential::Basic { username, password: Secret::new(&access_token) })
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
            ("good", r#"{"username":"u","accessToken":"t","more":1}"#),
            ("colon", r#"{"username":"u:v","accessToken":"t"}"#),
            ("lacking", r#"{"username":"u"}"#),
            ("text", "t"),
        ] {
            std::fs::write(secrets.join(format!("{name}.json")), text).unwrap();
        }
        let read = async |name: &str| read(folder.path(), &arn(&format!("ecr-pullthroughcache/{name}"))).await;
        let good = Credential::Basic { username: "u".to_owned(), password: Secret::new("t") };
        assert_eq!(read("good").await, Ok(good.clone()));
        assert_eq!(read("good-AAAAAA").await, Ok(good));
        assert_eq!(read("absent").await, Err(SecretError::NotFound));
        assert_eq!(read("good/x").await, Err(SecretError::NotFound));
        assert_eq!(read("folder").await, Err(SecretError::Unreadable));
        for name in ["colon", "lacking", "text"] {
            assert_eq!(read(name).await, Err(SecretError::Malformed), "{name}");
        }
    }
}
