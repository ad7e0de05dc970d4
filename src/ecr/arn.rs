//! The ARN of a repository: `arn:aws:ecr:<region>:<account>:repository/<name>`.
//!
//! The partition (`aws`, `aws-cn`, `aws-us-gov`, …) follows from the region, so an ARN whose two do not agree is none of
//! ours; it is refused like any other text that is no ARN.

use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};

use super::prefix::Prefix;
use crate::oci::{AccountId, RepositoryName};

/// 2 to 25 lower-case letters, digits and dashes (the shape `Region`).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Region(String);

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RepositoryArn {
    pub region: Region,
    pub account: AccountId,
    pub name: RepositoryName,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ArnError {
    #[error("a region has 2 to 25 lower-case letters, digits and dashes")]
    BadRegion,
    #[error("the ARN of a repository is written arn:aws:ecr:<region>:<account>:repository/<name>")]
    Malformed,
}

impl Region {
    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub fn partition(&self) -> &'static str {
        partition(&self.0)
    }
}

/// The ARN of a repository in this region: the only place that writes one.
pub fn repository_arn<'a>(
    region: &'a str,
    account: &'a AccountId,
    name: &'a RepositoryName,
) -> impl fmt::Display + use<'a> {
    arn(region, account, name)
}

/// The ARN of all repositories below a prefix, as policies write it.
pub fn repositories_arn(region: &str, account: &AccountId, prefix: &Prefix) -> String {
    match prefix.path() {
        Some(path) => arn(region, account, &format_args!("{path}/*")).to_string(),
        None => arn(region, account, &"*").to_string(),
    }
}

fn arn<'a, N: fmt::Display>(region: &'a str, account: &'a AccountId, name: &'a N) -> impl fmt::Display + use<'a, N> {
    fmt::from_fn(move |f| write!(f, "arn:{}:ecr:{region}:{account}:repository/{name}", partition(region)))
}

fn partition(region: &str) -> &'static str {
    match region {
        region if region.starts_with("cn-") => "aws-cn",
        region if region.starts_with("us-gov-") => "aws-us-gov",
        region if region.starts_with("us-iso-") => "aws-iso",
        region if region.starts_with("us-isob-") => "aws-iso-b",
        region if region.starts_with("eu-isoe-") => "aws-iso-e",
        region if region.starts_with("us-isof-") => "aws-iso-f",
        region if region.starts_with("eusc-") => "aws-eusc",
        _ => "aws",
    }
}

impl FromStr for Region {
    type Err = ArnError;

    fn from_str(text: &str) -> Result<Self, ArnError> {
        let known = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-';
        if (2..=25).contains(&text.len()) && text.bytes().all(known) {
            Ok(Self(text.to_owned()))
        } else {
            Err(ArnError::BadRegion)
        }
    }
}

impl FromStr for RepositoryArn {
    type Err = ArnError;

    fn from_str(text: &str) -> Result<Self, ArnError> {
        Self::read(text).ok_or(ArnError::Malformed)
    }
}

impl RepositoryArn {
    fn read(text: &str) -> Option<Self> {
        let (partition, rest) = text.strip_prefix("arn:")?.split_once(":ecr:")?;
        let (region, rest) = rest.split_once(':')?;
        let (account, resource) = rest.split_once(':')?;
        let arn = Self {
            region: region.parse().ok()?,
            account: account.parse().ok()?,
            name: resource.strip_prefix("repository/")?.parse().ok()?,
        };
        (partition == arn.region.partition()).then_some(arn)
    }
}

impl fmt::Display for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for RepositoryArn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { region, account, name } = self;
        repository_arn(region.as_str(), account, name).fmt(f)
    }
}

impl Serialize for Region {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl Serialize for RepositoryArn {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_what_it_parsed() {
        for text in [
            "arn:aws:ecr:eu-west-1:012345678901:repository/library/nginx",
            "arn:aws-cn:ecr:cn-north-1:012345678901:repository/ab",
            "arn:aws-us-gov:ecr:us-gov-west-1:012345678901:repository/ab",
        ] {
            assert_eq!(text.parse::<RepositoryArn>().map(|arn| arn.to_string()), Ok(text.to_owned()));
        }
    }

    #[test]
    fn refuses_all_else() {
        for text in [
            "",
            "arn:aws:ecr:eu-west-1:012345678901:repository/",
            "arn:aws:ecr:eu-west-1:012345678901:repository/A",
            "arn:aws:ecr:eu-west-1:01234567890:repository/ab",
            "arn:aws:ecr::012345678901:repository/ab",
            "arn:aws-cn:ecr:eu-west-1:012345678901:repository/ab",
            "arn:aws:ecr-public:eu-west-1:012345678901:repository/ab",
            "arn:aws:ecr:eu-west-1:012345678901:ab",
            "aws:ecr:eu-west-1:012345678901:repository/ab",
        ] {
            assert_eq!(text.parse::<RepositoryArn>(), Err(ArnError::Malformed), "{text}");
        }
    }

    #[test]
    fn regions() {
        assert!("a".repeat(25).parse::<Region>().is_ok() && "ab".parse::<Region>().is_ok());
        for bad in ["a", "EU-west-1", "eu_west", &"a".repeat(26)] {
            assert_eq!(bad.parse::<Region>(), Err(ArnError::BadRegion), "{bad}");
        }
    }
}
