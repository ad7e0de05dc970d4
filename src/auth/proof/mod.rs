//! Proving who one is.
//!
//! Each way in which a client can prove who it is has a part of its own, and all parts are pure: they are given the text,
//! the keys and the time, and answer what was proven or why nothing was. Requests to the API are signed with an access key
//! ([`Claim`]), perhaps a temporary one ([`Session`]). Registry clients bring an authorization token or a robot's password
//! by Basic, or a bearer token that they got for one of these. CI systems bring an ID token, machines a certificate; rules
//! map their claims and names to a role. Whatever this registry hands out is sealed or signed with sub-keys of one [`Keyring`], which
//! all replicas share, so nothing that was handed out has to be stored.
//!
//! *Never* here: what anyone may do, sockets, files, the database, or a clock.

mod access_key;
mod attempts;
mod authorization_token;
mod basic;
mod bearer;
mod certificate;
mod expiring;
mod hexadecimal;
mod jws;
mod keyring;
mod layer_url;
mod oidc;
mod password;
mod principal;
mod sealed;
mod session_name;
mod session_token;
mod sigv4;
mod unix_time;

pub use access_key::{AccessKey, AccessKeyKind, NoRandomness};
pub use attempts::{AttemptLimit, AttemptSource, Attempts, TooManyAttempts};
pub use authorization_token::{
    AUTHORIZATION_TOKEN_LIFETIME, AUTHORIZATION_TOKEN_USER, issue_authorization_token, open_authorization_token,
};
pub use basic::{BasicCredentials, BasicError};
pub use bearer::{
    Access, AccessAction, BearerClaims, BearerError, Grant, ResourceType, TokenRequest, TokenRequestError,
    TokenResponse, TokenService,
};
pub use certificate::{Bearer, CertificateError, CertificateNames, CertificateRule, Gives};
pub use expiring::{Expiring, TokenError};
pub use keyring::{KeyId, Keyring, KeyringError, Purpose};
pub use layer_url::{LAYER_SIGNATURE, LayerLoan, LayerPlace, open_layer_signature, sign_layer};
pub use oidc::{
    AssumedRole, ClaimPath, ClaimPathError, ClaimPattern, ClaimPatternError, ClaimRule, IdToken, IdTokenError,
    IdTokenRules, Jwks, JwksError, unverified_issuer,
};
pub use password::{PasswordCost, PasswordError, hash_password, needs_rehash, verify_nobody, verify_password};
pub use principal::{Principal, PrincipalError};
pub use sealed::{MAX_SEALED_CHARS, SealedError, open, seal};
pub use session_name::ends_in_hash;
pub use session_token::{Session, TemporaryCredentials, issue_session, open_session};
pub use sigv4::{Claim, CredentialScope, Refusal, SignError, SignatureRules, Signer};
pub use unix_time::UnixTime;
