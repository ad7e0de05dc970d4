//! The registry: everything it needs, and the one way in.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::account_settings::is_mounting_enabled;
use super::answer::{Answer, Body};
use super::error::{Error, Object};
use super::hosted::{Hosted, PulledManifest, Repository as HostedRepository, no_referrers};
use super::incoming::Incoming;
use super::names;
use super::names::{NameError, Named};
use super::pull_through::PullThrough;
use super::pulled::Pulled;
use super::registries::Registries;
use super::upstreams::Upstreams;
use crate::action::{Action, RequestedName, Want};
use crate::auth::Who;
use crate::cache::BlobCache;
use crate::config::{AccountSettings, HostedSettings};
use crate::meta::{Meta, RepositoryRow};
use crate::oci::{AcceptSet, AccountId, Digest, QualifiedName, Reference};
use crate::policy::{About, OciRequest, Permit, Viewer};
use crate::storage::Depot;
use crate::telemetry::Metrics;
use crate::upstream::Upstream;

/// Cheap to clone.
#[derive(Clone)]
pub struct Registry {
    shared: Arc<Shared>,
}

struct Shared {
    upstreams: Upstreams,
    pull_through: PullThrough,
    hosted: Hosted,
    pulled: Pulled,
    meta: Meta,
}

/// Where a request is answered.
enum Place {
    PullThrough(names::Repository),
    Hosted(HostedRepository),
}

impl Registry {
    /// `pushed` is where what is pushed is kept.
    pub fn new(
        upstreams: Upstreams,
        cache: BlobCache,
        pushed: Depot,
        settings: HostedSettings,
        accounts: &[AccountSettings],
        meta: Meta,
        metrics: Metrics,
    ) -> Self {
        let pull_through = PullThrough::new(cache.clone(), meta.clone(), metrics.clone());
        let hosted = Hosted::new(pushed, cache, meta.clone(), settings, accounts, metrics);
        let pulled = Pulled::new(meta.clone(), hosted.clone());
        let shared = Shared { upstreams, pull_through, hosted, pulled, meta };
        Self { shared: Arc::new(shared) }
    }

    /// Carries out what was permitted. `body` is what the request brings; with `redirect` the client may be sent elsewhere.
    pub async fn answer(&self, permit: Permit<OciRequest>, body: Incoming, redirect: bool) -> Result<Answer, Error> {
        let (OciRequest { action, .. }, identity, viewer) = permit.into_parts();
        let may_push = matches!(identity.who, Who::Open { push: true } | Who::Known(_));
        // A name that could be of one's own: who looks there before the first push is told that nothing is there.
        let may_be_made = may_push && self.is_unclaimed(&action).await?;
        let answered = self.carry_out(action, identity.name(), &viewer, body, redirect).await;
        if may_be_made { answered.map_err(Error::of_unclaimed) } else { answered }
    }

    /// Whether the action is about a name that belongs to the default upstream only as long as nobody pushes to it.
    async fn is_unclaimed(&self, action: &Action) -> Result<bool, Error> {
        let Some(name) = action.repository().filter(|_| !action.writes()) else { return Ok(false) };
        match self.resolve(name)? {
            Named::Own { name, otherwise: Some(_) } => Ok(self.shared.hosted.repository(&name).await?.is_none()),
            _ => Ok(false),
        }
    }

