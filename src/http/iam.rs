//! The APIs of IAM and STS on the wire (AWS's Query protocol): `POST /` of a form, signed with Signature Version 4; XML comes back.

use std::time::SystemTime;

use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::request::Parts;
use http::{HeaderValue, Method, StatusCode};
use sha2::{Digest as _, Sha256};
use tracing::Instrument as _;

use super::address::Address;
use super::aws::{Answered, TARGET};
use super::gate::Gate;
use crate::accounts::Api;
use crate::auth::{Claim, Identity, Refusal, SignatureRules, Who};
use crate::iam::{Code, Fault, Form, MAX_BODY_BYTES, Operation, OperationName, Output, Service};
use crate::policy::Denied;
use crate::registry::Incoming;
use crate::storage::joined;
use crate::telemetry::{Audit, AuditLine, rfc_3339};

const FORM: &str = "application/x-www-form-urlencoded";

/// Whether the request is for one of these APIs.
pub fn is_for(request: &Parts) -> bool {
    let content_type = request.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let media_type = content_type.split(';').next().unwrap_or_default().trim();
    request.method == Method::POST
        && request.uri.path() == "/"
        && !request.headers.contains_key(TARGET)
        && media_type.eq_ignore_ascii_case(FORM)
}

pub async fn answer(asked: &Asked<'_>, body: Incoming) -> Answered {
    let request_id = asked.request_id;
    let (status, document, fault) = match asked.read(body).await {
        Err(fault) => asked.refusal(Service::Iam, fault),
        Ok((form, hash)) => {
            let service = form.service();
            match asked.respond(form, &hash).await {
                Ok((name, output)) => (StatusCode::OK, output.to_xml(name, request_id), None),
                Err(fault) => asked.refusal(service, fault),
            }
        }
    };
    let mut answered = Answered::new(status, "text/xml", document, fault, request_id);
    answered.response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answered
}

/// A request, and those who answer it.
pub struct Asked<'a> {
    pub request: &'a Parts,
    pub address: &'a Address,
    pub gate: &'a Gate,
    pub api: &'a Api,
    pub request_id: &'a str,
}

/// What is written down of a change.
struct Noted<'a> {
    principal: &'a str,
    means: &'static str,
    action: &'static str,
    resource: &'a str,
    because: &'a str,
    /// Whether it was not allowed; else what went wrong was allowed.
    is_refused: bool,
}

/// Where what is written down goes, and of which request.
struct Notes {
    audit: Audit,
    request_id: String,
    source: String,
}

