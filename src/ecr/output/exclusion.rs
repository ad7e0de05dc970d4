//! Answers about principals whose pulls do not count as pulls.

use serde::Serialize;

use super::super::page::NextToken;
use super::super::timestamp::Timestamp;

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ExclusionOutput {
    pub principal_arn: String,
    /// Only where it was registered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created_at: Option<Timestamp>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ListPullTimeUpdateExclusionsOutput {
    /// At most 100.
    pub pull_time_update_exclusions: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_token: Option<NextToken>,
}
