//! Who is asking.
//!
//! An open listener does not want to know: credentials that dockerd and kubelet send because they know the original registry by
//! another name are neither needed nor looked at, so they can be neither logged nor forwarded. Elsewhere the
//! [`Authenticator`] finds out, by what [`proof`] makes of the request and by what the database knows of the principal.
//!
//! *Never* here: what anyone may do.

mod authenticator;
mod certificates;
mod directory;
mod enrolment;
mod identity;
mod issuer_keys;
mod issuers;
mod key_file;
mod passwords;
pub mod proof;
mod recent;
mod role_sources;
mod sessions;
#[cfg(test)]
mod tests;
mod turns;
mod unproven;

pub use authenticator::{Authenticator, Refused, tried_name};
pub use certificates::{CertificateRuleError, Certificates};
pub use directory::{Directory, Known};
pub use enrolment::{Enrolment, EnrolmentError};
pub use identity::{Identity, Lease, Means, Who};
pub use issuers::OidcError;
pub use key_file::{KeyFileError, load_keyring};
pub use proof::{
    Access, AccessAction, AccessKey, AccessKeyKind, AssumedRole, CertificateError, CertificateNames, Claim, Grant,
    Keyring, LAYER_SIGNATURE, LayerPlace, NoRandomness, PasswordCost, PasswordError, Purpose, Refusal, ResourceType,
    SealedError, SignatureRules, Signer, TokenRequest, TokenRequestError, TokenResponse, TooManyAttempts, UnixTime,
    hash_password, open, seal,
};
pub use recent::Recent;
pub use role_sources::RoleSources;
pub use sessions::{NotGiven, Session};
pub use unproven::NotRead;
