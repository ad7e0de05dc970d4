//! The APIs of IAM and STS on the wire (AWS's Query protocol): `POST /` of a form, signed with Signature Version 4; XML comes back.

use std::sync::Arc;

use http::header::CACHE_CONTROL;
use http::request::Parts;
use http::{HeaderValue, StatusCode};
use sha2::{Digest as _, Sha256};

use super::aws::Answered;
use super::changes;
use super::gate::{Admitted, Gate, Visit};
use crate::accounts::Api;
use crate::auth::{Claim, Identity, Means, Refusal, SignatureRules, Who};
use crate::iam::{Code, Fault, Form, MAX_BODY_BYTES, Operation, OperationName, Output, Service};
use crate::meta;
use crate::policy::Denied;
use crate::registry::{BrokenOff, Incoming};

pub async fn answer(asked: &Asked<'_>, body: Incoming) -> Answered {
    let request_id = asked.visit.request_id;
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
    pub visit: Visit<'a>,
    pub gate: &'a Gate,
    pub api: &'a Api,
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
            Err(BrokenOff::NoRoom) => return Err(Fault::new(Code::Throttling, BrokenOff::NoRoom.to_string())),
            Err(error) => return Err(Fault::new(Code::ValidationError, error.to_string())),
        };
        Ok((Form::parse(&body.bytes)?, Sha256::digest(&body.bytes).into()))
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
        let located = self.api.locate(name, operation, &identity).await.map_err(unavailable)?;
        let located = located.ok_or_else(|| unsigned(&Refusal::Missing))?;
        let admitted = self.gate.authorize(self.visit, identity, located).await;
        let Admitted { permit, entry } = admitted.map_err(|denied| match denied {
            Denied::Unavailable(error) => unavailable(error),
            denied => Fault::new(Code::AccessDenied, denied.to_string()),
        })?;
        let api = self.api.clone();
        let work = async move { api.operate(permit).await };
        Ok((name, self.gate.changes().carry_out(entry, work, fault_of, outcome).await?))
    }

    /// Nobody signs this; the token in it says who it is.
    async fn web_identity(&self, name: OperationName, form: Form) -> Result<Output, Fault> {
        let operation = Operation::parse(name, form, None)?;
        let Operation::AssumeRoleWithWebIdentity { role, token, seconds, .. } = operation else {
            return Err(Fault::server("another operation than the one that was read"));
        };
        let (action, resource) = (name.iam_action(), role.to_string());
        let caller = |principal: &str| self.gate.caller(self.visit, principal, Means::IdToken);
        let audit = self.gate.audit();
        let believed = match self.api.role_of_id_token(&token, self.visit.address.source).await {
            Ok(believed) => believed,
            Err(fault) => {
                // A client that is told to wait could fill the file with it.
                if fault.code() != Code::Throttling {
                    let why = "the ID token is not accepted";
                    let entry = audit.allowed(caller("anonymous"), action, resource, &Arc::from(why));
                    entry.refused(fault.code().name(), why);
                }
                return Err(fault);
            }
        };
        let because = Arc::from("a rule of the configuration");
        let mut entry = audit.allowed(caller(&believed.role_arn), action, resource, &because);
        let done = self.api.assume_role_with_web_identity(&believed, &role, seconds).await;
        match &done {
            Ok((output, arn)) => {
                entry.is_by(arn);
                if let Some(detail) = outcome(output) {
                    entry.says(&detail);
                }
                entry.done();
            }
            Err(fault) if fault.code() == Code::AccessDenied => entry.refused(fault.code().name(), &fault.to_string()),
            Err(fault) => entry.failed(fault.code().name()),
        }
        done.map(|(output, _)| output)
    }

    async fn identify(&self, service: Service, hash: &[u8; 32]) -> Result<Identity, Fault> {
        let rules = match service {
            Service::Iam => &SignatureRules::IAM,
            Service::Sts => &SignatureRules::STS,
        };
        let Parts { method, uri, headers, .. } = self.visit.parts;
        let doubt = |tried: &str, refusal: Refusal| {
            if !matches!(refusal, Refusal::Missing) {
                self.gate.not_believed(self.visit, tried, Means::Signature, &refusal.to_string());
            }
            unsigned(&refusal)
        };
        let claim = Claim::parse(rules, method, uri, headers).map_err(|refusal| doubt("unknown", refusal))?;
        match self.gate.authenticator().identify_signed(&claim, hash).await {
            Ok(identity) => identity.map_err(|refusal| doubt(claim.access_key_id(), refusal)),
            Err(error) => Err(Fault::server(error)),
        }
    }

    fn refusal(&self, service: Service, fault: Fault) -> (StatusCode, String, Option<String>) {
        let status = StatusCode::from_u16(fault.code().status()).unwrap_or(StatusCode::BAD_REQUEST);
        (status, fault.to_xml(service, self.visit.request_id), Some(fault.logged()))
    }
}

/// The key that was given, for the record.
fn outcome(output: &Output) -> Option<String> {
    let id = match output {
        Output::NewAccessKey(key, _) => &key.id,
        Output::AssumedRole { credentials, .. } | Output::SessionToken(credentials) => &credentials.access_key_id,
        _ => return None,
    };
    Some(format!("access key {id}"))
}

fn fault_of(fault: &Fault) -> changes::Fault {
    let name = fault.code().name().to_owned();
    match fault.code() {
        Code::AccessDenied => changes::Fault::Refused { name, why: fault.to_string() },
        _ => changes::Fault::Failed(name),
    }
}

fn unavailable(error: meta::Error) -> Fault {
    if error.is_busy() {
        return Fault::new(Code::Throttling, "the database is busy: try again".to_owned());
    }
    Fault::server(error)
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
