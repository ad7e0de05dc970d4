//! The door of a listener: who comes in, and what they may do there.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::SystemTime;

use http::header::{AUTHORIZATION, USER_AGENT};
use http::request::Parts;

use super::oci::host;
use crate::action::{Action, RequestedName};
use crate::auth::{Authenticator, CertificateNames, Identity, Means, Refused, Who};
use crate::config::Challenge;
use crate::oci::AccountId;
use crate::policy::{Authorizer, Circumstances, Denied, Permit};
use crate::registry::{self, Registries, Registry};

use crate::telemetry::{Audit, AuditLine, rfc_3339};

/// Cheap to clone.
#[derive(Clone)]
pub struct Gate {
    authenticator: Authenticator,
    /// Whoever reaches the listener comes in.
    open: bool,
    authorizer: Authorizer,
    accounts: Arc<Registries>,
    /// Whether whoever reaches an open listener may push.
    push: bool,
    /// Whether the listener speaks TLS.
    secure: bool,
    audit: Audit,
}

/// Why a request does not come in.
#[derive(Debug)]
pub enum Stopped {
    /// Whoever it is has to log in, or to log in otherwise. The text is the challenge.
    Challenged {
        challenge: String,
        message: String,
    },
    TooMany(crate::auth::TooManyAttempts),
    Denied(Denied),
    Registry(registry::Error),
    Unavailable(crate::meta::Error),
}

impl Gate {
    pub fn new(
        authenticator: Authenticator,
        authorizer: Authorizer,
        accounts: Arc<Registries>,
        open: bool,
        push: bool,
        secure: bool,
        audit: Audit,
    ) -> Self {
        Self { authenticator, open, authorizer, accounts, push, secure, audit }
    }

    /// `None` on a listener that wants to know nothing.
    pub fn keeper(&self) -> Option<&Authenticator> {
        Some(&self.authenticator).filter(|_| !self.open)
    }

    /// The API wants to know on every listener.
    pub fn authenticator(&self) -> &Authenticator {
        &self.authenticator
    }

    pub fn authorizer(&self) -> &Authorizer {
        &self.authorizer
    }

    /// Lets the request's action in, or says why not.
    pub async fn admit(
        &self,
        request: &Parts,
        action: Action,
        registry: &Registry,
        request_id: &str,
    ) -> Result<Permit<Action>, Stopped> {
        let circumstances = self.circumstances(request);
        let Some(keeper) = self.keeper() else {
            let identity = Identity::open(self.push);
            let permit = self.authorizer.authorize(identity, action, None, None, &circumstances).await;
            return permit.map_err(Stopped::Denied);
        };
        let scope = scope(&action);
        let challenge = |error| self.challenge(request, keeper, scope.as_deref(), error);
        let (account, certificate) = (self.account(request), certificate(request));
        let identified = match authorization(request) {
            Ok(shown) => keeper.identify(shown, certificate, source(request), account).await,
            Err(refused) => Err(refused),
        };
        let identity = match identified {
            Ok(identity) => identity,
            Err(Refused::Wrong(message)) => {
                return Err(Stopped::Challenged { challenge: challenge(Some("invalid_token")), message });
            }
            Err(Refused::TooMany(wait)) => return Err(Stopped::TooMany(wait)),
            Err(Refused::Unavailable(error)) => return Err(Stopped::Unavailable(error)),
        };
        // Clients learn here how to log in; one that has got an anonymous token goes on with it.
        if matches!(action, Action::Ping) && matches!(identity.who, Who::Anonymous) && identity.means == Means::Nothing
        {
            let message = "log in, or ask for a token".to_owned();
            return Err(Stopped::Challenged { challenge: challenge(None), message });
        }
        let about = match action.repository() {
            Some(name) => Some(registry.about(name, action.writes()).await.map_err(Stopped::Registry)?),
            None => None,
        };
        let from = match mount_source(&action) {
            Some(name) => Some(registry.about(&name, false).await.map_err(Stopped::Registry)?),
            None => None,
        };
        let is_anonymous = matches!(identity.who, Who::Anonymous);
        let (principal, means) = (identity.name().to_owned(), identity.means);
        let permit = self.authorizer.authorize(identity, action, about.as_ref(), from.as_ref(), &circumstances).await;
        if let Err(denied) = &permit
            && !is_anonymous
        {
            self.note(request, request_id, &principal, means, denied);
        }
        permit.map_err(|denied| match denied {
            Denied::Token(_) => {
                let message = denied.to_string();
                Stopped::Challenged { challenge: challenge(Some("insufficient_scope")), message }
            }
            Denied::Policy { .. } if is_anonymous => {
                Stopped::Challenged { challenge: challenge(None), message: denied.to_string() }
            }
            Denied::Unavailable(error) => Stopped::Unavailable(error),
            denied => Stopped::Denied(denied),
        })
    }

