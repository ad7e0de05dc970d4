//! One request to one endpoint: with what it wants to see of us, through its redirects, to a status that is understood.

use std::time::{Duration, SystemTime};

use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderValue, LOCATION, RANGE};
use reqwest::{Method, StatusCode, Url};

use super::body;
use super::client::{Channel, Pair};
use super::endpoint::Endpoint;
use super::error::ErrorKind;
use super::pass::Pass;
use super::remote::{Turn, Upstream};
use super::status;
use crate::config::Credential;
use crate::oci::{MediaType, RepositoryName};

const MAX_REDIRECTS: usize = 5;
/// Time to read to its end an answer that nobody wants.
const DISCARD_TIME: Duration = Duration::from_secs(1);

/// A question to a registry about one repository.
#[derive(Clone, Debug)]
pub(super) struct Ask {
    pub(super) method: Method,
    pub(super) channel: Channel,
    /// What follows `/v2/`.
    pub(super) path: String,
    pub(super) query: Option<String>,
    pub(super) accept: Option<String>,
    pub(super) range: Option<String>,
}

/// An answer with a status of success, or 416 where a range was asked for.
pub(super) struct Reply {
    pub(super) response: reqwest::Response,
    /// The host that a redirect led to, where it is not the endpoint.
    pub(super) elsewhere: Option<String>,
}

impl Ask {
    pub(super) fn new(method: Method, channel: Channel, path: String) -> Self {
        Self { method, channel, path, query: None, accept: None, range: None }
    }
}

impl Upstream {
    /// Sends `ask`, logging in where the endpoint wants it. Bounded by `header_timeout` for each request that goes out.
    pub(super) async fn send(
        &self,
        turn: Turn<'_>,
        repository: &RepositoryName,
        ask: &Ask,
    ) -> Result<Reply, ErrorKind> {
        let reply = self.send_logged_in(turn, repository, ask).await?;
        if reply.elsewhere.is_none() {
            turn.endpoint.proofs.note(repository, &ask.path, ask.accept.as_deref());
        }
        Ok(reply)
    }

    async fn send_logged_in(&self, turn: Turn<'_>, repository: &RepositoryName, ask: &Ask) -> Result<Reply, ErrorKind> {
        let endpoint = turn.endpoint;
        let mut pass = self.logged_in(endpoint, turn.login(self.known_pass(endpoint, repository)).await)?;
        loop {
            let reply = self.follow(endpoint, ask, pass.as_ref()).await?;
            let code = reply.response.status();
            // A registry behind a redirect does not get our credential, nor is its challenge ours to answer. A pass that has
            // just been issued is not renewed, so the loop ends.
            let may_renew = reply.elsewhere.is_none() && pass.as_ref().is_none_or(|pass| pass.used_before);
            let next = match (code.as_u16(), &pass) {
                (401, refused) if may_renew => {
                    let headers = reply.response.headers();
                    let asked = self.challenged_pass(endpoint, repository, headers, refused.as_ref());
                    self.logged_in(endpoint, turn.login(asked).await)?
                }
                // ECR says 400 or 403 to a token that has expired (C57).
                (400 | 403, Some(refused)) if may_renew => {
                    self.logged_in(endpoint, turn.login(self.renewed_pass(endpoint, repository, refused)).await)?
                }
                (code, pass) => {
                    if code == 401 && pass.as_ref().is_some_and(Pass::is_password) {
                        self.login_failed(endpoint, &"it answers 401 to the username and the password");
                    }
                    return reply.accepted(ask);
                }
            };
            if next.is_none() {
                return reply.accepted(ask);
            }
            pass = next;
            let _ = tokio::time::timeout(DISCARD_TIME, body::discard(reply.response)).await;
        }
    }

    /// As `send`, without a login: a 401 is an answer like any other.
    pub(super) async fn ask_unsigned(&self, endpoint: &Endpoint, ask: &Ask) -> Result<(), ErrorKind> {
        self.follow(endpoint, ask, None).await?.accepted(ask).map(drop)
    }

