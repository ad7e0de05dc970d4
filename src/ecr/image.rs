//! Naming images: as a client asks for them, and as the registry answers.
//!
//! In a batch a malformed id fails alone, with a code of its own, and comes back as it was written. So what is asked
//! for keeps its text beside its meaning, while what is answered is made of parsed parts only.

use serde::{Serialize, Serializer};

use super::words::words;
use crate::oci::{Digest, Tag};

/// An image that exists: its digest, and one of its tags if the answer is about a tag.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImageIdentifier {
    pub digest: Option<Digest>,
    pub tag: Option<Tag>,
}

/// An image as a client names it in `imageIds`. It is written as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestedImage {
    digest: Option<String>,
    tag: Option<String>,
    meaning: Result<ImageSelector, ImageFailureCode>,
}

/// What a well formed id means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ImageSelector {
    Tag(Tag),
    Digest(Digest),
    /// Both are given and must agree.
    TagAndDigest(Tag, Digest),
}

words! {
    /// Why one image of a batch failed.
    pub enum ImageFailureCode {
        InvalidImageDigest = "InvalidImageDigest",
        InvalidImageTag = "InvalidImageTag",
        ImageTagDoesNotMatchDigest = "ImageTagDoesNotMatchDigest",
        ImageNotFound = "ImageNotFound",
        MissingDigestAndTag = "MissingDigestAndTag",
        ImageReferencedByManifestList = "ImageReferencedByManifestList",
        KmsError = "KmsError",
        UpstreamAccessDenied = "UpstreamAccessDenied",
        UpstreamTooManyRequests = "UpstreamTooManyRequests",
        UpstreamUnavailable = "UpstreamUnavailable",
        ImageInaccessible = "ImageInaccessible",
    }
}

words! {
    pub enum ImageStatus {
        Active = "ACTIVE",
        Archived = "ARCHIVED",
        Activating = "ACTIVATING",
    }
}

words! {
    pub enum ImageStatusFilter {
        Active = "ACTIVE",
        Archived = "ARCHIVED",
        Activating = "ACTIVATING",
        Any = "ANY",
    }
}

words! {
    pub enum TagStatus {
        Tagged = "TAGGED",
        Untagged = "UNTAGGED",
        Any = "ANY",
    }
}

impl RequestedImage {
    /// A digest that has the form of one but that no content can have is that of an image that is not there.
    pub fn new(digest: Option<String>, tag: Option<String>) -> Self {
        let meaning = Self::understand(digest.as_deref(), tag.as_deref());
        Self { digest, tag, meaning }
    }

    fn understand(digest: Option<&str>, tag: Option<&str>) -> Result<ImageSelector, ImageFailureCode> {
        if digest.is_some_and(|text| !has_digest_form(text)) {
            return Err(ImageFailureCode::InvalidImageDigest);
        }
        let tag: Option<Tag> =
            tag.map(|text| text.parse().map_err(|_| ImageFailureCode::InvalidImageTag)).transpose()?;
        let digest: Option<Digest> =
            digest.map(|text| text.parse().map_err(|_| ImageFailureCode::ImageNotFound)).transpose()?;
        match (tag, digest) {
            (Some(tag), Some(digest)) => Ok(ImageSelector::TagAndDigest(tag, digest)),
            (Some(tag), None) => Ok(ImageSelector::Tag(tag)),
            (None, Some(digest)) => Ok(ImageSelector::Digest(digest)),
            (None, None) => Err(ImageFailureCode::MissingDigestAndTag),
        }
    }

    /// The failure is this id's answer in a batch.
    pub fn meaning(&self) -> Result<&ImageSelector, ImageFailureCode> {
        self.meaning.as_ref().map_err(|code| *code)
    }

    pub fn written_digest(&self) -> Option<&str> {
        self.digest.as_deref()
    }

    pub fn written_tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }
}

impl From<&ImageIdentifier> for RequestedImage {
    fn from(id: &ImageIdentifier) -> Self {
        Self::new(id.digest.map(|digest| digest.to_string()), id.tag.as_ref().map(ToString::to_string))
    }
}

impl ImageSelector {
    pub const fn tag(&self) -> Option<&Tag> {
        match self {
            Self::Tag(tag) | Self::TagAndDigest(tag, _) => Some(tag),
            Self::Digest(_) => None,
        }
    }

