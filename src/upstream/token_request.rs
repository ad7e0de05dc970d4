//! One token from a token service (distribution's token authentication, and its OAuth2 form for identity tokens).

use std::time::{Duration, SystemTime};

use base64::Engine;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use reqwest::{Method, Url};
use serde::Deserialize;
use tokio::time::Instant;

use super::body::read_body;
use super::credential::Login;
use super::error::ErrorKind;
use super::grant::Grant;
use super::{client, status};
use crate::memory::Held;

const MAX_ANSWER_BYTES: usize = 64 << 10;
const CLIENT_ID: &str = "entrepot";

/// What a token without `expires_in` is good for.
const DEFAULT_LIFETIME_SECONDS: f64 = 60.0;
const LONGEST_LIFETIME_SECONDS: f64 = 24.0 * 3600.0;

/// A token as an `Authorization` header.
#[derive(Clone)]
pub(super) struct Token {
    pub(super) header: HeaderValue,
    /// Used no longer than this.
    pub(super) usable_until: Instant,
    /// From here on another one is fetched beside its use.
    pub(super) renew_at: Instant,
}

#[derive(Deserialize)]
struct Answer {
    token: Option<String>,
    access_token: Option<String>,
    expires_in: Option<serde_json::Value>,
}

/// Asks once, and tells `count` the status that came, or `error`. Refusals come as `Unauthorized` and `Denied`, everything
/// else as what happened.
pub(super) async fn fetch(
    client: &reqwest::Client,
    grant: &Grant,
    login: &Login,
    room: &mut Held,
    count: impl Fn(&str),
) -> Result<Token, ErrorKind> {
    let asked_at = Instant::now();
    let sent = client.execute(request(grant, login)).await;
    count(sent.as_ref().map_or("error", |response| status::label(response.status())));
    let response = sent.map_err(|error| client::failure(&error))?;
    let code = response.status();
    if code.is_redirection() {
        return Err(ErrorKind::Misbehaved { detail: "it redirects, and a credential is not sent on".to_owned() });
    }
    if !code.is_success() {
        return Err(status::kind(code, response.headers(), SystemTime::now()));
    }
    let bytes = read_body(response, MAX_ANSWER_BYTES, room).await?;
    read_token(&bytes, asked_at).map_err(|detail| ErrorKind::Misbehaved { detail: detail.to_owned() })
}

fn request(grant: &Grant, login: &Login) -> reqwest::Request {
    let mut url = grant.realm.clone();
    if let Login::IdentityToken(token) = login {
        let mut request = reqwest::Request::new(Method::POST, url);
        // Only a URL can be asked to encode a form.
        let mut form = grant.realm.clone();
        form.set_query(None);
        form.query_pairs_mut()
            .append_pair("grant_type", "refresh_token")
            .append_pair("refresh_token", token.expose())
            .append_pair("client_id", CLIENT_ID)
            .append_pair("scope", &grant.scope);
        append_service(&mut form, grant);
        *request.body_mut() = Some(form.query().unwrap_or_default().to_owned().into());
        let form_type = HeaderValue::from_static("application/x-www-form-urlencoded");
        request.headers_mut().insert(CONTENT_TYPE, form_type);
        return request;
    }
    append_service(&mut url, grant);
    url.query_pairs_mut().append_pair("scope", &grant.scope).append_pair("client_id", CLIENT_ID);
    if let Login::Basic { username, .. } = login {
        url.query_pairs_mut().append_pair("account", username);
    }
    let mut request = reqwest::Request::new(Method::GET, url);
    if let Some(header) = basic_header(login) {
        request.headers_mut().insert(AUTHORIZATION, header);
    }
    request
}

fn append_service(url: &mut Url, grant: &Grant) {
    if let Some(service) = &grant.service {
        url.query_pairs_mut().append_pair("service", service);
    }
}

/// `None` where the login has no username and password.
pub(super) fn basic_header(login: &Login) -> Option<HeaderValue> {
    let Login::Basic { username, password } = login else { return None };
    let pair = base64::engine::general_purpose::STANDARD.encode(format!("{username}:{}", password.expose()));
    sensitive(&format!("Basic {pair}"))
}

