//! What a client asks of the token endpoint.
//!
//! By GET with Basic credentials or none (distribution's "token" specification), or by POST of a form with a password or a
//! refresh token ("oauth"). Clients that POST first fall back to GET where the answer is 404 or 405, so both are served.

use std::fmt;

use super::super::basic::{BasicCredentials, BasicError};
use super::scope::Access;

const MAX_BYTES: usize = 64 << 10;
const MAX_PARAMETERS: usize = 128;
const MAX_TEXT_CHARS: usize = 1024;
const MAX_REFRESH_TOKEN_CHARS: usize = 8 << 10;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenRequest {
    pub grant: Grant,
    pub service: Option<String>,
    pub access: Vec<Access>,
    /// Who the client says it is, for the log: it is not proven.
    pub account: Option<String>,
    pub client_id: Option<String>,
    /// `offline_token=true` or `access_type=offline`.
    pub wants_refresh_token: bool,
}

/// How the client proves who it is.
#[derive(Clone, PartialEq, Eq)]
pub enum Grant {
    Anonymous,
    Password(BasicCredentials),
    RefreshToken(String),
}

/// No variant repeats a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenRequestError {
    #[error("the token request is too long")]
    TooLong,
    #[error("the token request must be a form: application/x-www-form-urlencoded")]
    NotAForm,
    #[error("the token request has no parameter {0}")]
    Missing(&'static str),
    #[error("the token request repeats parameter {0}")]
    Repeated(&'static str),
    #[error("parameter {0} of the token request is too long or holds a control character")]
    NotText(&'static str),
    #[error("the token request has too many scopes: ask for fewer at a time")]
    TooManyScopes,
    #[error("the token request has a grant type other than password and refresh_token")]
    OtherGrantType,
    #[error("the token request cannot be believed: {0}")]
    Credentials(#[from] BasicError),
}

impl TokenRequestError {
    /// The `error` of the answer (RFC 6749, section 5.2).
    pub const fn oauth_error(self) -> &'static str {
        match self {
            Self::TooManyScopes => "invalid_scope",
            Self::OtherGrantType => "unsupported_grant_type",
            Self::Credentials(_) => "invalid_client",
            Self::TooLong | Self::NotAForm | Self::Missing(_) | Self::Repeated(_) | Self::NotText(_) => {
                "invalid_request"
            }
        }
    }
}

impl TokenRequest {
    /// A GET: its query and its Authorization header.
    pub fn from_query(query: &str, authorization: Option<&str>) -> Result<Self, TokenRequestError> {
        let parameters = Parameters::parse(query.as_bytes())?;
        let grant = match authorization {
            None => Grant::Anonymous,
            Some(header) => Grant::Password(BasicCredentials::parse(header)?),
        };
        parameters.request(grant, parameters.once("offline_token")? == Some("true"))
    }

    /// A POST: its Content-Type and its body.
    pub fn from_form(content_type: Option<&str>, body: &[u8]) -> Result<Self, TokenRequestError> {
        let essence = content_type.unwrap_or_default().split(';').next().unwrap_or_default().trim();
        if !essence.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
            return Err(TokenRequestError::NotAForm);
        }
        let parameters = Parameters::parse(body)?;
        let grant = match parameters.needed("grant_type")? {
            "password" => {
                Grant::Password(BasicCredentials::new(parameters.needed("username")?, parameters.needed("password")?)?)
            }
            "refresh_token" => Grant::RefreshToken(parameters.refresh_token()?),
            _ => return Err(TokenRequestError::OtherGrantType),
        };
        parameters.request(grant, parameters.once("access_type")? == Some("offline"))
    }
}

struct Parameters(Vec<(String, String)>);

impl Parameters {
    fn parse(encoded: &[u8]) -> Result<Self, TokenRequestError> {
        if encoded.len() > MAX_BYTES {
            return Err(TokenRequestError::TooLong);
        }
        let pairs: Vec<_> = form_urlencoded::parse(encoded).into_owned().take(MAX_PARAMETERS + 1).collect();
        if pairs.len() > MAX_PARAMETERS { Err(TokenRequestError::TooLong) } else { Ok(Self(pairs)) }
    }

    fn request(&self, grant: Grant, wants_refresh_token: bool) -> Result<TokenRequest, TokenRequestError> {
        Ok(TokenRequest {
            grant,
            service: self.text("service")?,
            access: Access::parse_all(self.all("scope")).map_err(|_| TokenRequestError::TooManyScopes)?,
            account: self.text("account")?,
            client_id: self.text("client_id")?,
            wants_refresh_token,
        })
    }

    fn refresh_token(&self) -> Result<String, TokenRequestError> {
        let token = self.needed("refresh_token")?;
        if token.len() > MAX_REFRESH_TOKEN_CHARS { Err(TokenRequestError::TooLong) } else { Ok(token.to_owned()) }
    }

    fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    fn once(&self, name: &'static str) -> Result<Option<&str>, TokenRequestError> {
        let mut values = self.all(name);
        let value = values.next();
        if values.next().is_some() { Err(TokenRequestError::Repeated(name)) } else { Ok(value) }
    }

    fn needed(&self, name: &'static str) -> Result<&str, TokenRequestError> {
        self.once(name)?.ok_or(TokenRequestError::Missing(name))
    }

    /// For people to read; empty is the same as absent.
    fn text(&self, name: &'static str) -> Result<Option<String>, TokenRequestError> {
        let text = self.once(name)?.filter(|text| !text.is_empty());
        if text.is_some_and(|text| text.len() > MAX_TEXT_CHARS || text.chars().any(char::is_control)) {
            return Err(TokenRequestError::NotText(name));
        }
        Ok(text.map(str::to_owned))
    }
}

impl fmt::Debug for Grant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Anonymous => f.write_str("Anonymous"),
            Self::Password(credentials) => credentials.fmt(f),
            Self::RefreshToken(_) => f.write_str("RefreshToken(..)"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FORM: Option<&str> = Some("application/x-www-form-urlencoded");

    fn password(username: &str, password: &str) -> Grant {
        Grant::Password(BasicCredentials::new(username, password).unwrap())
    }

    fn scopes(request: &TokenRequest) -> Vec<String> {
        request.access.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn docker_get() {
        let query = "account=robot&client_id=docker&offline_token=true&service=registry.example\
                     &scope=repository%3Aa%2Fb%3Apull%2Cpush&scope=repository:c:pull";
        let request = TokenRequest::from_query(query, Some("Basic cm9ib3Q6czNjcjN0")).unwrap();
        assert_eq!(scopes(&request), ["repository:a/b:pull,push", "repository:c:pull"]);
        let expected = TokenRequest {
            grant: password("robot", "s3cr3t"),
            service: Some("registry.example".into()),
            access: request.access.clone(),
            account: Some("robot".into()),
            client_id: Some("docker".into()),
            wants_refresh_token: true,
        };
        assert_eq!(request, expected);
        let anonymous = TokenRequest::from_query("scope=repository:a:pull", None).unwrap();
        assert_eq!(
            (anonymous.grant, anonymous.service, anonymous.wants_refresh_token),
            (Grant::Anonymous, None, false)
        );
        assert!(TokenRequest::from_query("", None).is_ok());
    }

    #[test]
    fn containerd_post() {
        let body = b"client_id=containerd-client&grant_type=password&password=a%2Bb%3D+c&scope=repository%3Aa%3Apull+repository%3Ab%3Apull&service=s&username=u";
        let request = TokenRequest::from_form(FORM, body).unwrap();
        assert_eq!((&request.grant, request.wants_refresh_token), (&password("u", "a+b= c"), false));
        assert_eq!(scopes(&request), ["repository:a:pull", "repository:b:pull"]);
        let body = b"grant_type=refresh_token&refresh_token=AQ-_&service=s&client_id=c&access_type=offline&scope=";
        let request = TokenRequest::from_form(Some("application/x-www-form-urlencoded; charset=utf-8"), body).unwrap();
        assert_eq!(request.grant, Grant::RefreshToken("AQ-_".into()));
        assert!(request.wants_refresh_token && request.access.is_empty());
    }

    #[test]
    fn refused() {
        for (body, error) in [
            ("", TokenRequestError::Missing("grant_type")),
            ("grant_type=password&username=u", TokenRequestError::Missing("password")),
            ("grant_type=refresh_token", TokenRequestError::Missing("refresh_token")),
            ("grant_type=client_credentials", TokenRequestError::OtherGrantType),
            ("grant_type=password&grant_type=password", TokenRequestError::Repeated("grant_type")),
            ("grant_type=password&username=u&password=a&password=b", TokenRequestError::Repeated("password")),
            ("grant_type=password&username=u%00&password=a", TokenRequestError::Credentials(BasicError::NotText)),
            ("grant_type=refresh_token&refresh_token=a&service=a&service=b", TokenRequestError::Repeated("service")),
            ("grant_type=refresh_token&refresh_token=a&client_id=%0A", TokenRequestError::NotText("client_id")),
        ] {
            assert_eq!(TokenRequest::from_form(FORM, body.as_bytes()), Err(error), "{body}");
        }
        let good = b"grant_type=refresh_token&refresh_token=a";
        for other in [None, Some(""), Some("application/json"), Some("multipart/form-data")] {
            assert_eq!(TokenRequest::from_form(other, good), Err(TokenRequestError::NotAForm));
        }
        let bearer = TokenRequest::from_query("", Some("Bearer x")).unwrap_err();
        assert_eq!(bearer, TokenRequestError::Credentials(BasicError::OtherScheme));
        assert_eq!(bearer.oauth_error(), "invalid_client");
    }

    #[test]
    fn bounded() {
        let form = |body: String| TokenRequest::from_form(FORM, body.as_bytes()).unwrap_err();
        assert_eq!(form("a".repeat(MAX_BYTES + 1)), TokenRequestError::TooLong);
        assert_eq!(form("a=b&".repeat(MAX_PARAMETERS + 1)), TokenRequestError::TooLong);
        assert_eq!(
            form(format!("grant_type=refresh_token&refresh_token={}", "a".repeat(9 << 10))),
            TokenRequestError::TooLong
        );
        let query = "scope=repository:a:pull&".repeat(100);
        assert_eq!(TokenRequest::from_query(&query, None), Err(TokenRequestError::TooManyScopes));
    }

    #[test]
    fn secrets_are_never_printed() {
        let body = b"grant_type=refresh_token&refresh_token=hunter2";
        assert!(!format!("{:?}", TokenRequest::from_form(FORM, body)).contains("hunter2"));
        let body = b"grant_type=password&username=u&password=hunter2";
        assert!(!format!("{:?}", TokenRequest::from_form(FORM, body)).contains("hunter2"));
    }

    proptest::proptest! {
        #[test]
        fn never_panics(query in ".{0,100}", header in proptest::option::of(".{0,50}"), body: Vec<u8>) {
            let _ = TokenRequest::from_query(&query, header.as_deref());
            let _ = TokenRequest::from_form(FORM, &body);
        }
    }
}
