//! A request with the very repository that it is about: what was found is what is decided about, and what is acted on.

use super::error::Error;
use super::hosted::Repository as HostedRepository;
use super::names::{NameError, Named, Repository as UpstreamRepository};
use crate::action::Action;
use crate::auth::{Access, LayerPlace};
use crate::oci::{AccountId, QualifiedName, RepositoryName};
use crate::policy::{About, Asked, Need, OciRequest, Offer, On};
use crate::turns::Asker;

/// A request of the data plane, and what its name means. Nothing was looked up for it yet.
#[derive(Clone)]
pub struct Meant {
    pub(super) action: Action,
    /// `None` where the action is about no repository.
    pub(super) named: Option<Result<Named, (QualifiedName, NameError)>>,
}

/// A request of the data plane, and where its repository is.
pub struct Located {
    pub(super) request: OciRequest,
    pub(super) at: Option<At>,
}

/// The place of a repository.
pub(super) enum At {
    /// It was pushed here.
    Hosted(HostedRepository),
    Upstream(UpstreamRepository),
    /// Nobody has pushed to the name yet. Until then something else may answer for it.
    Free {
        name: QualifiedName,
        otherwise: Option<Box<Otherwise>>,
    },
    /// The name can be nobody's here.
    Nowhere {
        name: QualifiedName,
        error: NameError,
    },
}

/// The place where a name is read that nobody has pushed to.
pub(super) struct Otherwise {
    pub(super) read: ReadAt,
    pub(super) about: About,
    /// It is the default upstream's, or an offline one's: clients that look there before their first push are told that nothing is there,
    /// even if it failed.
    pub(super) is_default: bool,
}

/// The place where a request reads.
pub(super) enum ReadAt {
    Hosted(HostedRepository),
    Upstream(UpstreamRepository),
}

impl ReadAt {
    pub(super) fn on_behalf_of(self, asker: Asker) -> Self {
        match self {
            Self::Hosted(repository) => Self::Hosted(repository),
            Self::Upstream(repository) => Self::Upstream(repository.on_behalf_of(asker)),
        }
    }
}

impl Meant {
    pub fn action(&self) -> &Action {
        &self.action
    }

    /// The name in a token's scope, whichever way the client named the repository. The token endpoint knows what else a path may mean.
    pub fn name_in_tokens(&self) -> Option<RepositoryName> {
        Some(match self.named.as_ref()? {
            Ok(Named::Upstream(repository)) => repository.own.name.clone(),
            Ok(Named::Own { name, .. }) => name.name.clone(),
            Err((name, _)) => name.name.clone(),
        })
    }
}

impl Located {
    pub fn action(&self) -> &Action {
        &self.request.action
    }

    pub fn about(&self) -> Option<&About> {
        self.request.about.as_ref()
    }

    /// The request as it is asked about while it is carried out: its repository is there by now.
    pub fn under_way(&self) -> OciRequest {
        let mut request = self.request.clone();
        if let Some(about) = &mut request.about {
            about.exists = true;
        }
        request
    }

    /// Whether the repository has to be made first.
    pub fn makes_repository(&self) -> bool {
        let makes = matches!(self.request.action, Action::StartUpload { .. } | Action::PushManifest { .. });
        makes && matches!(self.at, Some(At::Free { .. }))
    }

    /// Whether the default upstream answers for a name that somebody may push to yet.
    pub(super) fn is_unclaimed(&self) -> bool {
        let Some(At::Free { otherwise: Some(otherwise), .. }) = &self.at else { return false };
        otherwise.is_default && !self.request.action.writes()
    }
}

impl At {
    /// As policies know it. A name that means nothing is known as it is: the answer says the rest.
    pub(super) fn about(&self, writes: bool) -> About {
        match self {
            Self::Hosted(repository) => about_own(&repository.qualified(), true),
            Self::Upstream(repository) => about_upstream(repository),
            Self::Free { otherwise: Some(otherwise), .. } if !writes => otherwise.about.clone(),
            Self::Free { name, .. } | Self::Nowhere { name, .. } => about_own(name, false),
        }
    }

