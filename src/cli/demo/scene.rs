//! The registry, the proxy, and what is done with them.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;
use std::time::Instant;

use reqwest::Url;

use super::image::Image;
use super::service::{Service, UPSTREAM};
use crate::cli::transfer::{Error, ImageName, bytes};
use crate::oci::{Hasher, Manifest, Reference};

const IMAGE: &str = "demo/hello:1";

pub(super) struct Scene {
    registry: Service,
    proxy: Service,
    image: Image,
    /// Goes away last.
    _folder: Folder,
}

impl Scene {
    pub(super) fn new() -> Result<Self, Error> {
        let cannot = |error: io::Error| Error::broken("demo", format!("the temporary folder cannot be used: {error}"));
        let folder = Folder::make().map_err(cannot)?;
        let image = Image::make().map_err(cannot)?;
        let registry = Service::write(&folder.0, "registry", None)?;
        let proxy = Service::write(&folder.0, "proxy", Some(registry.url()))?;
        Ok(Self { registry, proxy, image, _folder: folder })
    }

    pub(super) async fn start(&mut self) -> Result<(), Error> {
        self.registry.start().await?;
        self.proxy.start().await
    }

    pub(super) async fn start_registry(&mut self) -> Result<(), Error> {
        self.registry.start().await
    }

    pub(super) async fn stop_registry(&mut self) {
        self.registry.stop().await;
    }

    pub(super) async fn end(mut self) {
        self.proxy.stop().await;
        self.registry.stop().await;
    }

    pub(super) fn registry_url(&self) -> &Url {
        self.registry.url()
    }

    pub(super) fn proxy_url(&self) -> &Url {
        self.proxy.url()
    }

    /// The image's name for a container runtime.
    pub(super) fn image_at_proxy(&self) -> String {
        let url = self.proxy.url();
        format!("{}:{}/{UPSTREAM}/{IMAGE}", url.host_str().unwrap_or_default(), url.port().unwrap_or_default())
    }

    /// Pushes the image to the registry; says what was pushed, and how long it took.
    pub(super) async fn push(&self) -> Result<String, Error> {
        let start = Instant::now();
        let (name, client) = (name(IMAGE)?, self.registry.client()?);
        let mut count = self.image.manifest.bytes.len() as u64;
        for blob in &self.image.blobs {
            client.push_bytes(&name.repository, blob.clone()).await?;
            count += blob.len() as u64;
        }
        client.push_manifest(&name.repository, name.tag.as_ref(), &self.image.manifest).await?;
        Ok(report(IMAGE, count, start))
    }

    /// Pulls the image through the proxy, and checks every digest and size.
    pub(super) async fn pull(&self) -> Result<String, Error> {
        let start = Instant::now();
        let text = format!("{UPSTREAM}/{IMAGE}");
        let (name, client) = (name(&text)?, self.proxy.client()?);
        let tag = name.tag.clone().map(Reference::Tag).ok_or_else(|| Error::Usage(format!("{text} has no tag")))?;
        let document = client.manifest(&name.repository, &tag).await?;
        let pushed = self.image.manifest.digest;
        if document.digest != pushed {
            return Err(Error::wrong(text, format!("{pushed} was pushed, {} came back", document.digest)));
        }
        let manifest = Manifest::parse(&document.bytes).map_err(|error| Error::wrong(&text, error.to_string()))?;
        let mut count = document.bytes.len() as u64;
        for blob in &manifest.blobs {
            let mut incoming = client.blob(&name.repository, &blob.digest).await?;
            let mut hasher = Hasher::new(blob.digest.algorithm());
            let mut size = 0;
            while let Some(chunk) = incoming.chunk().await? {
                hasher.update(&chunk);
                size += chunk.len() as u64;
            }
            if hasher.finish() != blob.digest || size != blob.size {
                return Err(Error::wrong(blob.digest, "other bytes came"));
            }
            count += size;
        }
        Ok(report(&text, count, start))
    }
}

fn report(name: &str, count: u64, start: Instant) -> String {
    format!("{name:<20}  {:>9}  {:>4} ms", bytes(count), start.elapsed().as_millis())
}

fn name(text: &str) -> Result<ImageName, Error> {
    text.parse().map_err(Error::Usage)
}

/// A temporary folder that nobody else may read, removed when it is dropped.
struct Folder(PathBuf);

impl Folder {
    fn make() -> io::Result<Self> {
        let path = std::env::temp_dir().join(format!("entrepot-demo-{:016x}", fastrand::u64(..)));
        DirBuilder::new().mode(0o700).create(&path)?;
        Ok(Self(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
