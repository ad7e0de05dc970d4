//! Principals whose pulls do not count as pulls.

use super::super::fault::Fault;
use super::super::page::{Page, PageKind};
use super::members::Members;
use super::pattern::is_principal_arn;
use super::shape::{self, PageSize};

/// All that registering and deregistering are given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PullTimeUpdateExclusion {
    /// Of an IAM role or user; at most 200 characters.
    pub principal_arn: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListPullTimeUpdateExclusions {
    /// At most 100 entries, which is all that an answer can hold.
    pub page: Page,
}

/// The shape of the answer's list has this limit although `maxResults` goes to 1,000.
const MAX_LISTED: usize = 100;

impl PullTimeUpdateExclusion {
    pub(in crate::ecr) fn read(members: &mut Members) -> Result<Self, Fault> {
        const PATTERN: &str = r"^arn:aws(-[a-z]+)*:iam::[0-9]{12}:(role|user)/[\w+=,.@-]+(/[\w+=,.@-]+)*$";
        let principal_arn = members.required("principalArn", |item| {
            item.read(0..=200, PATTERN, |text| is_principal_arn(text).then(|| text.to_owned()))
        })?;
        Ok(Self { principal_arn })
    }
}

impl ListPullTimeUpdateExclusions {
    pub(in crate::ecr) fn read(members: &mut Members) -> Result<Self, Fault> {
        let mut page = shape::page(members, PageKind::PullTimeUpdateExclusions, PageSize::USUAL)?;
        page.limit = page.limit.min(MAX_LISTED);
        Ok(Self { page })
    }
}
