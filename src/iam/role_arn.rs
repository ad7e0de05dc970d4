//! The ARN of a role.

use std::fmt;

use super::entity::Entity;
use super::name::EntityName;
use crate::oci::AccountId;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoleArn {
    pub account: AccountId,
    pub name: EntityName,
}

impl RoleArn {
    /// Roles have no path here.
    pub fn parse(text: &str) -> Option<Self> {
        let (account, name) = text.strip_prefix("arn:aws:iam::")?.split_once(":role/")?;
        Some(Self { account: account.parse().ok()?, name: EntityName::parse(name).ok()? })
    }
}

impl fmt::Display for RoleArn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&Entity::role(self.name.clone()).arn(self.account))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arns() {
        let text = "arn:aws:iam::123456789012:role/ci+=,.@-_1";
        assert_eq!(RoleArn::parse(text).unwrap().to_string(), text);
        for text in [
            "",
            "ci",
            "arn:aws:iam::123456789012:role/",
            "arn:aws:iam::123456789012:role/path/ci",
            "arn:aws:iam::123456789012:user/ci",
            "arn:aws:iam::12345678901:role/ci",
            "arn:aws:sts::123456789012:role/ci",
            "arn:aws:iam:eu-west-1:123456789012:role/ci",
            "arn:aws:iam::123456789012:role/*",
        ] {
            assert_eq!(RoleArn::parse(text), None, "{text}");
        }
    }
}
