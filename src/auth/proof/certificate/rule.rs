//! Whose certificate it is.

use std::borrow::Cow;

use super::super::oidc::{AssumedRole, ClaimPattern};
use super::super::session_name::distinct_session_name;
use super::names::CertificateNames;
use crate::config::CertificateNameKind;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateRule {
    pub kind: CertificateNameKind,
    /// For DNS names in lower case.
    pub pattern: ClaimPattern,
    pub gives: Gives,
    /// Others give the role as well, and this is what names of the kind are told from theirs by.
    pub shared_as: Option<&'static str>,
}

/// What a rule gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Gives {
    /// The user's name.
    User(String),
    /// The role's ARN.
    Role(String),
}

/// Whom a certificate names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Bearer {
    User(String),
    Role(AssumedRole),
}

impl CertificateRule {
    /// The first rule that matches decides; in a role, the session is called like the first name that matched.
    pub fn first_match<'a>(rules: impl IntoIterator<Item = &'a Self>, names: &CertificateNames) -> Option<Bearer> {
        rules.into_iter().find_map(|rule| rule.bearer(names))
    }

    fn bearer(&self, names: &CertificateNames) -> Option<Bearer> {
        let (_, name) = names.names().find(|(kind, name)| *kind == self.kind && self.pattern.matches(name))?;
        Some(match &self.gives {
            Gives::User(user) => Bearer::User(user.clone()),
            Gives::Role(role_arn) => {
                // As of an ID token: no name has a space, so that it ends in a hash of both.
                let named = match self.shared_as {
                    Some(kind) if !name.is_empty() => Cow::Owned(format!("{name} {kind}")),
                    _ => Cow::Borrowed(name),
                };
                let session_name = distinct_session_name(&named)?;
                Bearer::Role(AssumedRole { role_arn: role_arn.clone(), session_name })
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DnType, KeyPair, SanType};

    use super::CertificateNameKind::{CommonName, Dns, Email, Uri};
    use super::*;

    fn names() -> CertificateNames {
        let mut params =
            CertificateParams::new(["one.nodes.example".to_owned(), "two.nodes.example".to_owned()]).unwrap();
        params.subject_alt_names.push(SanType::URI("spiffe://cluster.example/ns/ci/sa/x".try_into().unwrap()));
        params.distinguished_name.push(DnType::CommonName, "Ann:user/root");
        CertificateNames::parse(params.self_signed(&KeyPair::generate().unwrap()).unwrap().der()).unwrap()
    }

    fn rule(kind: CertificateNameKind, pattern: &str, role: &str) -> CertificateRule {
        CertificateRule {
            kind,
            pattern: ClaimPattern::parse(pattern).unwrap(),
            gives: Gives::Role(role.to_owned()),
            shared_as: None,
        }
    }

    #[test]
    fn the_first_rule_decides_by_names_of_its_kind_only() {
        let first = |rules: &[CertificateRule]| match CertificateRule::first_match(rules, &names()) {
            Some(Bearer::Role(assumed)) => Some(format!("{} {}", assumed.role_arn, assumed.session_name)),
            Some(Bearer::User(user)) => Some(user),
            None => None,
        };
        let nodes = rule(Dns, "*.nodes.example", "nodes");
        assert_eq!(first(std::slice::from_ref(&nodes)), Some("nodes one.nodes.example".to_owned()));
        assert_eq!(first(&[rule(Dns, "two.*", "two"), nodes.clone()]), Some("two two.nodes.example".to_owned()));
        for (kind, pattern) in [
            (Dns, "nodes.example"),
            (Uri, "*.nodes.example"),
            (Email, "*"),
            (CommonName, "*.nodes.example"),
            (Dns, "Ann*"),
        ] {
            assert_eq!(first(&[rule(kind, pattern, "none")]), None, "{kind:?} {pattern}");
        }
        let user = CertificateRule { gives: Gives::User("ann".into()), ..rule(CommonName, "Ann:*", "") };
        assert_eq!(first(&[rule(Email, "*", "none"), user, nodes]), Some("ann".to_owned()));
        assert_eq!(first(&[]), None);
    }

    /// Nothing in a name becomes a part of an ARN.
    #[test]
    fn names_stay_within_the_session() {
        for (kind, pattern) in [(Uri, "spiffe://*"), (CommonName, "*")] {
            let Some(Bearer::Role(assumed)) = CertificateRule::first_match([&rule(kind, pattern, "r")], &names())
            else {
                panic!("{pattern}")
            };
            assert!(!assumed.session_name.contains(['/', ':', '*']), "{}", assumed.session_name);
        }
    }
}
