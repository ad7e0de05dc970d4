//! The names in a client's certificate, for rules that map them to a principal.
//!
//! The certificate was verified by the TLS handshake; here it is only read. DNS names and URIs are subject alternative
//! names. The common name is taken where there is exactly one, because of several nobody can say which is meant.

use rustls_pki_types::CertificateDer;
use webpki::EndEntityCert;

const MAX_NAMES: usize = 64;
const MAX_CERTIFICATE_BYTES: usize = 64 << 10;
/// 2.5.4.3
const COMMON_NAME: [u8; 3] = [0x55, 0x04, 0x03];

const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const OBJECT_IDENTIFIER: u8 = 0x06;
/// UTF8String, PrintableString and IA5String: all of them are UTF-8.
const TEXTS: [u8; 3] = [0x0c, 0x13, 0x16];

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CertificateNames {
    pub common_name: Option<String>,
    pub dns_names: Vec<String>,
    /// SPIFFE ids are among them.
    pub uris: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CertificateError {
    #[error("the client certificate is longer than {MAX_CERTIFICATE_BYTES} bytes")]
    TooLong,
    #[error("the client certificate is not an X.509 version 3 certificate in DER")]
    Malformed,
    #[error("the client certificate has more than {MAX_NAMES} names")]
    TooManyNames,
}

impl CertificateNames {
    pub fn parse(der: &[u8]) -> Result<Self, CertificateError> {
        if der.len() > MAX_CERTIFICATE_BYTES {
            return Err(CertificateError::TooLong);
        }
        let der = CertificateDer::from(der);
        let certificate = EndEntityCert::try_from(&der).map_err(|_| CertificateError::Malformed)?;
        Ok(Self {
            common_name: common_name(certificate.subject()),
            dns_names: bounded(certificate.valid_dns_names())?,
            uris: bounded(certificate.valid_uri_names())?,
        })
    }
}

fn bounded<'a>(names: impl Iterator<Item = &'a str>) -> Result<Vec<String>, CertificateError> {
    let names: Vec<_> = names.take(MAX_NAMES + 1).map(str::to_owned).collect();
    if names.len() > MAX_NAMES { Err(CertificateError::TooManyNames) } else { Ok(names) }
}

/// A subject is a sequence of sets of pairs of object identifier and text (RFC 5280, section 4.1.2.4).
fn common_name(mut subject: &[u8]) -> Option<String> {
    let mut found = None;
    while !subject.is_empty() {
        let (mut set, rest) = element(subject, SET)?;
        subject = rest;
        while !set.is_empty() {
            let (pair, rest) = element(set, SEQUENCE)?;
            set = rest;
            let (name, value) = element(pair, OBJECT_IDENTIFIER)?;
            if name == COMMON_NAME {
                let tag = TEXTS.into_iter().find(|tag| value.first() == Some(tag))?;
                let (text, _) = element(value, tag)?;
                if found.replace(str::from_utf8(text).ok()?.to_owned()).is_some() {
                    return None;
                }
            }
        }
    }
    found.filter(|name| !name.is_empty() && !name.chars().any(char::is_control))
}

/// One element of DER: its contents and what follows. Longer than 65,535 bytes none is.
fn element(bytes: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (length, rest) = match bytes {
        [first, 0x82, high, low, rest @ ..] if *first == tag => (usize::from(u16::from_be_bytes([*high, *low])), rest),
        [first, 0x81, length, rest @ ..] if *first == tag => (usize::from(*length), rest),
        [first, length @ 0..=0x7f, rest @ ..] if *first == tag => (usize::from(*length), rest),
        _ => return None,
    };
    rest.split_at_checked(length)
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DnType, KeyPair, SanType};

    use super::*;

    fn certificate(names: &[&str], more: &[SanType], common_names: &[&str]) -> Vec<u8> {
        let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.subject_alt_names.extend_from_slice(more);
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::OrganizationName, "Example");
        for name in common_names {
            params.distinguished_name.push(DnType::CommonName, *name);
        }
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().to_vec()
    }

    #[test]
    fn names() {
        let spiffe = SanType::URI("spiffe://example.org/ns/ci/sa/builder".try_into().unwrap());
        let mail = SanType::Rfc822Name("a@example.org".try_into().unwrap());
        let der = certificate(&["a.example.org", "*.example.org"], &[spiffe, mail], &["b\u{fc}ilder"]);
        let expected = CertificateNames {
            common_name: Some("b\u{fc}ilder".into()),
            dns_names: vec!["a.example.org".into(), "*.example.org".into()],
            uris: vec!["spiffe://example.org/ns/ci/sa/builder".into()],
        };
        assert_eq!(CertificateNames::parse(&der), Ok(expected));
        let bare = certificate(&[], &[], &[]);
        assert_eq!(CertificateNames::parse(&bare), Ok(CertificateNames::default()));
        let long = "n".repeat(200);
        let der = certificate(&[], &[], &[&long]);
        assert_eq!(CertificateNames::parse(&der).unwrap().common_name, Some(long));
    }

    #[test]
    fn two_common_names_are_none() {
        let pair = |name: &str| {
            let mut text = vec![0x0c, u8::try_from(name.len()).unwrap()];
            text.extend(name.bytes());
            let mut pair = vec![0x06, 3, 0x55, 0x04, 0x03];
            pair.extend(text);
            let mut set = vec![SET, u8::try_from(pair.len() + 2).unwrap(), SEQUENCE, u8::try_from(pair.len()).unwrap()];
            set.extend(pair);
            set
        };
        assert_eq!(common_name(&pair("a")), Some("a".into()));
        assert_eq!(common_name(&[pair("a"), pair("b")].concat()), None);
        assert_eq!(common_name(&pair("a\n")), None);
        assert_eq!(common_name(&pair("")), None);
    }

    #[test]
    fn wrong() {
        assert_eq!(CertificateNames::parse(b""), Err(CertificateError::Malformed));
        assert_eq!(CertificateNames::parse(&[0x30; MAX_CERTIFICATE_BYTES + 1]), Err(CertificateError::TooLong));
        let names: Vec<_> = (0..=MAX_NAMES).map(|n| format!("n{n}.example")).collect();
        let names: Vec<_> = names.iter().map(String::as_str).collect();
        assert_eq!(CertificateNames::parse(&certificate(&names, &[], &[])), Err(CertificateError::TooManyNames));
    }

    proptest::proptest! {
        #[test]
        fn never_panics(bytes: Vec<u8>, at: proptest::sample::Index, new: u8) {
            let _ = CertificateNames::parse(&bytes);
            let _ = common_name(&bytes);
            static GOOD: std::sync::LazyLock<Vec<u8>> = std::sync::LazyLock::new(|| certificate(&["a.example"], &[], &["x"]));
            let mut der = GOOD.clone();
            let at = at.index(der.len());
            der[at] = new;
            let _ = CertificateNames::parse(&der);
        }
    }
}