    pub const fn digest(&self) -> Option<&Digest> {
        match self {
            Self::Digest(digest) | Self::TagAndDigest(_, digest) => Some(digest),
            Self::Tag(_) => None,
        }
    }
}

impl ImageFailureCode {
    /// The text beside the code where the case has no more to say.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::InvalidImageDigest => {
                "Invalid request parameters: image digest should satisfy the regex '[a-zA-Z0-9-_+.]+:[a-fA-F0-9]+'"
            }
            Self::InvalidImageTag => {
                "Invalid request parameters: image tag should satisfy the regex '[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}'"
            }
            Self::ImageTagDoesNotMatchDigest => "Requested image tag does not match the requested image digest",
            Self::ImageNotFound => "Requested image not found",
            Self::MissingDigestAndTag => "Invalid request parameters: both tag and digest cannot be null",
            Self::ImageReferencedByManifestList => "Requested image referenced by manifest list",
            Self::KmsError => "The key of the repository cannot be used",
            Self::UpstreamAccessDenied => "The upstream registry refused access to the image",
            Self::UpstreamTooManyRequests => "The upstream registry refused the request because of too many requests",
            Self::UpstreamUnavailable => "The upstream registry did not answer",
            Self::ImageInaccessible => "Requested image is archived",
        }
    }
}

/// `[a-zA-Z0-9-_+.]+:[a-fA-F0-9]+`
pub fn has_digest_form(text: &str) -> bool {
    let Some((algorithm, hex)) = text.split_once(':') else { return false };
    !algorithm.is_empty()
        && algorithm.bytes().all(|c| c.is_ascii_alphanumeric() || b"-_+.".contains(&c))
        && !hex.is_empty()
        && hex.bytes().all(|c| c.is_ascii_hexdigit())
}

/// The form of `ImageIdentifier` on the wire.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Members<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    image_digest: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    image_tag: Option<&'a str>,
}

impl Serialize for ImageIdentifier {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let digest = self.digest.map(|digest| digest.to_string());
        Members { image_digest: digest.as_deref(), image_tag: self.tag.as_ref().map(Tag::as_str) }.serialize(serializer)
    }
}

impl Serialize for RequestedImage {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Members { image_digest: self.written_digest(), image_tag: self.written_tag() }.serialize(serializer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn meanings() {
        let digest = Digest::of(b"");
        let image = |digest: Option<&str>, tag: Option<&str>| {
            RequestedImage::new(digest.map(str::to_owned), tag.map(str::to_owned)).meaning
        };
        let text = digest.to_string();
        assert_eq!(image(Some(&text), None), Ok(ImageSelector::Digest(digest)));
        assert_eq!(image(None, Some("v1")), Ok(ImageSelector::Tag("v1".parse().unwrap())));
        assert_eq!(image(Some(&text), Some("v1")), Ok(ImageSelector::TagAndDigest("v1".parse().unwrap(), digest)));
        for (digest, tag, code) in [
            (None, None, ImageFailureCode::MissingDigestAndTag),
            (Some("sha256"), None, ImageFailureCode::InvalidImageDigest),
            (Some("sha256:xyz"), Some("v1"), ImageFailureCode::InvalidImageDigest),
            (Some(""), None, ImageFailureCode::InvalidImageDigest),
            (Some("sha256:abc"), None, ImageFailureCode::ImageNotFound),
            (Some("md5:d41d8cd98f00b204e9800998ecf8427e"), None, ImageFailureCode::ImageNotFound),
            (Some("sha256:abc"), Some("-v1"), ImageFailureCode::InvalidImageTag),
            (None, Some("a b"), ImageFailureCode::InvalidImageTag),
        ] {
            assert_eq!(image(digest, tag), Err(code), "{digest:?} {tag:?}");
        }
    }

    #[test]
    fn goes_out_as_it_came() {
        let image = RequestedImage::new(Some("SHA256:xyz".to_owned()), None);
        assert_eq!(serde_json::to_string(&image).unwrap(), r#"{"imageDigest":"SHA256:xyz"}"#);
        let id = ImageIdentifier { digest: None, tag: Some("v1".parse().unwrap()) };
        assert_eq!(serde_json::to_string(&id).unwrap(), r#"{"imageTag":"v1"}"#);
    }
}
