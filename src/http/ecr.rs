//! ECR's API on the wire (JSON 1.1): `POST /` with the operation's name in `X-Amz-Target`, signed with Signature Version 4.

use std::time::SystemTime;

use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::request::Parts;
use http::{HeaderName, HeaderValue, Method, Response, StatusCode};
use sha2::{Digest as _, Sha256};

use super::gate::{Gate, source};
use super::transport::ResponseBody;
use crate::auth::{Authenticator, Claim, Identity, Refusal, SignatureRules, Who};
use crate::ecr::{
    AuthorizationData, Exception, Fault, GetAuthorizationTokenOutput, Operation, OperationName, Output, Resource,
    Timestamp,
};
use crate::oci::RepositoryName;
use crate::policy::{About, Ask, Denied, Permit};
use crate::registry::{Endpoint, Incoming, Registry};
use crate::telemetry::{AuditLine, rfc_3339};

const TARGET: HeaderName = HeaderName::from_static("x-amz-target");
const REQUEST_ID: HeaderName = HeaderName::from_static("x-amzn-requestid");

/// Whether the request is for this API.
pub fn is_for(request: &Parts) -> bool {
    request.method == Method::POST && request.uri.path() == "/" && request.headers.contains_key(TARGET)
}

/// What came of a request, for the log.
pub struct Answered {
    pub response: Response<ResponseBody>,
    pub fault: Option<String>,
}

