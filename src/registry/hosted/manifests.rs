//! Manifests that were pushed.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;

use super::quota::More;
use super::{Hosted, Repository};
use crate::action::Want;
use crate::meta::{self, ManifestRow, NewManifest, Put, ReferenceKind, Removed, now_ms};
use crate::oci::{Digest, Manifest, MediaType, Reference, Tag};
use crate::policy::{About, Viewer};
use crate::registry::{Answer, Body, Error, Incoming, NameError, Object};

/// Bytes of the annotations of a manifest that has a subject.
const MAX_REFERRER_ANNOTATIONS: usize = 256 << 10;

impl Hosted {
    pub(in crate::registry) async fn read_manifest(
        &self,
        repository: &Repository,
        reference: &Reference,
        want: Want,
        principal: &str,
    ) -> Result<Answer, Error> {
        let found = self.manifest(repository, reference).await?;
        let Some(row) = found else {
            return Err(Error::Unknown(Object::Manifest(repository.name.clone(), reference.clone())));
        };
        if want == Want::Body {
            self.note_pull(repository.account, repository.id, row.digest, principal).await;
        }
        Ok(Answer::of(Body::Manifest {
            digest: row.digest,
            media_type: row.media_type.clone(),
            size: Some(row.content.len() as u64),
            bytes: (want == Want::Body).then(|| row.content.clone()),
        }))
    }

    pub(super) async fn manifest(
        &self,
        repository: &Repository,
        reference: &Reference,
    ) -> Result<Option<Arc<ManifestRow>>, Error> {
        let meta = &self.meta;
        let ask = || meta.manifest(repository.id, reference);
        Ok(self.inner.remembered.manifest(repository.id, reference, ask).await?)
    }

    /// The manifest, all that it refers to and all its tags become visible at once, or nothing does.
    pub(in crate::registry) async fn push_manifest(
        &self,
        repository: &Repository,
        reference: Reference,
        media_type: Option<MediaType>,
        tags: Vec<Tag>,
        principal: &str,
        body: Incoming,
    ) -> Result<Answer, Error> {
        let settings = &self.inner.settings;
        let object = Object::Manifest(repository.name.clone(), reference.clone());
        let content = body.all(settings.max_manifest).await?;
        // Its room is held until the manifest is there.
        let whole = content.ok_or(Error::ManifestTooLong { limit: settings.max_manifest })?;
        let content = whole.bytes.clone();
        let digest = match &reference {
            Reference::Digest(digest) if !digest.verifies(&content) => {
                let found = Digest::compute(digest.algorithm(), &content);
                return Err(Error::WrongDigest { object, found });
            }
            Reference::Digest(digest) => *digest,
            Reference::Tag(_) => Digest::of(&content),
        };
        let manifest = read(digest, media_type, content, settings.require_references, settings.max_references)
            .map_err(|reason| Error::ManifestInvalid { object: object.clone(), reason })?;
        let all_tags = reference.tag().into_iter().cloned().chain(tags.iter().cloned());
        let writes = self.tag_writes(all_tags);
        let is_new = self.inner.quotas.is_any(repository)
            && self.meta.manifest(repository.id, &Reference::Digest(digest)).await?.is_none();
        let more = More { repositories: 0, images: 1, bytes: manifest.content.len() as u64 };
        let room = if is_new { Some(self.inner.quotas.take(repository, more).await?) } else { None };
        let (this, repository) = (self.clone(), repository.clone());
        let (qualified, subject) = (repository.qualified(), manifest.subject);
        let (id, name) = (repository.id, repository.name);
        let principal = principal.to_owned();
        let put = self.carry_out(async move {
            let put = this.meta.put_manifest(id, &manifest, &writes, &principal, now_ms()).await;
            this.inner.remembered.changed(id);
            put
        });
        let put = put.await?;
        drop(room);
        match put {
            Put::Stored => Ok(Answer::of(Body::ManifestPushed { repository: name, reference, digest, subject, tags })),
            Put::Missing(missing) => Err(Error::MissingReferences { object, missing }),
            Put::WrongSize { digest, size: found } => Err(Error::ManifestInvalid {
                object,
                reason: format!("{digest} has {found} bytes, which is not what it says"),
            }),
            Put::Immutable(tag) => Err(Error::ImmutableTag { repository: name, tag }),
            Put::NoRepository => Err(NameError::Unknown(qualified).into()),
        }
    }