impl Asked<'_> {
    /// The form, and the hash of the body that it came in.
    async fn read(&self, body: Incoming) -> Result<(Form, [u8; 32]), Fault> {
        let body = match body.all(MAX_BODY_BYTES).await {
            Ok(Some(body)) => body,
            Ok(None) => {
                let message = format!("the request has more than {MAX_BODY_BYTES} bytes");
                return Err(Fault::new(Code::ValidationError, message));
            }
            Err(error) => return Err(Fault::new(Code::ValidationError, error.to_string())),
        };
        Ok((Form::parse(&body)?, Sha256::digest(&body).into()))
    }

    async fn respond(&self, form: Form, hash: &[u8; 32]) -> Result<(OperationName, Output), Fault> {
        let name = form.operation_name()?;
        if name == OperationName::AssumeRoleWithWebIdentity {
            return Ok((name, self.web_identity(name, form).await?));
        }
        let identity = self.identify(name.service(), hash).await?;
        let Who::Known(known) = identity.who.clone() else { return Err(unsigned(&Refusal::Missing)) };
        let caller = known.role().is_none().then(|| known.row().name.as_str());
        let operation = Operation::parse(name, form, caller)?;
        let (principal, means) = (identity.name().to_owned(), identity.means);
        let unavailable = |error| {
            tracing::error!(%error, "cannot decide what is allowed: the database failed");
            Fault::server()
        };
        let located = self.api.locate(name, operation, &identity).await.map_err(unavailable)?;
        let located = located.ok_or_else(|| unsigned(&Refusal::Missing))?;
        let resource = located.subject.as_ref().map_or_else(|| principal.clone(), |subject| subject.arn.clone());
        let circumstances = self.gate.circumstances(self.request, self.address);
        let permit = self.gate.authorizer().authorize(identity, located, &circumstances).await;
        let permit = permit.map_err(|denied| match denied {
            Denied::Unavailable(error) => unavailable(error),
            denied => {
                self.gate.note(self.address, self.request_id, &principal, means, &denied);
                Fault::new(Code::AccessDenied, denied.to_string())
            }
        })?;
        if !name.is_write() {
            return Ok((name, self.api.operate(permit).await?));
        }
        let (api, notes, because) = (self.api.clone(), self.notes(), permit.because().to_owned());
        let operate = async move {
            let done = api.operate(permit).await;
            let (principal, resource, because) = (principal.as_str(), resource.as_str(), because.as_str());
            let (means, action) = (means.name(), name.iam_action());
            let is_refused = matches!(&done, Err(fault) if fault.code() == Code::AccessDenied);
            let noted = Noted { principal, means, action, resource, because, is_refused };
            notes.write(&noted, done.as_ref().err());
            done
        };
        // A client that leaves keeps a change neither from being made whole nor from being written down.
        let done = tokio::spawn(operate.in_current_span()).await;
        Ok((name, joined(done).await?))
    }

    /// Nobody signs this; the token in it says who it is.
    async fn web_identity(&self, name: OperationName, form: Form) -> Result<Output, Fault> {
        let operation = Operation::parse(name, form, None)?;
        let Operation::AssumeRoleWithWebIdentity { role, token, seconds, .. } = operation else {
            return Err(Fault::server());
        };
        let (means, action, resource) = ("id-token", name.iam_action(), role.to_string());
        let because = "a rule of the configuration";
        let noted = Noted { principal: "anonymous", means, action, resource: &resource, because, is_refused: true };
        let believed = match self.api.role_of_id_token(&token, self.address.source).await {
            Ok(believed) => believed,
            Err(fault) => {
                // Whoever is told to wait could fill the file with it.
                if fault.code() != Code::Throttling {
                    self.notes().write(&Noted { because: "the ID token is not accepted", ..noted }, Some(&fault));
                }
                return Err(fault);
            }
        };
        let done = self.api.assume_role_with_web_identity(&believed, &role, seconds).await;
        let (principal, fault) = match &done {
            Ok((_, arn)) => (arn.as_str(), None),
            Err(fault) => (believed.role_arn.as_str(), Some(fault)),
        };
        let is_refused = fault.is_some_and(|fault| fault.code() == Code::AccessDenied);
        self.notes().write(&Noted { principal, is_refused, ..noted }, fault);
        done.map(|(output, _)| output)
    }

    fn notes(&self) -> Notes {
        Notes {
            audit: self.gate.audit().clone(),
            request_id: self.request_id.to_owned(),
            source: self.address.source.to_string(),
        }
    }

    async fn identify(&self, service: Service, hash: &[u8; 32]) -> Result<Identity, Fault> {
        let rules = match service {
            Service::Iam => &SignatureRules::IAM,
            Service::Sts => &SignatureRules::STS,
        };
        let Parts { method, uri, headers, .. } = self.request;
        let claim = Claim::parse(rules, method, uri, headers).map_err(|refusal| unsigned(&refusal))?;
        match self.gate.authenticator().identify_signed(&claim, hash).await {
            Ok(identity) => identity.map_err(|refusal| unsigned(&refusal)),
            Err(error) => {
                tracing::error!(%error, "it cannot be found out who asks");
                Err(Fault::server())
            }
        }
    }

    fn refusal(&self, service: Service, fault: Fault) -> (StatusCode, String, Option<String>) {
        let status = StatusCode::from_u16(fault.code().status()).unwrap_or(StatusCode::BAD_REQUEST);
        (status, fault.to_xml(service, self.request_id), Some(fault.to_string()))
    }
}

impl Notes {
    /// A change, or credentials that were handed out; with `fault`, what was refused, or was allowed and failed.
    fn write(&self, noted: &Noted<'_>, fault: Option<&Fault>) {
        self.audit.write(&AuditLine {
            at: rfc_3339(SystemTime::now()),
            request_id: &self.request_id,
            source: self.source.clone(),
            principal: noted.principal,
            means: noted.means,
            action: noted.action,
            resource: noted.resource,
            decision: if noted.is_refused { "denied" } else { "allowed" },
            because: noted.because,
            fault: fault.map(|fault| fault.code().name()),
        });
    }
}

/// Why the signature is not believed, in the words of this protocol.
fn unsigned(refusal: &Refusal) -> Fault {
    let code = match refusal.aws_error() {
        "MissingAuthenticationTokenException" => Code::MissingAuthenticationToken,
        "IncompleteSignatureException" => Code::IncompleteSignature,
        "UnrecognizedClientException" => Code::InvalidClientTokenId,
        "ExpiredTokenException" => Code::ExpiredToken,
        _ => Code::SignatureDoesNotMatch,
    };
    Fault::new(code, refusal.to_string())
}
