//! The Basic scheme (RFC 7617), bounded and strict about characters.

use std::fmt;

use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

/// Authorization tokens of ECR itself have 3.7 kB, other registries' have more.
const MAX_HEADER_BYTES: usize = 16 << 10;
const MAX_USERNAME_CHARS: usize = 1024;

const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// What a client calls itself and how it proves that. The password is never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct BasicCredentials {
    pub username: String,
    pub password: String,
}

/// No variant repeats what was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BasicError {
    #[error("the Authorization header is not of the Basic scheme")]
    OtherScheme,
    #[error("the credentials are too long")]
    TooLong,
    #[error("the credentials are not base64")]
    NotBase64,
    #[error("the credentials are not UTF-8, or hold a control character")]
    NotText,
    #[error("the credentials have no colon between user name and password")]
    NoColon,
}

impl BasicCredentials {
    /// Everything after the first colon is the password.
    pub fn parse(header: &str) -> Result<Self, BasicError> {
        if header.len() > MAX_HEADER_BYTES {
            return Err(BasicError::TooLong);
        }
        let (scheme, encoded) = header.split_once(' ').ok_or(BasicError::OtherScheme)?;
        if !scheme.eq_ignore_ascii_case("basic") {
            return Err(BasicError::OtherScheme);
        }
        let bytes = BASE64.decode(encoded.trim_matches(' ')).map_err(|_| BasicError::NotBase64)?;
        let text = String::from_utf8(bytes).map_err(|_| BasicError::NotText)?;
        let (username, password) = text.split_once(':').ok_or(BasicError::NoColon)?;
        Self::new(username, password)
    }

    /// The same bounds for what came in a form.
    pub(super) fn new(username: &str, password: &str) -> Result<Self, BasicError> {
        if username.len() > MAX_USERNAME_CHARS || password.len() > MAX_HEADER_BYTES {
            return Err(BasicError::TooLong);
        }
        if username.chars().chain(password.chars()).any(char::is_control) {
            return Err(BasicError::NotText);
        }
        Ok(Self { username: username.to_owned(), password: password.to_owned() })
    }
}

impl fmt::Debug for BasicCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BasicCredentials").field("username", &self.username).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(text: impl AsRef<[u8]>) -> String {
        format!("Basic {}", BASE64.encode(text))
    }

    fn pair(username: &str, password: &str) -> BasicCredentials {
        BasicCredentials { username: username.into(), password: password.into() }
    }

    #[test]
    fn read() {
        for (text, username, password) in [
            ("AWS:token", "AWS", "token"),
            ("user:pass:with:colons", "user", "pass:with:colons"),
            (":", "", ""),
            ("\u{fc}ser:p\u{e4}ss", "\u{fc}ser", "p\u{e4}ss"),
        ] {
            assert_eq!(BasicCredentials::parse(&header(text)), Ok(pair(username, password)), "{text}");
        }
        for header in ["basic YTpi", "BASIC YTpi", "Basic  YTpi ", "Basic YTpi"] {
            assert_eq!(BasicCredentials::parse(header), Ok(pair("a", "b")), "{header}");
        }
        assert_eq!(BasicCredentials::parse("Basic YWI6Yw"), Ok(pair("ab", "c")));
    }

    #[test]
    fn refused() {
        for (header, error) in [
            (String::new(), BasicError::OtherScheme),
            ("Basic".into(), BasicError::OtherScheme),
            ("Bearer YTpi".into(), BasicError::OtherScheme),
            ("Basic !".into(), BasicError::NotBase64),
            ("Basic YTpi YTpi".into(), BasicError::NotBase64),
            (header("nocolon"), BasicError::NoColon),
            (header([0xff, b':']), BasicError::NotText),
            (header("a:b\n"), BasicError::NotText),
            (header("a\0:b"), BasicError::NotText),
            (header("a".repeat(MAX_USERNAME_CHARS + 1) + ":b"), BasicError::TooLong),
            (header("a".repeat(MAX_HEADER_BYTES)), BasicError::TooLong),
        ] {
            assert_eq!(BasicCredentials::parse(&header), Err(error), "{header}");
        }
    }

    #[test]
    fn passwords_are_never_printed() {
        assert!(!format!("{:?}", pair("robot", "hunter2")).contains("hunter2"));
    }

    proptest::proptest! {
        #[test]
        fn never_panics(any in ".{0,100}", bytes: Vec<u8>) {
            let _ = BasicCredentials::parse(&any);
            let _ = BasicCredentials::parse(&header(bytes));
        }

        #[test]
        fn round_trip(username in "[^:\\p{Cc}]{0,40}", password in "\\PC{0,40}") {
            let read = BasicCredentials::parse(&header(format!("{username}:{password}")));
            proptest::prop_assert_eq!(read, Ok(pair(&username, &password)));
        }
    }
}
