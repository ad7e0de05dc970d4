//! A bucket of an S3-compatible object store: blobs by digest, for all replicas.
//!
//! An object appears under its digest only when it is complete and was verified before it was sent. What of an upload that
//! failed is left in the bucket is no object; it is ended by whoever collects garbage (`multipart.rs`).

use std::fs::File;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use futures_util::stream::BoxStream;
use futures_util::{StreamExt, TryStreamExt};
use http::Method;
use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::path::Path;
use object_store::signer::Signer;
use object_store::{
    BackoffConfig, Certificate, ClientOptions, GetOptions, GetRange, ObjectStore, ObjectStoreExt, PutPayload,
    RetryConfig,
};
use tokio::sync::OwnedSemaphorePermit;

use super::error::Error;
use super::multipart::{self, Multipart};
use super::sending::{Parcel, Sending};
use super::traffic::{Errand, Traffic};
use crate::config::{BucketSettings, Encryption};
use crate::oci::{Algorithm, Digest};

/// A connection, and an answer, are waited for no longer than this.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const READ_TIMEOUT: Duration = Duration::from_secs(30);

/// Tries of one request, and the time for all of them: after that the caller is told.
const RETRIES: usize = 4;
const RETRY_TIME: Duration = Duration::from_secs(20);

/// How long a signed URL is good for: clients follow it at once, and may begin a large blob again.
const SIGNED_FOR: Duration = Duration::from_secs(15 * 60);

/// The folder of the notes of uploads of many parts.
const MULTIPART_NOTES: &str = "multipart";

/// Abandoned uploads that are ended at once.
const ENDED_AT_ONCE: usize = 4;

pub struct Bucket {
    pub(super) store: AmazonS3,
    prefix: Path,
    name: String,
    /// Of uploads of parts that give no sign of life.
    multipart_ttl: Duration,
    pub(super) traffic: Traffic,
}

