//! Refresh tokens: what `docker login` keeps in the place of a password. Who shows something that ends by itself, as an ID token,
//! gets none.
//!
//! Sealed and bound to the service, so a token of one registry is nothing at another that shares the key ring. It is good
//! at the token endpoint only.

use std::time::Duration;

use super::super::expiring::{self, Expiring, TokenError};
use super::super::keyring::{Keyring, Purpose};
use super::super::principal::Principal;
use super::super::unix_time::UnixTime;
use super::claims::TokenService;

impl TokenService {
    pub fn issue_refresh_token(
        &self,
        ring: &Keyring,
        principal: &Principal,
        now: UnixTime,
        lifetime: Duration,
    ) -> Result<String, TokenError> {
        let service = self.service.as_bytes();
        expiring::issue(ring, Purpose::RefreshTokens, service, principal, now, lifetime).map(|(token, _)| token)
    }

    /// Who it speaks for. Whether the principal's epoch is still the same is the caller's to ask.
    pub fn open_refresh_token(
        &self,
        ring: &Keyring,
        token: &str,
        now: UnixTime,
    ) -> Result<Expiring<Principal>, TokenError> {
        expiring::open(ring, Purpose::RefreshTokens, self.service.as_bytes(), token, now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_one_service() {
        let ring = Keyring::generate().unwrap();
        let here = TokenService { issuer: "i".into(), service: "here".into(), leeway: Duration::ZERO };
        let there = TokenService { service: "there".into(), ..here.clone() };
        let principal = Principal::new("user", "123456789012", 5).unwrap();
        let now = UnixTime::from_seconds(1_000);
        let token = here.issue_refresh_token(&ring, &principal, now, Duration::from_secs(10)).unwrap();
        assert_eq!(here.open_refresh_token(&ring, &token, now).unwrap().value, principal);
        assert_eq!(there.open_refresh_token(&ring, &token, now), Err(TokenError::Altered));
        let end = UnixTime::from_seconds(1_010);
        assert_eq!(here.open_refresh_token(&ring, &token, end), Err(TokenError::Expired { at: end }));
        assert!(here.verify(&ring, &token, now).is_err(), "it is no bearer token");
    }
}
