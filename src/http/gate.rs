//! The door of a listener: who comes in, and what they may do there.

use std::sync::Arc;
use std::time::SystemTime;

use http::header::{AUTHORIZATION, USER_AGENT};
use http::request::Parts;

use super::address::{Address, Front};
use super::challenge::{challenge, scope};
use super::changes::Changes;
use super::layer_url;
use crate::action::Action;
use crate::auth::{Authenticator, CertificateNames, Identity, Means, Refused, Who, tried_name};
use crate::policy::{About, Asked, Authorizer, Circumstances, Denied, On, Permit};
use crate::registry::{Located, Meant};
use crate::telemetry::{Audit, Caller, Draft, Entry};

const CREATE_REPOSITORY: &str = "ecr:CreateRepository";

/// Cheap to clone.
#[derive(Clone)]
pub struct Gate {
    authenticator: Authenticator,
    authorizer: Authorizer,
    front: Front,
    door: Door,
    audit: Audit,
    changes: Changes,
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

/// A request as it is looked at by the gate.
#[derive(Clone, Copy)]
pub struct Visit<'a> {
    pub parts: &'a Parts,
    pub address: &'a Address,
    pub request_id: &'a str,
}

/// A request that came in.
pub struct Admitted<A> {
    pub permit: Permit<A>,
    /// The record of a change.
    pub entry: Option<Entry>,
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
    Unavailable(crate::meta::Error),
}

impl Gate {
    pub const fn new(
        authenticator: Authenticator,
        authorizer: Authorizer,
        front: Front,
        door: Door,
        audit: Audit,
        changes: Changes,
    ) -> Self {
        Self { authenticator, authorizer, front, door, audit, changes }
    }

    /// `None` on an open listener: it does not authenticate.
    pub fn authenticator_of_data(&self) -> Option<&Authenticator> {
        (!self.door.open).then_some(&self.authenticator)
    }

    /// The APIs of AWS authenticate on every listener.
    pub fn authenticator(&self) -> &Authenticator {
        &self.authenticator
    }

    pub fn authorizer(&self) -> &Authorizer {
        &self.authorizer
    }

    /// Finds out who sends a request of the OCI API.
    pub async fn identify(&self, visit: Visit<'_>, meant: &Meant) -> Result<Identity, Stopped> {
        let Some(authenticator) = self.authenticator_of_data() else { return Ok(Identity::open(self.door.push)) };
        let Visit { parts, address, .. } = visit;
        let (account, certificate) = (self.front.account(address), certificate(parts));
        let identified = match (authorization(parts), layer_url::signature(parts, meant.action())) {
            (Err(refused), _) | (_, Err(refused)) => Err(refused),
            (Ok(None), Ok(Some(signature))) => authenticator.identify_by_url(&signature).await,
            (Ok(shown), _) => authenticator.identify(shown, certificate, address.source, account).await,
        };
        let identity = match identified {
            Ok(identity) => identity,
            Err(Refused::Wrong(message)) => {
                let (tried, means) = authorization(parts).ok().flatten().map_or_else(unknown, tried);
                self.not_believed(visit, &tried, means, &message);
                let challenge = self.challenge(visit, meant, Some("invalid_token"));
                return Err(Stopped::Challenged { challenge, message });
            }
            Err(Refused::TooMany(wait)) => return Err(Stopped::TooMany(wait)),
            Err(Refused::Unavailable(error)) => return Err(Stopped::Unavailable(error)),
        };
        // Clients learn here how to log in; one that has got an anonymous token goes on with it.
        let is_new = matches!(identity.who, Who::Anonymous) && identity.means == Means::Nothing;
        if is_new && matches!(meant.action(), Action::Ping) {
            let message = "log in, or ask for a token".to_owned();
            return Err(Stopped::Challenged { challenge: self.challenge(visit, meant, None), message });
        }
        Ok(identity)
    }

    /// Lets a request of the OCI API in, or says why not.
    pub async fn admit(
        &self,
        visit: Visit<'_>,
        identity: Identity,
        meant: &Meant,
        located: Located,
    ) -> Result<Admitted<Located>, Stopped> {
        let is_anonymous = matches!(identity.who, Who::Anonymous);
        let repository = located.about().map(|about| about.repository.name.clone());
        self.authorize(visit, identity, located).await.map_err(|denied| match denied {
            Denied::Token(_) => {
                let challenge = self.challenge(visit, meant, Some("insufficient_scope"));
                Stopped::Challenged { challenge, message: denied.to_string() }
            }
            Denied::Policy { .. } if is_anonymous => {
                let challenge = self.challenge(visit, meant, None);
                let url = self.front.url(visit.address);
                let host = url.split_once("://").map_or(url.as_str(), |(_, host)| host);
                let message = format!("log in first, as by `docker login {host}`: {denied}");
                Stopped::Challenged { challenge, message }
            }
            Denied::Policy { principal, action, resource, why, told } if action == CREATE_REPOSITORY => {
                let name = repository.map(|name| name.to_string()).unwrap_or_default();
                let told = format!(
                    "{told}. There is no repository {name} yet, and pushing to it would make it: let somebody make it who may \
                     (`aws ecr create-repository --repository-name {name}`), or ask for the right"
                );
                Stopped::Denied(Denied::Policy { principal, action, resource, why, told })
            }
            Denied::Unavailable(error) => Stopped::Unavailable(error),
            denied => Stopped::Denied(denied),
        })
    }

