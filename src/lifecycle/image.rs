//! Images of a repository as the evaluation sees them: every manifest with its tags, times and relations.
//!
//! Times are milliseconds since 1970.

/// Storage class of an image; an archived one cannot be pulled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StorageClass {
    Standard,
    Archive,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    /// Unique in the repository.
    pub digest: String,
    /// `artifactType`, or what stands for it in a manifest without.
    pub artifact_type: Option<String>,
    pub tags: Vec<Tag>,
    pub pushed_at_ms: i64,
    /// Last pull of the manifest itself. Pulls of scanners, replication and excluded principals are not to be counted.
    pub pulled_at_ms: Option<i64>,
    /// Last restore from the archive.
    pub activated_at_ms: Option<i64>,
    pub archived_at_ms: Option<i64>,
    pub storage_class: StorageClass,
    /// Digests of the manifests that an index lists, whether they are in the repository or not.
    pub children: Vec<String>,
    /// Digest of the manifest that a referrer is about.
    pub subject: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tag {
    /// Unique in the repository.
    pub name: String,
    /// Last time that the tag came to its image.
    pub pushed_at_ms: i64,
}

impl Image {
    /// Time that orders images of a class and gives their age. A restored image counts from its last restore.
    pub(super) fn ordering_ms(&self) -> i64 {
        match self.storage_class {
            StorageClass::Standard => {
                self.activated_at_ms.map_or(self.pushed_at_ms, |restored| restored.max(self.pushed_at_ms))
            }
            StorageClass::Archive => self.archived_at_ms.unwrap_or(self.pushed_at_ms),
        }
    }

    pub(super) fn tag_names(&self) -> impl Iterator<Item = &str> {
        self.tags.iter().map(|tag| tag.name.as_str())
    }
}