/// An object's bytes while they arrive.
pub struct ObjectStream {
    /// Bytes of the whole object.
    pub total: u64,
    bucket: String,
    stream: BoxStream<'static, object_store::Result<Bytes>>,
    /// Of those that are read as fast as they come.
    place: Option<OwnedSemaphorePermit>,
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
        let (prefix, name) = (Path::from(settings.prefix.as_str()), settings.bucket.clone());
        Ok(Self { store, prefix, name, multipart_ttl: settings.multipart_ttl, traffic: Traffic::new() })
    }

    /// Begins to send a file, from byte `from` on, of which `present` bytes are there. It becomes the object of `digest`, for every
    /// replica, when it is finished: the caller verifies it first.
    pub fn send(self: &Arc<Self>, digest: &Digest, file: &Arc<File>, present: u64, errand: Errand) -> Sending {
        let parcel = Parcel { bucket: self.clone(), path: self.path(digest), file: file.clone(), from: 0, errand };
        Sending::start(parcel, present)
    }

    /// Stores a copy of a small verified object.
    pub async fn put(&self, digest: &Digest, bytes: Bytes) -> Result<(), Error> {
        let _turn = self.traffic.part(Errand::Copy, bytes.len() as u64).await;
        let put = self.store.put(&self.path(digest), PutPayload::from_bytes(bytes)).await;
        put.map(|_| ()).map_err(|error| self.error("write to", error))
    }

    /// Begins to send what an upload brings from byte `from` on.
    pub(super) fn send_piece(
        self: &Arc<Self>,
        upload: &str,
        piece: &str,
        file: &Arc<File>,
        from: u64,
        present: u64,
    ) -> Sending {
        let path = self.piece_path(upload, piece);
        let (bucket, file) = (self.clone(), file.clone());
        Sending::start(Parcel { bucket, path, file, from, errand: Errand::Awaited }, present)
    }

    /// Makes a verified piece the object of `digest`, inside the bucket.
    pub(super) async fn promote_piece(&self, upload: &str, piece: &str, digest: &Digest) -> Result<(), Error> {
        let copied = self.store.copy(&self.piece_path(upload, piece), &self.path(digest)).await;
        copied.map_err(|error| self.error("copy within", error))
    }

    /// `None` when there is no such piece.
    pub(super) async fn get_piece(&self, upload: &str, piece: &str) -> Result<Option<ObjectStream>, Error> {
        self.get_object(&self.piece_path(upload, piece), None).await
    }

    pub(super) async fn remove_piece(&self, upload: &str, piece: &str) -> Result<(), Error> {
        self.remove_object(&self.piece_path(upload, piece)).await
    }

    /// Every piece in the bucket: the upload's id, the piece's name, the time of its last change.
    pub(super) fn list_pieces(&self) -> BoxStream<'_, Result<(String, String, SystemTime), Error>> {
        let read = |object: object_store::ObjectMeta| {
            let mut parts = object.location.as_ref().rsplit('/');
            let (piece, upload) = (parts.next()?, parts.next()?);
            Some((upload.to_owned(), piece.to_owned(), object.last_modified.into()))
        };
        self.list_objects("uploads", read)
    }

    /// Opens an object from `start` to `end`, or to its end. `None` when there is no such object.
    pub async fn get(&self, digest: &Digest, start: u64, end: Option<u64>) -> Result<Option<ObjectStream>, Error> {
        let range = match end {
            Some(end) => Some(GetRange::Bounded(start..end)),
            None if start > 0 => Some(GetRange::Offset(start)),
            None => None,
        };
        self.get_object(&self.path(digest), range).await
    }

    /// The same, to be read as fast as it comes, whoever waits for it: there are so many places for that.
    pub async fn get_in_turn(
        &self,
        digest: &Digest,
        start: u64,
        end: Option<u64>,
    ) -> Result<Option<ObjectStream>, Error> {
        let place = self.traffic.read().await.map_err(|_| Error::Busy { bucket: self.name.clone() })?;
        let found = self.get(digest, start, end).await?;
        Ok(found.map(|stream| ObjectStream { place: Some(place), ..stream }))
    }

    async fn get_object(&self, path: &Path, range: Option<GetRange>) -> Result<Option<ObjectStream>, Error> {
        match self.store.get_opts(path, GetOptions { range, ..GetOptions::default() }).await {
            Ok(found) => Ok(Some(ObjectStream {
                total: found.meta.size,
                bucket: self.name.clone(),
                stream: found.into_stream(),
                place: None,
            })),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(self.error("read from", error)),
        }
    }

    /// Whether somebody waits for a place to read an object.
    pub fn is_waited_for(&self) -> bool {
        self.traffic.is_waited_for()
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
        self.remove_object(&self.path(digest)).await
    }

    /// Every blob in the bucket, as the listing comes; other objects are passed over.
    pub fn list(&self) -> BoxStream<'_, Result<StoredObject, Error>> {
        let read = |object: object_store::ObjectMeta| {
            let mut parts = object.location.as_ref().rsplit('/');
            let (hex, _, algorithm) = (parts.next()?, parts.next()?, parts.next()?);
            let digest = format!("{algorithm}:{hex}").parse().ok()?;
            Some(StoredObject { digest, size: object.size, modified: object.last_modified.into() })
        };
        self.list_objects("blobs", read)
    }

    /// An upload of many parts, which becomes the object at `path`.
    pub(super) async fn begin_multipart(&self, path: Path) -> object_store::Result<Multipart> {
        let notes = self.prefix.clone().join(MULTIPART_NOTES);
        Multipart::begin(self.store.clone(), path, notes, self.multipart_ttl).await
    }

    /// Ends uploads of many parts that have given no sign of life for long. Returns how many, and how many could not be ended.
    pub(super) async fn end_abandoned(&self) -> Result<(u64, u64), Error> {
        let ttl = self.multipart_ttl;
        let notes = self.list_objects(MULTIPART_NOTES, move |note| multipart::abandoned(note, ttl));
        let ended = notes.map_ok(|note| async move {
            let ended = multipart::end_noted(&self.store, &note).await;
            if let Err(error) = &ended {
                tracing::warn!(%error, %note, "an upload to the bucket that nobody goes on with cannot be ended");
            }
            Ok(ended.is_ok())
        });
        let all: Vec<bool> = ended.try_buffer_unordered(ENDED_AT_ONCE).try_collect().await?;
        let count = all.iter().filter(|ended| **ended).count() as u64;
        Ok((count, all.len() as u64 - count))
    }

    fn list_objects<T: Send + 'static>(
        &self,
        folder: &str,
        read: impl Fn(object_store::ObjectMeta) -> Option<T> + Copy + Send + 'static,
    ) -> BoxStream<'_, Result<T, Error>> {
        let found = self.store.list(Some(&self.prefix.clone().join(folder)));
        found
            .filter_map(move |object| async move {
                match object {
                    Ok(object) => read(object).map(Ok),
                    Err(error) => Some(Err(self.error("list", error))),
                }
            })
            .boxed()
    }

    async fn remove_object(&self, path: &Path) -> Result<(), Error> {
        match self.store.delete(path).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(self.error("remove from", error)),
        }
    }

    fn path(&self, digest: &Digest) -> Path {
        let hex = digest.hex();
        let algorithm: Algorithm = digest.algorithm();
        let shard = hex.get(..2).unwrap_or_default().to_owned();
        self.prefix.clone().join("blobs").join(algorithm.name()).join(shard).join(hex)
    }

    fn piece_path(&self, upload: &str, piece: &str) -> Path {
        self.prefix.clone().join("uploads").join(upload).join(piece)
    }

    pub(super) fn error(&self, doing: &'static str, source: object_store::Error) -> Error {
        Error::bucket(doing, &self.name, source)
    }
}

impl ObjectStream {
    /// Goes on at the pace of one client: its connection is its place.
    pub fn turn_to_readers_pace(&mut self) {
        self.place = None;
    }

    /// The next bytes, or `None` at the end.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, Error> {
        self.stream.try_next().await.map_err(|error| Error::bucket("read from", &self.bucket, error))
    }
}
