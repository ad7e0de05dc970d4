//! `[storage]`: where what is pushed is kept.

use std::path::PathBuf;
use std::time::Duration;

use reqwest::Url;
use serde::Serialize;

use super::secrets::{AccessKey, SecretOrFile};
use crate::config::reading::{
    Choice as _, FLAG, Joint, Key, Kind, Optional, PATH, Parts as _, Pem, Reader, SECRET, Secret, Section, Shape, TEXT,
    WINDOW, Written, choice, choice_of, parse_plain_url, section, settings, size,
};

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum StorageSettings {
    /// In files below `data`.
    #[default]
    Local,
    S3(Box<BucketSettings>),
}

choice! {
    pub enum StorageKind {
        Local = "local",
        S3 = "s3",
    }
}

settings! {
    /// A bucket of an S3-compatible object store.
    pub struct BucketSettings {
        pub bucket: String = BUCKET,
        /// Goes before the names of all objects.
        pub prefix: String = PREFIX,
        /// `None` is Amazon's own.
        pub endpoint: Option<Url> = ENDPOINT,
        pub region: Option<String> = REGION,
        /// The bucket's name is in the path, not in the host's name.
        pub path_style: bool = PATH_STYLE,
        /// `None` takes credentials from the environment.
        pub access_key: Option<(String, Secret)> = AccessKey {
            id: &ACCESS_KEY_ID,
            secret: SecretOrFile { word: "secret", key: &SECRET_ACCESS_KEY, file: &SECRET_ACCESS_KEY_FILE },
        },
        pub ca: Option<PathBuf> = Pem::certificates(&CA),
        pub encryption: Option<Encryption> = Joint::new(read_encryption, write_encryption),
        /// Bytes of upstreams' blobs that are kept in the bucket; 0 for none.
        pub pulled: u64 = PULLED,
        /// How long another replica that fetches a blob is waited for.
        pub fetch_wait: Duration = FETCH_WAIT,
        /// An upload of parts that gives no sign of life for so long is ended.
        pub multipart_ttl: Duration = MULTIPART_TTL,
    }
}

/// Encryption by the store, before objects lie on its disks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Encryption {
    S3,
    /// With this key, or with the account's own.
    Kms {
        key: Option<String>,
    },
}

choice! {
    pub enum EncryptionKind {
        None = "none",
        S3 = "s3",
        Kms = "kms",
    }
}

