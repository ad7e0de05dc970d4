//! ID tokens of others: whose keys they are signed with, and which role they assume.
//!
//! Keys are fetched when a token of the issuer comes, kept for a while, and fetched again where a token names a key that is not
//! among them, but not more often than once in a while (`issuer_keys.rs`).

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use reqwest::Url;

use super::issuer_keys::{IssuerKeys, Timing};
use super::proof::{
    AssumedRole, ClaimPath, ClaimPattern, ClaimRule, IdTokenError, IdTokenRules, Jwks, UnixTime, unverified_issuer,
};
use super::role_sources::RoleSources;
use crate::config::OidcSettings;
use crate::oci::AccountId;
use crate::upstream::tls_trusting;

const TIMING: Timing = Timing {
    fresh: Duration::from_secs(60 * 60),
    longest: Duration::from_secs(24 * 60 * 60),
    pause: Duration::from_secs(30),
};

const TIMEOUT: Duration = Duration::from_secs(5);

/// Bytes of a document of an issuer.
const MAX_DOCUMENT_BYTES: usize = 512 << 10;

const LEEWAY: Duration = Duration::from_secs(60);

pub(super) struct Issuers {
    by_name: HashMap<String, Issuer>,
}

struct Issuer {
    rules: Vec<ClaimRule>,
    token_rules: IdTokenRules,
    provider: Provider,
    keys: Arc<IssuerKeys>,
}

/// Cheap to clone.
#[derive(Clone)]
struct Provider {
    issuer: String,
    jwks_url: Option<Url>,
    client: reqwest::Client,
}

#[derive(Debug, thiserror::Error)]
pub enum OidcError {
    #[error("rule {claim:?} of issuer {issuer} cannot be read: {reason}")]
    Claim { issuer: String, claim: String, reason: String },
    #[error("issuer {issuer} cannot be asked: {reason}")]
    Client { issuer: String, reason: String },
}

impl Issuers {
    pub(super) fn new(
        settings: &[OidcSettings],
        account: &AccountId,
        sources: &RoleSources,
    ) -> Result<Self, OidcError> {
        let mut by_name: HashMap<String, Issuer> = HashMap::new();
        for rule in settings {
            let claim_rule = ClaimRule { is_shared: sources.is_shared(&rule.role), ..claim_rule(rule, account)? };
            let issuer = match by_name.remove(&rule.issuer) {
                Some(issuer) => issuer,
                None => Issuer::new(rule)?,
            };
            by_name.insert(rule.issuer.clone(), issuer.with(claim_rule));
        }
        Ok(Self { by_name })
    }

    /// `None` when the token is of no issuer that we know.
    pub(super) async fn assume(&self, token: &str, now: UnixTime) -> Option<Result<AssumedRole, String>> {
        if self.by_name.is_empty() {
            return None;
        }
        let issuer = self.by_name.get(&unverified_issuer(token)?)?;
        Some(issuer.assume(token, now).await)
    }
}

impl Issuer {
    fn new(settings: &OidcSettings) -> Result<Self, OidcError> {
        let failed = |reason: String| OidcError::Client { issuer: settings.issuer.clone(), reason };
        let mut tls = tls_trusting(settings.ca.as_deref()).map_err(failed)?;
        tls.alpn_protocols = vec![b"http/1.1".to_vec()];
        let client = reqwest::Client::builder()
            .tls_backend_preconfigured(tls)
            .http1_only()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(TIMEOUT)
            .build()
            .map_err(|error| failed(error.to_string()))?;
        let token_rules = IdTokenRules { issuer: settings.issuer.clone(), audiences: Vec::new(), leeway: LEEWAY };
        let provider = Provider { issuer: settings.issuer.clone(), jwks_url: settings.jwks_url.clone(), client };
        Ok(Self { rules: Vec::new(), token_rules, provider, keys: IssuerKeys::new(TIMING) })
    }

