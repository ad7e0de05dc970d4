//! ID tokens of others: whose keys they are signed with, and which role they assume.
//!
//! Keys are fetched when a token of the issuer comes, kept for a while, and fetched again where a token names a key that is not
//! among them, but not more often than once in a while: whoever sends tokens cannot make us ask.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use reqwest::Url;
use tokio::sync::Mutex;

use super::proof::{
    AssumedRole, ClaimPath, ClaimPattern, ClaimRule, IdTokenError, IdTokenRules, Jwks, UnixTime, unverified_issuer,
};
use crate::config::OidcSettings;
use crate::oci::AccountId;
use crate::upstream::tls_trusting;

/// Keys are used this long.
const KEPT: Duration = Duration::from_secs(60 * 60);

/// Keys are not fetched twice within this time.
const LEAST_PAUSE: Duration = Duration::from_secs(30);

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
    jwks_url: Option<Url>,
    client: reqwest::Client,
    keys: Mutex<Option<Fetched>>,
}

struct Fetched {
    /// `None` where that failed.
    keys: Option<Arc<Jwks>>,
    at: Instant,
}

#[derive(Debug, thiserror::Error)]
pub enum OidcError {
    #[error("rule {claim:?} of issuer {issuer} cannot be read: {reason}")]
    Claim { issuer: String, claim: String, reason: String },
    #[error("issuer {issuer} cannot be asked: {reason}")]
    Client { issuer: String, reason: String },
}

impl Issuers {
    pub(super) fn new(settings: &[OidcSettings], account: &AccountId) -> Result<Self, OidcError> {
        let mut by_name: HashMap<String, Issuer> = HashMap::new();
        for rule in settings {
            let claim_rule = claim_rule(rule, account)?;
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
        let jwks_url = settings.jwks_url.clone();
        Ok(Self { rules: Vec::new(), token_rules, jwks_url, client, keys: Mutex::new(None) })
    }

    fn with(mut self, rule: ClaimRule) -> Self {
        if !self.token_rules.audiences.contains(&rule.audience) {
            self.token_rules.audiences.push(rule.audience.clone());
        }
        self.rules.push(rule);
        self
    }

    async fn assume(&self, token: &str, now: UnixTime) -> Result<AssumedRole, String> {
        let verified = match self.token_rules.verify(&*self.keys(KEPT).await?, token, now) {
            Err(IdTokenError::UnknownKey) => self.token_rules.verify(&*self.keys(LEAST_PAUSE).await?, token, now),
            verified => verified,
        };
        let token = verified.map_err(|error| error.to_string())?;
        ClaimRule::first_match(&self.rules, &token)
            .ok_or_else(|| "no rule gives a role to whoever the ID token is of".to_owned())
    }

    /// The issuer's keys, no older than this. A failure counts as an answer for a while.
    async fn keys(&self, no_older_than: Duration) -> Result<Arc<Jwks>, String> {
        let mut kept = self.keys.lock().await;
        if let Some(fetched) = &*kept {
            let age = fetched.at.elapsed();
            match &fetched.keys {
                Some(keys) if age < no_older_than => return Ok(keys.clone()),
                None if age < LEAST_PAUSE => return Err(self.unreachable("it failed a moment ago")),
                _ => {}
            }
        }
        match self.fetch().await {
            Ok(keys) => {
                let keys = Arc::new(keys);
                *kept = Some(Fetched { keys: Some(keys.clone()), at: Instant::now() });
                Ok(keys)
            }
            Err(reason) => {
                tracing::warn!(
                    issuer = self.token_rules.issuer,
                    reason,
                    "the keys of an identity provider cannot be had"
                );
                // Old keys are better than none.
                let old = kept.take().and_then(|fetched| fetched.keys);
                *kept = Some(Fetched { keys: old.clone(), at: Instant::now() });
                old.ok_or_else(|| self.unreachable(&reason))
            }
        }
    }

    fn unreachable(&self, reason: &str) -> String {
        format!("the keys of issuer {} cannot be had: {reason}", self.token_rules.issuer)
    }

    /// OpenID Connect Discovery 1.0, section 4.
    async fn fetch(&self) -> Result<Jwks, String> {
        let url = match &self.jwks_url {
            Some(url) => url.clone(),
            None => {
                let issuer = self.token_rules.issuer.trim_end_matches('/');
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
    })
}
