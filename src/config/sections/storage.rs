//! `[storage]`: where what is pushed is kept.

use std::path::PathBuf;
use std::time::Duration;

use reqwest::Url;
use serde::Serialize;

use super::credential::{Secret, access_key};
use crate::config::printing::document as show;
use crate::config::reading::key::{Fallback, Key, Kind, Section};
use crate::config::reading::pem;
use crate::config::reading::reader::Reader;
use crate::config::reading::value;

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum StorageSettings {
    /// In files below `data`.
    #[default]
    Local,
    S3(Box<BucketSettings>),
}

/// A bucket of an S3-compatible object store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BucketSettings {
    pub bucket: String,
    /// Goes before the names of all objects.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub prefix: String,
    /// `None` is Amazon's own.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "show::url")]
    pub endpoint: Option<Url>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// The bucket's name is in the path, not in the host's name.
    pub path_style: bool,
    /// `None` takes credentials from the environment.
    #[serde(flatten, serialize_with = "show::access_key")]
    pub access_key: Option<(String, Secret)>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca: Option<PathBuf>,
    #[serde(flatten, serialize_with = "show::encryption")]
    pub encryption: Option<Encryption>,
    /// Bytes of upstreams' blobs that are kept in the bucket; 0 for none. Default 1 TiB.
    #[serde(serialize_with = "show::size")]
    pub pulled: u64,
    /// How long another replica that fetches a blob is waited for. Default 10 s.
    #[serde(serialize_with = "show::duration")]
    pub fetch_wait: Duration,
}

/// What the store does to objects before they lie on its disks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Encryption {
    S3,
    /// With this key, or with the account's own.
    Kms {
        key: Option<String>,
    },
}

pub static SECTION: Section = Section {
    name: "storage",
    meaning: "Where what is pushed is kept. With `kind = \"s3\"` the keys below name the bucket; memory and disk are caches in front of it.",
    keys: &[
        Key {
            name: "kind",
            kind: Kind::Choice(&["local", "s3"]),
            fallback: Fallback::Value(r#""local""#),
            meaning: "`local`: files below `data`. `s3`: a bucket of an S3-compatible object store, which several replicas may share.",
        },
        Key { name: "bucket", kind: Kind::Text, fallback: Fallback::Unset, meaning: "The bucket. It must exist." },
        Key {
            name: "prefix",
            kind: Kind::Text,
            fallback: Fallback::Unset,
            meaning: "Goes before the names of all objects, such as `\"entrepot\"`.",
        },
        Key {
            name: "endpoint",
            kind: Kind::Text,
            fallback: Fallback::Unset,
            meaning: "The store's URL, such as `\"https://s3.example:9000\"`. Without it Amazon's, by region.",
        },
        Key {
            name: "region",
            kind: Kind::Text,
            fallback: Fallback::Follows("the environment's `AWS_REGION`, else `us-east-1`"),
            meaning: "The bucket's region.",
        },
        Key {
            name: "path_style",
            kind: Kind::Flag,
            fallback: Fallback::Follows("`true` where there is an `endpoint`"),
            meaning: "Whether the bucket's name stands in the path and not in the name of the host.",
        },
        Key {
            name: "access_key_id",
            kind: Kind::Text,
            fallback: Fallback::Unset,
            meaning: "Without it credentials come from the environment: `AWS_ACCESS_KEY_ID`, web identity, or the role of the container or \
                      instance.",
        },
        Key {
            name: "secret_access_key",
            kind: Kind::Secret,
            fallback: Fallback::Unset,
            meaning: "Belongs to `access_key_id`.",
        },
        Key {
            name: "secret_access_key_file",
            kind: Kind::Path,
            fallback: Fallback::Unset,
            meaning: "A file with the secret in one line, in place of `secret_access_key`.",
        },
        Key {
            name: "ca",
            kind: Kind::Path,
            fallback: Fallback::Unset,
            meaning: "PEM file with certificate authorities to trust besides the usual ones.",
        },
        Key {
            name: "encryption",
            kind: Kind::Choice(&["none", "s3", "kms"]),
            fallback: Fallback::Value(r#""none""#),
            meaning: "Server-side encryption that is asked for with each object: SSE-S3 or SSE-KMS.",
        },
        Key {
            name: "kms_key_id",
            kind: Kind::Text,
            fallback: Fallback::Unset,
            meaning: "The key for `encryption = \"kms\"`; without it the account's own.",
        },
        Key {
            name: "pulled",
            kind: Kind::Size { min: 0, max: 1 << 60 },
            fallback: Fallback::Value(r#""1TiB""#),
            meaning: "How much of what upstreams sent is kept in the bucket, for all replicas; what was used longest ago goes first, at the \
                      next round of `hosted.reclaim_every`. 0: nothing, each replica keeps what it fetched on its own disk.",
        },
        Key {
            name: "fetch_wait",
            kind: Kind::Window,
            fallback: Fallback::Value(r#""10s""#),
            meaning: "How long a replica waits for another that is fetching the same blob, before it fetches it itself.",
        },
    ],
};

pub fn read(reader: &Reader<'_>) -> Option<StorageSettings> {
    if reader.get("kind", value::choice)? == "local" {
        let defaulted = ["encryption", "pulled", "fetch_wait"];
        let stray = SECTION.keys.iter().skip(1).find(|key| reader.has(key.name) && !defaulted.contains(&key.name));
        if let Some(key) = stray {
            reader.report(key.name, "has a meaning only with `kind = \"s3\"`");
            return None;
        }
        return Some(StorageSettings::Local);
    }
    let bucket = reader.optional("bucket", value::text)?;
    let Some(bucket) = bucket else {
        reader.report("kind", "needs a `bucket`");
        return None;
    };
    let prefix = reader.optional("prefix", value::text);
    let endpoint = reader.optional("endpoint", value::text);
    let region = reader.optional("region", value::text);
    let path_style = reader.optional("path_style", value::flag);
    let access_key = access_key(reader, value::text);
    let ca = reader.path("ca");
    let encryption = reader.get("encryption", value::choice);
    let kms_key = reader.optional("kms_key_id", value::text);
    let pulled = reader.get("pulled", value::size);
    let fetch_wait = reader.get("fetch_wait", value::duration);
    let ca = ca?;
    if let Some(path) = &ca {
        pem::check_certificates(reader, "ca", path)?;
    }
    let endpoint = match endpoint? {
        None => None,
        Some(text) => match Url::parse(&text) {
            Ok(url) if matches!(url.scheme(), "http" | "https") && url.has_host() => Some(url),
            _ => {
                reader.report(
                    "endpoint",
                    format!("{text:?} is not the URL of a store, such as \"https://s3.example:9000\""),
                );
                return None;
            }
        },
    };
    let encryption = match (encryption?, kms_key?) {
        ("kms", key) => Some(Encryption::Kms { key }),
        (_, Some(_)) => {
            reader.report("kms_key_id", "has a meaning only with `encryption = \"kms\"`");
            return None;
        }
        ("s3", None) => Some(Encryption::S3),
        _ => None,
    };
    Some(StorageSettings::S3(Box::new(BucketSettings {
        bucket,
        prefix: prefix?.unwrap_or_default(),
        path_style: path_style?.unwrap_or(endpoint.is_some()),
        endpoint,
        region: region?,
        access_key: access_key?,
        ca,
        encryption,
        pulled: pulled?,
        fetch_wait: fetch_wait?,
    })))
}
