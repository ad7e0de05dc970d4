//! The registry: everything it needs, and the one way in.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::account_settings::is_mounting_enabled;
use super::answer::{Answer, Body};
use super::error::{Error, Object};
use super::hosted::{
    Deletion, Hosted, PulledManifest, Puller, Repository as HostedRepository, UploadClient, no_referrers,
};
use super::incoming::Incoming;
use super::located::{At, Located, ReadAt};
use super::names;
use super::names::NameError;
use super::pull_through::PullThrough;
use super::pulled::Pulled;
use super::registries::Registries;
use super::upstreams::Upstreams;
use crate::action::{Action, Want};
use crate::auth::{Identity, Keyring, Who};
use crate::cache::BlobCache;
use crate::config::Settings;
use crate::meta::{self, Meta, RepositoryRow};
use crate::oci::{AcceptSet, Digest, QualifiedName, Reference};
use crate::policy::{About, OciRequest, Permit, Viewer};
use crate::storage::Depot;
use crate::telemetry::{Draft, Metrics};
use crate::turns::Asker;
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
    keyring: Arc<Keyring>,
}

/// A repository that was made for a request.
pub struct Made(HostedRepository);

impl Registry {
    /// `pushed` is where what is pushed is kept.
    pub fn new(
        upstreams: Upstreams,
        cache: BlobCache,
        pushed: Depot,
        settings: &Settings,
        meta: Meta,
        keyring: Arc<Keyring>,
        metrics: Metrics,
    ) -> Self {
        let pull_through = PullThrough::new(cache.clone(), meta.clone(), metrics.clone());
        let hosted = Hosted::new(pushed, cache, meta.clone(), settings.hosted.clone(), &settings.accounts, metrics);
        let pulled = Pulled::new(meta.clone(), hosted.clone());
        let shared = Shared { upstreams, pull_through, hosted, pulled, meta, keyring };
        Self { shared: Arc::new(shared) }
    }

    /// Whether requests that come to this host mean an upstream of the configuration.
    pub fn is_host_of_upstream(&self, host: &str) -> bool {
        let upstreams = &self.shared.upstreams;
        upstreams.names(upstreams.registries().home()).is_host(host)
    }

    /// Makes the repository that a permitted request begins to push to. Where somebody else was faster the request has to be decided about
    /// again: theirs may have policies of its own.
    pub fn make(&self, permit: &Permit<Located>) -> impl Future<Output = Result<Made, Error>> + Send + use<> {
        let name = match &permit.asked().at {
            Some(At::Free { name, .. }) => Some(name.clone()),
            _ => None,
        };
        let hosted = self.shared.hosted.on_behalf_of(permit.asker());
        async move {
            let made = match name {
                Some(name) => hosted.make_repository(name).await?,
                None => None,
            };
            made.map(Made).ok_or(Error::MadeMeanwhile)
        }
    }

    /// Carries out what was permitted. `made` is the repository that was made for it, `making` the record of one that a pull makes, and `body` what the request brings; with `redirect`
    /// the client may be sent elsewhere.
    pub async fn answer(
        &self,
        permit: Permit<Located>,
        made: Option<Made>,
        making: Option<Draft>,
        body: Incoming,
        redirect: bool,
    ) -> Result<Answer, Error> {
        let asker = permit.asker();
        let (located, identity, viewer) = permit.into_parts();
        let may_push = matches!(identity.who, Who::Open { push: true } | Who::Known(_));
        // Clients probe a repository before the first push. For a name that nobody has pushed to yet, the answer is 404 even if the default
        // upstream failed.
        let may_be_made = may_push && located.is_unclaimed();
        let Located { request: OciRequest { action, about, .. }, at } = located;
        let at = match (made, at) {
            (Some(Made(repository)), _) => At::Hosted(repository),
            (None, Some(at)) => at,
            (None, None) => return self.answer_of_registry(action, (&viewer, identity.name()), asker).await,
        };
        let asked = (about, &identity, &viewer, asker);
        let answered = match action.writes() {
            false => {
                let puller = Puller { principal: identity.name(), making: making.as_ref() };
                self.read(action, at.read().map(|at| at.on_behalf_of(asker)), (puller, asker), redirect).await
            }
            true => self.write(action, at.hosted()?, asked, body).await,
        };
        if may_be_made { answered.map_err(Error::of_unclaimed) } else { answered }
    }

    async fn answer_of_registry(&self, action: Action, reader: (&Viewer, &str), asker: Asker) -> Result<Answer, Error> {
        match action {
            Action::ListRepositories { page, host } => {
                let account = self.registry_of(None, host.as_deref())?;
                self.list_repositories(&self.meta().on_behalf_of(asker), account, &page, reader).await
            }
            _ => Ok(Answer::of(Body::Pong)),
        }
    }

