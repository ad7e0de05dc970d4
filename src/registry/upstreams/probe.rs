//! Whether an upstream lets us in: its `/v2/` is asked, with the login that it wants (distribution-spec, "Determining
//! Support"), apart from everything that serves.

use std::time::Duration;

use reqwest::header::WWW_AUTHENTICATE;
use reqwest::redirect::Policy;
use reqwest::{Client, RequestBuilder, Response, StatusCode, Url};
use serde::Deserialize;

use crate::config::{Credential, Secret, UpstreamSettings};
use crate::upstream::{Challenge, parse_challenges, tls_trusting};

/// For everything.
const DEADLINE: Duration = Duration::from_secs(10);

const MAX_TOKEN_BYTES: usize = 64 << 10;

#[derive(Deserialize)]
struct Answer {
    token: Option<String>,
    access_token: Option<String>,
}

/// The error is what went wrong, for whoever wrote the rule.
pub async fn probe(settings: &UpstreamSettings) -> Result<(), String> {
    let Some(url) = settings.urls.first() else { return Err("it has no URL".to_owned()) };
    let client = client(settings)?;
    match tokio::time::timeout(DEADLINE, ask(&client, url, settings)).await {
        Ok(result) => result,
        Err(_) => Err(format!("{} did not answer within {} s", host(url), DEADLINE.as_secs())),
    }
}

async fn ask(client: &Client, base: &Url, settings: &UpstreamSettings) -> Result<(), String> {
    let mut url = base.clone();
    url.set_path(&format!("{}/v2/", base.path().trim_end_matches('/')));
    let first = send(client.get(url.clone())).await?;
    if first.status() != StatusCode::UNAUTHORIZED {
        return verdict(&url, first.status());
    }
    let login = match &settings.credential {
        Credential::Anonymous => None,
        Credential::Basic { username, password } => Some((username.as_str(), password)),
        // A helper of the configuration is asked when something is pulled: it answers, that is all that is seen here.
        Credential::DockerConfig { .. } | Credential::Helper { .. } => return Ok(()),
    };
    let values = first.headers().get_all(WWW_AUTHENTICATE).iter().filter_map(|value| value.to_str().ok());
    let challenges: Vec<Challenge> = values.flat_map(parse_challenges).collect();
    let of = |scheme: &str| challenges.iter().find(|challenge| challenge.scheme == scheme);
    let again = match (of("bearer"), of("basic"), login) {
        (Some(bearer), ..) => client.get(url.clone()).bearer_auth(token(client, base, bearer, login, settings).await?),
        (None, Some(_), Some((username, password))) => {
            client.get(url.clone()).basic_auth(username, Some(password.expose()))
        }
        (None, Some(_), None) => return Err(format!("{} wants a login, and the rule has none", host(&url))),
        (None, None, _) => return verdict(&url, first.status()),
    };
    verdict(&url, send(again).await?.status())
}

async fn token(
    client: &Client,
    base: &Url,
    challenge: &Challenge,
    login: Option<(&str, &Secret)>,
    settings: &UpstreamSettings,
) -> Result<String, String> {
    let mut realm = realm(base, challenge, &settings.realms)?;
    if let Some(service) = challenge.parameter("service") {
        realm.query_pairs_mut().append_pair("service", service);
    }
    if let Some(scope) = challenge.parameter("scope") {
        realm.query_pairs_mut().append_pair("scope", scope);
    }
    let mut request = client.get(realm.clone());
    if let Some((username, password)) = login {
        request = request.basic_auth(username, Some(password.expose()));
    }
    let mut response = send(request).await?;
    verdict(&realm, response.status())?;
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| describe(&error))? {
        body.extend_from_slice(&chunk);
        if body.len() > MAX_TOKEN_BYTES {
            return Err(format!("{} sent no token but something longer", host(&realm)));
        }
    }
    let answer: Option<Answer> = serde_json::from_slice(&body).ok();
    let text =
        answer.and_then(|answer| [answer.token, answer.access_token].into_iter().flatten().find(|t| !t.is_empty()));
    text.ok_or_else(|| format!("{} sent no token", host(&realm)))
}

