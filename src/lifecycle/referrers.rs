//! Selection of images by what refers to them: signed ones, and those with artifacts of a type.

use super::image::Image;
use super::pattern::Pattern;

/// Artifact types of signatures. Cosign's bundles hold attestations as well, and tell no difference by their type.
const SIGNATURE_TYPES: [&str; 2] =
    ["application/vnd.cncf.notary.signature", "application/vnd.dev.cosign.artifact.sig.v1+json"];
const BUNDLE_TYPE_PREFIX: &str = "application/vnd.dev.sigstore.bundle";

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Referrers {
    signed: Option<bool>,
    /// One referrer of a type that matches any of these is enough.
    artifact_types: Vec<Pattern>,
}

impl Referrers {
    pub fn new(signed: Option<bool>, artifact_types: Vec<Pattern>) -> Self {
        Self { signed, artifact_types }
    }

    pub fn is_everything(&self) -> bool {
        self.signed.is_none() && self.artifact_types.is_empty()
    }

    pub fn matches<'i>(&self, mut of_image: impl Iterator<Item = &'i Image> + Clone) -> bool {
        let is_signed = || of_image.clone().any(is_signature);
        self.signed.is_none_or(|wanted| is_signed() == wanted)
            && (self.artifact_types.is_empty() || of_image.any(|referrer| self.is_of_type(referrer)))
    }

    fn is_of_type(&self, referrer: &Image) -> bool {
        let found = referrer.artifact_type.as_deref();
        found.is_some_and(|found| self.artifact_types.iter().any(|wanted| wanted.matches(found)))
    }
}

fn is_signature(referrer: &Image) -> bool {
    let is_type = |found: &str| SIGNATURE_TYPES.contains(&found) || found.starts_with(BUNDLE_TYPE_PREFIX);
    referrer.artifact_type.as_deref().is_some_and(is_type) || referrer.tag_names().any(|name| name.ends_with(".sig"))
}