section! {
    pub static SECTION = Section::one(
        "storage",
        "Where what is pushed is kept. With `kind = \"s3\"` the keys below name the bucket; memory and disk are caches \
         in front of it.",
    );

    static KIND: Key<StorageKind> = Key::usual(
        "kind",
        choice_of(),
        "local",
        "`local`: files below `data`. `s3`: a bucket of an S3-compatible object store, which several replicas may \
         share.",
    );
    static BUCKET: Key<String> = Key::follows(
        "bucket",
        TEXT,
        "none",
        |reader| {
            reader.report(&KIND, "needs a `bucket`");
            None
        },
        "The bucket. It must exist.",
    );
    static PREFIX: Key<String> = Key::follows(
        "prefix",
        TEXT.writing(|text| write_unless_empty(text)),
        "none",
        |_| Some(String::new()),
        "Goes before the names of all objects, such as `\"entrepot\"`.",
    );
    static ENDPOINT: Optional<Url> = Optional::new(
        "endpoint",
        Kind::parsed(Shape::Text, store_url),
        "The store's URL, such as `\"https://s3.example:9000\"`. Without it Amazon's, by region.",
    );
    static REGION: Optional<String> =
        Optional::follows("region", TEXT, "the environment's `AWS_REGION`, else `us-east-1`", "The bucket's region.");
    static PATH_STYLE: Key<bool> = Key::follows(
        "path_style",
        FLAG,
        "`true` where there is an `endpoint`",
        |reader| Some(reader.has(&ENDPOINT)),
        "Whether the bucket's name stands in the path and not in the name of the host.",
    );
    static ACCESS_KEY_ID: Optional<String> = Optional::new(
        "access_key_id",
        TEXT,
        "Without it credentials come from the environment: `AWS_ACCESS_KEY_ID`, web identity, or the role of the \
         container or instance.",
    );
    static SECRET_ACCESS_KEY: Optional<Secret> =
        Optional::new("secret_access_key", SECRET, "Belongs to `access_key_id`.");
    static SECRET_ACCESS_KEY_FILE: Optional<PathBuf> = Optional::new(
        "secret_access_key_file",
        PATH,
        "A file with the secret in one line, in place of `secret_access_key`.",
    );
    static CA: Optional<PathBuf> =
        Optional::new("ca", PATH, "PEM file with certificate authorities to trust besides the usual ones.");
    static ENCRYPTION: Key<EncryptionKind> = Key::usual(
        "encryption",
        choice_of(),
        "none",
        "Server-side encryption that is asked for with each object: SSE-S3 or SSE-KMS.",
    );
    static KMS_KEY_ID: Optional<String> =
        Optional::new("kms_key_id", TEXT, "The key for `encryption = \"kms\"`; without it the account's own.");
    static PULLED: Key<u64> = Key::usual(
        "pulled",
        size(0, 1 << 60),
        "1TiB",
        "How much of what upstreams sent is kept in the bucket, for all replicas; what was used longest ago goes \
         first, at the next round of `hosted.reclaim_every`. 0: nothing, each replica keeps what it fetched on its own \
         disk.",
    );
    static FETCH_WAIT: Key<Duration> = Key::usual(
        "fetch_wait",
        WINDOW,
        "10s",
        "How long a replica waits for another that is fetching the same blob, before it fetches it itself.",
    );
    static MULTIPART_TTL: Key<Duration> = Key::usual(
        "multipart_ttl",
        WINDOW,
        "24h",
        "Uploads of parts to the bucket that give no sign of life for so long are ended, at the next round of \
         `hosted.reclaim_every`: those of replicas that were killed. Living ones give one in each quarter of it.",
    );
}

pub fn read(reader: &Reader<'_>) -> Option<StorageSettings> {
    match reader.get(&KIND)? {
        StorageKind::S3 => Some(StorageSettings::S3(Box::new(BucketSettings::read(reader)?))),
        StorageKind::Local => {
            let harmless = [KIND.name, ENCRYPTION.name, PULLED.name, FETCH_WAIT.name, MULTIPART_TTL.name];
            let stray = SECTION.keys.iter().find(|key| reader.has(key) && !harmless.contains(&key.name));
            if let Some(key) = stray {
                reader.report(key, "has a meaning only with `kind = \"s3\"`");
                return None;
            }
            Some(StorageSettings::Local)
        }
    }
}

fn store_url(text: &str) -> Result<Url, String> {
    match parse_plain_url(text)? {
        url if matches!(url.scheme(), "http" | "https") && url.has_host() => Ok(url),
        _ => Err(format!("{text:?} is not the URL of a store, such as \"https://s3.example:9000\"")),
    }
}

fn write_unless_empty(text: &str) -> Written {
    if text.is_empty() { Written::Nothing } else { Written::text(text) }
}

#[expect(clippy::option_option, reason = "a problem is not the same as nothing given")]
fn read_encryption(reader: &Reader<'_>) -> Option<Option<Encryption>> {
    let (encryption, key) = (reader.get(&ENCRYPTION), reader.get(&KMS_KEY_ID));
    match (encryption?, key?) {
        (EncryptionKind::Kms, key) => Some(Some(Encryption::Kms { key })),
        (_, Some(_)) => {
            reader.report(&KMS_KEY_ID, "has a meaning only with `encryption = \"kms\"`");
            None
        }
        (EncryptionKind::S3, None) => Some(Some(Encryption::S3)),
        (EncryptionKind::None, None) => Some(None),
    }
}

fn write_encryption(encryption: &Option<Encryption>) -> Vec<(&'static str, Written)> {
    let (kind, key) = match encryption {
        None => (EncryptionKind::None, None),
        Some(Encryption::S3) => (EncryptionKind::S3, None),
        Some(Encryption::Kms { key }) => (EncryptionKind::Kms, key.as_ref()),
    };
    vec![(ENCRYPTION.name, Written::text(kind.word())), (KMS_KEY_ID.name, key.map_or(Written::Nothing, Written::text))]
}
