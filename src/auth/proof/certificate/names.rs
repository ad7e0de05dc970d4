//! The names in a certificate (RFC 5280).
//!
//! What could be taken for another name is passed over: a wildcard is nobody in particular, and characters that do not belong
//! there (a zero byte, a line break) make a name look different to each who reads it.

use x509_parser::asn1_rs::{Any, Error, FromDer as _, Sequence, Set};
use x509_parser::certificate::X509CertificateParser;
use x509_parser::error::X509Error;
use x509_parser::nom::{self, Parser as _};
use x509_parser::oid_registry::{OID_X509_COMMON_NAME, OID_X509_EXT_SUBJECT_ALT_NAME};
use x509_parser::x509::{AttributeTypeAndValue, X509Version};

use super::super::unix_time::UnixTime;
use crate::config::CertificateNameKind;

pub(super) const MAX_CERTIFICATE_BYTES: usize = 64 << 10;

/// Alternative names of the kinds that rules know.
pub(super) const MAX_NAMES: usize = 64;

const MAX_DNS_CHARS: usize = 253;
pub(super) const MAX_URI_CHARS: usize = 2048;
pub(super) const MAX_EMAIL_CHARS: usize = 320;
/// X.520 has 64; authorities are not that strict.
pub(super) const MAX_COMMON_NAME_BYTES: usize = 256;

/// Kinds of a GeneralName (RFC 5280 section 4.2.1.6), as they are encoded; addresses, directory names and the others are nobody's
/// name.
pub(super) const RFC822_NAME: u8 = 0x81;
pub(super) const DNS_NAME: u8 = 0x82;
pub(super) const URI: u8 = 0x86;

/// UTF8String, PrintableString and IA5String, as they are encoded: all of them are UTF-8.
const TEXTS: [u8; 3] = [0x0c, 0x13, 0x16];

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CertificateNames {
    names: Vec<(CertificateNameKind, String)>,
    ends: UnixTime,
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

impl From<Error> for CertificateError {
    fn from(_: Error) -> Self {
        Self::Malformed
    }
}

impl From<X509Error> for CertificateError {
    fn from(_: X509Error) -> Self {
        Self::Malformed
    }
}

impl<E> From<nom::Err<E>> for CertificateError {
    fn from(_: nom::Err<E>) -> Self {
        Self::Malformed
    }
}

impl CertificateNames {
    pub fn parse(der: &[u8]) -> Result<Self, CertificateError> {
        if der.len() > MAX_CERTIFICATE_BYTES {
            return Err(CertificateError::TooLong);
        }
        // Only one extension is looked into, below.
        let (rest, certificate) = X509CertificateParser::new().with_deep_parse_extensions(false).parse(der)?;
        if !rest.is_empty() || certificate.version() != X509Version::V3 {
            return Err(CertificateError::Malformed);
        }
        let ends = UnixTime::from_seconds(certificate.validity().not_after.timestamp());
        let mut names = match certificate.get_extension_unique(&OID_X509_EXT_SUBJECT_ALT_NAME)? {
            Some(extension) => alternative_names(extension.value)?,
            None => Vec::new(),
        };
        let common_name = common_name(certificate.subject().as_raw())?;
        names.extend(common_name.map(|name| (CertificateNameKind::CommonName, name)));
        Ok(Self { names, ends })
    }

    /// DNS names are in lower case.
    pub fn names(&self) -> impl Iterator<Item = (CertificateNameKind, &str)> {
        self.names.iter().map(|(kind, name)| (*kind, name.as_str()))
    }

    /// The last second in which the certificate is good.
    pub const fn ends(&self) -> UnixTime {
        self.ends
    }
}

/// The library has a type for these names, which leaves out how each was encoded and has no bound: so they are read one by one.
pub(super) fn alternative_names(extension: &[u8]) -> Result<Vec<(CertificateNameKind, String)>, CertificateError> {
    let (_, general_names) = Sequence::from_der(extension)?;
    let mut names = Vec::new();
    for general_name in general_names.der_iter::<Any<'_>, Error>() {
        let Any { header, data } = general_name?;
        let name = match header.raw_tag() {
            Some([DNS_NAME]) => dns_name(data).map(|name| (CertificateNameKind::Dns, name)),
            Some([URI]) => printable(data, MAX_URI_CHARS).map(|name| (CertificateNameKind::Uri, name)),
            Some([RFC822_NAME]) => printable(data, MAX_EMAIL_CHARS).map(|name| (CertificateNameKind::Email, name)),
            _ => None,
        };
        names.extend(name);
        if names.len() > MAX_NAMES {
            return Err(CertificateError::TooManyNames);
        }
    }
    Ok(names)
}

fn dns_name(bytes: &[u8]) -> Option<String> {
    let is_label =
        |label: &[u8]| !label.is_empty() && label.iter().all(|c| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_'));
    let right = bytes.len() <= MAX_DNS_CHARS && bytes.split(|c| *c == b'.').all(is_label);
    str::from_utf8(bytes).ok().filter(|_| right).map(str::to_ascii_lowercase)
}

/// ASCII without spaces and control characters.
fn printable(bytes: &[u8], most: usize) -> Option<String> {
    let right = (1..=most).contains(&bytes.len()) && bytes.iter().all(u8::is_ascii_graphic);
    str::from_utf8(bytes).ok().filter(|_| right).map(str::to_owned)
}

/// A subject is a sequence of sets of pairs of object identifier and text (section 4.1.2.4). Of several common names nobody can
/// say which is meant, so there is none. The library's own subject ends before what it cannot read, where another name may be.
pub(super) fn common_name(subject: &[u8]) -> Result<Option<String>, CertificateError> {
    let mut found = Vec::new();
    let (_, sets) = Sequence::from_der(subject)?;
    for set in sets.der_iter::<Set<'_>, Error>() {
        for pair in set?.der_iter::<AttributeTypeAndValue<'_>, X509Error>() {
            let pair = pair?;
            if *pair.attr_type() == OID_X509_COMMON_NAME {
                found.push(text(pair.attr_value()));
            }
        }
    }
    let only = found.pop().filter(|_| found.is_empty());
    Ok(only.flatten())
}

fn text(value: &Any<'_>) -> Option<String> {
    let is_text = matches!(value.header.raw_tag(), Some([tag]) if TEXTS.contains(tag));
    let right = is_text && (1..=MAX_COMMON_NAME_BYTES).contains(&value.data.len());
    let text = str::from_utf8(value.data).ok().filter(|text| right && !text.chars().any(char::is_control));
    text.map(str::to_owned)
}
