//! Names in certificates: those that authorities write, and those that they should not.

use rcgen::string::Ia5String;
use rcgen::{CertificateParams, CustomExtension, DistinguishedName, DnType, KeyPair, SanType};

use super::names::*;
use crate::config::CertificateNameKind::{self, CommonName, Dns, Email, Uri};

const OBJECT_IDENTIFIER: u8 = 0x06;
const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;

/// 2.5.4.3
const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];

fn signed(mut params: CertificateParams, common_name: Option<&str>) -> Vec<u8> {
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::OrganizationName, "Example");
    if let Some(name) = common_name {
        params.distinguished_name.push(DnType::CommonName, name);
    }
    params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().to_vec()
}

fn certificate(names: Vec<SanType>, common_name: Option<&str>) -> Vec<u8> {
    let mut params = CertificateParams::default();
    params.subject_alt_names = names;
    signed(params, common_name)
}

/// With alternative names as no decent authority writes them.
fn with_general_names(names: &[(u8, &[u8])]) -> Vec<u8> {
    let content: Vec<u8> = names.iter().flat_map(|(tag, name)| element(*tag, name)).collect();
    let mut params = CertificateParams::default();
    let extension = CustomExtension::from_oid_content(&[2, 5, 29, 17], element(SEQUENCE, &content));
    params.custom_extensions.push(extension);
    signed(params, None)
}

fn element(tag: u8, content: &[u8]) -> Vec<u8> {
    let [.., high, low] = content.len().to_be_bytes();
    let head = match content.len() {
        0..=0x7f => vec![tag, low],
        0x80..=0xff => vec![tag, 0x81, low],
        _ => vec![tag, 0x82, high, low],
    };
    [head, content.to_vec()].concat()
}

/// With other bytes wherever these are.
fn replaced(der: &[u8], old: &[u8], new: &[u8]) -> Vec<u8> {
    assert_eq!(old.len(), new.len());
    let mut der = der.to_vec();
    let places: Vec<_> = (0..=der.len() - old.len()).filter(|at| der[*at..].starts_with(old)).collect();
    assert!(!places.is_empty(), "{}", old.escape_ascii());
    for at in places {
        der[at..at + new.len()].copy_from_slice(new);
    }
    der
}

fn names(der: &[u8]) -> Vec<(CertificateNameKind, String)> {
    let names = CertificateNames::parse(der).unwrap();
    names.names().map(|(kind, name)| (kind, name.to_owned())).collect()
}

fn ia5(text: &str) -> Ia5String {
    text.try_into().unwrap()
}

#[test]
fn alternative_names_in_their_order_and_then_the_common_name() {
    let spiffe = "spiffe://example.org/ns/ci/sa/builder";
    let several = vec![
        SanType::URI(ia5(spiffe)),
        SanType::IpAddress("127.0.0.1".parse().unwrap()),
        SanType::DnsName(ia5("A.Example.org")),
        SanType::Rfc822Name(ia5("Ann@example.org")),
        SanType::DnsName(ia5("b.example.org")),
    ];
    let der = certificate(several, Some("b\u{fc}ilder"));
    let expected = [
        (Uri, spiffe),
        (Dns, "a.example.org"),
        (Email, "Ann@example.org"),
        (Dns, "b.example.org"),
        (CommonName, "b\u{fc}ilder"),
    ];
    assert_eq!(names(&der), expected.map(|(kind, name)| (kind, name.to_owned())));
    assert_eq!(names(&certificate(Vec::new(), None)), []);
    let only_address = certificate(vec![SanType::IpAddress("::1".parse().unwrap())], Some("x"));
    assert_eq!(names(&only_address), [(CommonName, "x".to_owned())]);
}

#[test]
fn names_that_could_be_taken_for_others_are_passed_over() {
    let long = [b"a.".repeat(130), b"a".to_vec()].concat();
    let long_uri = [b"a:".to_vec(), vec![b'x'; MAX_URI_CHARS]].concat();
    for (tag, name) in [
        (DNS_NAME, &b"good.example\0.evil.example"[..]),
        (DNS_NAME, b"*.example"),
        (DNS_NAME, b"a b"),
        (DNS_NAME, b"a.example\n"),
        (DNS_NAME, b"b\xfcilder.example"),
        (DNS_NAME, b"a..example"),
        (DNS_NAME, b".example"),
        (DNS_NAME, b"example."),
        (DNS_NAME, b""),
        (DNS_NAME, &long),
        (URI, b"spiffe://a/\0b"),
        (URI, b"spiffe://a/\xff"),
        (URI, b"spiffe://a/ b"),
        (URI, b""),
        (URI, &long_uri),
        (RFC822_NAME, b"a\r\n@b"),
        (RFC822_NAME, &[b'a'; MAX_EMAIL_CHARS + 1]),
        // Of another class, and in parts.
        (DNS_NAME & 0x3f, b"evil.example"),
        (DNS_NAME | 0x20, b"evil.example"),
    ] {
        let der = with_general_names(&[(tag, name), (DNS_NAME, b"other.example")]);
        assert_eq!(names(&der), [(Dns, "other.example".to_owned())], "{}", name.escape_ascii());
    }
}

/// A tag has one encoding; this one could be taken for that of a DNS name.
#[test]
fn tags_of_several_bytes_are_nobodys() {
    assert_eq!(alternative_names(&element(SEQUENCE, b"\x9f\x02\x01a")), Ok(Vec::new()));
    assert_eq!(alternative_names(&element(SEQUENCE, b"\x82\x01a")), Ok(vec![(Dns, "a".to_owned())]));
}

