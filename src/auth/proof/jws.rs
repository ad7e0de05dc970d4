//! The outer form of a JSON Web Token (RFC 7515, section 3.1): three parts of base64 joined by dots.
//!
//! Nothing here is verified. Whoever reads a token decides by the header which key and algorithm it must have been signed
//! with, checks the signature over [`Jws::signed`], and only then reads the claims.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};

pub(super) struct Jws<'a> {
    pub header: Header,
    /// Header and payload, as they were signed.
    pub signed: &'a str,
    pub signature: Vec<u8>,
    payload: Vec<u8>,
}

#[derive(Deserialize)]
pub(super) struct Header {
    pub alg: String,
    #[serde(default)]
    pub kid: Option<String>,
    /// Extensions that a reader must know: we know none.
    #[serde(default)]
    crit: Option<IgnoredAny>,
}

/// It is not a token, or one with extensions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NotAToken;

impl<'a> Jws<'a> {
    pub fn parse(token: &'a str, max_chars: usize) -> Result<Self, NotAToken> {
        if token.len() > max_chars {
            return Err(NotAToken);
        }
        let (signed, signature) = token.rsplit_once('.').ok_or(NotAToken)?;
        let (header, payload) = signed.split_once('.').ok_or(NotAToken)?;
        let header: Header = serde_json::from_slice(&decode(header)?).map_err(|_| NotAToken)?;
        if header.crit.is_some() {
            return Err(NotAToken);
        }
        Ok(Self { header, signed, signature: decode(signature)?, payload: decode(payload)? })
    }

    /// Call it after the signature was checked.
    pub fn claims<T: DeserializeOwned>(&self) -> Result<T, NotAToken> {
        serde_json::from_slice(&self.payload).map_err(|_| NotAToken)
    }
}

fn decode(part: &str) -> Result<Vec<u8>, NotAToken> {
    URL_SAFE_NO_PAD.decode(part).map_err(|_| NotAToken)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes() {
        let part = |text: &str| URL_SAFE_NO_PAD.encode(text);
        let (header, claims) = (part(r#"{"alg":"HS256","kid":"a"}"#), part("{}"));
        let token = format!("{header}.{claims}.AAAA");
        let jws = Jws::parse(&token, 200).unwrap();
        assert_eq!((jws.header.alg.as_str(), jws.header.kid.as_deref()), ("HS256", Some("a")));
        assert_eq!((jws.signed, jws.signature.as_slice()), (format!("{header}.{claims}").as_str(), [0; 3].as_slice()));
        assert!(Jws::parse(&token, token.len() - 1).is_err());
        for wrong in [
            "",
            ".",
            "..",
            "a.b",
            &format!("{header}.{claims}"),
            &format!("{header}.{claims}.AA.AA"),
            &format!("{header}.{claims}.AA=="),
            &format!("{header}. {claims}.AAAA"),
            &format!("{}.{claims}.AAAA", part(r#"{"alg":"HS256","alg":"none"}"#)),
            &format!("{}.{claims}.AAAA", part(r#"{"alg":"HS256","crit":["exp"]}"#)),
            &format!("{}.{claims}.AAAA", part(r#"{"alg":1}"#)),
            &format!("{}.{claims}.AAAA", part(r#"{"kid":"a"}"#)),
        ] {
            assert!(Jws::parse(wrong, 1000).is_err(), "{wrong}");
        }
    }

    proptest::proptest! {
        #[test]
        fn never_panics(token in "[A-Za-z0-9_.=\u{e4}-]{0,100}") {
            let _ = Jws::parse(&token, 1000);
        }
    }
}
