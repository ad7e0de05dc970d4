//! Layers: whether they are there, uploading and downloading one.

use futures_util::stream;

use super::{Control, failed, unexpected};
use crate::action::{Chunk, UploadStart, Want};
use crate::auth::{LAYER_SIGNATURE, LayerPlace};
use crate::ecr::{
    BatchCheckLayerAvailability, BatchCheckLayerAvailabilityOutput, CompleteLayerUpload, CompleteLayerUploadOutput,
    Fault, GetDownloadUrlForLayer, GetDownloadUrlForLayerOutput, InitiateLayerUploadOutput, Layer, LayerAvailability,
    LayerDigest, LayerFailure, Output, PartPlace, RepositoryTarget, UploadLayerPart, UploadLayerPartOutput,
};
use crate::meta::RepositoryRow;
use crate::oci::{Algorithm, Digest, Manifest, QualifiedName, RepositoryName, UploadId};
use crate::registry::hosted::{Repository, UploadClient};
use crate::registry::located::At;
use crate::registry::{Answer, Body, Error, Incoming, Registry};
use crate::turns::Asker;

/// Bytes that a part should have, as ECR tells its clients.
const PART_BYTES: u64 = 10 << 20;

/// Bytes that every part but the last must have, as in ECR. What comes by the data plane is in no parts.
const LEAST_PART_BYTES: u64 = 5 << 20;

/// Of a manifest that is read only to learn the media type of a layer: a batch asks for a hundred.
const MAX_TELLING_BYTES: u64 = 1 << 20;

impl Registry {
    /// Whether a push may begin a repository of this name.
    pub async fn is_free(&self, name: &QualifiedName) -> Result<bool, Fault> {
        match self.at_named(name).await {
            Ok(At::Free { .. }) => Ok(true),
            Ok(_) | Err(Error::Name(_)) => Ok(false),
            Err(error) => Err(unexpected(&error)),
        }
    }

    /// Makes the repository that a permitted `InitiateLayerUpload` begins to push to.
    pub fn make_named(
        &self,
        name: QualifiedName,
        asker: Asker,
    ) -> impl Future<Output = Result<(), Fault>> + Send + use<> {
        let hosted = self.hosted().on_behalf_of(asker);
        async move {
            match hosted.make_repository(name.clone()).await {
                Ok(Some(_)) => Ok(()),
                // Somebody else was faster, and theirs may have policies of its own: clients come again.
                Ok(None) => Err(Fault::throttling()),
                Err(Error::NotCreated(_)) => Err(Fault::repository_not_found(&name.name, &name.account)),
                Err(Error::QuotaExceeded(exceeded)) => Err(Fault::limit_exceeded(exceeded.to_string())),
                Err(error @ Error::Leftover { .. }) => {
                    Err(Fault::invalid_parameter("repositoryName", &error.to_string()))
                }
                Err(error) => Err(unexpected(&error)),
            }
        }
    }
}

