//! The `Authorization` header of a signed request.
//!
//! `AWS4-HMAC-SHA256 Credential=<key id>/<day>/<region>/<service>/aws4_request, SignedHeaders=a;b, Signature=<hex>`. SDKs
//! differ in the spaces around the commas and in the order of the parameters; both are free here. Everything else is strict,
//! because two readings of one header are a way in.

use std::fmt;

use super::super::hexadecimal;
use super::refusal::Refusal;

pub(super) const ALGORITHM: &str = "AWS4-HMAC-SHA256";
const TERMINATOR: &str = "aws4_request";
const MAX_HEADER_BYTES: usize = 8 << 10;
const MAX_PARAMETERS: usize = 8;
const MAX_SIGNED_HEADERS: usize = 64;
const MAX_KEY_ID_CHARS: usize = 128;
const MAX_SCOPE_PART_CHARS: usize = 64;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Authorization {
    pub access_key_id: String,
    pub scope: CredentialScope,
    /// In lower case, sorted, without repetition.
    pub signed_headers: Vec<String>,
    pub signature: [u8; 32],
}

/// What a signing key is good for. Shown as it stands in a string to sign.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CredentialScope {
    /// `20150830`
    pub day: String,
    pub region: String,
    pub service: String,
}

impl Authorization {
    pub fn parse(header: &str) -> Result<Self, Refusal> {
        if header.len() > MAX_HEADER_BYTES {
            return Err(Refusal::Incomplete("the Authorization header is too long"));
        }
        let (scheme, parameters) = header.split_once(' ').unwrap_or((header, ""));
        if scheme != ALGORITHM {
            return Err(if scheme.starts_with("AWS") { Refusal::OtherAlgorithm } else { Refusal::Missing });
        }
        let (mut credential, mut signed_headers, mut signature) = (None, None, None);
        for (index, parameter) in parameters.split(',').enumerate() {
            if index == MAX_PARAMETERS {
                return Err(Refusal::Incomplete("the Authorization header has too many parameters"));
            }
            let (name, value) = parameter
                .split_once('=')
                .ok_or(Refusal::Incomplete("the Authorization header has a part that is not name=value"))?;
            let slot = match name.trim() {
                "Credential" => &mut credential,
                "SignedHeaders" => &mut signed_headers,
                "Signature" => &mut signature,
                _ => continue,
            };
            if slot.replace(value.trim()).is_some() {
                return Err(Refusal::Incomplete("the Authorization header repeats a parameter"));
            }
        }
        let credential = credential.ok_or(Refusal::Incomplete("the Authorization header has no Credential"))?;
        let signed = signed_headers.ok_or(Refusal::Incomplete("the Authorization header has no SignedHeaders"))?;
        let signature = signature.ok_or(Refusal::Incomplete("the Authorization header has no Signature"))?;
        let (access_key_id, scope) = parse_credential(credential)?;
        Ok(Self {
            access_key_id,
            scope,
            signed_headers: parse_signed_headers(signed)?,
            signature: hexadecimal::decode_32(signature)
                .ok_or(Refusal::Incomplete("Signature is not 64 lower-case hexadecimal digits"))?,
        })
    }
}

fn parse_credential(credential: &str) -> Result<(String, CredentialScope), Refusal> {
    const WRONG: Refusal =
        Refusal::Incomplete("Credential is not <access key id>/<yyyymmdd>/<region>/<service>/aws4_request");
    let mut parts = credential.split('/');
    let mut part = || parts.next().ok_or(WRONG);
    let (id, day, region, service, end) = (part()?, part()?, part()?, part()?, part()?);
    if parts.next().is_some() || end != TERMINATOR {
        return Err(WRONG);
    }
    let is_id =
        (1..=MAX_KEY_ID_CHARS).contains(&id.len()) && id.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'_');
    let is_day = day.len() == 8 && day.bytes().all(|c| c.is_ascii_digit());
    if !is_id || !is_day || !is_scope_part(region) || !is_scope_part(service) {
        return Err(WRONG);
    }
    let scope = CredentialScope { day: day.to_owned(), region: region.to_owned(), service: service.to_owned() };
    Ok((id.to_owned(), scope))
}

/// A region becomes part of ARNs and host names.
fn is_scope_part(text: &str) -> bool {
    (1..=MAX_SCOPE_PART_CHARS).contains(&text.len())
        && text.bytes().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-')
}

fn parse_signed_headers(list: &str) -> Result<Vec<String>, Refusal> {
    let names: Vec<_> = list.split(';').take(MAX_SIGNED_HEADERS + 1).map(str::to_owned).collect();
    if names.len() > MAX_SIGNED_HEADERS {
        return Err(Refusal::Incomplete("SignedHeaders names too many headers"));
    }
    let well_formed = names.iter().all(|name| !name.is_empty() && !name.bytes().any(|c| c.is_ascii_uppercase()));
    if !well_formed || !names.is_sorted_by(|a, b| a < b) {
        return Err(Refusal::Incomplete("SignedHeaders is not a sorted list of header names in lower case"));
    }
    Ok(names)
}

