//! Naming layers: as a client asks for them, and as the registry answers.

use std::fmt;

use serde::{Serialize, Serializer};

use super::image::has_digest_form;
use super::words::words;
use crate::oci::Digest;

/// A text with the form of a digest, `[a-zA-Z0-9-_+.]+:[a-fA-F0-9]+`. It may be one of no algorithm that we know, which
/// is no mistake of the client's: such a layer is just not here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LayerDigest {
    text: String,
    digest: Option<Digest>,
}

/// A layer as a client names it in a batch: there a malformed digest fails alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestedLayer {
    pub written: String,
    pub digest: Result<LayerDigest, LayerFailureCode>,
}

words! {
    pub enum LayerFailureCode {
        InvalidLayerDigest = "InvalidLayerDigest",
        MissingLayerDigest = "MissingLayerDigest",
    }
}

words! {
    pub enum LayerAvailability {
        Available = "AVAILABLE",
        Unavailable = "UNAVAILABLE",
        Archived = "ARCHIVED",
    }
}

impl LayerDigest {
    pub fn parse(text: &str) -> Option<Self> {
        has_digest_form(text).then(|| Self { text: text.to_owned(), digest: text.parse().ok() })
    }

    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// `None` for a digest that no layer here can have.
    pub const fn digest(&self) -> Option<&Digest> {
        self.digest.as_ref()
    }
}

impl From<Digest> for LayerDigest {
    fn from(digest: Digest) -> Self {
        Self { text: digest.to_string(), digest: Some(digest) }
    }
}

impl RequestedLayer {
    pub fn new(written: String) -> Self {
        let digest = if written.trim().is_empty() {
            Err(LayerFailureCode::MissingLayerDigest)
        } else {
            LayerDigest::parse(&written).ok_or(LayerFailureCode::InvalidLayerDigest)
        };
        Self { written, digest }
    }
}

impl LayerFailureCode {
    pub const fn reason(self) -> &'static str {
        match self {
            Self::InvalidLayerDigest => {
                "Invalid request parameters: layer digest should satisfy the regex '[a-zA-Z0-9-_+.]+:[a-fA-F0-9]+'"
            }
            Self::MissingLayerDigest => "Invalid request parameters: layer digest cannot be blank",
        }
    }
}

impl fmt::Display for LayerDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Serialize for LayerDigest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_known_and_unknown() {
        let empty = Digest::of(b"");
        assert_eq!(LayerDigest::parse(&empty.to_string()), Some(LayerDigest::from(empty)));
        let old = LayerDigest::parse("tarsum.v1+sha256:abc").unwrap();
        assert_eq!((old.digest(), old.as_str()), (None, "tarsum.v1+sha256:abc"));
        for (text, code) in [
            ("", LayerFailureCode::MissingLayerDigest),
            (" ", LayerFailureCode::MissingLayerDigest),
            ("sha256:", LayerFailureCode::InvalidLayerDigest),
            ("sha256:g", LayerFailureCode::InvalidLayerDigest),
            (":abc", LayerFailureCode::InvalidLayerDigest),
            ("a:b:c", LayerFailureCode::InvalidLayerDigest),
        ] {
            assert_eq!(RequestedLayer::new(text.to_owned()).digest, Err(code), "{text:?}");
        }
    }
}