impl Control<'_> {
    pub(super) async fn batch_check_layer_availability(
        &self,
        input: BatchCheckLayerAvailability,
    ) -> Result<Output, Fault> {
        let row = self.row(&input.repository.name).await?;
        let mut output = BatchCheckLayerAvailabilityOutput::default();
        for layer in input.layers {
            match layer.digest {
                Ok(digest) => output.layers.push(self.layer(&row, digest).await?),
                Err(code) => output.failures.push(LayerFailure::new(layer.written, code)),
            }
        }
        Ok(Output::BatchCheckLayerAvailability(output))
    }

    pub(super) async fn initiate_layer_upload(&self, input: RepositoryTarget) -> Result<Output, Fault> {
        let repository = self.own_repository(&input.name).await?;
        let start = UploadStart { digest: None, algorithm: Algorithm::Sha256, mount: None };
        let name = self.identity.client();
        let client = UploadClient::of(&self.identity, &name);
        let started = self.hosted.start_upload(repository, start, client, Incoming::empty()).await;
        let started = started.map_err(|error| match error {
            error @ Error::TooManyUploads { .. } => Fault::limit_exceeded(error.to_string()),
            error => unexpected(&error),
        });
        match started?.body {
            Body::Upload { id, .. } => {
                let output = InitiateLayerUploadOutput { upload_id: id, part_size: PART_BYTES };
                Ok(Output::InitiateLayerUpload(output))
            }
            _ => Err(Fault::server("an answer of another kind")),
        }
    }

    pub(super) async fn upload_layer_part(&self, input: UploadLayerPart) -> Result<Output, Fault> {
        let is_consistent = input.is_consistent();
        let (name, id) = (input.repository.name, input.upload_id);
        let repository = self.own_repository(&name).await?;
        if !is_consistent {
            let read = self.hosted.read_upload(&repository, &id).await;
            let bytes = uploaded(read).map_err(|error| self.upload_fault(error, &name, &id))?;
            let message = format!(
                "The part has {} bytes, which are not those from {} to {}",
                input.blob.len(),
                input.first_byte,
                input.last_byte
            );
            return Err(Fault::invalid_layer_part(message, &self.part_place(&name, &id, bytes)));
        }
        let length = u64::try_from(input.blob.len()).ok();
        let chunk = Chunk { start: Some(input.first_byte), length };
        let body = Incoming::new(stream::iter([Ok(input.blob)]));
        let appended = self.hosted.append_upload(repository, id.clone(), chunk, body).await;
        uploaded(appended).map_err(|error| self.upload_fault(error, &name, &id))?;
        // Whether it was the last one is known when the upload ends.
        let is_short = length.is_some_and(|length| length < LEAST_PART_BYTES);
        self.meta.add_part(id.as_str(), is_short).await.map_err(failed)?;
        Ok(Output::UploadLayerPart(UploadLayerPartOutput {
            registry_id: self.endpoint.account,
            repository_name: name,
            upload_id: id,
            last_byte_received: input.last_byte,
        }))
    }

    pub(super) async fn complete_layer_upload(&self, input: CompleteLayerUpload) -> Result<Output, Fault> {
        let (name, id) = (input.repository.name, input.upload_id);
        let repository = self.own_repository(&name).await?;
        let refused = |error| self.upload_fault(error, &name, &id);
        let (bytes, computed) = self.hosted.measure_upload(&repository, &id).await.map_err(refused)?;
        if bytes == 0 {
            return Err(Fault::empty_upload(&id));
        }
        if self.meta.has_short_part(id.as_str()).await.map_err(failed)? {
            // It can never end otherwise.
            self.hosted.cancel_upload(&repository, &id).await.map_err(refused)?;
            return Err(Fault::layer_part_too_small(LEAST_PART_BYTES));
        }
        let Some(digest) = choose(&input.layer_digests, &computed) else { return Err(Fault::invalid_layer(&computed)) };
        if digest == computed && self.layer_size(&name, digest).await?.is_some() {
            // The bytes are here already, so those of the upload are not needed.
            self.hosted.cancel_upload(&repository, &id).await.map_err(refused)?;
            return Err(Fault::layer_already_exists(&digest, &name, &self.endpoint.account));
        }
        let chunk = Chunk { start: None, length: Some(0) };
        let finished = self.hosted.finish_upload(repository, id.clone(), digest, chunk, Incoming::empty()).await;
        finished.map_err(refused)?;
        Ok(Output::CompleteLayerUpload(CompleteLayerUploadOutput {
            registry_id: self.endpoint.account,
            repository_name: name,
            upload_id: id,
            layer_digest: digest,
        }))
    }

    pub(super) async fn get_download_url_for_layer(&self, input: GetDownloadUrlForLayer) -> Result<Output, Fault> {
        let (name, layer_digest) = (input.repository.name, input.layer_digest);
        let row = self.row(&name).await?;
        let not_found = || Fault::layer_not_found(&layer_digest, &name, &self.endpoint.account);
        let Some(digest) = layer_digest.digest().copied() else { return Err(not_found()) };
        if self.layer_size(&name, digest).await?.is_none() {
            return Err(not_found());
        }
        if !self.meta.is_referred_to(row.id, &digest).await.map_err(failed)? {
            return Err(Fault::layer_inaccessible(&layer_digest, &name, &self.endpoint.account));
        }
        let elsewhere = match row.upstream {
            None => {
                let repository = Repository::of_row(self.endpoint.account, &row);
                let read = self.hosted.read_blob(&repository, digest, Want::Body, true).await;
                match read.map_err(|error| unexpected(&error))?.body {
                    Body::Elsewhere { url, size, .. } => Some((url, size)),
                    _ => None,
                }
            }
            Some(_) => None,
        };
        let (download_url, elsewhere_bytes) = match elsewhere {
            Some(elsewhere) => elsewhere,
            None => (self.signed_url(&name, &digest)?, 0),
        };
        let output = GetDownloadUrlForLayerOutput { download_url, layer_digest, elsewhere_bytes };
        Ok(Output::GetDownloadUrlForLayer(output))
    }

    /// Clients fetch it without a login, as they do from ECR's bucket.
    fn signed_url(&self, name: &RepositoryName, digest: &Digest) -> Result<String, Fault> {
        let place = LayerPlace::new(&self.qualified(name), digest);
        let signature = self
            .authenticator
            .layer_signature(&self.identity, place)
            .ok_or_else(|| Fault::server("no name can be made of it"))?;
        Ok(format!("{}/v2/{name}/blobs/{digest}?{LAYER_SIGNATURE}={signature}", self.endpoint.url))
    }

    /// What no digest of ours can name is not here.
    async fn layer(&self, row: &RepositoryRow, digest: LayerDigest) -> Result<Layer, Fault> {
        let Some(known) = digest.digest().copied() else { return Ok(Layer::unavailable(digest)) };
        let Some(size) = self.layer_size(&row.name, known).await? else { return Ok(Layer::unavailable(digest)) };
        Ok(Layer {
            layer_digest: digest,
            layer_availability: LayerAvailability::Available,
            layer_size: Some(size),
            media_type: self.layer_media_type(row, &known).await?,
        })
    }

    /// As a manifest that refers to the layer says it: the bytes alone do not tell.
    async fn layer_media_type(&self, row: &RepositoryRow, digest: &Digest) -> Result<Option<String>, Fault> {
        let content = self.meta.manifest_with_blob(row.id, digest, MAX_TELLING_BYTES).await.map_err(failed)?;
        let manifest = content.and_then(|content| Manifest::parse(&content).ok());
        let blob = manifest.and_then(|manifest| manifest.blobs.into_iter().find(|blob| blob.digest == *digest));
        Ok(blob.map(|blob| blob.media_type.to_string()).filter(|text| !text.is_empty()))
    }

    /// Bytes of a layer that the repository has. From now on it is not taken for forgotten for a while.
    async fn layer_size(&self, repository: &RepositoryName, digest: Digest) -> Result<Option<u64>, Fault> {
        // Upstream is asked for nobody who may bring nothing from there, as on the data plane.
        let about = self.registry.about_named(self.qualified(repository));
        if about.upstream.is_some() && !self.viewer.may_import(&about, None).await.map_err(failed)? {
            return Ok(None);
        }
        match self.registry.head_blob(&self.qualified(repository), digest).await {
            Ok(Answer { body: Body::BlobHead { size, .. }, .. }) => Ok(size),
            Ok(_) => Err(Fault::server("an answer of another kind")),
            Err(Error::Unknown(_) | Error::NotOurs { .. } | Error::Name(_)) => Ok(None),
            Err(error) => Err(unexpected(&error)),
        }
    }

    /// Why an upload does not go on or end.
    fn upload_fault(&self, error: Error, name: &RepositoryName, id: &UploadId) -> Fault {
        match error {
            Error::NoSuchUpload { .. } => Fault::upload_not_found(id, name, &self.endpoint.account),
            Error::OutOfOrder { at, .. } => {
                let message = format!("The next part begins at byte {at}");
                Fault::invalid_layer_part(message, &self.part_place(name, id, at))
            }
            Error::WrongDigest { found, .. } => Fault::invalid_layer(&found),
            Error::QuotaExceeded(exceeded) => Fault::limit_exceeded(exceeded.to_string()),
            // A client that gave up too early sends a part again while it is being written: it is to come back in a moment.
            Error::UploadBusy { .. } => Fault::throttling(),
            error => unexpected(&error),
        }
    }

    fn part_place(&self, name: &RepositoryName, id: &UploadId, bytes: u64) -> PartPlace {
        PartPlace {
            registry_id: self.endpoint.account,
            repository_name: name.clone(),
            upload_id: id.clone(),
            last_valid_byte_received: bytes.checked_sub(1),
        }
    }
}

