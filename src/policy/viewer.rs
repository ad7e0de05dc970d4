//! Rights that come to light only while a request is carried out: what its caller sees of a list, and what goes along with what was
//! asked for.

use super::authorizer::{Authorizer, GET_REGISTRY_POLICY, GET_REPOSITORY_POLICY};
use super::circumstances::Circumstances;
use super::denied::Denied;
use super::iam::Document;
use super::needs::{About, Below, Need, On, deleted_tag, given, import, sight};
use crate::auth::{Identity, Who};
use crate::ecr::TemplateSettings;
use crate::meta;
use crate::oci::{AccountId, Tag};

/// The caller of a permitted request. Cheap to clone.
#[derive(Clone)]
pub struct Viewer(Option<(Authorizer, Identity, Circumstances)>);

impl Viewer {
    pub(super) const fn new(authorizer: Authorizer, identity: Identity, circumstances: Circumstances) -> Self {
        Self(Some((authorizer, identity, circumstances)))
    }

    /// A caller who may do everything.
    pub const fn of_all() -> Self {
        Self(None)
    }

    /// Whether a repository is in the lists that they see.
    pub async fn may_see(&self, about: &About) -> Result<bool, meta::Error> {
        self.may(&sight(about)).await
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
            Some((authorizer, identity, circumstances)) => {
                // Lists ask about each of thousands: others have their turn in between.
                tokio::task::yield_now().await;
                authorizer.is_allowed(identity, need, circumstances).await
            }
            None => Ok(true),
        }
    }
}