    /// Whose registry the client came to: the users that it names are of this account.
    pub fn account(&self, request: &Parts) -> AccountId {
        match self.accounts.chosen_by(host(request).as_deref()) {
            Ok(Some(chosen)) => chosen.account,
            _ => self.accounts.home(),
        }
    }

    pub fn circumstances(&self, request: &Parts) -> Circumstances {
        let user_agent = request.headers.get(USER_AGENT).and_then(|value| value.to_str().ok());
        Circumstances {
            source: Some(source(request)),
            secure: self.secure,
            user_agent: user_agent.map(str::to_owned),
            now: SystemTime::now(),
        }
    }

    pub fn audit(&self) -> &Audit {
        &self.audit
    }

    /// Writes down who was refused what. Somebody who is only sent for a token is not refused.
    pub fn note(&self, request: &Parts, request_id: &str, principal: &str, means: Means, denied: &Denied) {
        let Denied::Policy { action, resource, why, .. } = denied else { return };
        self.audit.write(&AuditLine {
            at: rfc_3339(SystemTime::now()),
            request_id,
            source: source(request).to_string(),
            principal,
            means: means.name(),
            action,
            resource,
            decision: "denied",
            because: why,
            fault: None,
        });
    }

    /// Where clients reach the registry.
    pub fn url(&self, request: &Parts) -> String {
        let host = host(request);
        // A host that chose a registry has to choose it at the token endpoint as well.
        let chose = matches!(self.accounts.chosen_by(host.as_deref()), Ok(Some(_)));
        if let Some(url) = self.authenticator.settings().url.as_ref().filter(|_| !chose) {
            return url.as_str().trim_end_matches('/').to_owned();
        }
        // What stands between quotes in the challenge.
        let plain = |c: u8| c.is_ascii_alphanumeric() || b".-_:[]".contains(&c);
        let host = host.filter(|host| host.bytes().all(plain));
        format!("{}://{}", self.scheme(), host.as_deref().unwrap_or("localhost"))
    }

    /// Where clients reach the registry by this name: at the port that this one came to.
    pub fn url_of(&self, request: &Parts, name: &str) -> String {
        let came_to = host(request).unwrap_or_default();
        let port = came_to.rsplit_once(':').map_or("", |(_, port)| port);
        let is_port = !port.is_empty() && port.bytes().all(|c| c.is_ascii_digit());
        let port = if is_port { format!(":{port}") } else { String::new() };
        format!("{}://{name}{port}", self.scheme())
    }

    const fn scheme(&self) -> &'static str {
        if self.secure { "https" } else { "http" }
    }

    /// RFC 6750 section 3, and distribution's "token authentication"; RFC 7617 for Basic.
    pub fn challenge(
        &self,
        request: &Parts,
        keeper: &Authenticator,
        scope: Option<&str>,
        error: Option<&str>,
    ) -> String {
        let (url, service) = (self.url(request), keeper.service());
        match keeper.settings().challenge {
            Challenge::Basic => format!("Basic realm=\"{url}/\",service=\"{service}\""),
            Challenge::Bearer => {
                let mut challenge = format!("Bearer realm=\"{url}/token\",service=\"{service}\"");
                if let Some(scope) = scope {
                    challenge += &format!(",scope=\"{scope}\"");
                }
                if let Some(error) = error {
                    challenge += &format!(",error=\"{error}\"");
                }
                challenge
            }
        }
    }
}

pub fn source(request: &Parts) -> IpAddr {
    let peer = request.extensions.get::<SocketAddr>().map(SocketAddr::ip);
    peer.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED))
}

/// What the client showed in the handshake of its connection.
pub fn certificate(request: &Parts) -> Option<&CertificateNames> {
    request.extensions.get::<Arc<CertificateNames>>().map(Arc::as_ref)
}

/// What the request shows. Two are none: somebody before us may have looked at the other one.
pub fn authorization(request: &Parts) -> Result<Option<&str>, Refused> {
    let mut values = request.headers.get_all(AUTHORIZATION).iter();
    let value = values.next();
    if values.next().is_some() {
        return Err(Refused::Wrong("the request has more than one Authorization header: send one".to_owned()));
    }
    // What is no text is nobody's credential.
    Ok(value.map(|value| value.to_str().unwrap_or("?")))
}

/// What a token would have to be for.
fn scope(action: &Action) -> Option<String> {
    let Some(name) = action.repository() else {
        return matches!(action, Action::ListRepositories { .. }).then(|| "registry:catalog:*".to_owned());
    };
    let actions = match action {
        Action::DeleteBlob { .. } | Action::DeleteManifest { .. } => "delete",
        action if action.writes() => "pull,push",
        _ => "pull",
    };
    Some(format!("repository:{}:{actions}", name.path))
}

fn mount_source(action: &Action) -> Option<RequestedName> {
    let Action::StartUpload { name, start } = action else { return None };
    let from = start.mount.as_ref()?.from.clone()?;
    Some(RequestedName { path: from, namespace: None, host: name.host.clone(), registry: name.registry })
}