    fn with(mut self, rule: ClaimRule) -> Self {
        if !self.token_rules.audiences.contains(&rule.audience) {
            self.token_rules.audiences.push(rule.audience.clone());
        }
        self.rules.push(rule);
        self
    }

    async fn assume(&self, token: &str, now: UnixTime) -> Result<AssumedRole, String> {
        let fetch = || self.provider.clone().fetch();
        let unreachable = |reason| format!("the keys of issuer {} cannot be had: {reason}", self.provider.issuer);
        let keys = self.keys.usual(fetch).await.map_err(unreachable)?;
        let verified = match self.token_rules.verify(&keys, token, now) {
            Err(IdTokenError::UnknownKey) => {
                let keys = self.keys.newest(fetch).await.unwrap_or(keys);
                self.token_rules.verify(&keys, token, now)
            }
            verified => verified,
        };
        let token = verified.map_err(|error| error.to_string())?;
        ClaimRule::first_match(&self.rules, &token)
            .ok_or_else(|| "no rule gives a role to whoever the ID token is of".to_owned())
    }
}

impl Provider {
    async fn fetch(self) -> Result<Jwks, String> {
        let fetched = self.ask().await;
        if let Err(reason) = &fetched {
            tracing::warn!(issuer = self.issuer, reason, "the keys of an identity provider cannot be had");
        }
        fetched
    }

    /// OpenID Connect Discovery 1.0, section 4.
    async fn ask(&self) -> Result<Jwks, String> {
        let url = match &self.jwks_url {
            Some(url) => url.clone(),
            None => {
                let issuer = self.issuer.trim_end_matches('/');
                let document = self.get(&format!("{issuer}/.well-known/openid-configuration")).await?;
                let document: serde_json::Value =
                    serde_json::from_slice(&document).map_err(|error| error.to_string())?;
                let told = document.get("jwks_uri").and_then(serde_json::Value::as_str).unwrap_or_default();
                let url = Url::parse(told).map_err(|error| format!("jwks_uri {told:?}: {error}"))?;
                if url.scheme() != "https" && !issuer.starts_with("http://") {
                    return Err(format!("jwks_uri {told:?} is not https"));
                }
                url
            }
        };
        Jwks::parse(&self.get(url.as_str()).await?).map_err(|error| error.to_string())
    }

    async fn get(&self, url: &str) -> Result<Vec<u8>, String> {
        let answer = self.client.get(url).send().await.and_then(reqwest::Response::error_for_status);
        let mut answer = answer.map_err(|error| error.to_string())?;
        let mut body = Vec::new();
        while let Some(bytes) = answer.chunk().await.map_err(|error| error.to_string())? {
            if body.len() + bytes.len() > MAX_DOCUMENT_BYTES {
                return Err(format!("{url} is longer than {MAX_DOCUMENT_BYTES} bytes"));
            }
            body.extend_from_slice(&bytes);
        }
        Ok(body)
    }
}

fn claim_rule(settings: &OidcSettings, account: &AccountId) -> Result<ClaimRule, OidcError> {
    let wrong = |claim: &str, reason: String| OidcError::Claim {
        issuer: settings.issuer.clone(),
        claim: claim.to_owned(),
        reason,
    };
    let mut claims = Vec::with_capacity(settings.claims.len());
    for text in &settings.claims {
        let (path, pattern) = text.split_once('=').unwrap_or((text, ""));
        let path = ClaimPath::parse(path).map_err(|error| wrong(text, error.to_string()))?;
        let pattern = ClaimPattern::parse(pattern).map_err(|error| wrong(text, error.to_string()))?;
        claims.push((path, pattern));
    }
    let session_name =
        ClaimPath::parse(&settings.session).map_err(|error| wrong(&settings.session, error.to_string()))?;
    Ok(ClaimRule {
        issuer: settings.issuer.clone(),
        audience: settings.audience.clone(),
        claims,
        role_arn: format!("arn:aws:iam::{account}:role/{}", settings.role),
        session_name,
        is_shared: false,
    })
}
