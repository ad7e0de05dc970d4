//! Finds out who asks, from what a request shows and what the database knows.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use super::certificates::Certificates;
use super::directory::{Directory, Known};
use super::identity::{Identity, Means, Who};
use super::issuers::{Issuers, OidcError};
use super::passwords::Passwords;
use super::proof::{
    AUTHORIZATION_TOKEN_USER, Access, AttemptLimit, AttemptSource, Attempts, BasicCredentials, CertificateNames, Claim,
    Expiring, Grant, Keyring, LayerLoan, LayerPlace, Principal, Purpose, Refusal, TokenError, TokenRequest,
    TokenResponse, TokenService, TooManyAttempts, UnixTime, issue_authorization_token, open, open_authorization_token,
    open_layer_signature, open_session, sign_layer,
};
use super::recent::Recent;
use super::role_sources::RoleSources;
use super::unproven::{NotRead, is_small};
use crate::config::{AuthSettings, OidcSettings};
use crate::memory;
use crate::meta::{self, Meta};
use crate::oci::AccountId;

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
    /// ARNs of roles that rules give and that can be assumed as well.
    pub(super) ruled: BTreeSet<String>,
    certificates: Certificates,
    /// ID tokens that were wrong, each of which is written down.
    pub(super) wrong_id_tokens: Attempts<AttemptSource>,
    /// Credentials that were not believed, each of which is written down.
    doubted: Attempts<AttemptSource>,
    /// Who showed this header a moment ago. Whatever is revoked is over when that moment is, or when the change was announced.
    recent: Recent<Identity>,
    pub(super) passwords: Passwords,
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

/// A layer is asked for as soon as its URL is known. A download that has begun goes on.
const LAYER_URL_LIFETIME: Duration = Duration::from_secs(15 * 60);

const REFRESH_LIFETIME: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// What was right is right for so long, for so many headers.
const RECENT: Duration = Duration::from_secs(3);

/// The user whose password is an ID token.
const ID_TOKEN_USER: &str = "oidc";

