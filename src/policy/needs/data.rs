//! The data plane: each action of the OCI API is one or more of ECR's actions on a repository.

use super::token::{catalog, of_repository};
use super::{About, Asked, Need, Offer, On};
use crate::action::{Action, Want};
use crate::auth::{Access, AccessAction, LayerPlace};
use crate::oci::{AccountId, Reference, Tag};

const BATCH_CHECK_LAYER_AVAILABILITY: &str = "ecr:BatchCheckLayerAvailability";
const BATCH_DELETE_IMAGE: &str = "ecr:BatchDeleteImage";
const BATCH_GET_IMAGE: &str = "ecr:BatchGetImage";
const BATCH_IMPORT_UPSTREAM_IMAGE: &str = "ecr:BatchImportUpstreamImage";
const COMPLETE_LAYER_UPLOAD: &str = "ecr:CompleteLayerUpload";
const CREATE_REPOSITORY: &str = "ecr:CreateRepository";
const DESCRIBE_REPOSITORIES: &str = "ecr:DescribeRepositories";
const GET_DOWNLOAD_URL_FOR_LAYER: &str = "ecr:GetDownloadUrlForLayer";
const INITIATE_LAYER_UPLOAD: &str = "ecr:InitiateLayerUpload";
const LIST_IMAGES: &str = "ecr:ListImages";
const PUT_IMAGE: &str = "ecr:PutImage";
const UPLOAD_LAYER_PART: &str = "ecr:UploadLayerPart";

/// An action of the data plane, with the repositories that it is about.
#[derive(Clone, Debug)]
pub struct OciRequest {
    pub action: Action,
    /// `None` where the action is about no repository.
    pub about: Option<About>,
    /// The repository that a mount takes from.
    pub source: Option<About>,
}

impl Asked for OciRequest {
    fn needs(&self) -> Vec<Need<'_>> {
        // Without a repository it is the list of them, which shows what the caller may see.
        self.about.as_ref().map(|about| data(&self.action, about)).unwrap_or_default()
    }

    fn is_write(&self) -> bool {
        self.action.writes()
    }

    fn change(&self) -> Option<(&str, Option<On<'_>>)> {
        let about = self.about.as_ref()?;
        let action = match &self.action {
            Action::PushManifest { .. } => PUT_IMAGE,
            Action::DeleteManifest { .. } | Action::DeleteBlob { .. } => BATCH_DELETE_IMAGE,
            // Bytes of a layer change nothing before a manifest refers to them.
            _ => return None,
        };
        Some((action, Some(On::Repository(about))))
    }

    fn detail(&self) -> Option<String> {
        match &self.action {
            Action::PushManifest { reference, tags, .. } => {
                let tags: Vec<&str> = written_tags(reference, tags).into_iter().flatten().collect();
                (!tags.is_empty()).then(|| format!("tags {}", tags.join(", ")))
            }
            Action::DeleteManifest { reference: Reference::Tag(tag), .. } => Some(format!("tags {tag}")),
            Action::DeleteManifest { reference: Reference::Digest(digest), .. } | Action::DeleteBlob { digest, .. } => {
                Some(digest.to_string())
            }
            _ => None,
        }
    }

    fn access(&self, home: AccountId) -> Vec<Access> {
        let actions: &[AccessAction] = match &self.action {
            Action::Ping => return Vec::new(),
            Action::ListRepositories { .. } => return vec![catalog()],
            Action::DeleteManifest { .. } | Action::DeleteBlob { .. } => &[AccessAction::Delete],
            // A client that pushes looks first: push is enough to look whether a blob is there.
            Action::ReadBlob { want: Want::Head, .. } => &[AccessAction::Pull, AccessAction::Push],
            action if action.writes() => &[AccessAction::Push],
            _ => &[AccessAction::Pull],
        };
        let each = self.about.iter().flat_map(|about| actions.iter().map(move |action| (about, *action)));
        each.map(|(about, action)| of_repository(home, about, action)).collect()
    }

    fn layer(&self) -> Option<LayerPlace> {
        let (Action::ReadBlob { digest, .. }, Some(about)) = (&self.action, &self.about) else { return None };
        Some(LayerPlace::new(&about.repository, digest))
    }

    fn offer(&self, home: AccountId) -> Option<Offer<'_>> {
        let (Action::StartUpload { start, .. }, Some(about)) = (&self.action, &self.about) else { return None };
        let from = start.mount.as_ref()?.from.as_ref()?;
        // Blobs are mounted from hosted repositories. An upstream's repository of the same name is another one.
        let source =
            self.source.as_ref().filter(|source| source.upstream.is_none() && source.repository.name == *from)?;
        let needs = vec![
            Need::new(GET_DOWNLOAD_URL_FOR_LAYER, On::Repository(source)),
            // A mount makes a layer of the repository, as the end of an upload does.
            Need::new(COMPLETE_LAYER_UPLOAD, On::Repository(about)),
        ];
        Some(Offer { needs, access: of_repository(home, source, AccessAction::Pull) })
    }

    fn decline(&mut self) {
        if let Action::StartUpload { start, .. } = &mut self.action {
            start.mount = None;
        }
    }
}

