//! Bearer tokens, as docker's clients ask for them (distribution's token and oauth specifications).
//!
//! A client that got a challenge asks the token endpoint with scopes, by GET or by POST: [`TokenRequest`]. The caller finds
//! out who it is and which of the accesses may be granted; [`TokenService`] turns that into a [`TokenResponse`] with a JSON
//! Web Token, and later reads the token that the client brings. Tokens are signed with a key that all replicas share.
//!
//! *Never* here: passwords, looking up a principal, or which access anyone gets.

mod claims;
mod refresh_token;
mod request;
mod response;
mod scope;

pub use claims::{BearerClaims, BearerError, TokenService};
pub use request::{Grant, TokenRequest, TokenRequestError};
pub use response::TokenResponse;
pub use scope::{Access, AccessAction, ResourceType};
