//! Finds out who asks, from what a request shows and what the database knows.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use tokio::sync::Semaphore;

use super::certificates::Certificates;
use super::directory::{Directory, Known};
use super::identity::{Identity, Means};
use super::issuers::{Issuers, OidcError};
use super::proof::{
    AUTHORIZATION_TOKEN_USER, Access, AttemptLimit, AttemptSource, Attempts, BasicCredentials, CertificateNames, Claim,
    Grant, Keyring, PasswordCost, Principal, Purpose, Refusal, TokenError, TokenRequest, TokenResponse, TokenService,
    TooManyAttempts, UnixTime, issue_authorization_token, open, open_authorization_token, open_session, verify_nobody,
    verify_password,
};
use super::recent::Recent;
use super::unproven::{NoRoom, NotRead, Room, Unproven};
use crate::config::{AuthSettings, OidcSettings};
use crate::meta::{self, Meta};
use crate::oci::{AccountId, Digest};

/// Cheap to clone.
#[derive(Clone)]
pub struct Authenticator {
    pub(super) inner: Arc<Inner>,
}

pub(super) struct Inner {
    pub(super) keyring: Arc<Keyring>,
    settings: AuthSettings,
    service: TokenService,
    meta: Meta,
    pub(super) directory: Directory,
    pub(super) issuers: Issuers,
    certificates: Certificates,
    attempts: Attempts,
    /// Who showed this header a moment ago. Whatever is revoked is over when that moment is, or when the change was announced.
    recent: Recent<Identity>,
    /// Passwords that were right a moment ago for what is kept of them, by a hash that lives no longer than this process.
    right: moka::sync::Cache<Digest, ()>,
    salt: [u8; 32],
    /// Each password that is checked takes 19 MiB and a core for a moment.
    checking: Semaphore,
    unproven: Unproven,
}