impl fmt::Display for CredentialScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}/{TERMINATOR}", self.day, self.region, self.service)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIGNATURE: &str = "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31";

    fn header(credential: &str, signed: &str, signature: &str) -> String {
        format!("AWS4-HMAC-SHA256 Credential={credential}, SignedHeaders={signed}, Signature={signature}")
    }

    #[test]
    fn spaces_and_order_are_free() {
        let credential = "AKIDEXAMPLE/20150830/us-east-1/ecr/aws4_request";
        let expected = Authorization::parse(&header(credential, "host;x-amz-date", SIGNATURE)).unwrap();
        assert_eq!(expected.access_key_id, "AKIDEXAMPLE");
        assert_eq!(expected.scope.to_string(), "20150830/us-east-1/ecr/aws4_request");
        assert_eq!(expected.signed_headers, ["host", "x-amz-date"]);
        for other in [
            format!("AWS4-HMAC-SHA256 Credential={credential},SignedHeaders=host;x-amz-date,Signature={SIGNATURE}"),
            format!(
                "AWS4-HMAC-SHA256  Signature={SIGNATURE} ,\tCredential={credential}  , SignedHeaders=host;x-amz-date"
            ),
            header(credential, "host;x-amz-date", SIGNATURE) + ", Later=unknown",
        ] {
            assert_eq!(Authorization::parse(&other), Ok(expected.clone()), "{other}");
        }
    }

    #[test]
    fn refused() {
        let good = "AKIDEXAMPLE/20150830/us-east-1/ecr/aws4_request";
        for credential in [
            "",
            "AKIDEXAMPLE",
            "/20150830/us-east-1/ecr/aws4_request",
            "AKIDEXAMPLE/20150830/us-east-1/ecr",
            "AKIDEXAMPLE/20150830/us-east-1/ecr/aws4_request/",
            "a/AKIDEXAMPLE/20150830/us-east-1/ecr/aws4_request",
            "AKIDEXAMPLE/20150830/us-east-1/ecr/aws5_request",
            "AKIDEXAMPLE/2015083/us-east-1/ecr/aws4_request",
            "AKIDEXAMPLE/20150830//ecr/aws4_request",
            "AKIDEXAMPLE/20150830/us.east/ecr/aws4_request",
            "AKID EXAMPLE/20150830/us-east-1/ecr/aws4_request",
        ] {
            let refused = Authorization::parse(&header(credential, "host", SIGNATURE)).unwrap_err();
            assert!(matches!(refused, Refusal::Incomplete(_)), "{credential}");
        }
        for signed in ["", ";", "host;", "Host", "x-amz-date;host", "host;host"] {
            assert!(Authorization::parse(&header(good, signed, SIGNATURE)).is_err(), "{signed}");
        }
        for signature in ["", "5fa0", &SIGNATURE.to_uppercase(), &format!("{SIGNATURE}00")] {
            assert!(Authorization::parse(&header(good, "host", signature)).is_err(), "{signature}");
        }
        let twice = header(good, "host", SIGNATURE) + ", Signature=" + SIGNATURE;
        assert!(Authorization::parse(&twice).is_err());
    }

    #[test]
    fn other_schemes() {
        for header in ["", "Basic QVdTOng=", "Bearer x", "aws4-hmac-sha256 Credential=x"] {
            assert_eq!(Authorization::parse(header), Err(Refusal::Missing), "{header}");
        }
        for header in ["AWS AKID:x", "AWS4-ECDSA-P256-SHA256 Credential=x", "AWS4-HMAC-SHA1 Credential=x"] {
            assert_eq!(Authorization::parse(header), Err(Refusal::OtherAlgorithm), "{header}");
        }
    }

    #[test]
    fn bounded() {
        let many: Vec<_> = (0..100).map(|n| format!("h{n:03}")).collect();
        let good = "AKIDEXAMPLE/20150830/us-east-1/ecr/aws4_request";
        assert!(Authorization::parse(&header(good, &many.join(";"), SIGNATURE)).is_err());
        assert!(Authorization::parse(&header(good, &"h".repeat(MAX_HEADER_BYTES), SIGNATURE)).is_err());
        assert!(Authorization::parse(&format!("AWS4-HMAC-SHA256 {}", "a=b,".repeat(1000))).is_err());
    }

    proptest::proptest! {
        #[test]
        fn never_panics(parameters in "[A-Za-z=,;/ \u{e4}]{0,200}", any in ".{0,100}") {
            let _ = Authorization::parse(&format!("AWS4-HMAC-SHA256 {parameters}"));
            let _ = Authorization::parse(&any);
        }
    }
}
