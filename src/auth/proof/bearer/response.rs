//! What the token endpoint answers.

use std::fmt;
use std::time::Duration;

use serde::Serialize;

use super::super::keyring::Keyring;
use super::super::principal::Principal;
use super::super::unix_time::UnixTime;
use super::claims::{BearerError, TokenService};
use super::scope::Access;

/// The least that is told: old clients take a shorter life for a mistake (distribution's token specification). The token ends when it
/// ends; a client that comes with it later gets 401 and asks for another.
const LEAST_TOLD: Duration = Duration::from_secs(60);

/// As JSON, the body of the answer. `token` and `access_token` are the same: which of the two a client reads depends on how
/// it asked.
#[derive(Clone, PartialEq, Eq, Serialize)]
pub struct TokenResponse {
    token: String,
    access_token: String,
    /// Seconds.
    expires_in: u64,
    /// RFC 3339.
    issued_at: String,
    /// What was granted, which may be less than what was asked for.
    scope: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    refresh_token: Option<String>,
}

impl TokenService {
    /// The answer to a request of which `granted` may be given.
    pub fn respond(
        &self,
        ring: &Keyring,
        principal: Option<&Principal>,
        granted: &[Access],
        now: UnixTime,
        lifetime: Duration,
    ) -> Result<TokenResponse, BearerError> {
        let token = self.issue(ring, principal, granted, now, lifetime)?;
        let scopes: Vec<_> = granted.iter().map(ToString::to_string).collect();
        Ok(TokenResponse {
            access_token: token.clone(),
            token,
            expires_in: lifetime.max(LEAST_TOLD).as_secs(),
            issued_at: now.to_string(),
            scope: scopes.join(" "),
            refresh_token: None,
        })
    }
}

impl TokenResponse {
    pub const fn has_refresh_token(&self) -> bool {
        self.refresh_token.is_some()
    }

    /// Adds the refresh token for a client that asked for one.
    #[must_use]
    pub fn with_refresh_token(self, token: String) -> Self {
        Self { refresh_token: Some(token), ..self }
    }
}

impl fmt::Debug for TokenResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenResponse").field("scope", &self.scope).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json() {
        let ring = Keyring::generate().unwrap();
        let service = TokenService { issuer: "i".into(), service: "s".into(), leeway: Duration::ZERO };
        let granted = [Access::parse("repository:a:pull").unwrap(), Access::parse("registry:catalog:*").unwrap()];
        let now = UnixTime::from_seconds(1_440_938_160);
        let response = service.respond(&ring, None, &granted, now, Duration::from_secs(5)).unwrap();
        let json = serde_json::to_value(&response).unwrap();
        assert_eq!(json["token"], json["access_token"]);
        assert_eq!(json["expires_in"], 60);
        assert_eq!(json["issued_at"], "2015-08-30T12:36:00Z");
        assert_eq!(json["scope"], "repository:a:pull registry:catalog:*");
        assert!(json.get("refresh_token").is_none());
        let token = json["token"].as_str().unwrap();
        let claims = service.verify(&ring, token, now).unwrap();
        assert_eq!((claims.access, claims.exp), (granted.to_vec(), now.plus(Duration::from_secs(5))));
        let json = serde_json::to_value(response.with_refresh_token("r".into())).unwrap();
        assert_eq!(json["refresh_token"], "r");
    }
}
