//! A bucket of an S3-compatible object store: blobs by digest, for all replicas.
//!
//! An object appears under its digest only when it is complete and was verified before it was sent. What of an upload that
//! failed is left in the bucket is no object; a lifecycle rule of the bucket that aborts incomplete uploads removes it
//! where the abort did not get through.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use futures_util::stream::{BoxStream, FuturesUnordered};
use futures_util::{StreamExt, TryStreamExt};
use http::Method;
use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::path::Path;
use object_store::signer::Signer;
use object_store::{
    BackoffConfig, Certificate, ClientOptions, GetOptions, GetRange, ObjectStore, ObjectStoreExt, PutPayload,
    RetryConfig,
};

use super::error::Error;
use crate::config::{BucketSettings, Encryption};
use crate::oci::{Algorithm, Digest};

/// Bytes of one part of an upload, unless the blob would have too many of them.
const PART_BYTES: u64 = 16 << 20;

/// S3 takes at most 10,000 parts.
const MAX_PARTS: u64 = 9_000;

/// Parts that are sent at once; so many are in memory.
const PARTS_AT_ONCE: usize = 4;

/// A connection, and an answer, are waited for no longer than this.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const READ_TIMEOUT: Duration = Duration::from_secs(30);

/// Tries of one request, and the time for all of them: after that the caller is told.
const RETRIES: usize = 4;
const RETRY_TIME: Duration = Duration::from_secs(20);

/// How long a signed URL is good for: clients follow it at once, and may begin a large blob again.
const SIGNED_FOR: Duration = Duration::from_secs(15 * 60);

pub struct Bucket {
    store: AmazonS3,
    prefix: Path,
    name: String,
}

/// An object's bytes while they arrive.
pub struct ObjectStream {
    /// Bytes of the whole object.
    pub total: u64,
    bucket: String,
    stream: BoxStream<'static, object_store::Result<Bytes>>,
}

/// An object, as a listing shows it.
#[derive(Clone, Copy, Debug)]
pub struct StoredObject {
    pub digest: Digest,
    /// Bytes.
    pub size: u64,
    pub modified: SystemTime,
}

impl Bucket {
    /// Reads credentials from the settings, else from the environment: keys, web identity, container or instance roles.
    pub fn connect(settings: &BucketSettings) -> Result<Self, Error> {
        let wrong = |source| Error::bucket("connect to", &settings.bucket, source);
        let mut client = ClientOptions::new()
            .with_connect_timeout(CONNECT_TIMEOUT)
            .with_read_timeout(READ_TIMEOUT)
            .with_timeout_disabled()
            .with_http1_only()
            .with_allow_http(settings.endpoint.as_ref().is_some_and(|endpoint| endpoint.scheme() == "http"));
        if let Some(path) = &settings.ca {
            let pem = std::fs::read(path).map_err(Error::io("read", path))?;
            for certificate in Certificate::from_pem_bundle(&pem).map_err(wrong)? {
                client = client.with_root_certificate(certificate);
            }
        }
        let retry = RetryConfig { backoff: BackoffConfig::default(), max_retries: RETRIES, retry_timeout: RETRY_TIME };
        let mut builder = AmazonS3Builder::from_env()
            .with_bucket_name(&settings.bucket)
            .with_client_options(client)
            .with_retry(retry)
            .with_virtual_hosted_style_request(!settings.path_style)
            // The digest was checked before, and TLS guards the way; hashing everything again costs more than the transfer.
            .with_unsigned_payload(true);
        if let Some(region) = &settings.region {
            builder = builder.with_region(region);
        }
        if let Some(endpoint) = &settings.endpoint {
            builder = builder.with_endpoint(endpoint.as_str().trim_end_matches('/'));
        }
        if let Some((id, secret)) = &settings.access_key {
            builder = builder.with_access_key_id(id).with_secret_access_key(secret.expose());
        }
        let encryption = match &settings.encryption {
            None => None,
            Some(Encryption::S3) => Some("AES256"),
            Some(Encryption::Kms { key }) => {
                if let Some(key) = key {
                    builder = builder.with_sse_kms_encryption(key);
                }
                Some("aws:kms")
            }
        };
        if let Some(encryption) = encryption {
            builder = builder.with_config("aws_server_side_encryption".parse().map_err(wrong)?, encryption);
        }
        let store = builder.build().map_err(wrong)?;
        Ok(Self { store, prefix: Path::from(settings.prefix.as_str()), name: settings.bucket.clone() })
    }

