//! The token endpoint (distribution's "token" and "oauth" specifications): who one is goes in, a bearer token comes out.

use std::sync::Arc;

use http::header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, Method, Response, StatusCode};

use super::error::Failure;
use crate::action::RequestedName;
use crate::auth::{Access, Grant, Identity, Means, Refused, ResourceType, TokenRequest};
use crate::http::gate::{Gate, Visit, authorization, certificate};
use crate::http::transport::ResponseBody;
use crate::oci::ErrorCode;
use crate::policy::of_registry;
use crate::registry::Registry;

pub const PATH: &str = "/token";

/// Bytes of a form.
pub const MAX_FORM_BYTES: u64 = 64 << 10;

/// `form` is the body of a POST.
pub async fn answer(
    visit: Visit<'_>,
    form: &[u8],
    gate: &Gate,
    registry: &Registry,
) -> Result<Response<ResponseBody>, Failure> {
    let Visit { parts: request, address, .. } = visit;
    let authenticator = gate.authenticator();
    let challenge = || format!("Basic realm=\"{}\"", gate.front().url(address));
    let shown = match authorization(request) {
        Ok(shown) => shown,
        Err(refused) => {
            let (message, challenge) = (refused.to_string(), challenge());
            return Ok(refusal(StatusCode::UNAUTHORIZED, "invalid_client", &message, Some(&challenge), None));
        }
    };
    let content_type = request.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let asked = match request.method {
        Method::GET => TokenRequest::from_query(request.uri.query().unwrap_or_default(), shown),
        Method::POST => TokenRequest::from_form(content_type, form),
        _ => {
            let message = "the token endpoint knows GET and POST".to_owned();
            return Err(Failure::new(StatusCode::METHOD_NOT_ALLOWED, ErrorCode::Unsupported, message));
        }
    };
    let asked = match asked {
        Ok(asked) => asked,
        Err(error) => {
            let status = if error.oauth_error() == "invalid_client" {
                StatusCode::UNAUTHORIZED
            } else {
                StatusCode::BAD_REQUEST
            };
            return Ok(refusal(status, error.oauth_error(), &error.to_string(), None, None));
        }
    };
    let identity = match authenticator
        .identify_grant(&asked, certificate(request), address.source, gate.front().account(address))
        .await
    {
        Ok(identity) => identity,
        Err(Refused::Wrong(message)) => {
            let (tried, means) = match &asked.grant {
                Grant::Password(basic) => (basic.username.as_str(), Means::Password),
                Grant::RefreshToken(_) => ("unknown", Means::RefreshToken),
                Grant::Anonymous => ("unknown", Means::Certificate),
            };
            gate.not_believed(visit, tried, means, &message);
            return Ok(refusal(StatusCode::UNAUTHORIZED, "invalid_grant", &message, Some(&challenge()), None));
        }
        Err(Refused::TooMany(error)) => {
            let wait = error.wait.as_secs().saturating_add(1);
            return Ok(refusal(StatusCode::TOO_MANY_REQUESTS, "slow_down", &error.to_string(), None, Some(wait)));
        }
        Err(Refused::Unavailable(error)) => return Err(error.into()),
    };
    let mut granted = Vec::new();
    for access in &asked.access {
        granted.extend(grant(visit, gate, registry, &identity, access).await?);
    }
    granted.retain(|access| !access.actions.is_empty());
    let Some(token) = authenticator.bearer_token(&identity, &granted, asked.wants_refresh_token) else {
        let message = "no token can be made".to_owned();
        return Err(Failure::new(StatusCode::INTERNAL_SERVER_ERROR, ErrorCode::Unknown, message));
    };
    // Bearer tokens live for minutes; this is good for a month.
    if token.has_refresh_token() {
        let caller = gate.caller(visit, identity.name(), identity.means);
        let because = Arc::from("its client asked for it with a password");
        gate.audit().allowed(caller, "entrepot:GetRefreshToken", identity.name().to_owned(), &because).done();
    }
    Ok(json(StatusCode::OK, serde_json::json!(token).to_string()))
}

/// A token names the repository that policies decide about. A path that may be of the registry itself or of the default upstream is
/// both until it is pushed to, so that a token that was given before the first push holds after it.
async fn grant(
    visit: Visit<'_>,
    gate: &Gate,
    registry: &Registry,
    identity: &Identity,
    access: &Access,
) -> Result<Vec<Access>, Failure> {
    match access.kind {
        ResourceType::Registry => Ok(vec![of_registry(access)]),
        ResourceType::Repository => {
            // A text that is no name can be asked for, and is not given.
            let Ok(path) = access.name.parse() else { return Ok(Vec::new()) };
            let name = RequestedName { path, namespace: None, host: visit.address.host.clone(), registry: None };
            let circumstances = gate.circumstances(visit);
            let (read, written) = registry.abouts(&name).await?;
            let mut granted = vec![gate.authorizer().grant(identity, access, &read, &circumstances).await?];
            if let Some(written) = written {
                granted.push(gate.authorizer().grant(identity, access, &written, &circumstances).await?);
            }
            Ok(granted)
        }
    }
}

/// RFC 6749 section 5.2.
fn refusal(
    status: StatusCode,
    error: &str,
    message: &str,
    challenge: Option<&str>,
    wait: Option<u64>,
) -> Response<ResponseBody> {
    let document = serde_json::json!({
        "error": error,
        "error_description": message,
        // Clients of the registry show these.
        "details": message,
        "errors": [{ "code": "UNAUTHORIZED", "message": message }],
    });
    let mut response = json(status, document.to_string());
    if let Some(value) = challenge.and_then(|challenge| HeaderValue::from_str(challenge).ok()) {
        response.headers_mut().insert(WWW_AUTHENTICATE, value);
    }
    if let Some(wait) = wait {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(wait));
    }
    response
}

fn json(status: StatusCode, document: String) -> Response<ResponseBody> {
    let mut response = Response::new(ResponseBody::full(document.into()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
