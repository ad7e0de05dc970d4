//! The name of an image as it is typed: `repository:tag`, `repository@digest`, or both.

use std::fmt;
use std::str::FromStr;

use crate::oci::{Digest, Reference, RepositoryName, Tag};

/// Without the registry, which `--url` names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::cli) struct ImageName {
    pub(in crate::cli) repository: RepositoryName,
    pub(in crate::cli) tag: Option<Tag>,
    pub(in crate::cli) digest: Option<Digest>,
}

impl ImageName {
    /// What to ask the registry for. A digest goes before a tag.
    pub(super) fn reference(&self) -> Option<Reference> {
        self.digest.map(Reference::Digest).or_else(|| self.tag.clone().map(Reference::Tag))
    }

    /// Neither tag nor digest means `latest`.
    pub(super) fn or_latest(mut self) -> Result<Self, String> {
        if self.tag.is_none() && self.digest.is_none() {
            self.tag = Some("latest".parse().map_err(|error: crate::oci::ReferenceError| error.to_string())?);
        }
        Ok(self)
    }

    /// As a container runtime knows the image: with the registry before it, unless the name begins with one.
    pub(super) fn with_registry(&self, registry: &str) -> String {
        match self.repository.components().next() {
            Some(first) if first.contains('.') && self.repository.components().count() > 1 => self.to_string(),
            _ => format!("{registry}/{self}"),
        }
    }

    /// Reads a name out of a layout. A first component that is `localhost` or has a port is the registry that the image
    /// came from, and is left out.
    pub(super) fn of_annotation(text: &str) -> Result<Self, String> {
        match text.split_once('/') {
            Some((first, rest)) if first == "localhost" || first.contains(':') => rest.parse(),
            _ => text.parse(),
        }
    }
}

impl FromStr for ImageName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) => (rest, Some(digest.parse().map_err(|error| format!("{text}: {error}"))?)),
            None => (text, None),
        };
        let after_slash = rest.rfind('/').map_or(0, |at| at + 1);
        let (repository, tag) = match rest.rfind(':') {
            Some(at) if at >= after_slash => {
                let (repository, tag) = rest.split_at(at);
                (repository, Some(tag.trim_start_matches(':').parse().map_err(|error| format!("{text}: {error}"))?))
            }
            _ => (rest, None),
        };
        if repository.contains(':') {
            return Err(format!("{text} names a registry; --url names it, and images are named without it"));
        }
        Ok(Self { repository: repository.parse().map_err(|error| format!("{error}"))?, tag, digest })
    }
}

impl fmt::Display for ImageName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.repository)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        if let Some(digest) = &self.digest {
            write!(f, "@{digest}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_typed_is_printed_again() {
        let digest = Digest::of(b"x").to_string();
        for text in ["a", "a:1", "docker.io/library/nginx:1.27", &format!("a/b@{digest}"), &format!("a/b:1@{digest}")] {
            let name: ImageName = text.parse().unwrap();
            assert_eq!(name.to_string(), text);
        }
        let both: ImageName = format!("a:1@{digest}").parse().unwrap();
        assert!(matches!(both.reference(), Some(Reference::Digest(_))));
        assert_eq!("a".parse::<ImageName>().unwrap().or_latest().unwrap().to_string(), "a:latest");
    }

    #[test]
    fn what_is_no_name() {
        for (text, said) in [
            ("", "not a repository name"),
            ("A:1", "not a repository name"),
            ("a:.x", "not a tag"),
            ("a@sha256:1", "hex digits"),
            ("localhost:5000/a:1", "--url"),
        ] {
            let error = text.parse::<ImageName>().unwrap_err();
            assert!(error.contains(said), "{text}: {error}");
        }
    }

    #[test]
    fn the_registry_comes_and_goes() {
        for (text, with) in [
            ("team/app:1", "localhost:5000/team/app:1"),
            ("app:1", "localhost:5000/app:1"),
            ("docker.io/library/nginx:1", "docker.io/library/nginx:1"),
        ] {
            let name: ImageName = text.parse().unwrap();
            assert_eq!(name.with_registry("localhost:5000"), with);
            assert_eq!(ImageName::of_annotation(with), Ok(name));
        }
        assert_eq!(ImageName::of_annotation("localhost/app:1").unwrap().to_string(), "app:1");
    }
}
