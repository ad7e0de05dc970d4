//! The door of a listener: who comes in, and what they may do there.

use std::sync::Arc;
use std::time::SystemTime;

use http::header::{AUTHORIZATION, USER_AGENT};
use http::request::Parts;

use super::address::{Address, Front};
use super::challenge::{challenge, scope};
use crate::action::{Action, RequestedName};
use crate::auth::{Authenticator, CertificateNames, Identity, Means, Refused, Who};
use crate::policy::{Authorizer, Circumstances, Denied, OciRequest, Permit};
use crate::registry::{self, Registry};
use crate::telemetry::{Audit, AuditLine, rfc_3339};

/// Cheap to clone.
#[derive(Clone)]
pub struct Gate {
    authenticator: Authenticator,
    authorizer: Authorizer,
    front: Front,
    door: Door,
    audit: Audit,
}

/// How a listener lets clients in.
#[derive(Clone, Copy, Debug)]
pub struct Door {
    /// Without authentication.
    pub open: bool,
    /// On an open listener clients may push.
    pub push: bool,
    /// The listener speaks TLS.
    pub secure: bool,
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
    pub const fn new(
        authenticator: Authenticator,
        authorizer: Authorizer,
        front: Front,
        door: Door,
        audit: Audit,
    ) -> Self {
        Self { authenticator, authorizer, front, door, audit }
    }

    /// `None` on an open listener: it does not authenticate.
    pub fn keeper(&self) -> Option<&Authenticator> {
        (!self.door.open).then_some(&self.authenticator)
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
        address: &Address,
        action: Action,
        registry: &Registry,
        request_id: &str,
    ) -> Result<Permit<OciRequest>, Stopped> {
        let circumstances = self.circumstances(request, address);
        let Some(keeper) = self.keeper() else {
            let identity = Identity::open(self.door.push);
            let asked = OciRequest { action, about: None, source: None };
            let permit = self.authorizer.authorize(identity, asked, &circumstances).await;
            return permit.map_err(Stopped::Denied);
        };
        let scope = scope(&action, action.repository().map(|name| registry.called(name).in_tokens(name)));
        let challenge = |error| self::challenge(keeper, &self.front.url(address), scope.as_deref(), error);
        let (account, certificate) = (self.front.account(address), certificate(request));
        let identified = match authorization(request) {
            Ok(shown) => keeper.identify(shown, certificate, address.source, account).await,
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
        let source = match mount_source(&action) {
            Some(name) => Some(registry.about(&name, false).await.map_err(Stopped::Registry)?),
            None => None,
        };
        let is_anonymous = matches!(identity.who, Who::Anonymous);
        let (principal, means) = (identity.name().to_owned(), identity.means);
        let asked = OciRequest { action, about, source };
        let permit = self.authorizer.authorize(identity, asked, &circumstances).await;
        if let Err(denied) = &permit
            && !is_anonymous
        {
            self.note(address, request_id, &principal, means, denied);
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

    pub const fn front(&self) -> &Front {
        &self.front
    }

    pub const fn door(&self) -> Door {
        self.door
    }

    pub fn circumstances(&self, request: &Parts, address: &Address) -> Circumstances {
        let user_agent = request.headers.get(USER_AGENT).and_then(|value| value.to_str().ok());
        Circumstances {
            source: Some(address.source),
            secure: address.secure,
            user_agent: user_agent.map(str::to_owned),
            now: SystemTime::now(),
        }
    }

    pub fn audit(&self) -> &Audit {
        &self.audit
    }

    /// Writes down who was refused what. Somebody who is only sent for a token is not refused.
    pub fn note(&self, address: &Address, request_id: &str, principal: &str, means: Means, denied: &Denied) {
        let Denied::Policy { action, resource, why, .. } = denied else { return };
        self.audit.write(&AuditLine {
            at: rfc_3339(SystemTime::now()),
            request_id,
            source: address.source.to_string(),
            principal,
            means: means.name(),
            action,
            resource,
            decision: "denied",
            because: why,
            fault: None,
        });
    }
}

/// The certificate that the client showed in the handshake of its connection.
pub fn certificate(request: &Parts) -> Option<&CertificateNames> {
    request.extensions.get::<Arc<CertificateNames>>().map(Arc::as_ref)
}

/// The `Authorization` header. Two are refused: a proxy in front may have checked the other.
pub fn authorization(request: &Parts) -> Result<Option<&str>, Refused> {
    let mut values = request.headers.get_all(AUTHORIZATION).iter();
    let value = values.next();
    if values.next().is_some() {
        return Err(Refused::Wrong("the request has more than one Authorization header: send one".to_owned()));
    }
    // A value that is not ASCII cannot be a credential.
    Ok(value.map(|value| value.to_str().unwrap_or("?")))
}

fn mount_source(action: &Action) -> Option<RequestedName> {
    let Action::StartUpload { name, start } = action else { return None };
    let from = start.mount.as_ref()?.from.clone()?;
    Some(RequestedName { path: from, namespace: None, host: name.host.clone(), registry: name.registry })
}
