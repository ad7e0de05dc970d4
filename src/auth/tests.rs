//! An authenticator with somebody in it, and what its parts do together.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::authenticator::now;
use super::proof::{Keyring, PasswordCost, hash_password};
use super::{Authenticator, Certificates, Identity, Means};
use crate::config::{AuthSettings, Challenge};
use crate::meta::{Meta, NewPrincipal, PrincipalKind};
use crate::oci::AccountId;

pub(super) const FAILURES: u32 = 3;

/// The user ann, whose password is `right`, and the role ci.
pub(super) async fn authenticator(folder: &Path) -> (Authenticator, AccountId) {
    let meta = Meta::open(&folder.join("x.db")).await.unwrap();
    let account: AccountId = "000000000000".parse().unwrap();
    let new = |kind, name: &str| NewPrincipal {
        account,
        kind,
        name: name.to_owned(),
        declared: false,
        tags: Default::default(),
    };
    let ann = meta.put_principal(&new(PrincipalKind::User, "ann"), 1).await.unwrap();
    meta.put_password(ann, Some(&hash_password("right", PasswordCost::default()).unwrap())).await.unwrap();
    meta.put_principal(&new(PrincipalKind::Role, "ci"), 1).await.unwrap();
    let settings = AuthSettings {
        required: true,
        account,
        region: "local".to_owned(),
        domain: None,
        key_file: None,
        url: None,
        challenge: Challenge::Bearer,
        token_lifetime: Duration::from_secs(60),
        failed_logins: FAILURES,
    };
    let certificates = Certificates::new(&[], account).unwrap();
    let keyring = Arc::new(Keyring::generate().unwrap());
    (Authenticator::new(keyring, settings, &[], certificates, meta).unwrap(), account)
}

/// The session of a role ends no later than the session that it was assumed with.
#[tokio::test]
async fn roles_do_not_outlive_what_assumes_them() {
    let folder = tempfile::tempdir().unwrap();
    let (authenticator, account) = authenticator(folder.path()).await;
    let ann = authenticator.inner.directory.user(&account, "ann").await.unwrap().unwrap();
    let role = format!("arn:aws:iam::{account}:role/ci");
    let hour = Duration::from_secs(3600);
    let ends = now().plus(Duration::from_secs(1000));
    let by_session = Identity::known(ann.clone(), Means::Session).leased(ends, &[]);
    let session = authenticator.role_session(&by_session, &role, "s1", hour).await.unwrap();
    assert!(session.credentials.expires_at.since(ends).is_zero(), "{}", session.credentials.expires_at);
    let by_key = Identity::known(ann, Means::Signature);
    let session = authenticator.role_session(&by_key, &role, "s1", hour).await.unwrap();
    assert!(!session.credentials.expires_at.since(ends).is_zero());
}