/// The token service of a challenge, if it may have the credential: over https, at the registry's own host or one of `realms`.
fn realm(base: &Url, challenge: &Challenge, realms: &[String]) -> Result<Url, String> {
    let text = challenge.parameter("realm").unwrap_or_default();
    let mut realm = Url::parse(text).map_err(|_| format!("{} names no token service", host(base)))?;
    // A user in the URL would be sent as a credential.
    let _ = realm.set_username("");
    let _ = realm.set_password(None);
    let (own, port) = (realm.host_str().unwrap_or_default(), realm.port_or_known_default().unwrap_or_default());
    let is_known =
        base.host_str() == Some(own) || realms.iter().any(|one| one == own || *one == format!("{own}:{port}"));
    match realm.scheme() == "https" && is_known {
        true => Ok(realm),
        false => Err(format!("{} wants tokens of {}, which is not sent the credential", host(base), host(&realm))),
    }
}

fn verdict(url: &Url, status: StatusCode) -> Result<(), String> {
    match status.as_u16() {
        200..=299 => Ok(()),
        401 | 403 => Err(format!("{} does not let us in ({}): check the secret", host(url), status.as_u16())),
        404 => Err(format!("{} is no registry: it has no {}", host(url), url.path())),
        other => Err(format!("{} answers {other}", host(url))),
    }
}

fn client(settings: &UpstreamSettings) -> Result<Client, String> {
    let mut tls = tls_trusting(settings.ca.as_deref())?;
    tls.alpn_protocols = vec![b"http/1.1".to_vec()];
    let builder = Client::builder()
        .user_agent(concat!("entrepot/", env!("CARGO_PKG_VERSION")))
        .redirect(Policy::none())
        .referer(false)
        .http1_only()
        .connect_timeout(settings.connect_timeout)
        .tls_backend_preconfigured(tls);
    builder.build().map_err(|error| describe(&error))
}

async fn send(request: RequestBuilder) -> Result<Response, String> {
    request.send().await.map_err(|error| describe(&error))
}

/// The innermost cause says most. It names no URL, which could hold a secret.
fn describe(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    let at = error.url().map(host).unwrap_or_default();
    format!("{at} cannot be reached: {cause}")
}

/// With the port, where the URL has one.
fn host(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_service_is_known_or_gets_nothing() {
        let base: Url = "https://registry.example".parse().unwrap();
        let realms = ["auth.example".to_owned(), "tokens.example:8443".to_owned()];
        let realm = |url: &str| {
            let challenges = parse_challenges(&format!("Bearer realm=\"{url}\""));
            realm(&base, &challenges[0], &realms).map(|realm| realm.to_string())
        };
        for good in ["https://registry.example/token", "https://auth.example/t", "https://tokens.example:8443/t"] {
            assert_eq!(realm(good), Ok(good.to_owned()));
        }
        assert_eq!(realm("https://u:p@auth.example/t"), Ok("https://auth.example/t".to_owned()));
        for bad in ["http://auth.example/t", "https://evil.example/t", "https://tokens.example/t", "/t", ""] {
            assert!(realm(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_a_status_says() {
        let url: Url = "https://registry.example:8443/v2/".parse().unwrap();
        assert_eq!(verdict(&url, StatusCode::OK), Ok(()));
        assert_eq!(
            verdict(&url, StatusCode::NOT_FOUND),
            Err("registry.example:8443 is no registry: it has no /v2/".to_owned())
        );
        assert!(verdict(&url, StatusCode::UNAUTHORIZED).unwrap_err().contains("secret"));
        assert!(verdict(&url, StatusCode::FOUND).is_err());
    }
}