    async fn carry_out(
        &self,
        action: Action,
        principal: &str,
        viewer: &Viewer,
        body: Incoming,
        redirect: bool,
    ) -> Result<Answer, Error> {
        let Shared { pull_through, hosted, .. } = &*self.shared;
        match action {
            Action::Ping => Ok(Answer::of(Body::Pong)),
            Action::ListRepositories { page, host } => {
                self.list_repositories(self.registry_of(None, host.as_deref())?, &page, viewer).await
            }
            Action::ListTags { name, page } => match self.find(&name).await? {
                Place::PullThrough(repository) if repository.upstream.settings().offline => {
                    let row = self.shared.meta.repository_row(&repository.own).await?;
                    let row = row.ok_or_else(|| Error::Unknown(Object::Tags(repository.local.clone())))?;
                    hosted.list_tags(&HostedRepository::of_row(repository.own.account, &row), &page).await
                }
                Place::PullThrough(repository) => pull_through.list_tags(repository, &name, &page).await,
                Place::Hosted(repository) => hosted.list_tags(&repository, &page).await,
            },
            Action::ReadManifest { name, reference, accept, want } => match self.find(&name).await? {
                Place::PullThrough(repository) => {
                    self.pull_manifest(repository, reference, accept, want, principal).await
                }
                Place::Hosted(repository) => hosted.read_manifest(&repository, &reference, want, principal).await,
            },
            Action::ReadBlob { name, digest, want } => match self.find(&name).await? {
                Place::PullThrough(repository) => pull_through.read_blob(repository, digest, want).await,
                Place::Hosted(repository) => hosted.read_blob(&repository, digest, want, redirect).await,
            },
            Action::ListReferrers { name, subject, artifact_type, page } => {
                let artifact_type = artifact_type.as_deref();
                match self.find(&name).await {
                    Ok(Place::PullThrough(repository)) => {
                        pull_through.list_referrers(repository, subject, artifact_type).await
                    }
                    Ok(Place::Hosted(repository)) => {
                        hosted.list_referrers(&repository, subject, artifact_type, &page).await
                    }
                    // distribution-spec, "Listing Referrers": never 404, or clients fall back to the tag schema.
                    Err(Error::Name(NameError::Unknown(_))) => Ok(no_referrers(artifact_type.is_some())),
                    Err(error) => Err(error),
                }
            }
            Action::StartUpload { name, mut start } => {
                let own = self.own(&name)?;
                // As where the blob is not there: it is uploaded.
                if start.mount.is_some() && !is_mounting_enabled(&self.shared.meta, own.account).await? {
                    start.mount = None;
                }
                let repository = hosted.make_repository(own).await?;
                hosted.start_upload(repository, start, principal, body).await
            }
            Action::ReadUpload { name, id } => hosted.read_upload(&self.find_own(&name).await?, &id).await,
            Action::AppendUpload { name, id, chunk } => {
                hosted.append_upload(self.find_own(&name).await?, id, chunk, body).await
            }
            Action::FinishUpload { name, id, digest, chunk } => {
                hosted.finish_upload(self.find_own(&name).await?, id, digest, chunk, body).await
            }
            Action::CancelUpload { name, id } => hosted.cancel_upload(&self.find_own(&name).await?, &id).await,
            Action::PushManifest { name, reference, media_type, tags } => {
                let repository = hosted.make_repository(self.own(&name)?).await?;
                hosted.push_manifest(&repository, reference, media_type, tags, principal, body).await
            }
            Action::DeleteManifest { name, reference } => {
                hosted.delete_manifest(&self.find_own(&name).await?, &reference, principal).await
            }
            Action::DeleteBlob { name, digest } => hosted.delete_blob(&self.find_own(&name).await?, digest).await,
        }
    }

    /// What a client gets is an image of the registry from now on.
    pub(super) async fn pull_manifest(
        &self,
        repository: names::Repository,
        reference: Reference,
        accept: AcceptSet,
        want: Want,
        principal: &str,
    ) -> Result<Answer, Error> {
        let Shared { pull_through, pulled, .. } = &*self.shared;
        let answer = pull_through.read_manifest(repository.clone(), reference.clone(), accept, want).await?;
        // An upstream may give each set of types another manifest; the list has what most clients are given.
        let tag = reference.tag().filter(|_| accept == AcceptSet::current());
        match &answer.body {
            Body::Manifest { digest, media_type, bytes: Some(content), .. } => {
                let (digest, media_type, content) = (*digest, media_type.clone(), content.clone());
                let manifest = PulledManifest { tags: tag.into_iter().cloned().collect(), digest, media_type, content };
                pulled.note(&repository, manifest, principal).await;
            }
            // Most clients ask for a tag's digest, and then for the manifest by it.
            Body::Manifest { digest, bytes: None, .. } => {
                if let Some(tag) = tag {
                    pulled.note_meaning(&repository, tag, *digest);
                }
            }
            _ => {}
        }
        Ok(answer)
    }

    /// What is in memory of repositories of upstreams is looked up again: somebody deleted some of it.
    pub fn forget_pulled(&self) {
        self.shared.pull_through.forget_all();
        self.shared.pulled.forget_written();
    }

    /// Whether what upstream said of the repository is this registry's to forget: the cache of upstreams that all registries have is the
    /// home registry's.
    fn is_for(&self, repository: &names::Repository) -> bool {
        repository.upstream.settings().registry.unwrap_or(self.registries().home()) == repository.own.account
    }

