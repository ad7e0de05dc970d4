//! Behaviour on the wire, against a registry on loopback that does as it is told.

mod blobs;
mod endpoints;
mod fake;
mod lists;
mod login;
mod manifests;
mod redirects;
mod tls;

use std::time::Duration;

use crate::oci::{Digest, RepositoryName};

const SECOND: Duration = Duration::from_secs(1);

fn repository() -> RepositoryName {
    "team/app".parse().unwrap()
}

fn digest() -> Digest {
    Digest::of(b"anything")
}
