//! Rights that come to light only while a request is carried out: what its caller sees of a list, and what goes along with what was
//! asked for.

use super::authorizer::{Authorizer, GET_REGISTRY_POLICY, GET_REPOSITORY_POLICY};
use super::circumstances::Circumstances;
use super::denied::Denied;
use super::iam::Document;
use super::needs::{About, Below, Need, On, deleted_tag, given, import};
use crate::auth::{Identity, Who};
use crate::ecr::TemplateSettings;
use crate::meta::{self, RepositorySettings};
use crate::oci::{AccountId, Tag};

/// The caller of a permitted request. Cheap to clone.
#[derive(Clone)]
pub struct Viewer(Option<(Authorizer, Identity, Circumstances)>);

/// Decisions about the entries of one page of a list.
pub struct Look<'a> {
    viewer: &'a Viewer,
    steps: u64,
}

/// Bytes that patterns are compared with for one page, about. One decision may take a tenth of it.
const MAX_STEPS: u64 = 10_000_000;

impl Viewer {
    pub(super) const fn new(authorizer: Authorizer, identity: Identity, circumstances: Circumstances) -> Self {
        Self(Some((authorizer, identity, circumstances)))
    }

    /// A caller who may do everything.
    pub const fn of_all() -> Self {
        Self(None)
    }

    /// Looks through a list of repositories for what they see of it.
    pub const fn look(&self) -> Look<'_> {
        Look { viewer: self, steps: 0 }
    }

    /// Whether an image that is not here is brought from upstream for them.
    pub async fn may_import(&self, about: &About, tag: Option<&str>) -> Result<bool, meta::Error> {
        self.may(&import(about, tag)).await
    }

    /// Refuses a tag that would go together with the digest that is deleted, if they may not delete it.
    pub async fn must_delete(&self, about: &About, tag: &Tag) -> Result<(), Denied> {
        let Some((authorizer, identity, circumstances)) = &self.0 else { return Ok(()) };
        authorizer.ask(identity, &deleted_tag(about, tag), circumstances).await.map(|_| ())
    }

    /// Whether a repository's new policy, by itself, denies its maker to set another.
    pub async fn is_locked_out_by(&self, policy: &Document, about: &About) -> Result<bool, meta::Error> {
        match &self.0 {
            Some((authorizer, identity, circumstances)) => match &identity.who {
                Who::Known(known) => {
                    authorizer.would_be_denied(known, "ecr:SetRepositoryPolicy", about, policy, circumstances).await
                }
                Who::Open { .. } | Who::Anonymous => Ok(false),
            },
            None => Ok(false),
        }
    }

    /// Whether the statements of a repository's policy are told to them.
    pub async fn may_read_policy(&self, about: &About) -> Result<bool, meta::Error> {
        self.may(&Need::new(GET_REPOSITORY_POLICY, On::Repository(about))).await
    }

    /// Whether those of a registry's policy are.
    pub async fn may_read_registry_policy(&self, account: AccountId) -> Result<bool, meta::Error> {
        self.may(&Need::new(GET_REGISTRY_POLICY, On::Registry(account))).await
    }

    /// Refuses a template that would give what they may not.
    pub async fn must_give(&self, below: &Below, settings: &TemplateSettings) -> Result<(), Denied> {
        let Some((authorizer, identity, circumstances)) = &self.0 else { return Ok(()) };
        for need in given(below, settings) {
            authorizer.ask(identity, &need, circumstances).await?;
        }
        Ok(())
    }

    async fn may(&self, need: &Need<'_>) -> Result<bool, meta::Error> {
        match &self.0 {
            Some((authorizer, identity, circumstances)) => authorizer.is_allowed(identity, need, circumstances).await,
            None => Ok(true),
        }
    }
}

impl Look<'_> {
    /// Whether a repository, whose row was just read, is in the lists that the viewer sees.
    pub async fn sees(&mut self, about: &About, settings: &RepositorySettings) -> Result<bool, meta::Error> {
        let Some((authorizer, identity, circumstances)) = &self.viewer.0 else { return Ok(true) };
        // Others have their turn in between.
        tokio::task::yield_now().await;
        let (is_seen, steps) = authorizer.sees(identity, about, settings, circumstances).await?;
        self.steps = self.steps.saturating_add(steps);
        Ok(is_seen)
    }

    /// Whether the decisions cost as much as those of one page may: it ends here.
    pub const fn is_spent(&self) -> bool {
        self.steps >= MAX_STEPS
    }
}