fn data<'a>(action: &'a Action, about: &'a About) -> Vec<Need<'a>> {
    let on = On::Repository(about);
    let need = |action| Need::new(action, on);
    let mut needs = match action {
        Action::Ping | Action::ListRepositories { .. } => return Vec::new(),
        Action::ListTags { .. } => vec![need(LIST_IMAGES)],
        Action::ReadManifest { reference, .. } => vec![need(BATCH_GET_IMAGE).tagged(reference.tag().map(Tag::as_str))],
        Action::ListReferrers { .. } => vec![need(BATCH_GET_IMAGE)],
        Action::ReadBlob { want: Want::Body, .. } => vec![need(GET_DOWNLOAD_URL_FOR_LAYER)],
        // A client that pushes asks which layers are there, and has no right to read them.
        Action::ReadBlob { want: Want::Head, .. } => {
            vec![need(GET_DOWNLOAD_URL_FOR_LAYER).or(BATCH_CHECK_LAYER_AVAILABILITY)]
        }
        Action::StartUpload { start, .. } => match start.digest {
            Some(_) => vec![need(INITIATE_LAYER_UPLOAD), need(UPLOAD_LAYER_PART), need(COMPLETE_LAYER_UPLOAD)],
            None => vec![need(INITIATE_LAYER_UPLOAD)],
        },
        Action::ReadUpload { .. } | Action::AppendUpload { .. } | Action::CancelUpload { .. } => {
            vec![need(UPLOAD_LAYER_PART)]
        }
        Action::FinishUpload { chunk, .. } if chunk.length == Some(0) => vec![need(COMPLETE_LAYER_UPLOAD)],
        Action::FinishUpload { .. } => vec![need(COMPLETE_LAYER_UPLOAD), need(UPLOAD_LAYER_PART)],
        Action::PushManifest { reference, tags, .. } => {
            written_tags(reference, tags).into_iter().map(|tag| need(PUT_IMAGE).tagged(tag)).collect()
        }
        // The tags that go with a digest are known when it is deleted: `deleted_tag`.
        Action::DeleteManifest { reference, .. } => {
            vec![need(BATCH_DELETE_IMAGE).tagged(reference.tag().map(Tag::as_str))]
        }
        Action::DeleteBlob { .. } => vec![need(BATCH_DELETE_IMAGE)],
    };
    if !about.exists && matches!(action, Action::StartUpload { .. } | Action::PushManifest { .. }) {
        needs.push(need(CREATE_REPOSITORY));
    }
    if about.upstream.is_some() {
        let tag = match action {
            Action::ReadManifest { reference, .. } => reference.tag().map(Tag::as_str),
            _ => None,
        };
        needs.push(import(about, tag));
    }
    needs
}

/// Each tag once. An image that gets no tag is named by its digest alone, which is `None`.
fn written_tags<'a>(reference: &'a Reference, tags: &'a [Tag]) -> Vec<Option<&'a str>> {
    let mut all: Vec<Option<&str>> = reference.tag().into_iter().chain(tags).map(|tag| Some(tag.as_str())).collect();
    if all.is_empty() {
        all.push(None);
    }
    all.sort_unstable();
    all.dedup();
    all
}

/// For a tag that goes together with the digest that is deleted.
pub fn deleted_tag<'a>(about: &'a About, tag: &'a Tag) -> Need<'a> {
    Need::new(BATCH_DELETE_IMAGE, On::Repository(about)).tagged(Some(tag.as_str()))
}

/// For bringing an image from upstream that is not here.
pub fn import<'a>(about: &'a About, tag: Option<&'a str>) -> Need<'a> {
    Need::new(BATCH_IMPORT_UPSTREAM_IMAGE, On::Repository(about)).tagged(tag)
}

/// For seeing a repository in a list.
pub fn sight(about: &About) -> Need<'_> {
    Need::new(DESCRIBE_REPOSITORIES, On::Repository(about))
}