/// Bytes of an upload that have come.
fn uploaded(answer: Result<Answer, Error>) -> Result<u64, Error> {
    match answer?.body {
        Body::Upload { bytes, .. } => Ok(bytes),
        _ => Ok(0),
    }
}

/// The one of the client's digests that the upload ends with: that of the bytes if it is among them, else one by another algorithm
/// than the upload's, which is computed at the end, else one that will not hold.
fn choose(given: &[LayerDigest], computed: &Digest) -> Option<Digest> {
    let digests = || given.iter().filter_map(LayerDigest::digest);
    let right = digests().find(|digest| *digest == computed);
    let other = || digests().find(|digest| digest.algorithm() != computed.algorithm());
    right.or_else(other).or_else(|| digests().next()).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_that_an_upload_ends_with() {
        let computed = Digest::of(b"layer");
        let [wrong, long] = [Digest::of(b"other"), Digest::compute(Algorithm::Sha512, b"layer")];
        let unknown = LayerDigest::parse("tarsum.v1+sha256:abc").unwrap();
        let given = |digests: &[Digest]| digests.iter().map(|digest| LayerDigest::from(*digest)).collect::<Vec<_>>();
        assert_eq!(choose(&given(&[wrong, long, computed]), &computed), Some(computed));
        assert_eq!(choose(&given(&[wrong, long]), &computed), Some(long));
        assert_eq!(choose(&given(&[wrong]), &computed), Some(wrong));
        assert_eq!(choose(&[unknown], &computed), None);
    }
}