    pub(super) fn read(self) -> Result<ReadAt, Error> {
        match self {
            Self::Hosted(repository) => Ok(ReadAt::Hosted(repository)),
            Self::Upstream(repository) => Ok(ReadAt::Upstream(repository)),
            Self::Free { otherwise: Some(otherwise), .. } => Ok(otherwise.read),
            Self::Free { name, otherwise: None } => Err(NameError::Unknown(name).into()),
            Self::Nowhere { error, .. } => Err(error.into()),
        }
    }

    /// For a request that changes what is there.
    pub(super) fn hosted(self) -> Result<HostedRepository, Error> {
        match self {
            Self::Hosted(repository) => Ok(repository),
            Self::Upstream(repository) => Err(read_only(repository)),
            Self::Free { name, .. } => Err(NameError::Unknown(name).into()),
            Self::Nowhere { error, .. } => Err(error.into()),
        }
    }
}

pub(super) fn about_own(name: &QualifiedName, exists: bool) -> About {
    About { repository: name.clone(), upstream: None, exists }
}

pub(super) fn about_upstream(repository: &UpstreamRepository) -> About {
    About { upstream: Some(repository.upstream.name().to_string()), repository: repository.own.clone(), exists: true }
}

fn read_only(repository: UpstreamRepository) -> Error {
    Error::ReadOnly { upstream: repository.upstream.name().to_string(), repository: repository.local }
}

impl Asked for Located {
    fn needs(&self) -> Vec<Need<'_>> {
        self.request.needs()
    }

    fn is_write(&self) -> bool {
        self.request.is_write()
    }

    fn change(&self) -> Option<(&str, Option<On<'_>>)> {
        self.request.change()
    }

    fn detail(&self) -> Option<String> {
        self.request.detail()
    }

    fn access(&self, home: AccountId) -> Vec<Access> {
        self.request.access(home)
    }

    fn layer(&self) -> Option<LayerPlace> {
        self.request.layer()
    }

    fn offer(&self, home: AccountId) -> Option<Offer<'_>> {
        self.request.offer(home)
    }

    fn decline(&mut self) {
        self.request.decline();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::action::RequestedName;
    use crate::registry::Names;
    use crate::telemetry::Metrics;
    use crate::upstream::Upstream;

    /// A read that was decided about as an upstream's stays there, though somebody makes a repository of that name meanwhile.
    #[test]
    fn y3_what_was_decided_about_is_what_is_read() {
        let settings = crate::config::parse("[[upstream]]\nname = \"docker.io\"\ndefault = \"all\"\n").unwrap();
        let (metrics, account) = (Metrics::new().unwrap(), settings.auth.account);
        let upstreams =
            settings.upstreams.into_iter().map(|one| Upstream::new(one, metrics.clone()).unwrap()).collect();
        let names = Names::new(account, upstreams);
        let free = |path: &str| {
            let name = RequestedName { path: path.parse().unwrap(), namespace: None, host: None, registry: None };
            let Ok(Named::Own { name, otherwise }) = names.resolve(&name) else { panic!("{path}") };
            let otherwise = otherwise.map(|repository| {
                let about = about_upstream(&repository);
                Box::new(Otherwise { read: ReadAt::Upstream(repository), about, is_default: true })
            });
            At::Free { name, otherwise }
        };
        let (read, written) = (free("a/b").about(false), free("a/b").about(true));
        assert_eq!((read.upstream.as_deref(), read.repository.name.as_str()), (Some("docker.io"), "docker.io/a/b"));
        let Ok(ReadAt::Upstream(repository)) = free("a/b").read() else { panic!("it is read elsewhere") };
        assert_eq!(repository.own, read.repository);
        assert_eq!((written.upstream, written.exists, written.repository.name.as_str()), (None, false, "a/b"));
        assert!(matches!(free("a/b").hosted(), Err(Error::Name(NameError::Unknown(_)))));
    }
}