    /// Forgets what was kept of an image that is deleted from a repository that is pulled through.
    pub(super) async fn forget_image(&self, name: &QualifiedName, digest: &Digest) -> Result<(), crate::meta::Error> {
        let Shared { pull_through, pulled, .. } = &*self.shared;
        match self.resolve(&requested(name)) {
            Ok(Named::Upstream(repository)) if self.is_for(&repository) => {
                pulled.forget_image(pull_through, &repository, digest).await
            }
            _ => match self.kept_of_deleted_rule(name).await? {
                Some(repository) => pulled.forget_image(pull_through, &repository, digest).await,
                None => {
                    pulled.forget_written();
                    Ok(())
                }
            },
        }
    }

    /// Forgets what was kept of a repository that is deleted.
    pub(super) async fn forget_repository(
        &self,
        name: &QualifiedName,
        row: &RepositoryRow,
    ) -> Result<(), crate::meta::Error> {
        let Shared { pull_through, pulled, .. } = &*self.shared;
        let repository = match self.resolve(&requested(name)) {
            Ok(Named::Upstream(repository)) if self.is_for(&repository) => Some(repository),
            Ok(Named::Own { .. }) => {
                row.upstream.as_deref().and_then(|upstream| self.shared.upstreams.gone(name, upstream))
            }
            _ => None,
        };
        pulled.forget_repository(pull_through, repository.as_ref(), row).await
    }

    /// What is known of a blob, in a repository of either kind.
    pub(super) async fn head_blob(&self, name: &QualifiedName, digest: Digest) -> Result<Answer, Error> {
        match self.find(&requested(name)).await? {
            Place::PullThrough(repository) => self.shared.pull_through.read_blob(repository, digest, Want::Head).await,
            Place::Hosted(repository) => self.shared.hosted.read_blob(&repository, digest, Want::Head, false).await,
        }
    }

    /// What policies call the repository of this name. A name that means nothing is called as it is: the answer says the rest.
    pub async fn about(&self, name: &RequestedName, writes: bool) -> Result<About, Error> {
        let own = |repository, exists| About { repository, upstream: None, exists };
        let of_upstream = |repository: names::Repository| About {
            upstream: Some(repository.upstream.name().to_string()),
            repository: repository.own,
            exists: true,
        };
        let registry = self.registry_of(name.registry, name.host.as_deref())?;
        let (name, otherwise) = match self.shared.upstreams.names(registry).resolve(name) {
            Err(_) => return Ok(own(QualifiedName::new(registry, name.path.clone()), false)),
            Ok(Named::Upstream(repository)) => return Ok(of_upstream(repository)),
            Ok(Named::Own { name, otherwise }) => (name, otherwise),
        };
        let exists = self.shared.hosted.repository(&name).await?.is_some();
        match otherwise {
            // Nothing is brought from an upstream that is not asked.
            Some(repository) if !writes && !exists && repository.upstream.settings().offline => {
                Ok(own(repository.own, true))
            }
            Some(repository) if !writes && !exists => Ok(of_upstream(repository)),
            _ => Ok(own(name, exists)),
        }
    }

    /// What policies call a repository that is named whole, as on the control plane.
    pub fn about_named(&self, repository: QualifiedName) -> About {
        let upstream = match self.resolve(&requested(&repository)) {
            Ok(Named::Upstream(of)) => Some(of.upstream.name().to_string()),
            _ => None,
        };
        About { repository, upstream, exists: true }
    }

    /// The upstream's repository that the registry knows by this name. A repository has one name there, whichever ways a client of the
    /// data plane may name it.
    pub(super) fn upstream_repository(&self, name: &QualifiedName) -> Option<names::Repository> {
        match self.resolve(&requested(name)) {
            Ok(Named::Upstream(repository)) if repository.own == *name => Some(repository),
            _ => None,
        }
    }

    /// Puts other upstreams of the configuration in place. Requests under way end with those that they began with.
    /// What a changed upstream has refused is asked again: it may have been mended.
    pub fn declare(&self, upstreams: Vec<Arc<Upstream>>) {
        let present = self.shared.upstreams.declared();
        let is_new = upstreams.iter().any(|new| !present.iter().any(|old| Arc::ptr_eq(old, new)));
        self.shared.upstreams.declare(upstreams);
        if is_new {
            self.shared.pull_through.forget_all();
        }
    }

    /// Finds out when upstreams work again that failed, until `stop`.
    pub async fn probe_upstreams(&self, stop: CancellationToken) {
        tokio::select! {
            () = stop.cancelled() => {}
            () = crate::upstream::probe(|| self.upstreams()) => {}
        }
    }

