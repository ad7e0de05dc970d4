//! `entrepot export`: images of a registry into an OCI layout.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use clap::Args;
use futures_util::{TryStreamExt, stream};
use tokio::sync::mpsc;

use super::error::Error;
use super::layout::{BlobWriter, Entry, Target};
use super::list;
use super::name::ImageName;
use super::plan::{Document, MAX_DEPTH, Plan, below};
use super::platform::Platform;
use super::progress::{Bar, Finished, Progress, seconds_since};
use super::registry::{Access, Registry, media_type, persist};
use super::tally::Tally;
use super::{AT_ONCE, cosign, interruptible};
use crate::cli::arguments::Format;
use crate::cli::failure::Failure;
use crate::oci::{Digest, MediaType, Reference, RepositoryName, Tag};

/// Chunks of a blob that wait to be written.
const WAITING_CHUNKS: usize = 16;

#[derive(Debug, Args)]
pub(in crate::cli) struct Export {
    #[command(flatten)]
    access: Access,
    /// Take only these platforms of an index: os/architecture or os/architecture/variant; may be repeated
    ///
    /// The index itself is kept as it is, so that its digest holds. It is then sparse: it names manifests that the layout
    /// does not have. An image that is no index is taken whatever it is for.
    #[arg(long = "platform", value_name = "PLATFORM")]
    platforms: Vec<Platform>,
    /// Take the images that this file names, too: one a line, with comments after #
    #[arg(long, value_name = "FILE")]
    list: Option<PathBuf>,
    /// Take what refers to the images, too: signatures, SBOMs, attestations, by the referrers API and by cosign's tags
    #[arg(long)]
    referrers: bool,
    /// The layout: a tar archive where it ends in .tar, else a folder, which is added to if it is there
    #[arg(short = 'o', long = "layout", value_name = "PATH", value_parser = layout_path)]
    layout: PathBuf,
    /// Write a new archive in place of one that is there
    #[arg(long)]
    replace: bool,
    /// Go on with the other images when one fails; the layout gets those that did not
    #[arg(long)]
    keep_going: bool,
    /// For people or for programs: one JSON object for each finished image
    #[arg(long = "output", value_enum, default_value = "text", value_name = "FORMAT")]
    format: Format,
    /// Images as the registry names them: docker.io/library/nginx:1.27, team/app@sha256:…
    #[arg(value_name = "IMAGE", required_unless_present = "list")]
    images: Vec<String>,
}

/// `-o` is the format of most commands, and the layout here.
fn layout_path(text: &str) -> Result<PathBuf, String> {
    match text {
        "json" | "text" => {
            Err(format!("this is the layout; the format is --output {text}, and a folder of that name ./{text}"))
        }
        path => Ok(PathBuf::from(path)),
    }
}

pub(in crate::cli) async fn run(wanted: &Export) -> Result<String, Failure> {
    interruptible(export(wanted)).await.map(|()| String::new()).map_err(Error::into_failure)
}

async fn export(wanted: &Export) -> Result<(), Error> {
    let images = images(&wanted.images, wanted.list.as_deref())?;
    let registry = wanted.access.open()?;
    let (layout, replaces) = (wanted.layout.clone(), wanted.replace);
    let target = blocking(move || Target::open(&layout, replaces)).await?;
    let progress = Progress::new(wanted.format);
    let exporter = Exporter { registry, target: Arc::new(target), progress, wanted };
    let exported = exporter.all(&images).await;
    let left_over = exporter.target.left_over();
    let finished = match exported {
        Ok(tally) if tally.is_all_lost() => tally.finish(),
        Ok(tally) => {
            let target = Arc::into_inner(exporter.target)
                .ok_or_else(|| Error::layout(&wanted.layout, "it is still being written"))?;
            return blocking(move || target.finish()).await.and(tally.finish());
        }
        Err(error) => Err(error),
    };
    if let Some(path) = left_over {
        exporter.progress.remark(&format!("what has come is in {}; the same command goes on with it", path.display()));
    }
    finished
}

/// Files are read and written on a thread that may wait for them, so that a signal is heard meanwhile.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T, Error> + Send + 'static) -> Result<T, Error> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|error| Err(Error::broken("the layout", error.to_string())))
}

/// Each once.
fn images(typed: &[String], list: Option<&Path>) -> Result<Vec<ImageName>, Error> {
    let mut seen = BTreeSet::new();
    let mut images = Vec::new();
    for text in list::names(typed, list)? {
        let name = text.parse().and_then(ImageName::or_latest).map_err(Error::Usage)?;
        if seen.insert(name.to_string()) {
            images.push(name);
        }
    }
    if images.is_empty() { Err(Error::Usage("no image is named".to_owned())) } else { Ok(images) }
}

