//! Answers about logging in and about the registry.

use std::fmt;

use serde::Serialize;

use super::super::account_setting::AccountSettingName;
use super::super::timestamp::Timestamp;
use crate::oci::AccountId;

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct GetAuthorizationTokenOutput {
    /// One for each registry that was asked for, else one.
    pub authorization_data: Vec<AuthorizationData>,
}

#[derive(Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AuthorizationData {
    /// Base64 of `AWS:<password>`; the password has no colon, or the AWS CLI fails.
    pub authorization_token: String,
    pub expires_at: Timestamp,
    /// `https://<host of the data plane>`
    pub proxy_endpoint: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DescribeRegistryOutput {
    pub registry_id: AccountId,
    pub replication_configuration: ReplicationConfiguration,
}

/// That there are no rules: this registry does not replicate.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ReplicationConfiguration {
    rules: [(); 0],
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AccountSettingOutput {
    pub name: AccountSettingName,
    pub value: &'static str,
}

impl fmt::Debug for AuthorizationData {
    /// Without the token.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthorizationData")
            .field("expires_at", &self.expires_at)
            .field("proxy_endpoint", &self.proxy_endpoint)
            .finish_non_exhaustive()
    }
}
