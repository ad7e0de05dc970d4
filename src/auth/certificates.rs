//! Certificates of clients: whose they are, by the rules of the configuration.

use std::time::Duration;

use super::authenticator::Refused;
use super::directory::Directory;
use super::identity::{Identity, Means};
use super::proof::{Bearer, CertificateNames, CertificateRule, ClaimPattern, ClaimPatternError, Gives, UnixTime};
use super::recent::Recent;
use super::role_sources::{self, RoleSources};
use crate::config::{CertificateGives, CertificateSettings};
use crate::memory;
use crate::oci::AccountId;

/// Whose it was is whose it is for so long, for so many certificates.
const RECENT: Duration = Duration::from_secs(3);

/// Names of a certificate that the log has.
const LOGGED_NAMES: usize = 8;

pub struct Certificates {
    rules: Vec<CertificateRule>,
    /// The registry's.
    account: AccountId,
    /// A connection shows the same with each request.
    recent: Recent<Identity>,
}

#[derive(Debug, thiserror::Error)]
#[error("rule {name:?} of [[certificate]] cannot be read: {reason}")]
pub struct CertificateRuleError {
    name: String,
    reason: ClaimPatternError,
}

impl Certificates {
    pub fn new(
        settings: &[CertificateSettings],
        account: AccountId,
        sources: &RoleSources,
    ) -> Result<Self, CertificateRuleError> {
        let rules = settings.iter().map(|rule| read(rule, account, sources)).collect::<Result<_, _>>()?;
        Ok(Self {
            rules,
            account,
            recent: Recent::new(memory::Kind::Certificates, RECENT, |_, identity: &Identity| identity.bytes()),
        })
    }

    /// Who shows a certificate with these names, which was verified when the connection began.
    pub(super) async fn identify(
        &self,
        names: &CertificateNames,
        directory: &Directory,
        now: UnixTime,
    ) -> Result<Identity, Refused> {
        if self.rules.is_empty() {
            return Ok(Identity::anonymous());
        }
        if now > names.ends() {
            let message =
                format!("the certificate of this connection ended at {}: connect with a new one", names.ends());
            return Err(Refused::Wrong(message));
        }
        let shown = (directory.changes(), names);
        if let Some(identity) = self.recent.get(&shown) {
            return Ok(identity);
        }
        let identity = self.look_closely(names, directory).await?;
        self.recent.insert(&shown, identity.clone());
        Ok(identity)
    }

    async fn look_closely(&self, names: &CertificateNames, directory: &Directory) -> Result<Identity, Refused> {
        let Some(bearer) = CertificateRule::first_match(&self.rules, names) else {
            let names: Vec<_> = names.names().take(LOGGED_NAMES).collect();
            tracing::debug!(?names, "a client's certificate matches no rule: it names nobody");
            return Ok(Identity::anonymous());
        };
        let known = match &bearer {
            Bearer::User(user) => directory.user(&self.account, user).await?,
            Bearer::Role(assumed) => directory.in_role(&assumed.role_arn, &assumed.session_name).await?,
        };
        match (known, bearer) {
            (Some(known), _) => Ok(Identity::known(known, Means::Certificate)),
            (None, Bearer::User(user)) => {
                let message =
                    format!("the certificate is of user {user:?}, who is not there: make the user, or change the rule");
                Err(Refused::Wrong(message))
            }
            (None, Bearer::Role(_)) => Err(Refused::Wrong("the role that the certificate gives is no more".to_owned())),
        }
    }
}

fn read(
    rule: &CertificateSettings,
    account: AccountId,
    sources: &RoleSources,
) -> Result<CertificateRule, CertificateRuleError> {
    let pattern = ClaimPattern::parse(&rule.name.pattern)
        .map_err(|reason| CertificateRuleError { name: rule.name.to_string(), reason })?;
    let gives = match &rule.gives {
        CertificateGives::User { user } => Gives::User(user.clone()),
        CertificateGives::Role { role, .. } => Gives::Role(format!("arn:aws:iam::{account}:role/{role}")),
    };
    let is_shared = matches!(&rule.gives, CertificateGives::Role { role, .. } if sources.is_shared(role));
    let shared_as = is_shared.then(|| role_sources::kind(rule.name.kind));
    Ok(CertificateRule { kind: rule.name.kind, pattern, gives, shared_as })
}
