//! `entrepot client-config`: what to put where, so that a client pulls through this service.

mod buildkit;
mod containerd;
mod docker;
mod guide;
mod k3s;
mod podman;
mod service;
mod talos;
mod write;

use super::arguments::{Client, ClientConfig, Format};
use super::failure::Failure;
use super::output;
use crate::config::Source;
use guide::Guide;
use service::Service;

pub(super) fn run(source: &Source, wanted: &ClientConfig) -> Result<String, Failure> {
    let settings = source.load().map_err(Failure::Configuration)?;
    let service = Service::new(&settings, wanted.url.as_ref())?;
    let guide = guide(wanted.client, &service);
    if wanted.if_free {
        service.refuse_if_taken()?;
    }
    match (&wanted.root, wanted.output.format) {
        (Some(root), _) if wanted.remove => write::remove(root, &guide, wanted.force),
        (Some(root), _) => write::below(root, &guide, wanted.force),
        (None, Format::Text) => Ok(guide.to_text()),
        (None, Format::Json) => output::json(&guide),
    }
}

fn guide(client: Client, service: &Service) -> Guide {
    match client {
        Client::Containerd => containerd::guide(service),
        Client::Docker => docker::guide(service),
        Client::Podman => podman::guide(service),
        Client::Buildkit => buildkit::guide(service),
        Client::K3s => k3s::guide(service),
        Client::Talos => talos::guide(service),
    }
}

#[cfg(test)]
mod tests;
