//! Answers about policies: the text as it was sent.

use serde::Serialize;

use super::text;
use crate::oci::{AccountId, RepositoryName};

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RepositoryPolicyOutput {
    pub registry_id: AccountId,
    #[serde(serialize_with = "text::one")]
    pub repository_name: RepositoryName,
    pub policy_text: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RegistryPolicyOutput {
    pub registry_id: AccountId,
    pub policy_text: String,
}