    /// The record of a repository that a push makes, or a pull that finds none.
    pub fn record_of_making<A>(&self, visit: Visit<'_>, permit: &Permit<A>, about: &About) -> Draft {
        let identity = permit.identity();
        let caller = self.caller(visit, identity.name(), identity.means);
        let resource = self.authorizer.arn(On::Repository(about));
        self.audit.draft(caller, CREATE_REPOSITORY, resource, permit.because().clone())
    }

    fn challenge(&self, visit: Visit<'_>, meant: &Meant, error: Option<&str>) -> String {
        let scope = scope(meant.action(), meant.name_in_tokens());
        challenge(&self.authenticator, &self.front.url(visit.address), scope.as_deref(), error)
    }

    /// Asks the policies, for each of the APIs alike. A change gets a record, and so does a refusal; a client that is only sent for a token
    /// or a login is not refused.
    pub async fn authorize<A: Asked>(
        &self,
        visit: Visit<'_>,
        identity: Identity,
        asked: A,
    ) -> Result<Admitted<A>, Denied> {
        let (shown, detail) = (identity.clone(), asked.detail());
        let caller = || self.caller(visit, shown.name(), shown.means);
        let circumstances = self.circumstances(visit);
        match self.authorizer.authorize(identity, asked, &circumstances).await {
            Ok(permit) => {
                let entry = permit.asked().change().map(|(action, on)| {
                    let resource = on.map_or_else(|| shown.name().to_owned(), |on| self.authorizer.arn(on));
                    let mut entry = self.audit.allowed(caller(), action, resource, permit.because());
                    if let Some(detail) = &detail {
                        entry.says(detail);
                    }
                    entry
                });
                Ok(Admitted { permit, entry })
            }
            Err(denied) => {
                if let Denied::Policy { action, resource, why, .. } = &denied
                    && self.is_recorded(visit, &shown)
                {
                    self.audit.denied_with(caller(), action, resource.clone(), why, detail.as_deref());
                }
                Err(denied)
            }
        }
    }

    /// Whether a refusal gets a record. A client that shows nothing is sent for a login. Anybody is given a token of nobody's, with which they
    /// could fill the file: of one address there are so many in a while, as of credentials that are not believed.
    fn is_recorded(&self, visit: Visit<'_>, shown: &Identity) -> bool {
        match (&shown.who, shown.means) {
            (Who::Anonymous, Means::Nothing) => false,
            (Who::Anonymous, _) => self.is_told_of_doubt(visit),
            (Who::Open { .. } | Who::Known(_), _) => true,
        }
    }

    fn is_told_of_doubt(&self, visit: Visit<'_>) -> bool {
        let is_told = self.authenticator.is_told_of_doubt(visit.address.source);
        if !is_told {
            self.audit.left_out();
        }
        is_told
    }

    /// Writes that a credential was not believed, and whose name was tried with it. Of one address there is a record of so many in a while: a
    /// client could fill the file with them.
    pub fn not_believed(&self, visit: Visit<'_>, tried: &str, means: Means, why: &str) {
        if self.is_told_of_doubt(visit) {
            let tried: String = tried.chars().filter(|c| !c.is_control()).take(MAX_TRIED_CHARS).collect();
            let why = why.lines().next().unwrap_or_default();
            self.audit.denied(self.caller(visit, &tried, means), "entrepot:LogIn", "*".to_owned(), why);
        }
    }

    /// As records have it.
    pub fn caller(&self, visit: Visit<'_>, principal: &str, means: Means) -> Caller {
        Caller {
            request_id: visit.request_id.to_owned(),
            source: visit.address.source.to_string(),
            principal: principal.to_owned(),
            means: means.name(),
        }
    }

    pub const fn front(&self) -> &Front {
        &self.front
    }

    pub const fn door(&self) -> Door {
        self.door
    }

    pub fn circumstances(&self, visit: Visit<'_>) -> Circumstances {
        let Visit { parts, address, .. } = visit;
        let user_agent = parts.headers.get(USER_AGENT).and_then(|value| value.to_str().ok());
        Circumstances {
            source: Some(address.source),
            secure: address.secure,
            user_agent: user_agent.map(str::to_owned),
            now: SystemTime::now(),
        }
    }

    pub const fn audit(&self) -> &Audit {
        &self.audit
    }

    pub const fn changes(&self) -> &Changes {
        &self.changes
    }
}

/// Of a name that somebody tried to log in by.
const MAX_TRIED_CHARS: usize = 64;

fn unknown() -> (String, Means) {
    ("unknown".to_owned(), Means::Nothing)
}

/// Whose name the header shows, whether or not it is right.
fn tried(authorization: &str) -> (String, Means) {
    match tried_name(authorization) {
        Some(name) => (name, Means::Password),
        None => ("unknown".to_owned(), Means::BearerToken),
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
