//! The wire: listeners, TLS, transport; the OCI API, ECR's, IAM's and the operators' endpoints on it.
//!
//! `service.rs` shows the whole life of a request. *Never* here: what a request means. Only this room knows status codes and
//! headers.

mod access_log;
mod address;
mod aws;
mod browsers;
mod caching;
mod challenge;
mod changes;
mod ecr;
mod forwarded;
mod gate;
mod iam;
mod layer_url;
mod metered;
mod oci;
mod ops;
mod origin;
mod protocol;
mod request_body;
mod service;
mod standing;
mod transport;
mod welcome;

pub use address::Front;
pub use changes::Changes;
pub use forwarded::TrustedProxies;
pub use gate::{Door, Gate};
pub use ops::{Ops, Readiness, Usage};
pub use origin::KnownHosts;
pub use request_body::LeastPace;
pub use service::Service;
pub use transport::{Bound, Serving, TlsError, TlsListener};
