//! Tokens: kept for as long as they live, fetched once however many wait, renewed before they expire.

use std::sync::Arc;
use std::time::Duration;

use prometheus::IntCounterVec;
use tokio::time::Instant;

use super::credential::{Credentials, Login, Resolved};
use super::error::ErrorKind;
use super::flight::Flights;
use super::grant::Grant;
use super::retry::{self, Next};
use super::token_request::{self, Token};
use crate::config::{UpstreamName, UpstreamSettings};
use crate::memory::{self, Map};
use crate::oci::Digest;
use crate::turns::Asker;

/// After a renewal that failed, while the old token still works.
const RENEWAL_PAUSE: Duration = Duration::from_secs(5);

/// For the credential of this fingerprint.
type Key = (Grant, Digest);

pub(super) struct Tokens {
    upstream: UpstreamName,
    client: reqwest::Client,
    credentials: Credentials,
    requests: IntCounterVec,
    timeout: Duration,
    /// Each is for one repository.
    kept: Map<Key, Token>,
    flights: Flights<Key, Token>,
}

impl Tokens {
    pub(super) fn new(settings: &UpstreamSettings, client: reqwest::Client, requests: IntCounterVec) -> Arc<Self> {
        Arc::new(Self {
            upstream: settings.name.clone(),
            client,
            credentials: Credentials::new(&settings.credential),
            requests,
            timeout: settings.header_timeout,
            kept: Map::new(memory::Kind::Tokens, |(grant, _), token| grant.bytes() + token.header.len()),
            flights: Flights::new(),
        })
    }

    pub(super) fn credentials(&self) -> &Credentials {
        &self.credentials
    }

    /// A token for the registry at `host`, and whether it is an earlier one that may have lost its value. `refused` is one
    /// that the registry no longer takes; `plain_realm` says that the realm is http where the registry is https.
    pub(super) async fn get(
        self: &Arc<Self>,
        host: &str,
        grant: Grant,
        refused: Option<&Token>,
        plain_realm: bool,
    ) -> Result<(Token, bool), ErrorKind> {
        let Resolved { login, kept } = self.credentials.login(host, false).await?;
        if plain_realm && login != Login::Anonymous {
            let detail = "its realm is a plain http URL, to which the credential is not sent".to_owned();
            return Err(ErrorKind::LoginFailed { detail, retry_after: None });
        }
        let key = (grant, login.fingerprint());
        let known = self.known(&key, refused);
        if let Some(token) = &known
            && token.renew_at > Instant::now()
        {
            return Ok((token.clone(), true));
        }
        let renewal = self.flights.join(&key, || {
            let (this, host, key, refused) = (self.clone(), host.to_owned(), key.clone(), refused.cloned());
            async move {
                match this.known(&key, refused.as_ref()) {
                    // An earlier flight landed after the caller had looked.
                    Some(token) if token.renew_at > Instant::now() => Ok(token),
                    _ => this.fetch(&host, key, login, kept).await,
                }
            }
        });
        match known {
            // The renewal goes on by itself; this request need not wait for it.
            Some(token) => Ok((token, true)),
            None => Ok((renewal.await?, false)),
        }
    }

    fn known(&self, key: &Key, refused: Option<&Token>) -> Option<Token> {
        let token = self.kept.get(key)?;
        let refused = refused.is_some_and(|refused| refused.header == token.header);
        (!refused && token.usable_until > Instant::now()).then_some(token)
    }

    /// With a credential that a helper gave earlier (`kept`), a refusal may mean that it has expired: then a new one is tried.
    async fn fetch(&self, host: &str, key: Key, login: Login, kept: bool) -> Result<Token, ErrorKind> {
        let mut result = self.ask(&key.0, &login).await;
        if kept
            && matches!(
                result,
                Err(ErrorKind::Unauthorized | ErrorKind::Denied | ErrorKind::Failed { status: 400, .. })
            )
        {
            let renewed = self.credentials.login(host, true).await?.login;
            result = self.ask(&key.0, &renewed).await;
        }
        match result {
            Ok(token) => {
                tracing::debug!(upstream = %self.upstream, scope = key.0.scope, "a token was issued");
                self.kept.insert(key, token.clone());
                Ok(token)
            }
            Err(kind) => {
                let kind = login_failure(&key.0, kind);
                tracing::debug!(upstream = %self.upstream, scope = key.0.scope, error = %kind, "no token was issued");
                if let Some(token) = self.kept.get(&key) {
                    self.kept.insert(key, Token { renew_at: Instant::now() + RENEWAL_PAUSE, ..token });
                }
                Err(kind)
            }
        }
    }

    /// Asks until it is answered, a few times within the time limit.
    async fn ask(&self, grant: &Grant, login: &Login) -> Result<Token, ErrorKind> {
        let mut tries = 0;
        let deadline = Instant::now() + self.timeout;
        loop {
            let count = |code: &str| self.requests.with_label_values(&[self.upstream.as_str(), code]).inc();
            let mut room = memory::documents().begin(Asker::work(self.upstream.as_str()));
            let fetch = token_request::fetch(&self.client, grant, login, &mut room, count);
            let kind = match tokio::time::timeout_at(deadline, fetch).await {
                Ok(Ok(token)) => return Ok(token),
                Ok(Err(kind)) => kind,
                Err(_) => ErrorKind::TimedOut,
            };
            tries += 1;
            match retry::after(&kind, tries, fastrand::f64()) {
                Next::Again(pause) if Instant::now() + pause < deadline => tokio::time::sleep(pause).await,
                _ => return Err(kind),
            }
        }
    }
}

/// A token service that fails is not an answer about a repository: never "not found" (C48).
fn login_failure(grant: &Grant, kind: ErrorKind) -> ErrorKind {
    let host = grant.realm.host_str().unwrap_or_default();
    let failed = |detail: String, retry_after| ErrorKind::LoginFailed { detail, retry_after };
    match kind {
        ErrorKind::Unauthorized | ErrorKind::Denied | ErrorKind::LoginFailed { .. } => kind,
        ErrorKind::Busy { .. } | ErrorKind::NoRoom | ErrorKind::LeftAlone { .. } => failed(kind.to_string(), None),
        ErrorKind::NotFound => failed(format!("{host} answered 404"), None),
        ErrorKind::RateLimited { retry_after } => failed(format!("{host} limits our rate (429)"), retry_after),
        ErrorKind::Failed { status, retry_after } => failed(format!("{host} answered {status}"), retry_after),
        ErrorKind::TimedOut => failed(format!("{host} did not answer in time"), None),
        ErrorKind::Unreachable { detail } | ErrorKind::Misbehaved { detail } | ErrorKind::BrokenBody { detail } => {
            failed(format!("{host}: {detail}"), None)
        }
    }
}
