//! Answering challenges: which `Authorization` goes with a request to an endpoint.

use reqwest::header::{HeaderMap, HeaderValue, WWW_AUTHENTICATE};

use super::challenge::{Challenge, parse_challenges};
use super::endpoint::Endpoint;
use super::error::ErrorKind;
use super::grant::TokenService;
use super::remote::Upstream;
use super::token_request::{Token, basic_header};
use crate::oci::RepositoryName;

/// What an endpoint is known to want.
#[derive(Clone)]
pub(super) enum Wanted {
    Basic,
    Token(TokenService),
}

/// An `Authorization` header and where it came from.
pub(super) struct Pass {
    pub(super) header: HeaderValue,
    /// It was used before, so a refusal may only mean that it has expired.
    pub(super) used_before: bool,
    wanted: Wanted,
    token: Option<Token>,
}

impl Pass {
    /// The registry itself was shown a username and a password.
    pub(super) fn is_password(&self) -> bool {
        matches!(self.wanted, Wanted::Basic)
    }
}

impl Upstream {
    /// What goes with a request before anyone asks for it: the endpoint has challenged us earlier.
    pub(super) async fn known_pass(
        &self,
        endpoint: &Endpoint,
        repository: &RepositoryName,
    ) -> Result<Option<Pass>, ErrorKind> {
        let Some(wanted) = endpoint.wanted() else { return Ok(None) };
        let pass = self.pass(endpoint, repository, wanted, None).await;
        if matches!(pass, Err(ErrorKind::LoginFailed { .. })) {
            // The registry may have moved to another token service: the next request asks it again.
            endpoint.set_wanted(None);
        }
        pass
    }

    /// The answer to a 401, or `None` where we have none to give. `refused` is the pass that went with the request.
    pub(super) async fn challenged_pass(
        &self,
        endpoint: &Endpoint,
        repository: &RepositoryName,
        headers: &HeaderMap,
        refused: Option<&Pass>,
    ) -> Result<Option<Pass>, ErrorKind> {
        let values = headers.get_all(WWW_AUTHENTICATE).iter().filter_map(|value| value.to_str().ok());
        let challenges: Vec<Challenge> = values.flat_map(parse_challenges).collect();
        let of = |scheme: &str| challenges.iter().find(|challenge| challenge.scheme == scheme);
        let token_service = of("bearer").map(|bearer| TokenService::read(bearer, repository, &self.realms));
        let wanted = match (token_service, of("basic")) {
            (Some(Ok(service)), _) => Wanted::Token(service),
            (_, Some(_)) => Wanted::Basic,
            (Some(Err(detail)), None) => return Err(ErrorKind::LoginFailed { detail, retry_after: None }),
            (None, None) => return Ok(None),
        };
        match &wanted {
            Wanted::Token(service) if !service.is_general() => {}
            general => endpoint.set_wanted(Some(general.clone())),
        }
        self.pass(endpoint, repository, wanted, refused).await
    }

    /// Another pass in place of one that was refused without a challenge.
    pub(super) async fn renewed_pass(
        &self,
        endpoint: &Endpoint,
        repository: &RepositoryName,
        refused: &Pass,
    ) -> Result<Option<Pass>, ErrorKind> {
        self.pass(endpoint, repository, refused.wanted.clone(), Some(refused)).await
    }

    async fn pass(
        &self,
        endpoint: &Endpoint,
        repository: &RepositoryName,
        wanted: Wanted,
        refused: Option<&Pass>,
    ) -> Result<Option<Pass>, ErrorKind> {
        match &wanted {
            Wanted::Basic => {
                let resolved = self.tokens.credentials().login(endpoint.host(), refused.is_some()).await?;
                let header = basic_header(&resolved.login);
                Ok(header.map(|header| Pass { header, used_before: resolved.kept, wanted, token: None }))
            }
            Wanted::Token(service) => {
                let grant = service.grant(repository);
                let plain_realm = endpoint.is_https() && grant.realm.scheme() != "https";
                let refused = refused.and_then(|refused| refused.token.as_ref());
                let (token, used_before) = self.tokens.get(endpoint.host(), grant, refused, plain_realm).await?;
                Ok(Some(Pass { header: token.header.clone(), used_before, wanted, token: Some(token) }))
            }
        }
    }
}