    /// Redirects are followed here and not by the client, so that the credential stays with the endpoint (C58). Where they
    /// led is not remembered: their signatures expire (C59).
    async fn follow(&self, endpoint: &Endpoint, ask: &Ask, pass: Option<&Pass>) -> Result<Reply, ErrorKind> {
        let mut url = endpoint.url(&ask.path, ask.query.as_deref());
        let mut clients = self.clients.first();
        for _ in 0..=MAX_REDIRECTS {
            let at_home = endpoint.is_home_of(&url);
            clients.reach.check(&url).map_err(|forbidden| self.clients.refusal(&url, &forbidden))?;
            let response = self.exchange(clients, &url, ask, pass.filter(|_| at_home)).await?;
            self.check_namespace(response.headers())?;
            if at_home {
                self.note_rate_limit(response.headers());
            }
            if !is_redirect(response.status()) {
                let elsewhere = (!at_home).then(|| url.host_str().unwrap_or_default().to_owned());
                return Ok(Reply { response, elsewhere });
            }
            let next = next_hop(&url, response.headers()).map_err(|detail| ErrorKind::Misbehaved { detail })?;
            clients = self.clients.onward(&url, &response)?;
            url = next;
        }
        Err(ErrorKind::Misbehaved { detail: format!("it redirects more than {MAX_REDIRECTS} times") })
    }

    /// A mirror of several registries says which one it has answered for (distribution-spec, "Registry Proxying").
    fn check_namespace(&self, headers: &HeaderMap) -> Result<(), ErrorKind> {
        let Some(told) = headers.get("oci-namespace").and_then(|value| value.to_str().ok()) else { return Ok(()) };
        let mut own = self.settings().registry_hosts().peekable();
        // With a prefix the repository's name has said it.
        if own.peek().is_none() || self.settings().repository_prefix.is_some() {
            return Ok(());
        }
        if own.any(|host| host.eq_ignore_ascii_case(told)) {
            return Ok(());
        }
        Err(ErrorKind::Misbehaved {
            detail: format!(
                "it answers for the registry {told:?}; if that is what `{}` means here, write it into `ns` of this upstream, or \
                 give its `prefix` there",
                self.name()
            ),
        })
    }

    async fn exchange(
        &self,
        clients: &Pair,
        url: &Url,
        ask: &Ask,
        pass: Option<&Pass>,
    ) -> Result<reqwest::Response, ErrorKind> {
        let mut request = reqwest::Request::new(ask.method.clone(), url.clone());
        let headers = request.headers_mut();
        for (name, value) in [(ACCEPT, &ask.accept), (RANGE, &ask.range)] {
            if let Some(value) = value.as_deref().and_then(|value| HeaderValue::from_str(value).ok()) {
                headers.insert(name, value);
            }
        }
        if let Some(pass) = pass {
            headers.insert(AUTHORIZATION, pass.header.clone());
        }
        let sent = clients.of(ask.channel).execute(request);
        let result = match tokio::time::timeout(self.settings().header_timeout, sent).await {
            Ok(Ok(response)) => Ok(response),
            Ok(Err(error)) => Err(self.clients.failure(url, &error)),
            Err(_) => Err(ErrorKind::TimedOut),
        };
        let code = result.as_ref().map_or("error", |response| status::label(response.status()));
        self.metrics.upstream_requests.with_label_values(&[self.name().as_str(), code]).inc();
        tracing::debug!(
            upstream = %self.name(), host = url.host_str(), method = %ask.method, path = ask.path, code, "asked"
        );
        result
    }

    /// Notes a login that came to nothing, and gives it back.
    fn logged_in<T>(&self, endpoint: &Endpoint, login: Result<T, ErrorKind>) -> Result<T, ErrorKind> {
        match &login {
            Err(kind @ ErrorKind::LoginFailed { .. }) => self.login_failed(endpoint, kind),
            // Without a credential it may be the answer for a repository that does not exist (C50).
            Err(ErrorKind::Unauthorized) if self.settings().credential != Credential::Anonymous => {
                self.login_failed(endpoint, &"its token service answers 401 to the credential");
            }
            _ => {}
        }
        login
    }

    fn login_failed(&self, endpoint: &Endpoint, reason: &dyn std::fmt::Display) {
        let name = self.name();
        self.metrics.upstream_login_failures.with_label_values(&[name.as_str()]).inc();
        if self.login_failures_told.is_due() {
            tracing::warn!(
                upstream = %name, endpoint = endpoint.host(), %reason,
                "the login at an upstream fails; check its username and password, or give it some"
            );
        }
    }

