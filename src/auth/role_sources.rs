//! Roles that several sources give: issuers of ID tokens, names in certificates, and users who assume them. What two of them call the same is
//! not the same, and the ARNs of its sessions must say so.

use std::collections::{BTreeMap, BTreeSet};

use crate::config::{CertificateGives, CertificateNameKind, CertificateSettings, OidcSettings, RoleSettings};
use crate::oci::AccountId;

/// Of the roles of the registry's account, by their names.
#[derive(Debug, Default)]
pub struct RoleSources(BTreeMap<String, BTreeSet<Source>>);

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Source {
    Issuer(String),
    /// Names of one kind.
    Certificates(&'static str),
    /// A trust policy lets users in, who name their sessions as they like.
    Assumption,
}

impl RoleSources {
    pub fn new(
        oidc: &[OidcSettings],
        certificates: &[CertificateSettings],
        roles: &[RoleSettings],
        home: AccountId,
    ) -> Self {
        let mut sources: BTreeMap<String, BTreeSet<Source>> = BTreeMap::new();
        let mut add = |role: &str, source| {
            sources.entry(role.to_owned()).or_default().insert(source);
        };
        for rule in oidc {
            add(&rule.role, Source::Issuer(rule.issuer.clone()));
        }
        for rule in certificates {
            if let CertificateGives::Role { role, .. } = &rule.gives {
                add(role, Source::Certificates(kind(rule.name.kind)));
            }
        }
        for role in roles.iter().filter(|role| role.account.unwrap_or(home) == home) {
            add(&role.name, Source::Assumption);
        }
        Self(sources)
    }

    /// Whether another source gives the role besides the one that asks.
    pub(super) fn is_shared(&self, role: &str) -> bool {
        self.0.get(role).is_some_and(|sources| sources.len() > 1)
    }

    /// Roles that rules give, and that can be assumed as well.
    pub(super) fn assumed_besides(&self) -> impl Iterator<Item = &str> {
        let both = self.0.iter().filter(|(_, sources)| sources.len() > 1 && sources.contains(&Source::Assumption));
        both.map(|(role, _)| role.as_str())
    }
}

/// In the text that names a session.
pub(super) const fn kind(kind: CertificateNameKind) -> &'static str {
    match kind {
        CertificateNameKind::Dns => "dns",
        CertificateNameKind::Uri => "uri",
        CertificateNameKind::Email => "email",
        CertificateNameKind::CommonName => "cn",
    }
}
