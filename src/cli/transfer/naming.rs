//! Which images of a layout are imported, and under which names. Pure.

use super::layout::Entry;
use super::name::ImageName;
use crate::oci::{RepositoryName, Tag};

/// `--to`: a whole name with a tag for a single image, or what goes before the name of each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum To {
    Same,
    Below(RepositoryName),
    Exactly(ImageName),
}

/// One image and the name that it gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Import {
    pub(super) entry: Entry,
    pub(super) name: ImageName,
}

impl To {
    pub(super) fn parse(text: Option<&str>) -> Result<Self, String> {
        let Some(text) = text else { return Ok(Self::Same) };
        let name: ImageName = text.trim_end_matches('/').parse()?;
        match name {
            ImageName { repository, tag: None, digest: None } => Ok(Self::Below(repository)),
            ImageName { digest: Some(_), .. } => Err(format!("--to {text} has a digest; give it a tag")),
            name => Ok(Self::Exactly(name)),
        }
    }

    fn apply(&self, entry: &Entry) -> Result<ImageName, String> {
        let whole = entry.full_name.as_deref().map(ImageName::of_annotation);
        // A short name without a slash and a colon is only a tag.
        let ref_name = entry.ref_name.as_deref().filter(|name| name.contains([':', '/', '@']));
        let name = match whole.or_else(|| ref_name.map(ImageName::of_annotation)) {
            Some(name) => Some(name?.or_latest()?),
            None => None,
        };
        match (self, name) {
            (Self::Exactly(name), _) => Ok(name.clone()),
            (Self::Same, Some(name)) => Ok(name),
            (Self::Below(prefix), Some(name)) => {
                let repository = format!("{prefix}/{}", name.repository).parse().map_err(|error| format!("{error}"))?;
                Ok(ImageName { repository, ..name })
            }
            (Self::Below(repository), None) if entry.ref_name.is_some() => {
                let tag: Option<Result<Tag, _>> = entry.ref_name.as_deref().map(str::parse);
                let tag = tag.transpose().map_err(|error| error.to_string())?;
                Ok(ImageName { repository: repository.clone(), tag, digest: None })
            }
            (Self::Same | Self::Below(_), None) => {
                Err(format!("{} has no name in the layout; give it one with --to team/app:tag", entry.digest))
            }
        }
    }
}

/// The images that `wanted` names, or all. An entry that `goes_along` with another is an image where it is named itself.
pub(super) fn imports(
    entries: &[Entry],
    wanted: &[String],
    to: &To,
    goes_along: impl Fn(&Entry) -> bool,
) -> Result<Vec<Import>, String> {
    let images: Vec<&Entry> = entries.iter().filter(|entry| names(entry, wanted) || !goes_along(entry)).collect();
    let chosen: Vec<&Entry> =
        images.iter().copied().filter(|entry| wanted.is_empty() || names(entry, wanted)).collect();
    if let Some(unknown) =
        wanted.iter().find(|name| !images.iter().any(|entry| names(entry, std::slice::from_ref(*name))))
    {
        let there: Vec<String> = images.iter().map(|entry| label(entry)).collect();
        return Err(format!("the layout has no {unknown}; it has {}", there.join(", ")));
    }
    match (chosen.as_slice(), to) {
        ([], _) => Err("the layout has no image".to_owned()),
        ([_, _, ..], To::Exactly(name)) => {
            Err(format!("--to {name} is the name of one image, and there are {}; name one of them", chosen.len()))
        }
        (chosen, to) => {
            chosen.iter().map(|entry| Ok(Import { entry: (*entry).clone(), name: to.apply(entry)? })).collect()
        }
    }
}

fn names(entry: &Entry, wanted: &[String]) -> bool {
    let own = [entry.full_name.as_deref(), entry.ref_name.as_deref()];
    let short =
        entry.full_name.as_deref().and_then(|name| ImageName::of_annotation(name).ok()).map(|it| it.to_string());
    let digest = entry.digest.to_string();
    wanted
        .iter()
        .any(|name| own.contains(&Some(name.as_str())) || short.as_deref() == Some(name.as_str()) || digest == *name)
}

fn label(entry: &Entry) -> String {
    entry.ref_name.clone().or_else(|| entry.full_name.clone()).unwrap_or_else(|| entry.digest.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oci::{Digest, MediaType};

    fn entry(full_name: Option<&str>, ref_name: Option<&str>) -> Entry {
        Entry {
            media_type: MediaType::oci_manifest(),
            digest: Digest::of(b"x"),
            size: 1,
            full_name: full_name.map(str::to_owned),
            ref_name: ref_name.map(str::to_owned),
        }
    }

    #[test]
    fn names_of_many_programs() {
        let of = |full, short, to| {
            let imports = imports(&[entry(full, short)], &[], &To::parse(to).unwrap(), |_| false);
            imports.map(|imports| imports[0].name.to_string())
        };
        let nginx = Some("docker.io/library/nginx:1");
        for (full, short, to, name) in [
            // This program's own.
            (Some("localhost:5000/team/app:1"), Some("team/app:1"), None, "team/app:1"),
            (nginx, nginx, None, "docker.io/library/nginx:1"),
            (nginx, nginx, Some("mirror/"), "mirror/docker.io/library/nginx:1"),
            (nginx, nginx, Some("team/web:2"), "team/web:2"),
            // docker save.
            (nginx, Some("1"), None, "docker.io/library/nginx:1"),
            // podman save.
            (None, Some("localhost/app:2"), None, "app:2"),
            (None, Some("localhost/app:2"), Some("team"), "team/app:2"),
            // skopeo, with a tag, with a name, with nothing.
            (None, Some("latest"), Some("team/app"), "team/app:latest"),
            (None, Some("team/app"), None, "team/app:latest"),
            (None, None, Some("team/app:1"), "team/app:1"),
        ] {
            assert_eq!(of(full, short, to).as_deref(), Ok(name), "{full:?} {short:?} {to:?}");
        }
        for (short, to) in [(None, None), (None, Some("team")), (Some("latest"), None)] {
            assert!(of(None, short, to).unwrap_err().contains("--to"), "{short:?} {to:?}");
        }
        assert!(To::parse(Some(&format!("a@{}", Digest::of(b"x")))).is_err());
    }

    #[test]
    fn images_are_chosen() {
        let (a, b) = (entry(None, Some("a:1")), entry(Some("localhost:5000/b:1"), Some("b:1")));
        let entries = [a.clone(), b.clone(), entry(None, None)];
        let choose = |wanted: &[&str], to: Option<&str>| {
            let wanted: Vec<String> = wanted.iter().map(|name| (*name).to_owned()).collect();
            let imports = imports(&entries, &wanted, &To::parse(to).unwrap(), |entry| entry.ref_name.is_none());
            imports.map(|imports| imports.into_iter().map(|import| import.entry).collect::<Vec<_>>())
        };
        assert_eq!(choose(&[], None), Ok(vec![a.clone(), b.clone()]));
        assert_eq!(choose(&["b:1"], Some("c:2")), Ok(vec![b.clone()]));
        assert_eq!(choose(&["localhost:5000/b:1"], None), Ok(vec![b]));
        assert!(choose(&["c:1"], None).unwrap_err().contains("it has a:1, b:1"));
        assert!(choose(&[], Some("c:2")).unwrap_err().contains("there are 2"));
        assert!(imports(&[], &[], &To::Same, |_| false).unwrap_err().contains("no image"));
    }
}
