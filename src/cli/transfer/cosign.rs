//! Signatures, attestations and SBOMs as cosign has written them before the referrers API: under a tag that names what they are
//! about, `sha256-<hex>.sig`.

use crate::oci::{Algorithm, Digest, Tag};

const KINDS: [&str; 3] = ["sig", "att", "sbom"];

/// The tags under which there may be something about `subject`.
pub(super) fn tags(subject: &Digest) -> Vec<Tag> {
    // The hex digits of a longer digest leave no room in a tag.
    if subject.algorithm() != Algorithm::Sha256 {
        return Vec::new();
    }
    let base = Tag::of_referrers(subject);
    KINDS.iter().filter_map(|kind| format!("{base}.{kind}").parse().ok()).collect()
}

/// What the image with this tag is about.
pub(super) fn subject(tag: &Tag) -> Option<Digest> {
    let text = tag.to_string();
    let (base, kind) = text.split_once('.')?;
    let digest = base.replacen('-', ":", 1).parse().ok()?;
    KINDS.contains(&kind).then_some(digest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_and_back() {
        let digest = Digest::of(b"x");
        let tags = tags(&digest);
        assert_eq!(tags.len(), 3);
        assert!(tags.iter().all(|tag| subject(tag) == Some(digest)));
        for other in ["1.27", "latest", "sha256-00.sig", "v1.sig", &format!("sha256-{}.pub", digest.hex())] {
            assert_eq!(subject(&other.parse().unwrap()), None, "{other}");
        }
        assert!(super::tags(&Digest::compute(Algorithm::Sha512, b"x")).is_empty());
    }
}
