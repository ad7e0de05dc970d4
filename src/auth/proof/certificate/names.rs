//! The names in a certificate (RFC 5280).
//!
//! What could be taken for another name is passed over: a wildcard is nobody in particular, and characters that do not belong
//! there (a zero byte, a line break) make a name look different to each who reads it.

use super::super::unix_time::UnixTime;
use super::der::{Elements, Malformed};
use crate::config::CertificateNameKind;

pub(super) const MAX_CERTIFICATE_BYTES: usize = 64 << 10;

/// Alternative names of the kinds that rules know.
pub(super) const MAX_NAMES: usize = 64;

const MAX_DNS_CHARS: usize = 253;
pub(super) const MAX_URI_CHARS: usize = 2048;
pub(super) const MAX_EMAIL_CHARS: usize = 320;
/// X.520 has 64; authorities are not that strict.
pub(super) const MAX_COMMON_NAME_BYTES: usize = 256;

/// 2.5.4.3
pub(super) const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];
/// 2.5.29.17
const SUBJECT_ALTERNATIVE_NAME: &[u8] = &[0x55, 0x1d, 0x11];

const BOOLEAN: u8 = 0x01;
const INTEGER: u8 = 0x02;
const OCTET_STRING: u8 = 0x04;
pub(super) const OBJECT_IDENTIFIER: u8 = 0x06;
pub(super) const UTC_TIME: u8 = 0x17;
pub(super) const GENERALIZED_TIME: u8 = 0x18;
pub(super) const SEQUENCE: u8 = 0x30;
pub(super) const SET: u8 = 0x31;
/// UTF8String, PrintableString and IA5String: all of them are UTF-8.
const TEXTS: [u8; 3] = [0x0c, 0x13, 0x16];

/// `[0]` to `[3]` of a TBSCertificate (section 4.1).
const VERSION: u8 = 0xa0;
const ISSUER_ID: u8 = 0x81;
const SUBJECT_ID: u8 = 0x82;
const EXTENSIONS: u8 = 0xa3;

/// Kinds of a GeneralName (section 4.2.1.6); addresses, directory names and the others are nobody's name.
pub(super) const RFC822_NAME: u8 = 0x81;
pub(super) const DNS_NAME: u8 = 0x82;
pub(super) const URI: u8 = 0x86;

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

impl From<Malformed> for CertificateError {
    fn from(_: Malformed) -> Self {
        Self::Malformed
    }
}

impl CertificateNames {
    pub fn parse(der: &[u8]) -> Result<Self, CertificateError> {
        if der.len() > MAX_CERTIFICATE_BYTES {
            return Err(CertificateError::TooLong);
        }
        let mut certificate = Elements::new(Elements::new(der).expect(SEQUENCE)?);
        let mut to_be_signed = Elements::new(certificate.expect(SEQUENCE)?);
        // Version, serial number, algorithm, issuer.
        for tag in [VERSION, INTEGER, SEQUENCE, SEQUENCE] {
            to_be_signed.expect(tag)?;
        }
        let ends = end(to_be_signed.expect(SEQUENCE)?)?;
        let subject = to_be_signed.expect(SEQUENCE)?;
        // The public key, and what nobody uses.
        to_be_signed.expect(SEQUENCE)?;
        to_be_signed.optional(ISSUER_ID)?;
        to_be_signed.optional(SUBJECT_ID)?;
        let mut names = match to_be_signed.optional(EXTENSIONS)? {
            Some(extensions) => alternative_names(extensions)?,
            None => Vec::new(),
        };
        names.extend(common_name(subject)?.map(|name| (CertificateNameKind::CommonName, name)));
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

/// Section 4.1.2.5: two digits of a year are of 1950 to 2049.
pub(super) fn end(validity: &[u8]) -> Result<UnixTime, Malformed> {
    let mut validity = Elements::new(validity);
    validity.next()?.ok_or(Malformed)?;
    let (tag, text) = validity.next()?.ok_or(Malformed)?;
    let text = str::from_utf8(text).map_err(|_| Malformed)?;
    let text = match tag {
        UTC_TIME if text.len() == 13 => format!("{}{text}", if text < "5" { "20" } else { "19" }),
        GENERALIZED_TIME if text.len() == 15 => text.to_owned(),
        _ => return Err(Malformed),
    };
    let (day, time) = text.split_at_checked(8).ok_or(Malformed)?;
    UnixTime::parse_basic(&format!("{day}T{time}")).ok_or(Malformed)
}

pub(super) fn alternative_names(extensions: &[u8]) -> Result<Vec<(CertificateNameKind, String)>, CertificateError> {
    let mut extensions = Elements::new(Elements::new(extensions).expect(SEQUENCE)?);
    let mut found = None;
    while let Some((tag, extension)) = extensions.next()? {
        let mut extension = Elements::new(extension);
        let id = extension.expect(OBJECT_IDENTIFIER)?;
        extension.optional(BOOLEAN)?;
        let value = extension.expect(OCTET_STRING)?;
        if tag != SEQUENCE || (id == SUBJECT_ALTERNATIVE_NAME && found.replace(value).is_some()) {
            return Err(CertificateError::Malformed);
        }
    }
    let Some(value) = found else { return Ok(Vec::new()) };
    let mut general_names = Elements::new(Elements::new(value).expect(SEQUENCE)?);
    let mut names = Vec::new();
    while let Some((tag, name)) = general_names.next()? {
        let name = match tag {
            DNS_NAME => dns_name(name).map(|name| (CertificateNameKind::Dns, name)),
            URI => printable(name, MAX_URI_CHARS).map(|name| (CertificateNameKind::Uri, name)),
            RFC822_NAME => printable(name, MAX_EMAIL_CHARS).map(|name| (CertificateNameKind::Email, name)),
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
/// say which is meant, so there is none.
pub(super) fn common_name(subject: &[u8]) -> Result<Option<String>, Malformed> {
    let mut found = Vec::new();
    let mut sets = Elements::new(subject);
    while let Some((tag, set)) = sets.next()? {
        let mut pairs = Elements::new(set);
        while let Some((inner, pair)) = pairs.next()? {
            let mut pair = Elements::new(pair);
            let id = pair.expect(OBJECT_IDENTIFIER)?;
            let value = pair.next()?.ok_or(Malformed)?;
            if (tag, inner) != (SET, SEQUENCE) {
                return Err(Malformed);
            }
            if id == COMMON_NAME {
                found.push(value);
            }
        }
    }
    let [(tag, text)] = found.as_slice() else { return Ok(None) };
    let right = TEXTS.contains(tag) && (1..=MAX_COMMON_NAME_BYTES).contains(&text.len());
    let text = str::from_utf8(text).ok().filter(|text| right && !text.chars().any(char::is_control));
    Ok(text.map(str::to_owned))
}
