use std::sync::LazyLock;
use std::time::Duration;

use aws_lc_rs::encoding::{AsBigEndian, EcPublicKeyUncompressedBin};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair as RsaKeyPair, KeySize};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256, RSA_PSS_SHA256,
    RsaEncoding,
};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::super::unix_time::UnixTime;
use super::id_token::{IdToken, IdTokenError, IdTokenRules, unverified_issuer};
use super::jwks::Jwks;
use super::pattern::ClaimPattern;
use super::rule::{ClaimPath, ClaimPathError, ClaimRule};

const NOW: UnixTime = UnixTime::from_seconds(1_800_000_000);
const ISSUER: &str = "https://token.example.org";

static ISSUED: LazyLock<Issued> = LazyLock::new(Issued::new);

/// An issuer with a key of each type.
struct Issued {
    rsa: RsaKeyPair,
    ec: EcdsaKeyPair,
    ed: Ed25519KeyPair,
}

impl Issued {
    fn new() -> Self {
        Self {
            rsa: RsaKeyPair::generate(KeySize::Rsa2048).unwrap(),
            ec: EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap(),
            ed: Ed25519KeyPair::generate().unwrap(),
        }
    }

    fn modulus(&self) -> Vec<u8> {
        // In DER: headers of a sequence and of a number, a zero byte, 256 bytes.
        self.rsa.public_key().as_ref()[9..265].to_vec()
    }

    fn keys(&self) -> Value {
        let point: EcPublicKeyUncompressedBin<'_> = self.ec.public_key().as_be_bytes().unwrap();
        let (x, y) = point.as_ref()[1..].split_at(32);
        let part = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let padded = [vec![0], self.modulus()].concat();
        json!({"keys": [
            {"kty": "RSA", "kid": "rsa", "use": "sig", "n": part(&padded), "e": "AQAB", "x5c": ["ignored"]},
            {"kty": "EC", "kid": "ec", "crv": "P-256", "alg": "ES256", "x": part(x), "y": part(y)},
            {"kty": "OKP", "kid": "ed", "crv": "Ed25519", "x": part(self.ed.public_key().as_ref())},
        ]})
    }

    fn jwks(&self) -> Jwks {
        Jwks::parse(self.keys().to_string().as_bytes()).unwrap()
    }

    fn token(&self, alg: &str, kid: Option<&str>, claims: &Value) -> String {
        let mut header = json!({"alg": alg, "typ": "JWT"});
        if let Some(kid) = kid {
            header["kid"] = kid.into();
        }
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", part(&header), part(claims));
        let signature = self.signature(alg, signed.as_bytes());
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    fn signature(&self, alg: &str, signed: &[u8]) -> Vec<u8> {
        let rsa = |encoding: &'static dyn RsaEncoding| {
            let mut signature = vec![0; self.rsa.public_modulus_len()];
            self.rsa.sign(encoding, &SystemRandom::new(), signed, &mut signature).unwrap();
            signature
        };
        match alg {
            "RS256" => rsa(&RSA_PKCS1_SHA256),
            "PS256" => rsa(&RSA_PSS_SHA256),
            "ES256" => self.ec.sign(&SystemRandom::new(), signed).unwrap().as_ref().to_vec(),
            "EdDSA" => self.ed.sign(signed).as_ref().to_vec(),
            // The public key taken for a secret.
            "HS256" => {
                let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, &self.modulus());
                aws_lc_rs::hmac::sign(&key, signed).as_ref().to_vec()
            }
            _ => Vec::new(),
        }
    }
}

fn expected() -> IdTokenRules {
    IdTokenRules {
        issuer: ISSUER.into(),
        audiences: vec!["other".into(), "entrepot".into()],
        leeway: Duration::from_secs(60),
    }
}

fn claims() -> Value {
    json!({
        "iss": ISSUER, "aud": "entrepot", "sub": "repo:org/app:ref:refs/heads/main",
        "exp": 1_800_000_300, "nbf": 1_800_000_000, "iat": 1_800_000_000,
        "repository": "org/app", "run_id": 42, "protected": true, "nothing": null,
        "realm_access": {"roles": ["reader", "ci"]},
        "kubernetes.io": {"namespace": "build"},
    })
}