fn sensitive(text: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(text).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// `issued_at` is not read: what counts is our own clock from the moment at which we asked.
fn read_token(bytes: &[u8], asked_at: Instant) -> Result<Token, &'static str> {
    let answer: Answer = serde_json::from_slice(bytes).map_err(|_| "its answer is not JSON with a token")?;
    let text = [answer.token, answer.access_token].into_iter().flatten().find(|text| !text.is_empty());
    let text = text.ok_or("its answer holds no token")?;
    let header = sensitive(&format!("Bearer {text}")).ok_or("its token cannot be sent in a header")?;
    let told = answer.expires_in.as_ref().and_then(|value| match value {
        serde_json::Value::Number(number) => number.as_f64(),
        serde_json::Value::String(text) => text.parse().ok(),
        _ => None,
    });
    let seconds = told.filter(|seconds| seconds.is_finite()).unwrap_or(DEFAULT_LIFETIME_SECONDS);
    let lifetime = Duration::from_secs_f64(seconds.clamp(0.0, LONGEST_LIFETIME_SECONDS));
    let margin = (lifetime / 10).min(Duration::from_secs(30));
    Ok(Token { header, usable_until: asked_at + (lifetime - margin), renew_at: asked_at + lifetime * 3 / 4 })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Secret;

    #[test]
    fn answers() {
        let now = Instant::now();
        for (text, header, seconds) in [
            (r#"{"token":"a"}"#, "Bearer a", 54),
            (r#"{"access_token":"b","expires_in":300}"#, "Bearer b", 270),
            (r#"{"token":"a","access_token":"b","expires_in":"300"}"#, "Bearer a", 270),
            (r#"{"token":"","access_token":"b","expires_in":null}"#, "Bearer b", 54),
            (r#"{"token":"a","expires_in":43200,"issued_at":"1999-01-01T00:00:00Z"}"#, "Bearer a", 43170),
            (r#"{"token":"a","expires_in":0}"#, "Bearer a", 0),
            (r#"{"token":"a","expires_in":-5}"#, "Bearer a", 0),
            (r#"{"token":"a","expires_in":1e300}"#, "Bearer a", 86370),
        ] {
            let token = read_token(text.as_bytes(), now).ok().unwrap();
            assert_eq!(token.header.to_str().unwrap(), header, "{text}");
            assert_eq!((token.usable_until - now).as_secs(), seconds, "{text}");
            assert!(token.header.is_sensitive() && token.renew_at <= token.usable_until);
        }
        for text in ["", "{}", "[]", r#"{"token":null}"#, r#"{"token":"a\nb"}"#, "<html>"] {
            assert!(read_token(text.as_bytes(), now).is_err(), "{text}");
        }
    }

    fn grant() -> Grant {
        Grant {
            realm: "https://auth.example/token?tenant=1".parse().unwrap(),
            service: Some("a b".to_owned()),
            scope: "repository:x:pull".to_owned(),
        }
    }

    #[test]
    fn a_password_goes_into_the_header() {
        let login = Login::Basic { username: "u".to_owned(), password: Secret::new("p&q") };
        let request = request(&grant(), &login);
        assert_eq!(
            request.url().as_str(),
            "https://auth.example/token?tenant=1&service=a+b&scope=repository%3Ax%3Apull&client_id=entrepot&account=u"
        );
        assert_eq!(request.headers()[AUTHORIZATION], "Basic dTpwJnE=");
    }

    #[test]
    fn an_identity_token_goes_into_the_body() {
        let request = request(&grant(), &Login::IdentityToken(Secret::new("r&t")));
        assert_eq!((request.method(), request.url().as_str()), (&Method::POST, "https://auth.example/token?tenant=1"));
        let body = request.body().and_then(|body| body.as_bytes()).unwrap();
        assert_eq!(
            std::str::from_utf8(body).unwrap(),
            "grant_type=refresh_token&refresh_token=r%26t&client_id=entrepot&scope=repository%3Ax%3Apull&service=a+b"
        );
        assert!(!request.headers().contains_key(AUTHORIZATION));
    }
}