impl Authenticator {
    pub fn new(
        keyring: Arc<Keyring>,
        settings: AuthSettings,
        oidc: &[OidcSettings],
        certificates: Certificates,
        sources: &RoleSources,
        meta: Meta,
    ) -> Result<Self, OidcError> {
        let service = TokenService {
            issuer: format!("entrepot/{}", settings.account),
            service: format!("entrepot/{}/{}", settings.account, settings.region),
            leeway: Duration::from_secs(60),
        };
        let limit = AttemptLimit { failures: settings.failed_logins, ..AttemptLimit::default() };
        let passwords = Passwords::new(&settings);
        let inner = Inner {
            keyring,
            service,
            directory: Directory::new(meta.clone()),
            issuers: Issuers::new(oidc, &settings.account, sources)?,
            ruled: sources
                .assumed_besides()
                .map(|role| format!("arn:aws:iam::{}:role/{role}", settings.account))
                .collect(),
            certificates,
            meta,
            wrong_id_tokens: Attempts::new(limit),
            doubted: Attempts::new(AttemptLimit::default()),
            recent: Recent::new(memory::Kind::Logins, RECENT, |_, identity: &Identity| identity.bytes()),
            passwords,
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
        // A password that is remembered could be guessed here without end.
        if identity.means != Means::Password {
            self.inner.recent.insert(&shown, identity.clone());
        }
        Ok(identity)
    }

    async fn look_closely(&self, authorization: &str, source: IpAddr, account: AccountId) -> Result<Identity, Refused> {
        let scheme = authorization.split(' ').next().unwrap_or_default();
        if scheme.eq_ignore_ascii_case("bearer") {
            let token = authorization.get(scheme.len()..).unwrap_or_default().trim();
            return self.by_bearer(token).await;
        }
        let basic = BasicCredentials::parse(authorization).map_err(wrong)?;
        self.by_basic(&basic, account, source).await
    }

    /// Whether the body of a request to the API is read, which has to be before the signature over it can be checked: for a large one the
    /// key must at least exist.
    pub async fn takes_body(&self, claim: &Claim, bytes: u64) -> Result<(), NotRead> {
        if !is_small(bytes) {
            let id = claim.access_key_id();
            match claim.session_token() {
                Some(token) => {
                    let opened = open_session(&self.inner.keyring, id, token, now());
                    opened.map_err(|error| NotRead::Refused(no_session(&error)))?;
                }
                None => {
                    let key = self.inner.meta.access_key(id).await.map_err(NotRead::Unavailable)?;
                    key.filter(|key| key.is_active).ok_or(NotRead::Refused(Refusal::UnknownAccessKey))?;
                }
            }
        }
        Ok(())
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
                Err(error) => return Ok(Err(no_session(&error))),
            };
            if let Err(refusal) = claim.verify(&session.secret, body_sha256, now) {
                return Ok(Err(refusal));
            }
            let known = self.current(&session.principal).await?;
            let known = known.map(|known| Identity::known(known, Means::Session));
            let leased = known.map(|identity| identity.leased(session.expires_at, session.principal.lenders()));
            return Ok(leased
                .map(|identity| identity.issued(session.issued_at, &session.principal))
                .ok_or(Refusal::InvalidSessionToken));
        }
        // As AWS: one that is inactive is not told from one that is not there.
        let key = self.inner.meta.access_key(id).await?.filter(|key| key.is_active);
        let Some(key) = key else { return Ok(Err(Refusal::UnknownAccessKey)) };
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
        let principal = identity.in_tokens()?.ok().filter(|_| self.may_give_for_long())?;
        let now = now();
        let lifetime = identity.no_longer_than(self.inner.settings.token_lifetime, now);
        let (password, ends) = issue_authorization_token(&self.inner.keyring, &principal, now, lifetime).ok()?;
        let pair = format!("{AUTHORIZATION_TOKEN_USER}:{password}");
        Some((base64::Engine::encode(&base64::engine::general_purpose::STANDARD, pair), ends))
    }

    /// Whether one more credential of this address that is not believed gets a record.
    pub fn is_told_of_doubt(&self, source: IpAddr) -> bool {
        let (source, now) = (AttemptSource::from(source), Instant::now());
        let is_told = self.inner.doubted.check(source, now).is_ok();
        if is_told {
            self.inner.doubted.failed(source, now);
        }
        is_told
    }

    /// What stands for the login of this identity in the URL of a layer; `None` for nobody's.
    pub fn layer_signature(&self, identity: &Identity, layer: LayerPlace) -> Option<String> {
        let principal = identity.in_tokens()?.ok()?;
        let now = now();
        let lifetime = identity.no_longer_than(LAYER_URL_LIFETIME, now);
        sign_layer(&self.inner.keyring, principal, layer, now, lifetime).ok()
    }

    /// By the signature in the URL of a layer. Whoever it is may do nothing else with it than read that layer.
    pub async fn identify_by_url(&self, signature: &str) -> Result<Identity, Refused> {
        let again = "ask GetDownloadUrlForLayer for a new URL";
        let opened = open_layer_signature(&self.inner.keyring, signature, now()).map_err(|error| {
            Refused::Wrong(match error {
                TokenError::Expired { at } => format!("the URL expired at {at}: {again}"),
                _ => format!("the signature in the URL is none of this registry's, or it was cut or altered: {again}"),
            })
        })?;
        let Expiring { value: LayerLoan { principal, layer }, issued_at, expires_at } = opened;
        let identity = self.known(&principal, Means::SignedUrl, (issued_at, expires_at)).await?;
        Ok(Identity { layer: Some(Arc::new(layer)), ..identity })
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
            Grant::Password(basic) => self.by_basic(basic, account, source).await,
            Grant::RefreshToken(token) => self.by_refresh_token(token).await,
        }
    }

    /// A bearer token for what was granted.
    pub fn bearer_token(&self, identity: &Identity, granted: &[Access], with_refresh: bool) -> Option<TokenResponse> {
        let Inner { keyring, service, .. } = &*self.inner;
        let principal = identity.in_tokens().transpose().ok()?;
        let now = now();
        let lifetime = identity.no_longer_than(BEARER_LIFETIME, now);
        let response = service.respond(keyring, principal.as_ref(), granted, now, lifetime).ok()?;
        match principal.filter(|_| with_refresh && identity.means.is_lasting() && self.may_give_for_long()) {
            Some(principal) => {
                let lifetime = identity.no_longer_than(REFRESH_LIFETIME, now);
                let token = service.issue_refresh_token(keyring, &principal, now, lifetime).ok()?;
                Some(response.with_refresh_token(token))
            }
            None => Some(response),
        }
    }

    /// While the database is away, rights are those that were known last: nothing is given by them that would outlast that.
    pub(super) fn may_give_for_long(&self) -> bool {
        self.inner.meta.is_away().is_none()
    }

    /// One of ours, or an ID token of an issuer that is believed.
    async fn by_bearer(&self, token: &str) -> Result<Identity, Refused> {
        if let Some(identity) = self.by_id_token(token).await? {
            return Ok(identity);
        }
        let claims = self.inner.service.verify(&self.inner.keyring, token, now()).map_err(wrong)?;
        let mut identity = match &claims.principal {
            None => Identity::anonymous(),
            Some(principal) => self.known(principal, Means::BearerToken, (claims.iat, claims.exp)).await?,
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
        self.known(&opened.value, Means::RefreshToken, (opened.issued_at, opened.expires_at)).await
    }

    async fn by_basic(
        &self,
        basic: &BasicCredentials,
        account: AccountId,
        source: IpAddr,
    ) -> Result<Identity, Refused> {
        // Tokens cannot be guessed and cost microseconds: they are never limited, so that nobody is kept out by wrong ones of others.
        match basic.username.as_str() {
            AUTHORIZATION_TOKEN_USER => self.by_authorization_token(&basic.password).await,
            // Clients that hold a refresh token send it as the password of nobody.
            "<token>" => self.by_refresh_token(&basic.password).await,
            ID_TOKEN_USER => {
                let identity = self.by_id_token(&basic.password).await?;
                identity.ok_or_else(|| Refused::Wrong("the ID token is of no issuer that is believed here".to_owned()))
            }
            _ => self.by_password(basic, account, source.into()).await,
        }
    }

    async fn by_authorization_token(&self, token: &str) -> Result<Identity, Refused> {
        let opened = open_authorization_token(&self.inner.keyring, token, now()).map_err(wrong)?;
        self.known(&opened.value, Means::AuthorizationToken, (opened.issued_at, opened.expires_at)).await
    }

    /// The principal of a token, by when it was given and when it ends.
    async fn known(
        &self,
        principal: &Principal,
        means: Means,
        (given, ends): (UnixTime, UnixTime),
    ) -> Result<Identity, Refused> {
        match self.current(principal).await? {
            Some(known) => Ok(Identity::known(known, means).leased(ends, principal.lenders()).issued(given, principal)),
            None => Err(Refused::Wrong("the token was revoked, or whom it was given to is no more".to_owned())),
        }
    }

    /// The principal of a token, if the token is of its present epoch and those who lent it are as they were.
    async fn current(&self, principal: &Principal) -> Result<Option<Arc<Known>>, meta::Error> {
        self.unrevoked(principal.id(), principal.epoch(), principal.lenders()).await
    }

    async fn unrevoked(
        &self,
        arn: &str,
        epoch: u64,
        lenders: &[(String, u64)],
    ) -> Result<Option<Arc<Known>>, meta::Error> {
        for (lender, epoch) in lenders {
            let known = self.inner.directory.by_arn(lender).await?;
            if known.is_none_or(|known| known.row().epoch != *epoch) {
                return Ok(None);
            }
        }
        let known = self.inner.directory.by_arn(arn).await?;
        Ok(known.filter(|known| known.row().epoch == epoch))
    }

    /// The caller of a request that took its time, as they are now; `None` when they were revoked meanwhile, or are no more. A token that
    /// only ended meanwhile goes on being good for what was begun with it.
    pub async fn renewed(&self, identity: &Identity) -> Result<Option<Identity>, meta::Error> {
        let Who::Known(known) = &identity.who else { return Ok(Some(identity.clone())) };
        let lenders = identity.lease.as_ref().map_or(&[][..], |lease| &lease.lenders);
        let found = self.unrevoked(known.arn(), known.row().epoch, lenders).await?;
        let same = found.filter(|found| found.row().id == known.row().id);
        Ok(same.map(|known| Identity { who: Who::Known(known), ..identity.clone() }))
    }
}

pub(super) fn now() -> UnixTime {
    SystemTime::now().into()
}

/// The user whom an `Authorization` header of Basic names.
pub fn tried_name(authorization: &str) -> Option<String> {
    BasicCredentials::parse(authorization).ok().map(|basic| basic.username.clone())
}

fn no_session(error: &TokenError) -> Refusal {
    match error {
        // Clients fetch new credentials when they are told this.
        TokenError::Expired { at } => Refusal::ExpiredSessionToken { at: *at },
        _ => Refusal::InvalidSessionToken,
    }
}

fn wrong(error: impl std::fmt::Display) -> Refused {
    Refused::Wrong(error.to_string())
}