fn with(name: &str, value: Value) -> Value {
    let mut claims = claims();
    claims[name] = value;
    claims
}

fn verify(token: &str) -> Result<IdToken, IdTokenError> {
    expected().verify(&ISSUED.jwks(), token, NOW)
}

#[test]
fn every_algorithm() {
    for (alg, kid) in [("RS256", "rsa"), ("PS256", "rsa"), ("ES256", "ec"), ("EdDSA", "ed")] {
        let token = ISSUED.token(alg, Some(kid), &claims());
        let read = verify(&token).unwrap();
        assert_eq!((read.issuer(), read.subject()), (ISSUER, "repo:org/app:ref:refs/heads/main"));
        assert_eq!(read.expires_at(), UnixTime::from_seconds(1_800_000_300));
        assert_eq!(unverified_issuer(&token).as_deref(), Some(ISSUER));
        assert!(verify(&ISSUED.token(alg, None, &claims())).is_ok(), "{alg}: the only key of its type");
        let another = Issued::new().token(alg, Some(kid), &claims());
        assert_eq!(verify(&another), Err(IdTokenError::BadSignature), "{alg}");
    }
}

#[test]
fn algorithms_are_of_the_key_and_not_of_the_token() {
    for alg in ["none", "None", "", "HS256", "HS384", "HS512", "RS1", "RS384", "ES384", "rs256"] {
        let token = ISSUED.token(alg, Some("rsa"), &claims());
        assert_eq!(verify(&token), Err(IdTokenError::OtherAlgorithm), "{alg}");
    }
    for (alg, kid) in
        [("RS256", "ec"), ("PS256", "ed"), ("ES256", "rsa"), ("EdDSA", "ec"), ("RS256", "gone"), ("RS256", "")]
    {
        let token = ISSUED.token(alg, Some(kid), &claims());
        assert_eq!(verify(&token), Err(IdTokenError::UnknownKey), "{alg} {kid}");
    }
    // A signature of one algorithm under the name of another of the same key.
    let token = ISSUED.token("RS256", Some("rsa"), &claims());
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let header = URL_SAFE_NO_PAD.encode(r#"{"alg":"PS256","kid":"rsa"}"#);
    let renamed = format!("{header}.{}.{signature}", signed.split_once('.').unwrap().1);
    assert_eq!(verify(&renamed), Err(IdTokenError::BadSignature));
    assert_eq!(verify(&format!("{signed}.")), Err(IdTokenError::BadSignature));
}

#[test]
fn a_key_may_be_for_one_algorithm() {
    let mut keys = ISSUED.keys();
    keys["keys"][0]["alg"] = "PS256".into();
    let jwks = Jwks::parse(keys.to_string().as_bytes()).unwrap();
    let judge = |alg| expected().verify(&jwks, &ISSUED.token(alg, Some("rsa"), &claims()), NOW);
    assert!(judge("PS256").is_ok());
    assert_eq!(judge("RS256"), Err(IdTokenError::UnknownKey));
}

#[test]
fn without_a_key_id_there_must_be_one_key() {
    let mut keys = ISSUED.keys();
    let twin = keys["keys"][2].clone();
    keys["keys"].as_array_mut().unwrap().push(twin);
    let jwks = Jwks::parse(keys.to_string().as_bytes()).unwrap();
    let token = ISSUED.token("EdDSA", None, &claims());
    assert_eq!(expected().verify(&jwks, &token, NOW), Err(IdTokenError::UnknownKey));
}

#[test]
fn claims_are_checked() {
    let judge = |name: &str, value: Value| verify(&ISSUED.token("EdDSA", Some("ed"), &with(name, value)));
    let at = UnixTime::from_seconds;
    assert!(judge("aud", json!(["x", "entrepot"])).is_ok());
    assert!(judge("exp", json!(1_800_000_000.75)).is_ok());
    for (name, value, error) in [
        (
            "iss",
            json!(format!("{ISSUER}/")),
            IdTokenError::OtherIssuer { given: format!("{ISSUER}/"), expected: ISSUER.into() },
        ),
        ("iss", json!(""), IdTokenError::Claim("iss")),
        ("aud", json!("entrepot2"), IdTokenError::OtherAudience { given: vec!["entrepot2".into()] }),
        ("aud", json!([]), IdTokenError::OtherAudience { given: Vec::new() }),
        ("aud", json!([1]), IdTokenError::Claim("aud")),
        ("aud", json!(vec!["entrepot"; 65]), IdTokenError::Claim("aud")),
        ("aud", json!(null), IdTokenError::Claim("aud")),
        ("sub", json!(7), IdTokenError::Claim("sub")),
        ("exp", json!(null), IdTokenError::Claim("exp")),
        ("exp", json!("1800000300"), IdTokenError::Claim("exp")),
        ("exp", json!(1e300), IdTokenError::Claim("exp")),
        ("exp", json!(1_799_999_940), IdTokenError::Expired { at: at(1_799_999_940) }),
        ("nbf", json!(1_800_000_061), IdTokenError::NotYetValid { from: at(1_800_000_061) }),
        ("iat", json!(1_800_000_061), IdTokenError::NotYetValid { from: at(1_800_000_061) }),
    ] {
        assert_eq!(judge(name, value), Err(error), "{name}");
    }
    assert!(judge("exp", json!(1_799_999_941)).is_ok());
    assert!(judge("nbf", json!(1_800_000_060)).is_ok());
    let mut without = claims();
    without.as_object_mut().unwrap().remove("exp");
    assert_eq!(verify(&ISSUED.token("EdDSA", Some("ed"), &without)), Err(IdTokenError::Claim("exp")));
}

#[test]
fn bounded() {
    let token = ISSUED.token("EdDSA", Some("ed"), &with("groups", json!("g".repeat(13_000))));
    assert_eq!(verify(&token), Err(IdTokenError::Malformed));
    assert_eq!(unverified_issuer(&token), None);
    let nested =
        with("x", json!(0)).to_string().replace("\"x\":0", &format!("\"x\":{}0{}", "[".repeat(2000), "]".repeat(2000)));
    let signed =
        format!("{}.{}", URL_SAFE_NO_PAD.encode(r#"{"alg":"EdDSA","kid":"ed"}"#), URL_SAFE_NO_PAD.encode(nested));
    let signature = URL_SAFE_NO_PAD.encode(ISSUED.signature("EdDSA", signed.as_bytes()));
    assert_eq!(verify(&format!("{signed}.{signature}")), Err(IdTokenError::Malformed));
}

fn rule(patterns: &[(&str, &str)]) -> ClaimRule {
    ClaimRule {
        issuer: ISSUER.into(),
        audience: "entrepot".into(),
        claims: patterns
            .iter()
            .map(|(path, glob)| (ClaimPath::parse(path).unwrap(), ClaimPattern::parse(glob).unwrap()))
            .collect(),
        role_arn: "arn:aws:iam::123456789012:role/ci".into(),
        session_name: ClaimPath::parse("sub").unwrap(),
        is_shared: false,
    }
}

/// What two issuers call the same is another session in a role that both give.
#[test]
fn g13_sessions_of_two_issuers_are_not_one() {
    let name = |issuer: &str, subject: &str| {
        let mut token = verify(&ISSUED.token("EdDSA", Some("ed"), &with("sub", json!(subject)))).unwrap();
        issuer.clone_into(&mut token.issuer);
        let rule = ClaimRule { issuer: issuer.into(), is_shared: true, ..rule(&[]) };
        ClaimRule::first_match([&rule], &token).map(|assumed| assumed.session_name)
    };
    for subject in ["repo:x", "plain"] {
        let names = ["https://a", "https://b"].map(|issuer| name(issuer, subject).unwrap());
        assert_ne!(names[0], names[1]);
        assert!(names.iter().all(|name| name.starts_with(if subject == "plain" {
            "plain-https"
        } else {
            "repo-x-https"
        })));
    }
}

#[test]
fn rules() {
    let token = verify(&ISSUED.token("EdDSA", Some("ed"), &claims())).unwrap();
    for (patterns, matches) in [
        (&[][..], true),
        (&[("sub", "repo:org/*:ref:refs/heads/main")], true),
        (&[("sub", "repo:org/*:ref:refs/tags/*")], false),
        (&[("sub", "repo:org/*"), ("repository", "org/app")], true),
        (&[("sub", "repo:org/*"), ("repository", "org/other")], false),
        (&[("realm_access.roles", "ci")], true),
        (&[("/realm_access/roles/0", "reader")], true),
        (&[("realm_access.roles", "admin")], false),
        (&[("realm_access", "*")], false),
        (&[("/kubernetes.io/namespace", "build")], true),
        (&[("kubernetes.io.namespace", "build")], false),
        (&[("run_id", "42")], true),
        (&[("protected", "true")], true),
        (&[("nothing", "*")], false),
        (&[("absent", "*")], false),
    ] {
        assert_eq!(ClaimRule::first_match([&rule(patterns)], &token).is_some(), matches, "{patterns:?}");
    }
    let other = ClaimRule { issuer: "https://other".into(), ..rule(&[]) };
    let elsewhere = ClaimRule { audience: "other".into(), ..rule(&[]) };
    let nameless = ClaimRule { session_name: ClaimPath::parse("absent").unwrap(), ..rule(&[]) };
    let first = ClaimRule { role_arn: "first".into(), ..rule(&[]) };
    let rules = [other, elsewhere, nameless, first, rule(&[])];
    let assumed = ClaimRule::first_match(&rules, &token).unwrap();
    assert_eq!(
        (assumed.role_arn.as_str(), assumed.session_name.as_str()),
        ("first", "repo-org-app-ref-refs-heads-main-a62627cad421df49")
    );
}

#[test]
fn session_names() {
    let name = |subject: &str| {
        let token = verify(&ISSUED.token("EdDSA", Some("ed"), &with("sub", json!(subject)))).unwrap();
        ClaimRule::first_match([&rule(&[])], &token).unwrap().session_name
    };
    let long = "n".repeat(100);
    for (subject, expected) in [
        ("ci@example.org", "ci@example.org".to_owned()),
        ("7", "7--7902699be42c8a8e".into()),
        ("a b\u{e4}@x", "a-b-@x-10bb4d7d8bf240da".into()),
        (&long, format!("{}-4e9d823140bd9805", "n".repeat(47))),
    ] {
        assert_eq!(name(subject), expected, "{subject}");
    }
    let alike = ["repo:org/a-b", "repo:org-a/b", "repo-org-a-b"].map(name);
    assert!(alike[0] != alike[1] && alike[1] != alike[2] && alike[2] != alike[0], "{alike:?}");
    assert_ne!(name(&format!("{long}1")), name(&format!("{long}2")));
}

#[test]
fn paths() {
    for text in ["", ".", "a.", ".a", "a..b", "/", &"a".repeat(257)] {
        assert_eq!(ClaimPath::parse(text), Err(ClaimPathError), "{text}");
    }
    let claims = json!({"a/b": {"c~d": 1}});
    assert_eq!(verify(&ISSUED.token("EdDSA", Some("ed"), &claims)), Err(IdTokenError::Claim("iss")));
    assert_eq!(ClaimPath::parse("a/b.c~d"), ClaimPath::parse("/a~1b/c~0d"));
}

proptest::proptest! {
    #[test]
    fn altered(at: proptest::sample::Index, new in "[A-Za-z0-9_.-]") {
        static TOKEN: LazyLock<String> = LazyLock::new(|| ISSUED.token("EdDSA", Some("ed"), &claims()));
        let at = at.index(TOKEN.len());
        proptest::prop_assume!(TOKEN[at..=at] != new);
        let altered = format!("{}{new}{}", &TOKEN[..at], &TOKEN[at + 1..]);
        proptest::prop_assert!(verify(&altered).is_err());
    }

    #[test]
    fn never_panics(token in ".{0,200}", json in "\\PC{0,200}", path in ".{0,40}") {
        proptest::prop_assert!(verify(&token).is_err());
        let _ = unverified_issuer(&token);
        let _ = Jwks::parse(json.as_bytes());
        let _ = ClaimPath::parse(&path);
    }
}