/// Why nobody is believed.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// There is something, and it is not right.
    #[error("{0}")]
    Wrong(String),
    #[error(transparent)]
    TooMany(#[from] TooManyAttempts),
    #[error("it cannot be found out who asks: {0}")]
    Unavailable(#[from] meta::Error),
}

/// Bearer tokens are short-lived: what was revoked is over soon wherever epochs are not looked at.
const BEARER_LIFETIME: Duration = Duration::from_secs(15 * 60);

const REFRESH_LIFETIME: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// What was right is right for so long, for so many headers.
const RECENT: Duration = Duration::from_secs(3);
const MAX_RECENT: u64 = 10_000;

/// How long a right password is remembered.
const REMEMBERED: Duration = Duration::from_secs(30);

/// The user whose password is an ID token.
const ID_TOKEN_USER: &str = "oidc";

const CHECKED_AT_ONCE: usize = 2;

impl Authenticator {
    pub fn new(
        keyring: Arc<Keyring>,
        settings: AuthSettings,
        oidc: &[OidcSettings],
        certificates: Certificates,
        meta: Meta,
    ) -> Result<Self, OidcError> {
        let service = TokenService {
            issuer: format!("entrepot/{}", settings.account),
            service: format!("entrepot/{}/{}", settings.account, settings.region),
            leeway: Duration::from_secs(60),
        };
        let limit = AttemptLimit { failures: settings.failed_logins, ..AttemptLimit::default() };
        let mut salt = [0; 32];
        if aws_lc_rs::rand::fill(&mut salt).is_err() {
            fastrand::fill(&mut salt);
        }
        let inner = Inner {
            keyring,
            service,
            directory: Directory::new(meta.clone()),
            issuers: Issuers::new(oidc, &settings.account)?,
            certificates,
            meta,
            attempts: Attempts::new(limit),
            recent: Recent::new(MAX_RECENT, RECENT),
            right: moka::sync::Cache::builder().max_capacity(10_000).time_to_live(REMEMBERED).build(),
            salt,
            checking: Semaphore::new(CHECKED_AT_ONCE),
            unproven: Unproven::new(),
            settings,
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    pub fn settings(&self) -> &AuthSettings {
        &self.inner.settings
    }

    /// `service` of challenges.
    pub fn service(&self) -> &str {
        &self.inner.service.service
    }

    /// By the header `Authorization` of the data plane; without one by the connection's certificate; without that it is nobody.
    /// Names of users are of `account`.
    pub async fn identify(
        &self,
        authorization: Option<&str>,
        certificate: Option<&CertificateNames>,
        source: IpAddr,
        account: AccountId,
    ) -> Result<Identity, Refused> {
        let Some(authorization) = authorization else { return self.by_certificate(certificate).await };
        let shown = (self.inner.directory.changes(), authorization, account);
        if let Some(identity) = self.inner.recent.get(&shown) {
            return Ok(identity);
        }
        let identity = self.look_closely(authorization, source, account).await?;
        self.inner.recent.insert(&shown, identity.clone());
        Ok(identity)
    }

    async fn look_closely(&self, authorization: &str, source: IpAddr, account: AccountId) -> Result<Identity, Refused> {
        let scheme = authorization.split(' ').next().unwrap_or_default();
        if scheme.eq_ignore_ascii_case("bearer") {
            let token = authorization.get(scheme.len()..).unwrap_or_default().trim();
            return self.limited(source, self.by_bearer(token)).await;
        }
        let basic = BasicCredentials::parse(authorization).map_err(wrong)?;
        self.limited(source, self.by_basic(&basic, account)).await
    }

    /// Room for the body of a request to the API, which has to be read before the signature over it can be checked. For a large
    /// one the key must at least exist.
    pub async fn room(&self, claim: &Claim, bytes: u64) -> Result<Room, NotRead> {
        if !Unproven::is_small(bytes) {
            let id = claim.access_key_id();
            match claim.session_token() {
                Some(token) => {
                    let opened = open_session(&self.inner.keyring, id, token, now());
                    opened.map_err(|_| NotRead::Refused(Refusal::InvalidSessionToken))?;
                }
                None => {
                    let key = self.inner.meta.access_key(id).await.map_err(NotRead::Unavailable)?;
                    key.ok_or(NotRead::Refused(Refusal::UnknownAccessKey))?;
                }
            }
        }
        self.inner.unproven.room(bytes).await.map_err(|NoRoom| NotRead::NoRoom)
    }

    /// By the signature of a request to the API, whose body has this hash.
    pub async fn identify_signed(
        &self,
        claim: &Claim,
        body_sha256: &[u8; 32],
    ) -> Result<Result<Identity, Refusal>, meta::Error> {
        let now = now();
        let id = claim.access_key_id();
        if let Some(token) = claim.session_token() {
            let session = match open_session(&self.inner.keyring, id, token, now) {
                Ok(session) => session,
                // Clients fetch new credentials when they are told this.
                Err(TokenError::Expired { at }) => return Ok(Err(Refusal::ExpiredSessionToken { at })),
                Err(_) => return Ok(Err(Refusal::InvalidSessionToken)),
            };
            if let Err(refusal) = claim.verify(&session.secret, body_sha256, now) {
                return Ok(Err(refusal));
            }
            let known = self.current(&session.principal).await?;
            let known = known.map(|known| Identity::known(known, Means::Session));
            let leased = known.map(|identity| identity.leased(session.expires_at, session.principal.lenders()));
            return Ok(leased.ok_or(Refusal::InvalidSessionToken));
        }
        let Some(key) = self.inner.meta.access_key(id).await? else { return Ok(Err(Refusal::UnknownAccessKey)) };
        let secret = open(&self.inner.keyring, Purpose::AccessKeySecrets, id.as_bytes(), &key.sealed);
        let secret = match secret.map(String::from_utf8) {
            Ok(Ok(secret)) => secret,
            _ => {
                tracing::error!(
                    access_key = id,
                    "the secret of an access key cannot be opened: the key file is not the one it was sealed with"
                );
                return Ok(Err(Refusal::UnknownAccessKey));
            }
        };
        if let Err(refusal) = claim.verify(&secret, body_sha256, now) {
            return Ok(Err(refusal));
        }
        let known = self.inner.directory.by_id(key.principal).await?;
        Ok(known.map(|known| Identity::known(known, Means::Signature)).ok_or(Refusal::UnknownAccessKey))
    }

    /// The authorization token of ECR: base64 of `AWS:` and a password, and when it ends.
    pub fn authorization_token(&self, identity: &Identity) -> Option<(String, UnixTime)> {
        let principal = identity.in_tokens()?.ok()?;
        let now = now();
        let lifetime = identity.no_longer_than(self.inner.settings.token_lifetime, now);
        let (password, ends) = issue_authorization_token(&self.inner.keyring, &principal, now, lifetime).ok()?;
        let pair = format!("{AUTHORIZATION_TOKEN_USER}:{password}");
        Some((base64::Engine::encode(&base64::engine::general_purpose::STANDARD, pair), ends))
    }

    /// Users, keys or roles are others now.
    pub fn forget(&self) {
        self.inner.directory.changed();
    }

    /// Who asks for a bearer token.
    pub async fn identify_grant(
        &self,
        request: &TokenRequest,
        certificate: Option<&CertificateNames>,
        source: IpAddr,
        account: AccountId,
    ) -> Result<Identity, Refused> {
        match &request.grant {
            Grant::Anonymous => self.by_certificate(certificate).await,
            Grant::Password(basic) => self.limited(source, self.by_basic(basic, account)).await,
            Grant::RefreshToken(token) => self.limited(source, self.by_refresh_token(token)).await,
        }
    }

    /// A bearer token for what was granted.
    pub fn bearer_token(&self, identity: &Identity, granted: &[Access], with_refresh: bool) -> Option<TokenResponse> {
        let Inner { keyring, service, .. } = &*self.inner;
        let principal = identity.in_tokens().transpose().ok()?;
        let now = now();
        let lifetime = identity.no_longer_than(BEARER_LIFETIME, now);
        let response = service.respond(keyring, principal.as_ref(), granted, now, lifetime).ok()?;
        match principal.filter(|_| with_refresh && identity.means.is_lasting()) {
            Some(principal) => {
                let lifetime = identity.no_longer_than(REFRESH_LIFETIME, now);
                let token = service.issue_refresh_token(keyring, &principal, now, lifetime).ok()?;
                Some(response.with_refresh_token(token))
            }
            None => Some(response),
        }
    }

    /// Counts what turns out wrong, and looks at nothing where too much has been.
    pub(super) async fn limited<T>(
        &self,
        source: IpAddr,
        identify: impl Future<Output = Result<T, Refused>>,
    ) -> Result<T, Refused> {
        let source = AttemptSource::from(source);
        self.inner.attempts.check(source, Instant::now())?;
        let identified = identify.await;
        if matches!(identified, Err(Refused::Wrong(_))) {
            self.inner.attempts.failed(source, Instant::now());
        }
        identified
    }

    /// One of ours, or an ID token of an issuer that is believed.
    async fn by_bearer(&self, token: &str) -> Result<Identity, Refused> {
        if let Some(identity) = self.by_id_token(token).await? {
            return Ok(identity);
        }
        let claims = self.inner.service.verify(&self.inner.keyring, token, now()).map_err(wrong)?;
        let mut identity = match &claims.principal {
            None => Identity::anonymous(),
            Some(principal) => self.known(principal, Means::BearerToken, claims.exp).await?,
        };
        identity.means = Means::BearerToken;
        identity.access = Some(claims.access.into());
        Ok(identity)
    }

    /// `None` when it is of no issuer that is believed.
    async fn by_id_token(&self, token: &str) -> Result<Option<Identity>, Refused> {
        let assumed = match self.inner.issuers.assume(token, now()).await {
            None => return Ok(None),
            Some(assumed) => assumed.map_err(Refused::Wrong)?,
        };
        let known = self.inner.directory.in_role(&assumed.role_arn, &assumed.session_name).await?;
        let known = known.ok_or_else(|| Refused::Wrong("the role that the ID token assumes is no more".to_owned()))?;
        Ok(Some(Identity::known(known, Means::IdToken)))
    }

    async fn by_certificate(&self, names: Option<&CertificateNames>) -> Result<Identity, Refused> {
        match names {
            Some(names) => self.inner.certificates.identify(names, &self.inner.directory, now()).await,
            None => Ok(Identity::anonymous()),
        }
    }

    async fn by_refresh_token(&self, token: &str) -> Result<Identity, Refused> {
        let opened = self.inner.service.open_refresh_token(&self.inner.keyring, token, now()).map_err(wrong)?;
        self.known(&opened.value, Means::RefreshToken, opened.expires_at).await
    }

    async fn by_basic(&self, basic: &BasicCredentials, account: AccountId) -> Result<Identity, Refused> {
        if basic.username == AUTHORIZATION_TOKEN_USER {
            let opened = open_authorization_token(&self.inner.keyring, &basic.password, now()).map_err(wrong)?;
            return self.known(&opened.value, Means::AuthorizationToken, opened.expires_at).await;
        }
        // Clients that hold a refresh token send it as the password of nobody.
        if basic.username == "<token>" {
            return self.by_refresh_token(&basic.password).await;
        }
        if basic.username == ID_TOKEN_USER {
            let identity = self.by_id_token(&basic.password).await?;
            return identity
                .ok_or_else(|| Refused::Wrong("the ID token is of no issuer that is believed here".to_owned()));
        }
        self.by_password(basic, account).await
    }

    async fn by_password(&self, basic: &BasicCredentials, account: AccountId) -> Result<Identity, Refused> {
        let known = self.inner.directory.user(&account, &basic.username).await?;
        let kept = known.as_ref().and_then(|known| known.row().password.clone());
        let salted = [self.inner.salt.as_slice(), basic.username.as_bytes(), b"\0", basic.password.as_bytes()].concat();
        let remembered =
            Digest::of(&[salted.as_slice(), b"\0", kept.as_deref().unwrap_or_default().as_bytes()].concat());
        // Who it is now: whoever they were then may have been revoked since.
        if let (Some(_), Some(known), Some(())) = (&kept, &known, self.inner.right.get(&remembered)) {
            return Ok(Identity::known(known.clone(), Means::Password));
        }
        let password = basic.password.clone();
        let _turn = self.inner.checking.acquire().await;
        let checked = tokio::task::spawn_blocking(move || match kept {
            Some(kept) => verify_password(&password, &kept),
            // As long as for somebody who is there.
            None => verify_nobody(&password, PasswordCost::default()),
        });
        match (checked.await, known) {
            (Ok(Ok(true)), Some(known)) => {
                self.inner.right.insert(remembered, ());
                Ok(Identity::known(known, Means::Password))
            }
            _ => Err(Refused::Wrong("the user name or the password is wrong".to_owned())),
        }
    }

    async fn known(&self, principal: &Principal, means: Means, ends: UnixTime) -> Result<Identity, Refused> {
        match self.current(principal).await? {
            Some(known) => Ok(Identity::known(known, means).leased(ends, principal.lenders())),
            None => Err(Refused::Wrong("the token was revoked, or whom it was given to is no more".to_owned())),
        }
    }

    /// The principal of a token, if the token is of its present epoch and those who lent it are as they were.
    async fn current(&self, principal: &Principal) -> Result<Option<Arc<Known>>, meta::Error> {
        for (lender, epoch) in principal.lenders() {
            let known = self.inner.directory.by_arn(lender).await?;
            if known.is_none_or(|known| known.row().epoch != *epoch) {
                return Ok(None);
            }
        }
        let known = self.inner.directory.by_arn(principal.id()).await?;
        Ok(known.filter(|known| known.row().epoch == principal.epoch()))
    }
}

pub(super) fn now() -> UnixTime {
    SystemTime::now().into()
}

fn wrong(error: impl std::fmt::Display) -> Refused {
    Refused::Wrong(error.to_string())
}