pub async fn answer(request: &Parts, body: Incoming, gate: &Gate, registry: &Registry, request_id: &str) -> Answered {
    let (status, document, fault) = match respond(request, body, gate, registry, request_id).await {
        Ok(output) => (StatusCode::OK, output.to_json(), None),
        Err(fault) => {
            let status = StatusCode::from_u16(fault.status()).unwrap_or(StatusCode::BAD_REQUEST);
            (status, fault.to_json(), Some(fault.to_string()))
        }
    };
    let mut response = Response::new(ResponseBody::full(document.into()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-amz-json-1.1"));
    if let Ok(id) = HeaderValue::from_str(request_id) {
        headers.insert(REQUEST_ID, id);
    }
    if status.is_server_error() {
        headers.insert(RETRY_AFTER, HeaderValue::from_static("2"));
    }
    Answered { response, fault }
}

async fn respond(
    request: &Parts,
    body: Incoming,
    gate: &Gate,
    registry: &Registry,
    request_id: &str,
) -> Result<Output, Fault> {
    let target = request.headers.get(TARGET).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let claim = Claim::parse(&SignatureRules::ECR, &request.method, &request.uri, &request.headers);
    let claim = claim.map_err(|refusal| unsigned(&refusal))?;
    let limit = OperationName::of_target(target)?.max_body_bytes() as u64;
    let body = match body.all(limit).await {
        Ok(Some(body)) => body,
        Ok(None) => return Err(Fault::serialization(format!("the request has more than {limit} bytes"))),
        Err(error) => return Err(Fault::serialization(error.to_string())),
    };
    let hash: [u8; 32] = Sha256::digest(&body).into();
    let identity = match gate.authenticator().identify_signed(&claim, &hash).await {
        Ok(Ok(identity)) => identity,
        Ok(Err(refusal)) => return Err(unsigned(&refusal)),
        Err(error) => {
            tracing::error!(%error, "it cannot be found out who asks");
            return Err(Fault::server());
        }
    };
    let operation = Operation::parse(target, &body)?;
    let permit = permit(request, gate, identity, operation, request_id).await?;
    let endpoint = endpoint(request, gate);
    if let Operation::GetAuthorizationToken(_) = permit.action() {
        return authorization_token(permit.identity(), gate.authenticator(), &endpoint);
    }
    if !permit.action().is_write() {
        return registry.operate(permit, &endpoint, gate.authorizer()).await;
    }
    let (principal, means) = (permit.identity().name().to_owned(), permit.identity().means);
    let (action, because) = (permit.action().iam_action(), permit.because().to_owned());
    let resource = resource(permit.action(), gate);
    let done = registry.operate(permit, &endpoint, gate.authorizer()).await;
    gate.audit().write(&AuditLine {
        at: rfc_3339(SystemTime::now()),
        request_id,
        source: source(request).to_string(),
        principal: &principal,
        means: means.name(),
        action,
        resource: &resource,
        decision: "allowed",
        because: &because,
        fault: done.as_ref().err().map(Fault::name),
    });
    done
}

fn resource(operation: &Operation, gate: &Gate) -> String {
    match operation.resource() {
        Resource::Repository(name) => {
            gate.authorizer().arn(Some(&About { repository: name.clone(), upstream: None, exists: true }))
        }
        _ => "*".to_owned(),
    }
}

/// Why the signature is not believed, in AWS's words.
fn unsigned(refusal: &Refusal) -> Fault {
    let exception = match refusal.aws_error() {
        "MissingAuthenticationTokenException" => Exception::MissingAuthenticationToken,
        "IncompleteSignatureException" => Exception::IncompleteSignature,
        "UnrecognizedClientException" => Exception::UnrecognizedClient,
        "ExpiredTokenException" => Exception::ExpiredToken,
        _ => Exception::InvalidSignature,
    };
    Fault::new(exception, refusal.to_string())
}

/// Each repository that the operation is about must be allowed.
async fn permit(
    request: &Parts,
    gate: &Gate,
    identity: Identity,
    operation: Operation,
    request_id: &str,
) -> Result<Permit<Operation>, Fault> {
    let action = operation.iam_action();
    let about = |name: &RepositoryName| About { repository: name.clone(), upstream: None, exists: true };
    let abouts: Vec<About> = match operation.resource() {
        Resource::Registry | Resource::AllRepositories => Vec::new(),
        Resource::Repository(name) => vec![about(name)],
        Resource::Repositories(names) => names.iter().map(about).collect(),
    };
    let asks: Vec<Ask<'_>> = match operation.resource() {
        Resource::Registry => vec![Ask { action, about: None, tag: None }],
        // A list shows what may be seen.
        Resource::AllRepositories => Vec::new(),
        Resource::Repository(_) | Resource::Repositories(_) => {
            abouts.iter().map(|about| Ask { action, about: Some(about), tag: None }).collect()
        }
    };
    let circumstances = gate.circumstances(request);
    let (principal, means) = (identity.name().to_owned(), identity.means);
    let permit = gate.authorizer().authorize_all(identity, operation, &asks, &circumstances).await;
    permit.map_err(|denied| match denied {
        Denied::Policy { .. } => {
            gate.note(request, request_id, &principal, means, &denied);
            Fault::new(Exception::AccessDenied, denied.to_string())
        }
        Denied::Unavailable(error) => {
            tracing::error!(%error, "it cannot be found out what is allowed");
            Fault::server()
        }
        Denied::Listener(_) | Denied::Token(_) => Fault::new(Exception::AccessDenied, denied.to_string()),
    })
}

fn endpoint(request: &Parts, gate: &Gate) -> Endpoint {
    let settings = gate.authenticator().settings();
    Endpoint { account: settings.account, region: settings.region.clone(), url: gate.url(request) }
}

fn authorization_token(
    identity: &Identity,
    authenticator: &Authenticator,
    endpoint: &Endpoint,
) -> Result<Output, Fault> {
    if !matches!(identity.who, Who::Known(_)) {
        return Err(Fault::missing_authentication_token());
    }
    let Some((token, ends)) = authenticator.authorization_token(identity) else { return Err(Fault::server()) };
    let expires_at = Timestamp::from_unix_millis(u64::try_from(ends.seconds()).unwrap_or_default() * 1000);
    let data = AuthorizationData { authorization_token: token, expires_at, proxy_endpoint: endpoint.url.clone() };
    Ok(Output::GetAuthorizationToken(GetAuthorizationTokenOutput { authorization_data: vec![data] }))
}
