//! `entrepot import`: images of an OCI layout into a registry.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use clap::Args;
use futures_util::{TryStreamExt, stream};

use super::error::Error;
use super::layout::{Entry, Layout};
use super::list;
use super::naming::{self, Import as Wanted, To};
use super::plan::{Document, MAX_DEPTH, Plan, below};
use super::progress::{Finished, Progress, seconds_since};
use super::registry::{Access, Registry, media_type};
use super::{AT_ONCE, interruptible};
use crate::cli::arguments::Output;
use crate::cli::failure::Failure;
use crate::oci::{Digest, Manifest, MediaType, RepositoryName};

/// How often a bar is brought up to date.
const LOOK_EVERY: Duration = Duration::from_millis(100);

#[derive(Debug, Args)]
pub(in crate::cli) struct Import {
    #[command(flatten)]
    access: Access,
    /// Put this before the name of each image; with a tag, the whole name of a single image
    #[arg(long, value_name = "PREFIX")]
    to: Option<String>,
    /// Take the images that this file names, too: one a line, with comments after #
    #[arg(long, value_name = "FILE")]
    list: Option<PathBuf>,
    #[command(flatten)]
    output: Output,
    /// An OCI layout: a folder or a tar archive, also of skopeo, podman, or docker with the containerd store
    ///
    /// A sparse index, which names manifests that the layout does not have, is only taken by a registry that does not
    /// insist on them: entrepot with `require_references = false` in [hosted].
    path: PathBuf,
    /// Take only these images of the layout [default: all]
    #[arg(value_name = "NAME")]
    names: Vec<String>,
}

pub(in crate::cli) async fn run(wanted: &Import) -> Result<String, Failure> {
    interruptible(import(wanted)).await.map(|()| String::new()).map_err(Error::into_failure)
}

async fn import(wanted: &Import) -> Result<(), Error> {
    let to = To::parse(wanted.to.as_deref()).map_err(Error::Usage)?;
    let names = list::names(&wanted.names, wanted.list.as_deref())?;
    let registry = wanted.access.open()?;
    let layout = Layout::open(&wanted.path)?;
    let entries = layout.entries()?;
    let mut referrers: BTreeMap<Digest, Vec<Document>> = BTreeMap::new();
    for entry in entries.iter().filter(|entry| entry.full_name.is_none() && entry.ref_name.is_none()) {
        if let Some((subject, document)) = referrer(&layout, entry)? {
            referrers.entry(subject).or_default().push(document);
        }
    }
    let is_referrer = |entry: &Entry| referrers.values().flatten().any(|document| document.digest == entry.digest);
    let images = naming::imports(&entries, &names, &to, is_referrer)
        .map_err(|detail| Error::Usage(format!("{}: {detail}", wanted.path.display())))?;
    let importer = Importer { registry, layout, progress: Progress::new(wanted.output.format), referrers };
    for image in &images {
        importer.image(image).await?;
    }
    Ok(())
}

/// What an entry without a name refers to, if it refers to anything.
fn referrer(layout: &Layout, entry: &Entry) -> Result<Option<(Digest, Document)>, Error> {
    let Some(document) = read(layout, entry.digest, &entry.media_type)? else { return Ok(None) };
    let subject = Manifest::parse(&document.bytes).ok().and_then(|manifest| manifest.subject);
    Ok(subject.map(|subject| (subject.digest, document)))
}

fn read(layout: &Layout, digest: Digest, told: &MediaType) -> Result<Option<Document>, Error> {
    let Some(bytes) = layout.document(&digest)? else { return Ok(None) };
    Ok(Some(Document { media_type: media_type(Some(told.clone()), &bytes), digest, bytes: bytes.into() }))
}

struct Importer {
    registry: Registry,
    layout: Layout,
    progress: Progress,
    /// By the digest of what they refer to.
    referrers: BTreeMap<Digest, Vec<Document>>,
}