    /// Sees the pull-through rules that other processes make, until `stop`.
    pub async fn follow_rules(&self, stop: CancellationToken) {
        self.shared.upstreams.follow_rules(stop).await;
    }

    /// Those of the configuration and those of rules.
    pub fn upstreams(&self) -> Vec<Arc<Upstream>> {
        self.shared.upstreams.all()
    }

    /// Asks upstreams again, before somebody has to wait, until `stop`.
    pub async fn refresh_in_background(&self, stop: CancellationToken) {
        self.shared.pull_through.refresh_in_background(stop).await;
    }

    /// Whether a repository of this name is one's own.
    pub(super) fn is_own(&self, name: &QualifiedName) -> bool {
        matches!(self.resolve(&requested(name)), Ok(Named::Own { .. }))
    }

    /// The registries of this process.
    pub fn registries(&self) -> &Arc<Registries> {
        self.shared.upstreams.registries()
    }

    /// Whose registry is meant.
    pub fn registry_of(&self, chosen: Option<AccountId>, host: Option<&str>) -> Result<AccountId, NameError> {
        match chosen {
            Some(account) => Ok(account),
            None => Ok(self.registries().chosen_by(host)?.map_or(self.registries().home(), |chosen| chosen.account)),
        }
    }

    pub(super) fn resolve(&self, name: &RequestedName) -> Result<Named, NameError> {
        let registry = self.registry_of(name.registry, name.host.as_deref())?;
        self.shared.upstreams.names(registry).resolve(name)
    }

    pub(super) fn sources(&self) -> &Upstreams {
        &self.shared.upstreams
    }

    pub(super) fn meta(&self) -> &Meta {
        &self.shared.meta
    }

    /// What was pushed here.
    pub fn hosted(&self) -> &Hosted {
        &self.shared.hosted
    }

    /// Waits for what is under way, so that it is written down.
    pub async fn close(&self) {
        self.shared.pull_through.close().await;
        self.shared.hosted.close().await;
    }

    /// Where a name is read: a repository of our own goes before the default upstream.
    async fn find(&self, name: &RequestedName) -> Result<Place, Error> {
        let named = self.resolve(name)?;
        let (own, otherwise) = match named {
            Named::Upstream(repository) => return Ok(Place::PullThrough(repository)),
            Named::Own { name, otherwise } => (name, otherwise),
        };
        let hosted = &self.shared.hosted;
        if let Some(repository) = hosted.repository(&own).await? {
            return Ok(Place::Hosted(repository));
        }
        match otherwise {
            // Images of an offline upstream lie in the registry's own repositories below its name.
            Some(repository) if repository.upstream.settings().offline && repository.own != own => {
                let imported = hosted.repository(&repository.own).await?;
                Ok(imported.map_or(Place::PullThrough(repository), Place::Hosted))
            }
            Some(repository) => Ok(Place::PullThrough(repository)),
            None => match self.kept_of_deleted_rule(&own).await? {
                Some(repository) => Ok(Place::PullThrough(repository)),
                None => Err(NameError::Unknown(own).into()),
            },
        }
    }

    /// A repository that was pulled through by a rule that is gone: as in ECR it stays, and what is kept of it is served.
    async fn kept_of_deleted_rule(&self, own: &QualifiedName) -> Result<Option<names::Repository>, crate::meta::Error> {
        let row = self.shared.meta.repository_row(own).await?;
        let Some(upstream) = row.and_then(|row| row.upstream) else { return Ok(None) };
        Ok(self.shared.upstreams.gone(own, &upstream))
    }

    /// A name that may be written to.
    fn own(&self, name: &RequestedName) -> Result<QualifiedName, Error> {
        match self.resolve(name)? {
            Named::Own { name, .. } => Ok(name),
            Named::Upstream(repository) => {
                let upstream = repository.upstream.name().to_string();
                Err(Error::ReadOnly { repository: repository.local, upstream })
            }
        }
    }

    async fn find_own(&self, name: &RequestedName) -> Result<HostedRepository, Error> {
        let own = self.own(name)?;
        let found = self.shared.hosted.repository(&own).await?;
        found.ok_or_else(|| NameError::Unknown(own).into())
    }
}

/// As a client would name it that came to the right host.
pub(super) fn requested(name: &QualifiedName) -> RequestedName {
    RequestedName { path: name.name.clone(), namespace: None, host: None, registry: Some(name.account) }
}

impl Answer {
    pub(super) fn of(body: Body) -> Self {
        Self { body, upstream: None, outcome: None, staleness: None }
    }
}