    /// By digest the manifest goes with all its tags, each of which must be allowed to go; by tag only the tag goes.
    pub(in crate::registry) async fn delete_manifest(
        &self,
        repository: &Repository,
        reference: &Reference,
        deletion: Deletion<'_>,
    ) -> Result<Answer, Error> {
        let removed = match reference {
            Reference::Digest(digest) => {
                let remove = |may_go: Vec<Tag>| {
                    let (this, id, digest, principal) = (self.clone(), repository.id, *digest, deletion.principal());
                    async move { this.meta.delete_manifest(id, &digest, &may_go, &principal, now_ms()).await }
                };
                self.remove(repository, deletion, remove).await?.is_some()
            }
            Reference::Tag(tag) => {
                let (this, id, tag, principal) = (self.clone(), repository.id, tag.clone(), deletion.principal());
                self.carry_out(async move {
                    let gone = this.meta.delete_tag(id, &tag, &principal, now_ms()).await;
                    this.inner.remembered.changed(id);
                    gone
                })
                .await?
            }
        };
        if removed {
            Ok(Answer::of(Body::Deleted))
        } else {
            Err(Error::Unknown(Object::Manifest(repository.name.clone(), reference.clone())))
        }
    }

    /// As ECR deletes: a manifest with its tags, of which the names are told; or one tag, and the manifest if that was its last.
    /// `None`, and nothing is changed, when there is no such manifest or tag, or when an index has the manifest as a child.
    pub(in crate::registry) async fn delete_image(
        &self,
        repository: &Repository,
        digest: Digest,
        tag: Option<Tag>,
        deletion: Deletion<'_>,
    ) -> Result<Option<Vec<Tag>>, Error> {
        let remove = |may_go: Vec<Tag>| {
            let (this, id, tag, principal) = (self.clone(), repository.id, tag.clone(), deletion.principal());
            async move { this.meta.delete_image(id, &digest, tag.as_ref(), &may_go, &principal, now_ms()).await }
        };
        self.remove(repository, deletion, remove).await
    }

    /// Removes with the tags that may go. The transaction changes nothing when it meets another one, which is asked about before the next
    /// try: a tag that comes meanwhile does not go unasked.
    async fn remove<F: Future<Output = Result<Removed, meta::Error>> + Send + 'static>(
        &self,
        repository: &Repository,
        deletion: Deletion<'_>,
        remove: impl Fn(Vec<Tag>) -> F,
    ) -> Result<Option<Vec<Tag>>, Error> {
        let mut may_go: Vec<Tag> = Vec::new();
        for _ in 0..MAX_REMOVALS {
            let (this, id, removing) = (self.clone(), repository.id, remove(may_go.clone()));
            let removed = self.carry_out(async move {
                let removed = removing.await;
                this.inner.remembered.changed(id);
                removed
            });
            match removed.await? {
                Removed::Gone(tags) => return Ok(Some(tags)),
                Removed::Nothing => return Ok(None),
                Removed::WouldTake(tags) => {
                    for tag in tags {
                        deletion.must_take(&tag).await?;
                        may_go.push(tag);
                    }
                }
            }
        }
        Err(Error::TagsChange(repository.name.clone()))
    }
}

/// Times that an image is tried to be removed while tags come to it.
const MAX_REMOVALS: usize = 8;

/// A deletion's caller, and the repository by the name that policies know.
#[derive(Clone, Copy)]
pub(in crate::registry) struct Deletion<'a> {
    pub(in crate::registry) about: &'a About,
    pub(in crate::registry) viewer: &'a Viewer,
    pub(in crate::registry) principal: &'a str,
}

impl Deletion<'_> {
    /// Refuses a tag that would go along, if the caller may not delete it.
    pub(in crate::registry) async fn must_take(&self, tag: &Tag) -> Result<(), Error> {
        Ok(self.viewer.must_delete(self.about, tag).await?)
    }

    fn principal(&self) -> String {
        self.principal.to_owned()
    }
}

