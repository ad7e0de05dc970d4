//! Who a client's certificate is of. The handshake of TLS has verified it; here it is only read.
//!
//! [`CertificateNames`] are the names in it: alternative names first, in the certificate's order, then the common name.
//! [`CertificateRule`]s say whose names they are: the first that matches decides.
//!
//! *Never* here: trusting a certificate, or what anyone may do.

mod names;
mod rule;

#[cfg(test)]
mod tests;

pub use names::{CertificateError, CertificateNames};
pub use rule::{Bearer, CertificateRule, Gives};
