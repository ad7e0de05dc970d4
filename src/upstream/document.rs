//! Whether what came is the manifest that was asked for, and of what type. Pure.

use bytes::Bytes;
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::error::ErrorKind;
use super::manifest::ManifestBody;
use crate::oci::{Digest, Manifest, MediaType, json};

/// What the answer's head says of its body.
#[derive(Default)]
pub(super) struct Told {
    pub(super) media_type: Option<MediaType>,
    pub(super) digest: Option<Digest>,
}

#[derive(Debug)]
pub(super) enum Refusal {
    NoManifest(String),
    WrongDigest(String),
}

impl Refusal {
    pub(super) fn into_kind(self) -> ErrorKind {
        let (Self::NoManifest(detail) | Self::WrongDigest(detail)) = self;
        ErrorKind::Misbehaved { detail }
    }
}

/// The members by which a manifest is known, whatever they hold.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Members {
    schema_version: Option<IgnoredAny>,
    media_type: Option<String>,
    config: Option<IgnoredAny>,
    layers: Option<IgnoredAny>,
    manifests: Option<IgnoredAny>,
    blobs: Option<IgnoredAny>,
    fs_layers: Option<IgnoredAny>,
    signatures: Option<IgnoredAny>,
    errors: Option<IgnoredAny>,
}

impl Members {
    fn read(bytes: &[u8]) -> Result<Self, String> {
        // An array of enough elements would do for serde.
        if bytes.trim_ascii_start().first() != Some(&b'{') {
            return Err("no JSON object".to_owned());
        }
        serde_json::from_slice(bytes).map_err(|error| json::told(&error))
    }

    /// Whether a document that came as `told` may be taken for a manifest. The types that we know have members that we know; of
    /// an artifact's own type any JSON object may be (C34), unless it is an error's.
    fn check(&self, told: Option<&MediaType>, bytes: &[u8]) -> Result<(), String> {
        let known = told.is_none_or(|told| is_generic(told) || is_known(told));
        if known && !self.are_of_a_manifest() {
            return Err("a JSON document without any member of one".to_owned());
        }
        if self.errors.is_some() && !self.are_of_a_manifest() {
            return Err("an error document".to_owned());
        }
        match Manifest::parse(bytes) {
            Err(error) if known => Err(error.to_string()),
            _ => Ok(()),
        }
    }

    fn are_signed(&self) -> bool {
        self.fs_layers.is_some() && self.signatures.is_some()
    }

    fn are_of_a_manifest(&self) -> bool {
        self.schema_version.is_some()
            || self.media_type.is_some()
            || [&self.config, &self.layers, &self.manifests, &self.blobs, &self.fs_layers].iter().any(|it| it.is_some())
    }

    /// The type of a document that came without one.
    fn media_type(&self) -> MediaType {
        match &self.media_type {
            Some(declared) => MediaType::new(declared),
            None if self.manifests.is_some() => MediaType::oci_index(),
            None if self.are_signed() => MediaType::new("application/vnd.docker.distribution.manifest.v1+prettyjws"),
            None if self.fs_layers.is_some() => MediaType::new("application/vnd.docker.distribution.manifest.v1+json"),
            None => MediaType::new("application/vnd.oci.image.manifest.v1+json"),
        }
    }
}

/// Accepts `bytes` as the manifest that was asked for, by `wanted` where that was a digest.
///
/// The digest of a *signed* Docker schema 1 manifest is of its payload, not of its bytes, so it can neither be kept nor
/// checked like any other: it is refused. The format was retired in 2019 and no current client runs such an image.
pub(super) fn read_manifest(bytes: Bytes, told: Told, wanted: Option<Digest>) -> Result<ManifestBody, Refusal> {
    if let Some(media_type) = told.media_type.as_ref().filter(|media_type| !media_type.may_be_manifest()) {
        return Err(Refusal::NoManifest(format!("it sends {media_type} where a manifest was asked for")));
    }
    let members = Members::read(&bytes);
    for (digest, origin) in [(wanted, "asked for"), (told.digest, "announced")] {
        match digest {
            Some(digest) if !digest.verifies(&bytes) => {
                let detail = if members.as_ref().is_ok_and(Members::are_signed) {
                    "it sends a signed Docker schema 1 manifest, a format that is no longer supported".to_owned()
                } else {
                    format!("the bytes of the manifest are not those of the digest that was {origin}, {digest}")
                };
                return Err(Refusal::WrongDigest(detail));
            }
            _ => {}
        }
    }
    // Bytes that are those of the digest that was asked for are what they should be, whatever they look like.
    if wanted.is_none() {
        let looks =
            members.as_ref().map_err(String::clone).and_then(|members| members.check(told.media_type.as_ref(), &bytes));
        looks.map_err(|error| Refusal::NoManifest(format!("it sends what is not a manifest: {error}")))?;
    }
    let members = members.unwrap_or_default();
    let media_type = match told.media_type {
        Some(media_type) if !is_generic(&media_type) => media_type,
        Some(media_type) if members.media_type.is_none() && media_type.as_str() == "application/json" => media_type,
        _ => members.media_type(),
    };
    let digest = wanted.or(told.digest).unwrap_or_else(|| Digest::of(&bytes));
    Ok(ManifestBody { digest, media_type, bytes })
}

