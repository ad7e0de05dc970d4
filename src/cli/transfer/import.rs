//! `entrepot import`: images of an OCI layout into a registry.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use clap::Args;
use futures_util::{TryStreamExt, stream};

use super::error::Error;
use super::layout::{Entry, Layout};
use super::list;
use super::name::ImageName;
use super::naming::{self, Import as Wanted, To};
use super::plan::{Document, MAX_DEPTH, Plan, below};
use super::progress::{Finished, Progress, seconds_since};
use super::registry::{Access, Registry, media_type};
use super::tally::Tally;
use super::{AT_ONCE, cosign, interruptible};
use crate::cli::arguments::Output;
use crate::cli::failure::Failure;
use crate::oci::{Digest, Manifest, MediaType, RepositoryName, Tag};

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
    /// Go on with the other images when one fails
    #[arg(long)]
    keep_going: bool,
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
    let unnamed = referrers.values().flatten().map(|document| document.digest).collect();
    let tagged = tagged(&layout, &entries, &unnamed)?;
    let goes_along = |entry: &Entry| {
        let is_unnamed = entry.full_name.is_none() && entry.ref_name.is_none();
        let is = |document: &Document| document.digest == entry.digest;
        if is_unnamed {
            referrers.values().flatten().any(is)
        } else {
            name_of(entry).and_then(|name| name.tag).is_some_and(|tag| cosign::subject(&tag).is_some())
                && tagged.values().flatten().any(|(_, document)| is(document))
        }
    };
    let images = naming::imports(&entries, &names, &to, goes_along)
        .map_err(|detail| Error::Usage(format!("{}: {detail}", wanted.path.display())))?;
    let mut tally = Tally::new(wanted.keep_going, images.len());
    let importer = Importer { registry, layout, progress: Progress::new(wanted.output.format), referrers, tagged };
    for image in &images {
        tally.note(&importer.progress, &image.name.to_string(), importer.image(image).await)?;
    }
    tally.finish()
}

fn name_of(entry: &Entry) -> Option<ImageName> {
    let name = entry.full_name.as_deref().or(entry.ref_name.as_deref())?;
    ImageName::of_annotation(name).ok()
}

/// What cosign has put under tags about images of the layout, in the same repository, or about what refers to them.
fn tagged(layout: &Layout, entries: &[Entry], referrers: &BTreeSet<Digest>) -> Result<Tagged, Error> {
    let mut present: BTreeMap<RepositoryName, BTreeSet<Digest>> = BTreeMap::new();
    for entry in entries {
        let Some(name) = name_of(entry) else { continue };
        let Some(document) = read(layout, entry.digest, &entry.media_type)? else { continue };
        let children = Manifest::parse(&document.bytes).map(|manifest| manifest.manifests).unwrap_or_default();
        let digests = children.iter().map(|child| child.digest).chain([entry.digest]);
        present.entry(name.repository).or_default().extend(digests);
    }
    let mut found = Tagged::new();
    for entry in entries {
        let Some(ImageName { repository, tag: Some(tag), .. }) = name_of(entry) else { continue };
        let Some(subject) = cosign::subject(&tag) else { continue };
        if !referrers.contains(&subject) && !present.get(&repository).is_some_and(|digests| digests.contains(&subject))
        {
            continue;
        }
        if let Some(document) = read(layout, entry.digest, &entry.media_type)? {
            found.entry((repository, subject)).or_default().push((tag, document));
        }
    }
    Ok(found)
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

/// By the repository in the layout, and the digest that they are about.
type Tagged = BTreeMap<(RepositoryName, Digest), Vec<(Tag, Document)>>;

struct Importer {
    registry: Registry,
    layout: Layout,
    progress: Progress,
    /// By the digest of what they refer to.
    referrers: BTreeMap<Digest, Vec<Document>>,
    tagged: Tagged,
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
        let tags = self.add_referrers(name_of(&image.entry).map(|name| name.repository), &mut plan)?;

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
        for (tag, document) in &tags {
            self.registry.push_manifest(repository, Some(tag), document).await?;
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

    /// Adds what refers to the plan's manifests, and what refers to that; gives back what has a tag beside. `origin` is the
    /// repository that the layout names.
    fn add_referrers(&self, origin: Option<RepositoryName>, plan: &mut Plan) -> Result<Vec<(Tag, Document)>, Error> {
        let mut tags = Vec::new();
        let mut at = 0;
        while let Some(subject) = plan.manifests.get(at).map(|document| document.digest) {
            let of_origin = origin.clone().and_then(|origin| self.tagged.get(&(origin, subject)));
            let tagged = of_origin.into_iter().flatten();
            tags.extend(tagged.clone().cloned());
            let referrers = self.referrers.get(&subject).into_iter().flatten();
            for referrer in referrers.chain(tagged.map(|(_, document)| document)) {
                if !plan.has(&referrer.digest) {
                    self.walk(referrer.clone(), plan, 0)?;
                }
            }
            at += 1;
        }
        Ok(tags)
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