    /// Stores a verified file. It is there under its digest when this returns, for every replica.
    pub async fn put(&self, digest: &Digest, file: &Arc<File>, size: u64) -> Result<(), Error> {
        let path = self.path(digest);
        if size <= PART_BYTES {
            let bytes = read_part(file.clone(), 0, size).await?;
            self.store
                .put(&path, PutPayload::from_bytes(bytes))
                .await
                .map_err(|error| self.error("write to", error))?;
            return Ok(());
        }
        let mut upload = self.store.put_multipart(&path).await.map_err(|error| self.error("write to", error))?;
        let part_bytes = PART_BYTES.max(size.div_ceil(MAX_PARTS));
        let mut sending = FuturesUnordered::new();
        let sent: Result<(), Error> = async {
            let mut at = 0;
            while at < size {
                if sending.len() == PARTS_AT_ONCE {
                    sending.try_next().await.map_err(|error| self.error("write to", error))?;
                }
                let length = part_bytes.min(size - at);
                let bytes = read_part(file.clone(), at, length).await?;
                sending.push(upload.put_part(PutPayload::from_bytes(bytes)));
                at += length;
            }
            while sending.try_next().await.map_err(|error| self.error("write to", error))?.is_some() {}
            Ok(())
        }
        .await;
        drop(sending);
        let done = match sent {
            Ok(()) => upload.complete().await.map(|_| ()).map_err(|error| self.error("write to", error)),
            Err(error) => Err(error),
        };
        if done.is_err()
            && let Err(error) = upload.abort().await
        {
            tracing::warn!(%error, bucket = self.name, %digest, "what was sent of an upload that failed is left in the bucket");
        }
        done
    }

    /// Opens an object from `start` to `end`, or to its end. `None` when there is no such object.
    pub async fn get(&self, digest: &Digest, start: u64, end: Option<u64>) -> Result<Option<ObjectStream>, Error> {
        let range = match end {
            Some(end) => Some(GetRange::Bounded(start..end)),
            None if start > 0 => Some(GetRange::Offset(start)),
            None => None,
        };
        match self.store.get_opts(&self.path(digest), GetOptions { range, ..GetOptions::default() }).await {
            Ok(found) => Ok(Some(ObjectStream {
                total: found.meta.size,
                bucket: self.name.clone(),
                stream: found.into_stream(),
            })),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(self.error("read from", error)),
        }
    }

    /// A URL under which anyone can read the object for a short time.
    pub async fn signed_url(&self, digest: &Digest) -> Result<String, Error> {
        let signed = self.store.signed_url(Method::GET, &self.path(digest), SIGNED_FOR).await;
        signed.map(|url| url.to_string()).map_err(|error| self.error("sign a URL for", error))
    }

    /// Bytes of an object; `None` when there is none.
    pub async fn size(&self, digest: &Digest) -> Result<Option<u64>, Error> {
        match self.store.head(&self.path(digest)).await {
            Ok(found) => Ok(Some(found.size)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(self.error("read from", error)),
        }
    }

    /// Removing what is not there is no error.
    pub async fn remove(&self, digest: &Digest) -> Result<(), Error> {
        match self.store.delete(&self.path(digest)).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(self.error("remove from", error)),
        }
    }

    /// Every blob in the bucket, as the listing comes; other objects are passed over.
    pub fn list(&self) -> BoxStream<'_, Result<StoredObject, Error>> {
        let found = self.store.list(Some(&self.prefix.clone().join("blobs")));
        let read = |object: object_store::ObjectMeta| {
            let mut parts = object.location.as_ref().rsplit('/');
            let (hex, _, algorithm) = (parts.next()?, parts.next()?, parts.next()?);
            let digest = format!("{algorithm}:{hex}").parse().ok()?;
            Some(StoredObject { digest, size: object.size, modified: object.last_modified.into() })
        };
        found
            .filter_map(move |object| async move {
                match object {
                    Ok(object) => read(object).map(Ok),
                    Err(error) => Some(Err(self.error("list", error))),
                }
            })
            .boxed()
    }

    fn path(&self, digest: &Digest) -> Path {
        let hex = digest.hex();
        let algorithm: Algorithm = digest.algorithm();
        let shard = hex.get(..2).unwrap_or_default().to_owned();
        self.prefix.clone().join("blobs").join(algorithm.name()).join(shard).join(hex)
    }

    fn error(&self, doing: &'static str, source: object_store::Error) -> Error {
        Error::bucket(doing, &self.name, source)
    }
}

impl ObjectStream {
    /// The next bytes, or `None` at the end.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, Error> {
        self.stream.try_next().await.map_err(|error| Error::bucket("read from", &self.bucket, error))
    }
}

async fn read_part(file: Arc<File>, at: u64, length: u64) -> Result<Bytes, Error> {
    let read = tokio::task::spawn_blocking(move || {
        let mut bytes = vec![0; usize::try_from(length).unwrap_or(usize::MAX)];
        file.read_exact_at(&mut bytes, at).map(|()| Bytes::from(bytes))
    });
    match read.await {
        Ok(read) => read.map_err(Error::io("read", std::path::Path::new("(a file to be sent to the bucket)"))),
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_) => std::future::pending().await,
        },
    }
}