    async fn read(
        &self,
        action: Action,
        at: Result<ReadAt, Error>,
        (puller, asker): (Puller<'_>, Asker),
        redirect: bool,
    ) -> Result<Answer, Error> {
        let pull_through = &self.shared.pull_through;
        let hosted = &self.shared.hosted.on_behalf_of(asker);
        match (action, at) {
            (Action::ListTags { name, page }, at) => match at? {
                ReadAt::Upstream(repository) if repository.upstream.settings().offline => {
                    let row = self.shared.meta.repository_row(&repository.own).await?;
                    let row = row.ok_or_else(|| Error::Unknown(Object::Tags(repository.local.clone())))?;
                    hosted.list_tags(&HostedRepository::of_row(repository.own.account, &row), &page).await
                }
                ReadAt::Upstream(repository) => pull_through.list_tags(repository, &name, &page).await,
                ReadAt::Hosted(repository) => hosted.list_tags(&repository, &page).await,
            },
            (Action::ReadManifest { reference, accept, want, .. }, at) => match at? {
                ReadAt::Upstream(repository) => self.pull_manifest(repository, reference, accept, want, puller).await,
                ReadAt::Hosted(repository) => {
                    hosted.read_manifest(&repository, &reference, want, puller.principal).await
                }
            },
            (Action::ReadBlob { digest, want, .. }, at) => match at? {
                ReadAt::Upstream(repository) => pull_through.read_blob(repository, digest, want).await,
                ReadAt::Hosted(repository) => hosted.read_blob(&repository, digest, want, redirect).await,
            },
            (Action::ListReferrers { subject, artifact_type, page, .. }, at) => {
                let artifact_type = artifact_type.as_deref();
                match at {
                    Ok(ReadAt::Upstream(repository)) => {
                        pull_through.list_referrers(repository, subject, artifact_type).await
                    }
                    Ok(ReadAt::Hosted(repository)) => {
                        hosted.list_referrers(&repository, subject, artifact_type, &page).await
                    }
                    // distribution-spec, "Listing Referrers": never 404, or clients fall back to the tag schema.
                    Err(Error::Name(NameError::Unknown(_))) => Ok(no_referrers(artifact_type.is_some())),
                    Err(error) => Err(error),
                }
            }
            (_, at) => at.map(|_| Answer::of(Body::Pong)),
        }
    }

    async fn write(
        &self,
        action: Action,
        repository: HostedRepository,
        (about, identity, viewer, asker): (Option<About>, &Identity, &Viewer, Asker),
        body: Incoming,
    ) -> Result<Answer, Error> {
        let hosted = self.shared.hosted.on_behalf_of(asker);
        let principal = identity.name();
        match action {
            Action::StartUpload { mut start, .. } => {
                // As where the blob is not there: it is uploaded.
                if start.mount.is_some() && !is_mounting_enabled(&self.shared.meta, repository.account()).await? {
                    start.mount = None;
                }
                let name = identity.client();
                hosted.start_upload(repository, start, UploadClient::of(identity, &name), body).await
            }
            Action::ReadUpload { id, .. } => hosted.read_upload(&repository, &id).await,
            Action::AppendUpload { id, chunk, .. } => hosted.append_upload(repository, id, chunk, body).await,
            Action::FinishUpload { id, digest, chunk, .. } => {
                hosted.finish_upload(repository, id, digest, chunk, body).await
            }
            Action::CancelUpload { id, .. } => hosted.cancel_upload(&repository, &id).await,
            Action::PushManifest { reference, media_type, tags, .. } => {
                hosted.push_manifest(&repository, reference, media_type, tags, principal, body).await
            }
            Action::DeleteManifest { reference, .. } => {
                let Some(about) = &about else { return Err(NameError::Unknown(repository.qualified()).into()) };
                hosted.delete_manifest(&repository, &reference, Deletion { about, viewer, principal }).await
            }
            Action::DeleteBlob { digest, .. } => hosted.delete_blob(&repository, digest).await,
            Action::Ping
            | Action::ListRepositories { .. }
            | Action::ListTags { .. }
            | Action::ReadManifest { .. }
            | Action::ReadBlob { .. }
            | Action::ListReferrers { .. } => Ok(Answer::of(Body::Pong)),
        }
    }

    /// What a client gets is an image of the registry from now on.
    pub(super) async fn pull_manifest(
        &self,
        repository: names::Repository,
        reference: Reference,
        accept: AcceptSet,
        want: Want,
        puller: Puller<'_>,
    ) -> Result<Answer, Error> {
        let Shared { pull_through, pulled, .. } = &*self.shared;
        let answer = pull_through.read_manifest(repository.clone(), reference.clone(), accept, want).await?;
        // An upstream may give each set of types another manifest; the list has what most clients are given.
        let tag = reference.tag().filter(|_| accept == AcceptSet::current());
        match &answer.body {
            Body::Manifest { digest, media_type, bytes: Some(content), .. } => {
                let (digest, media_type, content) = (*digest, media_type.clone(), content.clone());
                let manifest = PulledManifest { tags: tag.into_iter().cloned().collect(), digest, media_type, content };
                pulled.note(&repository, manifest, puller).await;
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
        let repository = match self.upstream_of(name).filter(|repository| self.is_for(repository)) {
            None => self.kept_of_deleted_rule(name).await?,
            repository => repository,
        };
        match repository {
            Some(repository) => pulled.forget_image(pull_through, &repository, digest).await,
            None => {
                pulled.forget_written();
                Ok(())
            }
        }
    }

    /// Forgets what was kept of a repository that is deleted.
    pub(super) async fn forget_repository(
        &self,
        name: &QualifiedName,
        row: &RepositoryRow,
    ) -> Result<(), crate::meta::Error> {
        let Shared { pull_through, pulled, .. } = &*self.shared;
        let repository = match self.upstream_of(name) {
            Some(repository) => Some(repository).filter(|repository| self.is_for(repository)),
            None if self.is_own(name) => {
                row.upstream.as_deref().and_then(|upstream| self.shared.upstreams.gone(name, upstream))
            }
            None => None,
        };
        pulled.forget_repository(pull_through, repository.as_ref(), row).await
    }

    /// What is known of a blob, in a repository of either kind.
    pub(super) async fn head_blob(&self, name: &QualifiedName, digest: Digest) -> Result<Answer, Error> {
        match self.at_named(name).await?.read()? {
            ReadAt::Upstream(repository) => self.shared.pull_through.read_blob(repository, digest, Want::Head).await,
            ReadAt::Hosted(repository) => self.shared.hosted.read_blob(&repository, digest, Want::Head, false).await,
        }
    }

    /// Puts other upstreams of the configuration in place. Requests under way end with those that they began with.
    /// What a changed upstream has refused is asked again: it may have been mended.
    pub fn declare(&self, upstreams: Vec<Arc<Upstream>>) {
        let present = self.upstreams();
        let is_new = upstreams.iter().any(|new| !present.iter().any(|old| Arc::ptr_eq(old, new)));
        self.shared.upstreams.declare(upstreams);
        if is_new {
            self.shared.pull_through.forget_all();
        }
    }

    /// Removes what upstreams said that is too old or too much, and repositories that are pulled through and have no image. Returns how many
    /// rows.
    pub async fn trim_upstreams(&self, stop: &CancellationToken) -> Result<u64, Error> {
        let repositories = self.shared.hosted.trim_pulled(stop).await?;
        if repositories > 0 {
            self.shared.pulled.forget_written();
        }
        Ok(repositories + self.shared.pull_through.trim(stop).await?)
    }

    /// Forgets what upstreams of the configuration said that have other URLs than when they were last asked. An offline one is nowhere: what
    /// is kept of it is what it said where it was.
    pub async fn note_origins(&self) -> Result<(), meta::Error> {
        let declared = self.upstreams();
        let online =
            declared.iter().filter(|upstream| !upstream.settings().offline && upstream.settings().rule.is_none());
        let origins: Vec<_> = online.map(|upstream| (upstream.name().to_string(), upstream.origin())).collect();
        for name in self.meta().note_origins(&origins).await? {
            tracing::warn!(
                upstream = name,
                "this upstream has other URLs than before: what tags and lists it told is forgotten"
            );
            self.shared.pull_through.forget_all();
        }
        Ok(())
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

    /// The registries of this process.
    pub fn registries(&self) -> &Arc<Registries> {
        self.shared.upstreams.registries()
    }

    pub(super) fn sources(&self) -> &Upstreams {
        &self.shared.upstreams
    }

    pub(super) fn meta(&self) -> &Meta {
        &self.shared.meta
    }

    pub(super) fn keyring(&self) -> &Keyring {
        &self.shared.keyring
    }

    /// Refuses what would change something while the database takes no writes.
    pub fn takes_writes(&self) -> Result<(), Error> {
        Ok(self.shared.meta.takes_writes()?)
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
}

impl Answer {
    pub(super) fn of(body: Body) -> Self {
        Self { body, upstream: None, outcome: None, staleness: None }
    }
}
