//! ECR's API on the wire (JSON 1.1): `POST /` with the operation's name in `X-Amz-Target`, signed with Signature Version 4.

use std::slice;

use http::StatusCode;
use http::header::CONTENT_LENGTH;
use sha2::{Digest as _, Sha256};

use super::address::{Address, Front};
use super::aws::{Answered, TARGET};
use super::changes;
use super::gate::{Admitted, Gate, Visit};
use super::metered::Metered;
use crate::auth::{Authenticator, Claim, Identity, Means, NotRead, Refusal, SignatureRules, Who};
use crate::ecr::{
    AuthorizationData, Exception, Fault, GetAuthorizationTokenOutput, ImageIdentifier, Operation, OperationName,
    Output, Timestamp,
};
use crate::oci::{AccountId, QualifiedName};
use crate::policy::{About, Denied, EcrRequest};
use crate::registry::{BrokenOff, Endpoint, Incoming, Registries, Registry, no_registry, refused};
use crate::telemetry::Entry;

/// A request, and those who answer it.
pub struct Asked<'a> {
    pub visit: Visit<'a>,
    pub gate: &'a Gate,
    pub registry: &'a Registry,
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
            (status, fault.to_json(), Some(fault.logged()))
        }
    };
    Answered::new(status, "application/x-amz-json-1.1", document, fault, asked.visit.request_id)
}

async fn respond(asked: &Asked<'_>, body: Incoming, metered: &mut Metered) -> Result<Output, Fault> {
    let Asked { visit, gate, registry } = *asked;
    let Visit { parts: request, address, .. } = visit;
    let target = request.headers.get(TARGET).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let claim = Claim::parse(&SignatureRules::ECR, &request.method, &request.uri, &request.headers);
    let claim = claim.map_err(|refusal| {
        if !matches!(refusal, Refusal::Missing) {
            gate.not_believed(visit, "unknown", Means::Signature, &refusal.to_string());
        }
        unsigned(&refusal)
    })?;
    let doubt = |refusal: Refusal| {
        gate.not_believed(visit, claim.access_key_id(), Means::Signature, &refusal.to_string());
        unsigned(&refusal)
    };
    let limit = OperationName::of_target(target)?.max_body_bytes() as u64;
    let length = request.headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
    match gate.authenticator().takes_body(&claim, length.map_or(limit, |length: u64| length.min(limit))).await {
        Ok(()) => {}
        Err(NotRead::Refused(refusal)) => return Err(doubt(refusal)),
        Err(NotRead::Unavailable(error)) => return Err(refused(Denied::Unavailable(error))),
    }
    // Its room is held until the request is answered: what comes of the body is about as large.
    let whole = match body.all(limit).await {
        Ok(Some(whole)) => whole,
        Ok(None) => return Err(Fault::serialization(format!("the request has more than {limit} bytes"))),
        Err(BrokenOff::NoRoom) => return Err(Fault::throttling()),
        Err(error) => return Err(Fault::serialization(error.to_string())),
    };
    let body = &whole.bytes;
    let hash: [u8; 32] = Sha256::digest(body).into();
    let identity = match gate.authenticator().identify_signed(&claim, &hash).await {
        Ok(Ok(identity)) => identity,
        Ok(Err(refusal)) => return Err(doubt(refusal)),
        Err(error) => return Err(refused(Denied::Unavailable(error))),
    };
    let operation = Operation::parse(target, body)?;
    let account = account(&identity, &operation, registry.registries())?;
    let caller = match &identity.who {
        Who::Known(known) => known.row().account,
        Who::Open { .. } | Who::Anonymous => account,
    };
    let is_free = match &operation {
        Operation::InitiateLayerUpload(target) => {
            registry.is_free(&QualifiedName::new(account, target.name.clone())).await?
        }
        _ => false,
    };
    let located =
        EcrRequest::new(operation, account, caller, |name| About { exists: !is_free, ..registry.about_named(name) });
    let Admitted { permit, entry } = gate.authorize(visit, identity, located).await.map_err(refused)?;
    if let Some(about) = permit.asked().makes() {
        let record = gate.record_of_making(visit, &permit, about).begin();
        let make = registry.make_named(about.repository.clone(), permit.asker());
        if let Err(fault) = gate.changes().carry_out(Some(record), make, fault_of, |()| None).await {
            entry.into_iter().for_each(Entry::withdraw);
            return Err(fault);
        }
    }
    metered.operates(permit.asked(), permit.identity());
    let operation = &permit.asked().operation;
    let endpoint = |account| endpoint(address, gate.front(), account, &claim.scope().region);
    if let Operation::GetAuthorizationToken(input) = operation {
        let ids = if input.registry_ids.is_empty() { slice::from_ref(&account) } else { &*input.registry_ids };
        if let Some(other) = ids.iter().find(|id| !registry.registries().has(**id)) {
            return Err(no_registry(operation, other));
        }
        let endpoints: Vec<Endpoint> = ids.iter().map(|id| endpoint(*id)).collect();
        let given = authorization_token(permit.identity(), gate.authenticator(), &endpoints)?;
        let (identity, action) = (permit.identity(), operation.iam_action());
        let caller = gate.caller(visit, identity.name(), identity.means);
        gate.audit().allowed(caller, action, identity.name().to_owned(), permit.because()).done();
        return Ok(given);
    }
    let endpoint = endpoint(account);
    let (registry, authorizer, authenticator) =
        (registry.clone(), gate.authorizer().clone(), gate.authenticator().clone());
    let pulls = matches!(operation, Operation::BatchGetImage(_)).then(|| permit.asked().repositories.first()).flatten();
    let making = pulls.map(|about| gate.record_of_making(visit, &permit, about));
    let work = async move {
        let _room = whole;
        registry.operate(permit, making, &endpoint, &authorizer, &authenticator).await
    };
    gate.changes().carry_out(entry, work, fault_of, outcome).await
}

/// What images it was about, for the record.
fn outcome(output: &Output) -> Option<String> {
    let digest = |id: &ImageIdentifier| id.digest.as_ref().map(ToString::to_string);
    match output {
        Output::PutImage(put) => digest(&put.image.image_id),
        Output::BatchDeleteImage(deleted) => {
            let mut digests: Vec<_> = deleted.image_ids.iter().filter_map(digest).collect();
            digests.dedup();
            Some(if digests.is_empty() { "nothing was deleted".to_owned() } else { digests.join(", ") })
        }
        _ => None,
    }
}

fn fault_of(fault: &Fault) -> changes::Fault {
    let name = fault.name().to_owned();
    match fault.exception() {
        Exception::AccessDenied => changes::Fault::Refused { name, why: fault.to_string() },
        _ => changes::Fault::Failed(name),
    }
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
    let Some((token, ends)) = authenticator.authorization_token(identity) else {
        return Err(Fault::server("no token can be given now: the database is away, or a name is too long"));
    };
    let expires_at = Timestamp::from_unix_millis(u64::try_from(ends.seconds()).unwrap_or_default() * 1000);
    let data = |endpoint: &Endpoint| AuthorizationData {
        authorization_token: token.clone(),
        expires_at,
        proxy_endpoint: endpoint.url.clone(),
    };
    let authorization_data = endpoints.iter().map(data).collect();
    Ok(Output::GetAuthorizationToken(GetAuthorizationTokenOutput { authorization_data }))
}
