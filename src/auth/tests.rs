//! An authenticator with somebody in it, and what its parts do together.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, Method, Uri};

use super::authenticator::now;
use super::proof::{Keyring, PasswordCost, hash_password, issue_session};
use super::{
    Authenticator, Certificates, Claim, Identity, Means, NotRead, Refusal, RoleSources, SignatureRules, Signer,
};
use crate::config::{AuthSettings, Challenge};
use crate::meta::{Meta, NewPrincipal, PasswordNow, PrincipalKind};
use crate::oci::AccountId;

pub(super) const FAILURES: u32 = 3;
pub(super) const FAILURES_PER_ADDRESS: u32 = 30;

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
    meta.put_password(ann, Some(&hash_password("right", PasswordCost::default()).unwrap()), PasswordNow::IsNot)
        .await
        .unwrap();
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
        password_min_length: 8,
        failed_logins: FAILURES,
        failed_logins_per_address: FAILURES_PER_ADDRESS,
    };
    let sources = RoleSources::default();
    let certificates = Certificates::new(&[], account, &sources).unwrap();
    let keyring = Arc::new(Keyring::generate().unwrap());
    (Authenticator::new(keyring, settings, &[], certificates, &sources, meta).unwrap(), account)
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

/// Over a large body, too, clients are told to fetch new credentials.
#[tokio::test]
async fn expired_sessions_are_told_so_before_the_body_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let (authenticator, account) = authenticator(folder.path()).await;
    let ann = authenticator.inner.directory.user(&account, "ann").await.unwrap().unwrap();
    let (hour, principal) = (Duration::from_secs(3600), ann.in_tokens().unwrap());
    let takes = async |given| {
        let session = issue_session(&authenticator.inner.keyring, &principal, None, given, hour).unwrap();
        let signer = Signer {
            access_key_id: &session.access_key.id,
            secret: &session.access_key.secret,
            session_token: Some(&session.session_token),
            region: "local",
            service: "ecr",
        };
        let (uri, mut headers) = (Uri::from_static("http://registry.example/"), HeaderMap::new());
        headers.insert("x-amz-target", http::HeaderValue::from_static("Service.Operation"));
        signer.sign(&Method::POST, &uri, &mut headers, &[0; 32], now()).unwrap();
        let claim = Claim::parse(&SignatureRules::ECR, &Method::POST, &uri, &headers).unwrap();
        authenticator.takes_body(&claim, 1 << 20).await
    };
    let expired = takes(now().minus(hour * 2)).await;
    assert!(matches!(expired, Err(NotRead::Refused(Refusal::ExpiredSessionToken { .. }))), "{expired:?}");
    assert!(takes(now()).await.is_ok());
}
