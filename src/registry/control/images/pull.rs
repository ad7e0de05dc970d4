//! Images of a repository that is pulled through: brought as a client of the data plane would bring them, and as fresh.

use tokio::time::{Instant, timeout_at};

use super::get::Content;
use crate::action::Want;
use crate::cache;
use crate::ecr::{Fault, ImageFailureCode, ImageSelector};
use crate::oci::{AcceptSet, Reference};
use crate::registry::control::{Control, unexpected};
use crate::registry::hosted::Puller;
use crate::registry::{Body, Error, Repository};
use crate::upstream::{self, ErrorKind};

impl Control<'_> {
    /// What is not there by `deadline` is left to come behind, for whoever asks again. The failure has its reason in words.
    pub(super) async fn pull_image(
        &self,
        upstream: &Repository,
        selector: &ImageSelector,
        accept: AcceptSet,
        deadline: Instant,
    ) -> Result<Result<Content, (ImageFailureCode, String)>, Fault> {
        let reference = match selector {
            ImageSelector::Tag(tag) | ImageSelector::TagAndDigest(tag, _) => Reference::Tag(tag.clone()),
            ImageSelector::Digest(digest) => Reference::Digest(*digest),
        };
        let puller = Puller { principal: self.identity.name(), making: self.making.as_ref() };
        let upstream_repository = upstream.clone().on_behalf_of(self.asker);
        let pull = self.registry.pull_manifest(upstream_repository, reference, accept, Want::Body, puller);
        let Ok(pulled) = timeout_at(deadline, pull).await else {
            let reason = format!("upstream {} takes long; ask again in a while", upstream.upstream.name());
            return Ok(Err((ImageFailureCode::UpstreamUnavailable, reason)));
        };
        match pulled.map(|answer| answer.body) {
            Ok(Body::Manifest { digest, media_type, bytes: Some(bytes), .. }) => {
                if selector.digest().is_some_and(|wanted| *wanted != digest) {
                    return Ok(Err(described(ImageFailureCode::ImageTagDoesNotMatchDigest)));
                }
                Ok(Ok(Content { digest, media_type, bytes }))
            }
            Ok(_) => Err(Fault::server("an answer of another kind")),
            Err(error) => match failure_code(&error) {
                Some(ImageFailureCode::ImageNotFound) => Ok(Err(described(ImageFailureCode::ImageNotFound))),
                Some(code) => Ok(Err((code, error.to_string()))),
                None => Err(unexpected(&error)),
            },
        }
    }
}

pub(super) fn described(code: ImageFailureCode) -> (ImageFailureCode, String) {
    (code, code.reason().to_owned())
}

/// `None` for what is not upstream's doing.
fn failure_code(error: &Error) -> Option<ImageFailureCode> {
    match error {
        Error::Unknown(_) => Some(ImageFailureCode::ImageNotFound),
        Error::Upstream { source, .. } | Error::Cache { source: cache::Error::Upstream(source), .. } => {
            Some(code_of_upstream(source))
        }
        Error::Cache { source: cache::Error::Corrupt { .. }, .. } => Some(ImageFailureCode::UpstreamUnavailable),
        _ => None,
    }
}

fn code_of_upstream(error: &upstream::Error) -> ImageFailureCode {
    match error.kind {
        ErrorKind::NotFound => ImageFailureCode::ImageNotFound,
        ErrorKind::Unauthorized | ErrorKind::Denied => ImageFailureCode::UpstreamAccessDenied,
        ErrorKind::RateLimited { .. } => ImageFailureCode::UpstreamTooManyRequests,
        ErrorKind::Unreachable { .. }
        | ErrorKind::TimedOut
        | ErrorKind::Busy { .. }
        | ErrorKind::NoRoom
        | ErrorKind::LeftAlone { .. }
        | ErrorKind::Failed { .. }
        | ErrorKind::LoginFailed { .. }
        | ErrorKind::Misbehaved { .. }
        | ErrorKind::BrokenBody { .. } => ImageFailureCode::UpstreamUnavailable,
    }
}
