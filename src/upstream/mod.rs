//! Asking another registry.
//!
//! An [`Upstream`] is one configured registry: its endpoints in order with a circuit breaker each, its credential, its
//! tokens, its limits. It answers questions about manifests, tags and referrers, and yields a [`Source`] of a blob's
//! bytes, from any offset. Blobs come over HTTP/1.1, a connection each; everything else may use HTTP/2.
//!
//! A question goes down through the files in this order: what is asked (`manifest`, `listing`, `source`), the endpoints in
//! turn (`remote`, with `retry` and `breaker` deciding), one request with its login and redirects (`request`, `pass`), the
//! wire (`client`). What came back goes up as a value or as an [`ErrorKind`]; everything that judges it is pure.
//!
//! *Never* here: what an answer means for a client, anything that is kept beyond a token, a client's own headers.

mod error;

mod listing;
mod manifest;
mod metered;
mod ping;
mod places;
mod source;
mod stream;

mod arrival;
mod document;
mod extent;
mod link;

mod remote;

mod breaker;
mod endpoint;
mod probe;
mod proofs;
mod retry;
mod seldom;

mod body;
mod request;
mod status;

mod challenge;
mod credential;
mod docker_config;
mod flight;
mod grant;
mod helper;
mod pass;
mod token;
mod token_request;

mod client;
mod proxy;
mod reach;
mod tls;

#[cfg(test)]
mod tests;

pub use body::Received;
pub use challenge::{Challenge, parse_challenges};
pub use error::{Error, ErrorKind};
pub use manifest::{ManifestBody, ManifestHead};
pub use places::{Joined, Party, Place};
pub use probe::probe;
pub use remote::Upstream;
pub use source::Source;
pub use stream::Stream;
pub use tls::tls_trusting;