    fn note_rate_limit(&self, headers: &HeaderMap) {
        let name = self.name().as_str();
        if let Some(pulls) = status::pulls(headers, "ratelimit-limit") {
            self.metrics.upstream_rate_limit.with_label_values(&[name]).set(pulls);
        }
        if let Some(pulls) = status::pulls(headers, "ratelimit-remaining") {
            self.metrics.upstream_rate_limit_remaining.with_label_values(&[name]).set(pulls);
        }
    }
}

impl Reply {
    fn accepted(self, ask: &Ask) -> Result<Self, ErrorKind> {
        let code = self.response.status();
        if code.is_success() || (code == StatusCode::RANGE_NOT_SATISFIABLE && ask.range.is_some()) {
            return Ok(self);
        }
        match (&self.elsewhere, code.as_u16()) {
            // The registry has let us in; what its storage says of our rights is its own mistake.
            (Some(host), 400 | 401 | 403) => Err(ErrorKind::Misbehaved {
                detail: format!("it redirects to {host}, which answers {}", code.as_u16()),
            }),
            _ => Err(status::kind(code, self.response.headers(), SystemTime::now())),
        }
    }

    pub(super) fn media_type(&self) -> Option<MediaType> {
        let value = self.response.headers().get(CONTENT_TYPE)?.to_str().ok()?;
        Some(MediaType::new(value)).filter(|media_type| !media_type.as_str().is_empty())
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.response.headers().get(name)?.to_str().ok()
    }

    /// Refuses a body that was packed although we asked for none (C14): its bytes are not those of the digest.
    pub(super) fn check_encoding(&self) -> Result<(), ErrorKind> {
        match self.response.headers().get(CONTENT_ENCODING) {
            Some(encoding) if !encoding.as_bytes().eq_ignore_ascii_case(b"identity") => {
                let encoding = String::from_utf8_lossy(encoding.as_bytes()).into_owned();
                Err(ErrorKind::Misbehaved { detail: format!("it sends the body with Content-Encoding {encoding:?}") })
            }
            _ => Ok(()),
        }
    }
}

fn is_redirect(code: StatusCode) -> bool {
    matches!(code.as_u16(), 301 | 302 | 303 | 307 | 308)
}

/// Where a redirect leads. The error is why we do not go there; it names no path, which may hold a signature.
fn next_hop(from: &Url, headers: &HeaderMap) -> Result<Url, String> {
    let location = headers.get(LOCATION).ok_or("it redirects to nowhere")?;
    let location = location.to_str().map_err(|_| "it redirects to what is not a URL")?;
    let mut to = from.join(location).map_err(|_| "it redirects to what is not a URL")?;
    if !matches!(to.scheme(), "http" | "https") || to.host_str().is_none() {
        return Err(format!("it redirects to a URL of scheme {:?}", to.scheme()));
    }
    if from.scheme() == "https" && to.scheme() == "http" {
        return Err(format!("it redirects from https to http at {}", to.host_str().unwrap_or_default()));
    }
    // A user in the URL would be sent as a credential.
    let _ = to.set_username("");
    let _ = to.set_password(None);
    Ok(to)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redirects() {
        for (from, location, expected) in [
            ("https://a/v2/x", "https://cdn/y?sig=1", Ok("https://cdn/y?sig=1")),
            ("https://a/v2/x", "/y", Ok("https://a/y")),
            ("http://a/v2/x", "https://a/y", Ok("https://a/y")),
            ("http://a/v2/x", "http://b:81/y", Ok("http://b:81/y")),
            ("https://a/v2/x", "https://user:secret@b/y", Ok("https://b/y")),
            ("https://a/v2/x", "//b/y", Ok("https://b/y")),
            ("https://a/v2/x", "http://b/y?secret", Err("from https to http at b")),
            ("https://a/v2/x", "ftp://b/y", Err("scheme \"ftp\"")),
            ("https://a/v2/x", "file:///etc/passwd", Err("scheme \"file\"")),
            ("https://a/v2/x", "https://", Err("not a URL")),
        ] {
            let headers = HeaderMap::from_iter([(LOCATION, location.parse().unwrap())]);
            match (next_hop(&from.parse().unwrap(), &headers), expected) {
                (Ok(url), Ok(expected)) => assert_eq!(url.as_str(), expected),
                (Err(error), Err(expected)) => {
                    assert!(error.contains(expected) && !error.contains("secret"), "{location}: {error}");
                }
                (found, _) => panic!("{location}: {found:?}"),
            }
        }
        assert!(next_hop(&"https://a".parse().unwrap(), &HeaderMap::new()).is_err());
    }
}