/// What a manifest says. The error is the reason why it cannot be kept.
pub(super) fn read(
    digest: Digest,
    told: Option<MediaType>,
    content: Bytes,
    require_references: bool,
    max_references: u64,
) -> Result<NewManifest, String> {
    let document = Manifest::parse(&content).map_err(|error| error.to_string())?;
    if let Some(malformed) = &document.malformed {
        return Err(malformed.to_string());
    }
    let told = told.filter(MediaType::may_be_pushed);
    let media_type = match (told, document.media_type) {
        (_, Some(said)) if !said.may_be_pushed() => {
            return Err(format!("it says that it is {said}, which no manifest is"));
        }
        (Some(told), Some(said)) if told != said => {
            return Err(format!("it came as {told} and says that it is {said}"));
        }
        (Some(media_type), _) | (None, Some(media_type)) => media_type,
        (None, None) if !document.manifests.is_empty() => MediaType::oci_index(),
        (None, None) => MediaType::oci_manifest(),
    };
    if media_type.is_schema1() {
        return Err("Docker schema 1 is retired; push schema 2 or OCI".to_owned());
    }
    if let Some(unreadable) = document.unreadable.first() {
        return Err(format!("it refers to {unreadable:?}, which is no digest that can be checked here"));
    }
    let annotations: usize = document.annotations.iter().map(|(key, value)| key.len() + value.len()).sum();
    if document.subject.is_some() && annotations > MAX_REFERRER_ANNOTATIONS {
        return Err(format!(
            "its annotations are {annotations} bytes long, and those of a manifest with a subject, which each list of referrers \
             repeats, may have {MAX_REFERRER_ANNOTATIONS}: put what is longer into a layer"
        ));
    }
    let blobs = document.blobs.iter().map(|blob| meta::Reference {
        digest: blob.digest,
        size: blob.size,
        kind: ReferenceKind::Blob,
        required: require_references && !blob.media_type.is_foreign(),
    });
    let manifests = document.manifests.iter().map(|child| meta::Reference {
        digest: child.digest,
        size: child.size,
        kind: if child.media_type.is_manifest() { ReferenceKind::Manifest } else { ReferenceKind::Either },
        required: require_references,
    });
    let references: Vec<_> = blobs.chain(manifests).collect();
    let count = references.iter().map(|reference| reference.digest).collect::<BTreeSet<_>>().len();
    if count as u64 > max_references {
        return Err(format!(
            "it refers to {count} objects, and may refer to {max_references} (`hosted.max_references`)"
        ));
    }
    Ok(NewManifest {
        digest,
        media_type,
        artifact_type: document.artifact_type,
        subject: document.subject.map(|subject| subject.digest),
        annotations: document.annotations,
        references,
        content,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_text(text: &str, told: Option<&str>) -> Result<NewManifest, String> {
        read(Digest::of(text.as_bytes()), told.map(MediaType::new), Bytes::from(text.to_owned()), true, 3)
    }

    #[test]
    fn the_type_is_what_both_say() {
        let (index, manifest) = (MediaType::oci_index(), MediaType::oci_manifest());
        let said = |media_type: &MediaType| format!(r#"{{"mediaType":"{media_type}"}}"#);
        assert_eq!(read_text(&said(&index), None).unwrap().media_type, index);
        assert_eq!(read_text("{}", Some(index.as_str())).unwrap().media_type, index);
        assert_eq!(read_text("{}", None).unwrap().media_type, manifest);
        assert_eq!(read_text("{}", Some("text/plain")).unwrap().media_type, manifest);
        assert!(read_text(&said(&index), Some(manifest.as_str())).unwrap_err().contains("says that it is"));
    }

    #[test]
    fn what_cannot_be_kept() {
        for (text, told) in [
            ("<html>", None),
            (r#"{"layers":[{"digest":"md5:0","size":1,"mediaType":"x"}]}"#, None),
            ("{}", Some("application/vnd.docker.distribution.manifest.v1+prettyjws")),
            // T25.
            (r#"{"mediaType":"text/html"}"#, None),
            (r#"{"mediaType":"image/svg+xml"}"#, Some("application/vnd.oci.image.manifest.v1+json")),
            (r#"{"mediaType":"application/vnd.x\r\ny"}"#, None),
        ] {
            assert!(read_text(text, told).is_err(), "{text}");
        }
    }

    /// T17: each object counts once.
    #[test]
    fn t17_references_are_counted_and_limited() {
        let layer = |n: u32| format!(r#"{{"digest":"{}","size":1}}"#, Digest::of(&n.to_le_bytes()));
        let of = |count: u32, times: usize| {
            let layers: Vec<_> = (0..count).flat_map(|n| std::iter::repeat_n(layer(n), times)).collect();
            format!(r#"{{"layers":[{}]}}"#, layers.join(","))
        };
        assert_eq!(read_text(&of(3, 4), None).unwrap().references.len(), 12);
        let refused = read_text(&of(4, 1), None).unwrap_err();
        assert!(refused.contains("4 objects") && refused.contains("3 (`hosted.max_references`)"), "{refused}");
    }

    /// T14: a list of referrers repeats annotations.
    #[test]
    fn t14_annotations_of_referrers_are_limited() {
        let subject = format!(r#""subject":{{"digest":"{}","size":1}},"#, Digest::of(b""));
        let of = |subject: &str, bytes: usize| format!(r#"{{{subject}"annotations":{{"a":"{}"}}}}"#, "x".repeat(bytes));
        assert!(read_text(&of(&subject, MAX_REFERRER_ANNOTATIONS - 1), None).is_ok());
        assert!(read_text(&of(&subject, MAX_REFERRER_ANNOTATIONS), None).unwrap_err().contains("annotations"));
        assert!(read_text(&of("", MAX_REFERRER_ANNOTATIONS), None).is_ok());
    }

    #[test]
    fn foreign_layers_need_not_be_there() {
        let digest = Digest::of(b"");
        let text = format!(
            r#"{{"layers":[{{"digest":"{digest}","size":0,"mediaType":"application/vnd.oci.image.layer.nondistributable.v1.tar+gzip"}},
               {{"digest":"{digest}","size":0,"mediaType":"application/vnd.oci.image.layer.v1.tar+gzip"}}]}}"#
        );
        let required: Vec<bool> = read_text(&text, None).unwrap().references.iter().map(|one| one.required).collect();
        assert_eq!(required, [false, true]);
    }
}