#[test]
fn common_names() {
    let pair = |tag: u8, name: &[u8]| {
        let pair = [element(OBJECT_IDENTIFIER, COMMON_NAME), element(tag, name)].concat();
        element(SET, &element(SEQUENCE, &pair))
    };
    let long = "n".repeat(200);
    for (subject, expected) in [
        (pair(0x0c, b"a"), Ok(Some("a"))),
        (pair(0x13, long.as_bytes()), Ok(Some(long.as_str()))),
        (Vec::new(), Ok(None)),
        ([pair(0x0c, b"a"), pair(0x0c, b"b")].concat(), Ok(None)),
        ([pair(0x0c, b"a"), pair(0x0c, b"a")].concat(), Ok(None)),
        // A second one that cannot be read is a second one.
        ([pair(0x0c, b"a"), pair(0x1e, b"\0b")].concat(), Ok(None)),
        (pair(0x1e, b"\0a"), Ok(None)),
        (pair(0x0c, b"a\0b"), Ok(None)),
        (pair(0x0c, b"a\n"), Ok(None)),
        (pair(0x0c, b"\xff"), Ok(None)),
        (pair(0x0c, b""), Ok(None)),
        (pair(0x0c, &[b'n'; MAX_COMMON_NAME_BYTES + 1]), Ok(None)),
        (vec![SET, 5, SEQUENCE, 9], Err(CertificateError::Malformed)),
        (
            element(SEQUENCE, &element(SEQUENCE, &element(OBJECT_IDENTIFIER, COMMON_NAME))),
            Err(CertificateError::Malformed),
        ),
    ] {
        let read = common_name(&element(SEQUENCE, &subject));
        assert_eq!(read, expected.map(|name| name.map(str::to_owned)), "{}", subject.escape_ascii());
    }
    // A name that is behind something unreadable is not left out: there may be two.
    let good = certificate(Vec::new(), Some("x"));
    assert_eq!(names(&good), [(CommonName, "x".to_owned())]);
    let set_of_name = [&[SET, 10, SEQUENCE, 8, OBJECT_IDENTIFIER, 3], COMMON_NAME].concat();
    let broken = replaced(&good, &set_of_name, &[&[SEQUENCE], &set_of_name[1..]].concat());
    assert_eq!(CertificateNames::parse(&broken), Err(CertificateError::Malformed));
}

#[test]
fn wrong() {
    assert_eq!(CertificateNames::parse(b""), Err(CertificateError::Malformed));
    assert_eq!(CertificateNames::parse(&[0x30; MAX_CERTIFICATE_BYTES + 1]), Err(CertificateError::TooLong));
    let many: Vec<_> = (0..=MAX_NAMES).map(|n| SanType::DnsName(ia5(&format!("n{n}.example")))).collect();
    assert_eq!(CertificateNames::parse(&certificate(many.clone(), None)), Err(CertificateError::TooManyNames));
    assert_eq!(names(&certificate(many[1..].to_vec(), None)).len(), MAX_NAMES);
    let names = element(SEQUENCE, &element(DNS_NAME, b"a.example"));
    let twice = CustomExtension::from_oid_content(&[2, 5, 29, 17], names);
    let mut params = CertificateParams::default();
    params.custom_extensions = vec![twice.clone(), twice];
    assert_eq!(CertificateNames::parse(&signed(params, None)), Err(CertificateError::Malformed));
    assert_eq!(
        CertificateNames::parse(&with_general_names(&[(0x9f, b"")])),
        Err(CertificateError::Malformed),
        "a tag of several bytes"
    );
}

#[test]
fn ends() {
    for (year, seconds) in [(2049, 2_493_072_000), (2050, 2_524_608_000), (1999, 915_148_800)] {
        let mut params = CertificateParams::default();
        params.not_before = rcgen::date_time_ymd(1990, 1, 1);
        params.not_after = rcgen::date_time_ymd(year, 1, 1);
        assert_eq!(CertificateNames::parse(&signed(params, None)).unwrap().ends().seconds(), seconds, "{year}");
    }
    let mut params = CertificateParams::default();
    params.not_before = rcgen::date_time_ymd(1990, 1, 1);
    params.not_after = rcgen::date_time_ymd(2051, 1, 1);
    let der = signed(params, None);
    let end = b"20510101000000Z";
    for text in [b"20511301000000Z", b"20510101000060Z", b"+0510101000000Z", b"2051010100000\xe9Z", b"20510101000000+"]
    {
        let der = replaced(&der, end, text);
        assert_eq!(CertificateNames::parse(&der), Err(CertificateError::Malformed), "{}", text.escape_ascii());
    }
}

proptest::proptest! {
    #[test]
    fn never_panics(bytes: Vec<u8>, at: proptest::sample::Index, new: u8) {
        static GOOD: std::sync::LazyLock<Vec<u8>> =
            std::sync::LazyLock::new(|| certificate(vec![SanType::DnsName(ia5("a.example"))], Some("x")));
        let _ = CertificateNames::parse(&bytes);
        let _ = common_name(&bytes);
        let _ = alternative_names(&bytes);
        let mut der = GOOD.clone();
        let at = at.index(der.len());
        der[at] = new;
        let _ = CertificateNames::parse(&der);
    }
}
