//! Amazon Resource Names: `arn:partition:service:region:account:resource`, where the resource may hold more colons.
//!
//! Two uses are here: the names of principals, read whole, and the patterns of `ArnLike`, compared part by part so that a star never
//! reaches over a colon into the next part.

use super::pattern::{Pattern, glob};
use super::question::Question;
use super::variables::Woven;
use crate::oci::AccountId;

const PARTS: usize = 6;

/// The name of something that may act.
#[derive(Clone, Copy, Debug)]
pub(super) struct Iam<'t> {
    pub partition: &'t str,
    pub account: AccountId,
    pub entity: Entity<'t>,
    /// The entity stands in a folder, as in `user/team/ann`.
    pub has_path: bool,
}

/// Names come without their path.
#[derive(Clone, Copy, Debug)]
pub(super) enum Entity<'t> {
    Root,
    User(&'t str),
    Role(&'t str),
    Session { role: &'t str },
    FederatedUser,
}

impl<'t> Iam<'t> {
    /// Refuses wildcards and spaces, as no such name has any.
    pub fn parse(text: &'t str) -> Option<Self> {
        let [_, partition, service, region, account, resource] = split(text)?;
        let plain = !text.chars().any(|c| matches!(c, '*' | '?') || c.is_whitespace() || c.is_control());
        if !plain || !partition.starts_with("aws") || !region.is_empty() {
            return None;
        }
        let account = account.parse().ok()?;
        let entity = match (service, resource.split_once('/')) {
            ("iam", None) if resource == "root" => Entity::Root,
            ("iam", Some(("user", path))) => Entity::User(last_of_path(path)?),
            ("iam", Some(("role", path))) => Entity::Role(last_of_path(path)?),
            ("sts", Some(("assumed-role", rest))) => match rest.split_once('/') {
                Some((role, session)) if !role.is_empty() && !session.is_empty() && !session.contains('/') => {
                    Entity::Session { role }
                }
                _ => return None,
            },
            ("sts", Some(("federated-user", name))) if !name.is_empty() => Entity::FederatedUser,
            _ => return None,
        };
        let has_path = service == "iam" && resource.matches('/').count() > 1;
        Some(Self { partition, account, entity, has_path })
    }
}

fn last_of_path(path: &str) -> Option<&str> {
    path.rsplit('/').next().filter(|name| !name.is_empty())
}

/// The value of an `Arn…` operator.
#[derive(Clone, Debug)]
pub(super) enum ArnPattern {
    /// A lone `*`.
    Anything,
    Fixed(Box<[Pattern; PARTS]>),
    Woven(Woven),
}

impl ArnPattern {
    /// None where the text is no ARN. One that leaves out its last parts has any.
    pub fn of_code(code: &[u8]) -> Option<Self> {
        if let Pattern::Everything = Pattern::of_code(code.to_vec()) {
            return Some(Self::Anything);
        }
        let mut parts = code.strip_prefix(b"arn:")?.splitn(PARTS - 1, |byte| *byte == b':');
        let mut part = || parts.next().map_or(Pattern::Everything, |part| Pattern::of_code(part.to_vec()));
        let arn = Pattern::Exact(b"arn".as_slice().into());
        Some(Self::Fixed(Box::new([arn, part(), part(), part(), part(), part()])))
    }

    /// A text that is no ARN matches nothing but `*`.
    pub fn matches(&self, text: &str, question: &Question<'_>) -> bool {
        match self {
            Self::Anything => true,
            Self::Fixed(patterns) => split(text)
                .is_some_and(|parts| patterns.iter().zip(parts).rev().all(|(pattern, part)| pattern.matches(part))),
            Self::Woven(woven) => {
                let Some(code) = woven.resolve(question) else { return false };
                let Some(parts) = split(text) else { return false };
                let mut patterns = code.splitn(PARTS, |byte| *byte == b':');
                parts.into_iter().all(|part| patterns.next().is_some_and(|pattern| glob(pattern, part)))
            }
        }
    }
}

fn split(text: &str) -> Option<[&str; PARTS]> {
    let mut parts = text.splitn(PARTS, ':');
    let mut part = || parts.next();
    let parts = [part()?, part()?, part()?, part()?, part()?, part()?];
    if parts.first() == Some(&"arn") { Some(parts) } else { None }
}