struct Exporter<'a> {
    registry: Registry,
    target: Arc<Target>,
    progress: Progress,
    wanted: &'a Export,
}

impl Exporter<'_> {
    async fn all(&self, images: &[ImageName]) -> Result<Tally, Error> {
        let mut tally = Tally::new(self.wanted.keep_going, images.len());
        for image in images {
            tally.note(&self.progress, &image.to_string(), self.image(image).await)?;
        }
        Ok(tally)
    }

    async fn image(&self, name: &ImageName) -> Result<(), Error> {
        let start = Instant::now();
        self.progress.begins("exporting", &name.to_string());
        let root = self.root(name).await?;
        let mut plan = Plan::default();
        self.walk(&name.repository, root.clone(), &mut plan, 0).await?;
        let mut entries = Vec::new();
        if self.wanted.referrers {
            entries = self.referrers(&name.repository, &mut plan).await?;
        }
        let missing: Vec<_> =
            plan.blobs.iter().map(|(digest, size)| (*digest, *size)).filter(|blob| !self.is_there(blob)).collect();
        stream::iter(missing.iter().map(|(digest, size)| Ok(self.blob(&name.repository, *digest, *size))))
            .try_for_each_concurrent(AT_ONCE, |blob| blob)
            .await?;
        // Children come first, so that nothing in the layout refers to what is still to come.
        for document in &plan.manifests {
            self.target.put(document.digest, &document.bytes)?;
        }
        entries.push(self.named(name, &root));
        let wanted = plan.blobs.keys().copied().chain(plan.manifests.iter().map(|document| document.digest));
        self.target.add(&entries, wanted)?;
        self.progress.finished(&Finished {
            image: name.to_string(),
            digest: root.digest.to_string(),
            manifests: plan.manifests.len(),
            blobs_moved: missing.len(),
            blobs_there: plan.blobs.len() - missing.len(),
            bytes_moved: missing.iter().map(|(_, size)| size).sum(),
            bytes: plan.bytes(),
            sparse: plan.is_sparse,
            seconds: seconds_since(start),
        })
    }

    fn is_there(&self, (digest, size): &(Digest, u64)) -> bool {
        self.target.has(digest, Some(*size))
    }

    /// The manifest that the name means now. What an earlier run brought is not fetched again.
    async fn root(&self, name: &ImageName) -> Result<Document, Error> {
        let reference = name.reference().ok_or_else(|| Error::Usage(format!("{name} has neither tag nor digest")))?;
        let digest = match &reference {
            Reference::Digest(digest) => Some(*digest),
            Reference::Tag(tag) if self.target.may_have_documents() => {
                match self.registry.digest_of(&name.repository, tag).await {
                    Ok(digest) => digest,
                    // A registry that refuses this is asked for the manifest, and says more.
                    Err(Error::Refused { .. }) => None,
                    Err(error) => return Err(error),
                }
            }
            Reference::Tag(_) => None,
        };
        match digest.and_then(|digest| self.kept(digest, None)) {
            Some(document) => Ok(document),
            None => self.registry.manifest(&name.repository, &reference).await,
        }
    }

    fn kept(&self, digest: Digest, told: Option<MediaType>) -> Option<Document> {
        let bytes = bytes::Bytes::from(self.target.document(&digest)?);
        Some(Document { media_type: media_type(told, &bytes), digest, bytes })
    }

    /// Adds the document after all that lies below it.
    async fn walk(
        &self,
        repository: &RepositoryName,
        document: Document,
        plan: &mut Plan,
        depth: usize,
    ) -> Result<(), Error> {
        if depth > MAX_DEPTH {
            return Err(Error::wrong(document.digest, format!("it lies more than {MAX_DEPTH} indexes deep")));
        }
        let below = below(&document, &self.wanted.platforms)?;
        for child in &below.manifests {
            if plan.has(&child.digest) {
                continue;
            }
            let document = match self.kept(child.digest, Some(child.media_type.clone())) {
                Some(document) => document,
                None => self.registry.manifest(repository, &Reference::Digest(child.digest)).await?,
            };
            Box::pin(self.walk(repository, document, plan, depth + 1)).await?;
        }
        plan.add(document, below)
    }

    /// Adds what refers to the plan's manifests, and what refers to that.
    async fn referrers(&self, repository: &RepositoryName, plan: &mut Plan) -> Result<Vec<Entry>, Error> {
        let mut entries = Vec::new();
        let mut at = 0;
        while let Some(subject) = plan.manifests.get(at).map(|document| document.digest) {
            at += 1;
            for referrer in self.registry.referrers(repository, &subject).await? {
                if plan.has(&referrer.digest) {
                    continue;
                }
                let document = match self.kept(referrer.digest, Some(referrer.media_type)) {
                    Some(document) => document,
                    None => self.registry.manifest(repository, &Reference::Digest(referrer.digest)).await?,
                };
                entries.push(entry(&document));
                self.walk(repository, document, plan, 0).await?;
            }
            for (tag, document) in self.tagged(repository, &subject).await? {
                let name = ImageName { repository: repository.clone(), tag: Some(tag), digest: None };
                entries.push(self.named(&name, &document));
                if !plan.has(&document.digest) {
                    self.walk(repository, document, plan, 0).await?;
                }
            }
        }
        Ok(entries)
    }

    /// What cosign has put under tags about the manifest.
    async fn tagged(&self, repository: &RepositoryName, subject: &Digest) -> Result<Vec<(Tag, Document)>, Error> {
        let mut found = Vec::new();
        for tag in cosign::tags(subject) {
            let digest = match self.registry.digest_of(repository, &tag).await {
                Err(error) if error.status() == Some(404) => continue,
                digest => digest?,
            };
            let document = match digest.and_then(|digest| self.kept(digest, None)) {
                Some(document) => document,
                None => self.registry.manifest(repository, &Reference::Tag(tag.clone())).await?,
            };
            found.push((tag, document));
        }
        Ok(found)
    }

    fn named(&self, name: &ImageName, document: &Document) -> Entry {
        Entry {
            full_name: Some(name.with_registry(&self.registry.host())),
            ref_name: Some(name.to_string()),
            ..entry(document)
        }
    }

    async fn blob(&self, repository: &RepositoryName, digest: Digest, size: u64) -> Result<(), Error> {
        let bar = self.progress.blob(&digest, size);
        persist(async || {
            bar.set(0);
            self.fetch(repository, digest, size, &bar).await
        })
        .await
    }

    /// One try. Bytes are hashed and written on a thread that may block, while the next are read from the network.
    async fn fetch(&self, repository: &RepositoryName, digest: Digest, size: u64, bar: &Bar) -> Result<(), Error> {
        let mut incoming = self.registry.blob(repository, &digest).await?;
        let (sender, chunks) = mpsc::channel(WAITING_CHUNKS);
        let target = self.target.clone();
        let writing = tokio::task::spawn_blocking(move || {
            let writer = target.begin(digest, size);
            drop(target);
            write(writer?, chunks)
        });
        let received: Result<(), Error> = async {
            while let Some(chunk) = incoming.chunk().await? {
                bar.advance(chunk.len() as u64);
                if sender.send(Some(chunk)).await.is_err() {
                    break;
                }
            }
            // Without this, what was written is given up.
            let _ = sender.send(None).await;
            Ok(())
        }
        .await;
        drop(sender);
        let written = writing.await.unwrap_or_else(|error| Err(Error::wrong(digest, error.to_string())));
        received.and(written)
    }
}

/// Writes chunks up to the `None` that says that all have come.
fn write(mut writer: BlobWriter, mut chunks: mpsc::Receiver<Option<bytes::Bytes>>) -> Result<(), Error> {
    while let Some(chunk) = chunks.blocking_recv() {
        match chunk {
            Some(chunk) => writer.write(&chunk)?,
            None => return writer.publish(),
        }
    }
    Ok(())
}

/// Without a name.
fn entry(document: &Document) -> Entry {
    Entry {
        media_type: document.media_type.clone(),
        digest: document.digest,
        size: document.bytes.len() as u64,
        full_name: None,
        ref_name: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_image_once() {
        let folder = tempfile::tempdir().unwrap();
        let list = folder.path().join("list");
        std::fs::write(&list, "b:1\na # again\n").unwrap();
        let names = images(&["a:latest".to_owned()], Some(&list)).unwrap();
        assert_eq!(names.iter().map(ToString::to_string).collect::<Vec<_>>(), ["a:latest", "b:1"]);
        std::fs::write(&list, "# none\n").unwrap();
        assert!(matches!(images(&[], Some(&list)), Err(Error::Usage(_))));
        assert!(matches!(images(&["A".to_owned()], None), Err(Error::Usage(_))));
    }
}
