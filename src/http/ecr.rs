//! ECR's API on the wire (JSON 1.1): `POST /` with the operation's name in `X-Amz-Target`, signed with Signature Version 4.

use std::slice;
use std::time::SystemTime;

use http::header::CONTENT_LENGTH;
use http::request::Parts;
use http::{Method, StatusCode};
use sha2::{Digest as _, Sha256};

use super::address::{Address, Front};
use super::aws::{Answered, TARGET};
use super::gate::Gate;
use super::metered::Metered;
use crate::auth::{Authenticator, Claim, Identity, NotRead, Refusal, SignatureRules, Who};
use crate::ecr::{
    AuthorizationData, Exception, Fault, GetAuthorizationTokenOutput, Operation, OperationName, Output, Timestamp,
};
use crate::oci::AccountId;
use crate::policy::{Denied, EcrRequest, On, Permit};
use crate::registry::{Endpoint, Incoming, Registries, Registry, no_registry};
use crate::telemetry::{AuditLine, rfc_3339};

/// Whether the request is for this API.
pub fn is_for(request: &Parts) -> bool {
    request.method == Method::POST && request.uri.path() == "/" && request.headers.contains_key(TARGET)
}

/// A request, and those who answer it.
pub struct Asked<'a> {
    pub request: &'a Parts,
    pub address: &'a Address,
    pub gate: &'a Gate,
    pub registry: &'a Registry,
    pub request_id: &'a str,
}

pub async fn answer(asked: &Asked<'_>, body: Incoming, metered: &mut Metered) -> Answered {
    let (status, document, fault) = match respond(asked, body, metered).await {
        Ok(output) => {
            metered.operated(Some(&output));
            (StatusCode::OK, output.to_json(), None)
        }
        Err(fault) => {
            metered.operated(None);
            let status = StatusCode::from_u16(fault.status()).unwrap_or(StatusCode::BAD_REQUEST);
            (status, fault.to_json(), Some(fault.to_string()))
        }
    };
    Answered::new(status, "application/x-amz-json-1.1", document, fault, asked.request_id)
}

async fn respond(asked: &Asked<'_>, body: Incoming, metered: &mut Metered) -> Result<Output, Fault> {
    let Asked { request, address, gate, registry, request_id } = *asked;
    let target = request.headers.get(TARGET).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let claim = Claim::parse(&SignatureRules::ECR, &request.method, &request.uri, &request.headers);
    let claim = claim.map_err(|refusal| unsigned(&refusal))?;
    let limit = OperationName::of_target(target)?.max_body_bytes() as u64;
    let length = request.headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
    // Held until the request is answered: what comes of the body is about as large.
    let _room = match gate.authenticator().room(&claim, length.map_or(limit, |length: u64| length.min(limit))).await {
        Ok(room) => room,
        Err(NotRead::Refused(refusal)) => return Err(unsigned(&refusal)),
        Err(NotRead::NoRoom) => return Err(Fault::throttling()),
        Err(NotRead::Unavailable(error)) => {
            tracing::error!(%error, "it cannot be found out who asks");
            return Err(Fault::server());
        }
    };
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
    let account = account(&identity, &operation, registry.registries())?;
    let caller = match &identity.who {
        Who::Known(known) => known.row().account,
        Who::Open { .. } | Who::Anonymous => account,
    };
    let located = EcrRequest::new(operation, account, caller, |name| registry.about_named(name));
    let permit = permit(asked, identity, located).await?;
    metered.operates(permit.asked(), permit.identity());
    let operation = &permit.asked().operation;
    let endpoint = |account| endpoint(address, gate.front(), account, &claim.scope().region);
    if let Operation::GetAuthorizationToken(input) = operation {
        let ids = if input.registry_ids.is_empty() { slice::from_ref(&account) } else { &*input.registry_ids };
        if let Some(other) = ids.iter().find(|id| !registry.registries().has(**id)) {
            return Err(no_registry(operation, other));
        }
        let endpoints: Vec<Endpoint> = ids.iter().map(|id| endpoint(*id)).collect();
        return authorization_token(permit.identity(), gate.authenticator(), &endpoints);
    }
    let endpoint = endpoint(account);
    if !operation.is_write() {
        return registry.operate(permit, &endpoint, gate.authorizer()).await;
    }
    let (principal, means) = (permit.identity().name().to_owned(), permit.identity().means);
    let (action, because) = (operation.iam_action(), permit.because().to_owned());
    let resource = match permit.asked().repositories.as_slice() {
        [about] => gate.authorizer().arn(On::Repository(about)),
        _ => gate.authorizer().arn(On::Registry(account)),
    };
    let done = registry.operate(permit, &endpoint, gate.authorizer()).await;
    gate.audit().write(&AuditLine {
        at: rfc_3339(SystemTime::now()),
        request_id,
        source: address.source.to_string(),
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

/// Whose registry the operation is about: the one that it names, else the caller's. Callers whose account has no registry here mean
/// the home registry.
fn account(identity: &Identity, operation: &Operation, accounts: &Registries) -> Result<AccountId, Fault> {
    match operation.registry_id() {
        Some(named) if accounts.has(*named) => Ok(*named),
        Some(named) => Err(no_registry(operation, named)),
        None => {
            let own = match &identity.who {
                Who::Known(known) => Some(known.row().account),
                Who::Open { .. } | Who::Anonymous => None,
            };
            Ok(own.filter(|own| accounts.has(*own)).unwrap_or_else(|| accounts.home()))
        }
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
async fn permit(asked: &Asked<'_>, identity: Identity, located: EcrRequest) -> Result<Permit<EcrRequest>, Fault> {
    let Asked { request, address, gate, request_id, .. } = *asked;
    let circumstances = gate.circumstances(request, address);
    let (principal, means) = (identity.name().to_owned(), identity.means);
    let permit = gate.authorizer().authorize(identity, located, &circumstances).await;
    permit.map_err(|denied| match denied {
        Denied::Policy { .. } => {
            gate.note(address, request_id, &principal, means, &denied);
            Fault::new(Exception::AccessDenied, denied.to_string())
        }
        Denied::Unavailable(error) => {
            tracing::error!(%error, "it cannot be found out what is allowed");
            Fault::server()
        }
        Denied::Listener(_) | Denied::Token(_) => Fault::new(Exception::AccessDenied, denied.to_string()),
    })
}

/// The registry of this account as whoever asks names it: the region is the one that they signed for.
fn endpoint(address: &Address, front: &Front, account: AccountId, region: &str) -> Endpoint {
    let registries = &front.registries;
    let host = if account == registries.home() { None } else { registries.host_of(account, region) };
    let url = host.map_or_else(|| front.url(address), |host| front.url_of(address, &host));
    Endpoint { account, region: region.to_owned(), url }
}

fn authorization_token(
    identity: &Identity,
    authenticator: &Authenticator,
    endpoints: &[Endpoint],
) -> Result<Output, Fault> {
    if !matches!(identity.who, Who::Known(_)) {
        return Err(Fault::missing_authentication_token());
    }
    let Some((token, ends)) = authenticator.authorization_token(identity) else { return Err(Fault::server()) };
    let expires_at = Timestamp::from_unix_millis(u64::try_from(ends.seconds()).unwrap_or_default() * 1000);
    let data = |endpoint: &Endpoint| AuthorizationData {
        authorization_token: token.clone(),
        expires_at,
        proxy_endpoint: endpoint.url.clone(),
    };
    let authorization_data = endpoints.iter().map(data).collect();
    Ok(Output::GetAuthorizationToken(GetAuthorizationTokenOutput { authorization_data }))
}