impl Importer {
    async fn image(&self, image: &Wanted) -> Result<(), Error> {
        let start = Instant::now();
        let repository = &image.name.repository;
        self.progress.begins("importing", &image.name.to_string());
        let root = read(&self.layout, image.entry.digest, &image.entry.media_type)?
            .ok_or_else(|| self.lacks("manifest", &image.entry.digest))?;
        let mut plan = Plan::default();
        self.walk(root.clone(), &mut plan, 0)?;
        let own = plan.manifests.len();
        self.add_referrers(&mut plan)?;

        let (moved, bytes_moved) = (AtomicUsize::new(0), AtomicU64::new(0));
        stream::iter(plan.blobs.iter().map(|(digest, size)| Ok((*digest, *size))))
            .try_for_each_concurrent(AT_ONCE, async |(digest, size)| {
                if self.blob(repository, digest, size).await? {
                    moved.fetch_add(1, Ordering::Relaxed);
                    bytes_moved.fetch_add(size, Ordering::Relaxed);
                }
                Ok(())
            })
            .await?;
        for (at, document) in plan.manifests.iter().enumerate() {
            let tag = image.name.tag.as_ref().filter(|_| at + 1 == own);
            self.registry.push_manifest(repository, tag, document).await?;
        }
        let moved = moved.into_inner();
        self.progress.finished(&Finished {
            image: image.name.to_string(),
            digest: root.digest.to_string(),
            manifests: plan.manifests.len(),
            blobs_moved: moved,
            blobs_there: plan.blobs.len() - moved,
            bytes_moved: bytes_moved.into_inner(),
            bytes: plan.bytes(),
            sparse: plan.is_sparse,
            seconds: seconds_since(start),
        })
    }

    /// Adds the document after all that lies below it. A child that the layout does not have makes the plan sparse.
    fn walk(&self, document: Document, plan: &mut Plan, depth: usize) -> Result<(), Error> {
        if depth > MAX_DEPTH {
            return Err(Error::wrong(document.digest, format!("it lies more than {MAX_DEPTH} indexes deep")));
        }
        let mut below = below(&document, &[])?;
        for child in std::mem::take(&mut below.manifests) {
            match read(&self.layout, child.digest, &child.media_type)? {
                _ if plan.has(&child.digest) => {}
                Some(document) => self.walk(document, plan, depth + 1)?,
                None => below.left_out += 1,
            }
        }
        plan.add(document, below)
    }

    /// Adds what refers to the plan's manifests, and what refers to that.
    fn add_referrers(&self, plan: &mut Plan) -> Result<(), Error> {
        let mut at = 0;
        while let Some(subject) = plan.manifests.get(at).map(|document| document.digest) {
            for referrer in self.referrers.get(&subject).into_iter().flatten() {
                if !plan.has(&referrer.digest) {
                    self.walk(referrer.clone(), plan, 0)?;
                }
            }
            at += 1;
        }
        Ok(())
    }

    /// Says whether it had to be uploaded.
    async fn blob(&self, repository: &RepositoryName, digest: Digest, size: u64) -> Result<bool, Error> {
        if self.registry.has_blob(repository, &digest).await? {
            return Ok(false);
        }
        let piece = self.layout.blob(&digest)?.ok_or_else(|| self.lacks("blob", &digest))?;
        if piece.size() != size {
            let detail = format!("blob {digest} is damaged: it has {} bytes instead of {size}", piece.size());
            return Err(Error::layout(self.layout.path(), detail));
        }
        let bar = self.progress.blob(&digest, size);
        let sent = Arc::new(AtomicU64::new(0));
        let mut pushing = std::pin::pin!(self.registry.push_blob(repository, &digest, &piece, &sent));
        loop {
            match tokio::time::timeout(LOOK_EVERY, &mut pushing).await {
                Ok(pushed) => return pushed.map(|()| true),
                Err(_) => bar.set(sent.load(Ordering::Relaxed)),
            }
        }
    }

    fn lacks(&self, what: &str, digest: &Digest) -> Error {
        Error::layout(self.layout.path(), format!("it has no {what} {digest}"))
    }
}