/// Types that object stores give to everything.
pub(super) fn is_generic(media_type: &MediaType) -> bool {
    matches!(media_type.as_str(), "application/json" | "application/octet-stream" | "binary/octet-stream")
}

/// Types whose members are those of `Members`.
fn is_known(media_type: &MediaType) -> bool {
    media_type.is_index()
        || media_type.is_schema1()
        || matches!(
            media_type.as_str(),
            "application/vnd.oci.image.manifest.v1+json"
                | "application/vnd.docker.distribution.manifest.v2+json"
                | "application/vnd.oci.artifact.manifest.v1+json"
        )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oci::Algorithm;

    const INDEX: &str = r#"{"schemaVersion":2,"manifests":[]}"#;

    fn read(
        text: &str,
        media_type: &str,
        announced: Option<Digest>,
        wanted: Option<Digest>,
    ) -> Result<ManifestBody, Refusal> {
        let media_type = (!media_type.is_empty()).then(|| MediaType::new(media_type));
        read_manifest(Bytes::from(text.to_owned()), Told { media_type, digest: announced }, wanted)
    }

    #[test]
    fn what_is_not_a_manifest() {
        for (text, media_type) in [
            (INDEX, "text/html"),
            (INDEX, "text/plain; charset=utf-8"),
            ("<html>log in</html>", ""),
            ("<html>log in</html>", "application/vnd.oci.image.index.v1+json"),
            (r#"{"errors":[{"code":"TOOMANYREQUESTS"}]}"#, "application/json"),
            (r#"{"message":"hello"}"#, "application/vnd.oci.image.index.v1+json"),
            ("", "application/vnd.oci.image.index.v1+json"),
            ("[]", ""),
            ("null", ""),
            (r#"{"errors":[]}"#, "application/vnd.acme.thing.v7+json"),
            ("[1,2,3,4,5,6,7,8,9]", "application/vnd.acme.thing.v7+json"),
        ] {
            assert!(matches!(read(text, media_type, None, None), Err(Refusal::NoManifest(_))), "{text} {media_type}");
        }
    }

    #[test]
    fn the_type_is_upstreams_else_the_documents() {
        let own = r#"{"mediaType":"a/b"}"#;
        for (text, told, expected) in [
            (INDEX, "x/y; charset=utf-8", "x/y"),
            (own, "x/y", "x/y"),
            (own, "", "a/b"),
            (own, "application/json", "a/b"),
            (own, "binary/octet-stream", "a/b"),
            (INDEX, "application/json", "application/json"),
            (INDEX, "", "application/vnd.oci.image.index.v1+json"),
            (r#"{"layers":[]}"#, "application/octet-stream", "application/vnd.oci.image.manifest.v1+json"),
            (r#"{"fsLayers":[]}"#, "", "application/vnd.docker.distribution.manifest.v1+json"),
        ] {
            assert_eq!(read(text, told, None, None).unwrap().media_type.as_str(), expected, "{text} {told}");
        }
    }

    /// C34, and what has the right digest is right.
    #[test]
    fn artifacts_may_be_anything() {
        let strange = r#"{"anything":["at","all"]}"#;
        let acme = "application/vnd.acme.thing.v7+json";
        assert_eq!(read(strange, acme, None, None).unwrap().media_type.as_str(), acme);
        let digest = Some(Digest::of(strange.as_bytes()));
        assert_eq!(read(strange, acme, digest, digest).unwrap().media_type.as_str(), acme);
        assert!(read("[]", acme, None, Some(Digest::of(b"[]"))).is_ok());
    }

    #[test]
    fn digests_hold() {
        let right = Digest::of(INDEX.as_bytes());
        let long = Digest::compute(Algorithm::Sha512, INDEX.as_bytes());
        let wrong = Digest::of(b"other");
        let media_type = "application/vnd.oci.image.index.v1+json";
        for (announced, wanted, expected) in [
            (None, None, Some(right)),
            (Some(right), Some(right), Some(right)),
            (Some(long), None, Some(long)),
            (None, Some(long), Some(long)),
            (Some(right), Some(long), Some(long)),
            (Some(wrong), None, None),
            (None, Some(wrong), None),
            (Some(wrong), Some(right), None),
        ] {
            let found = read(INDEX, media_type, announced, wanted);
            match expected {
                Some(expected) => assert_eq!(found.unwrap().digest, expected),
                None => assert!(matches!(found, Err(Refusal::WrongDigest(_)))),
            }
        }
    }

    #[test]
    fn signed_schema_1_says_what_it_is() {
        let text = r#"{"schemaVersion":1,"fsLayers":[],"signatures":[{}]}"#;
        let refusal = read(text, "", Some(Digest::of(b"payload")), None).unwrap_err();
        assert!(refusal.into_kind().to_string().contains("schema 1"));
    }
}
