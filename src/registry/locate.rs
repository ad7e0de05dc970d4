//! Where is it? The only place that asks the table of names, and that looks a repository up for a request.

use super::dispatch::Registry;
use super::error::Error;
use super::located::{At, Located, Meant, Otherwise, ReadAt, about_own, about_upstream};
use super::names::{NameError, Named, Repository as UpstreamRepository};
use crate::action::{Action, RequestedName};
use crate::oci::{AccountId, QualifiedName};
use crate::policy::{About, OciRequest};

impl Registry {
    /// What the request's name means.
    pub fn meant(&self, action: Action) -> Meant {
        let named = action.repository().map(|name| self.named(name));
        Meant { action, named }
    }

    /// Looks the request's repository up.
    pub async fn locate(&self, meant: &Meant) -> Result<Located, Error> {
        let Meant { action, named } = meant.clone();
        let source = match mount_source(&action) {
            Some(name) => Some(self.at(self.named(&name)).await?.about(false)),
            None => None,
        };
        let at = match named {
            Some(named) => Some(self.at(named).await?),
            None => None,
        };
        let about = at.as_ref().map(|at| at.about(action.writes()));
        Ok(Located { request: OciRequest { action, about, source }, at })
    }

    /// What policies call the repositories that a path means: the one that is read, and, where that is another, the one that is written.
    pub async fn abouts(&self, name: &RequestedName) -> Result<(About, Option<About>), Error> {
        let at = self.at(self.named(name)).await?;
        let (read, written) = (at.about(false), at.about(true));
        let written = (written.repository != read.repository).then_some(written);
        Ok((read, written))
    }

    /// What policies call a repository that is named whole, as on the control plane.
    pub fn about_named(&self, repository: QualifiedName) -> About {
        let upstream = self.upstream_of(&repository).map(|of| of.upstream.name().to_string());
        About { repository, upstream, exists: true }
    }

    pub(super) async fn at_named(&self, name: &QualifiedName) -> Result<At, Error> {
        self.at(self.named_whole(name).map_err(|error| (name.clone(), error))).await
    }

    /// The upstream's repository that a name means.
    pub(super) fn upstream_of(&self, name: &QualifiedName) -> Option<UpstreamRepository> {
        match self.named_whole(name) {
            Ok(Named::Upstream(repository)) => Some(repository),
            _ => None,
        }
    }

    /// The upstream's repository that the registry knows by this name. A repository has one name there, whichever ways a client of the
    /// data plane may name it.
    pub(super) fn upstream_repository(&self, name: &QualifiedName) -> Option<UpstreamRepository> {
        self.upstream_of(name).filter(|repository| repository.own == *name)
    }

    /// Whether a repository of this name can be pushed to.
    pub(super) fn is_own(&self, name: &QualifiedName) -> bool {
        matches!(self.named_whole(name), Ok(Named::Own { .. }))
    }

    /// The account whose registry is meant.
    pub fn registry_of(&self, chosen: Option<AccountId>, host: Option<&str>) -> Result<AccountId, NameError> {
        match chosen {
            Some(account) => Ok(account),
            None => Ok(self.registries().chosen_by(host)?.map_or(self.registries().home(), |chosen| chosen.account)),
        }
    }

    fn named_whole(&self, name: &QualifiedName) -> Result<Named, NameError> {
        let QualifiedName { account, name: path } = name.clone();
        let name = RequestedName { path, namespace: None, host: None, registry: Some(account) };
        self.named(&name).map_err(|(_, error)| error)
    }

    /// With the error goes the name by which policies know what means nothing.
    fn named(&self, name: &RequestedName) -> Result<Named, (QualifiedName, NameError)> {
        let unknown = |registry, error| (QualifiedName::new(registry, name.path.clone()), error);
        let registry = self.registry_of(name.registry, name.host.as_deref());
        let registry = registry.map_err(|error| unknown(self.registries().home(), error))?;
        self.sources().names(registry).resolve(name).map_err(|error| unknown(registry, error))
    }

    /// A repository of the registry's own goes before the default upstream's.
    async fn at(&self, named: Result<Named, (QualifiedName, NameError)>) -> Result<At, Error> {
        let (name, otherwise) = match named {
            // There is no such registry, of which policies could be asked.
            Err((_, error @ NameError::UnknownRegistry(_))) => return Err(error.into()),
            Err((name, error)) => return Ok(At::Nowhere { name, error }),
            Ok(Named::Upstream(repository)) => return Ok(At::Upstream(repository)),
            Ok(Named::Own { name, otherwise }) => (name, otherwise),
        };
        let hosted = self.hosted();
        if let Some(repository) = hosted.repository(&name).await? {
            return Ok(At::Hosted(repository));
        }
        let otherwise = match otherwise {
            // Images of an offline upstream lie in the registry's own repositories below its name. Nothing is brought from there.
            Some(repository) if repository.upstream.settings().offline => {
                let about = about_own(&repository.own, true);
                let imported = if repository.own == name { None } else { hosted.repository(&repository.own).await? };
                let read = imported.map_or(ReadAt::Upstream(repository), ReadAt::Hosted);
                Some(Otherwise { read, about, is_default: true })
            }
            Some(repository) => {
                let about = about_upstream(&repository);
                Some(Otherwise { read: ReadAt::Upstream(repository), about, is_default: true })
            }
            None => match self.kept_of_deleted_rule(&name).await? {
                Some(repository) => Some(Otherwise {
                    read: ReadAt::Upstream(repository),
                    about: about_own(&name, false),
                    is_default: false,
                }),
                None => {
                    // That nobody had pushed to it when the database was last asked is no answer.
                    self.meta().is_asked()?;
                    None
                }
            },
        };
        Ok(At::Free { name, otherwise: otherwise.map(Box::new) })
    }

    /// A repository that was pulled through by a rule that is gone: as in ECR it stays, and what is kept of it is served.
    pub(super) async fn kept_of_deleted_rule(
        &self,
        own: &QualifiedName,
    ) -> Result<Option<UpstreamRepository>, crate::meta::Error> {
        let row = self.meta().repository_row(own).await?;
        let Some(upstream) = row.and_then(|row| row.upstream) else { return Ok(None) };
        Ok(self.sources().gone(own, &upstream))
    }
}

/// The repository that a mount takes from.
fn mount_source(action: &Action) -> Option<RequestedName> {
    let Action::StartUpload { name, start } = action else { return None };
    let path = start.mount.as_ref()?.from.clone()?;
    Some(RequestedName { path, namespace: None, host: name.host.clone(), registry: name.registry })
}
