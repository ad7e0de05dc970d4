//! Answers that were not hoped for, and those that did not come.

use std::error::Error as _;
use std::time::Duration;

use reqwest::header::{AUTHORIZATION, RETRY_AFTER};
use reqwest::{RequestBuilder, Response};
use serde::Deserialize;

use crate::cli::transfer::error::{Answer, Error};

/// Of an error's body, this much is read.
const MAX_ERROR_BYTES: usize = 16 << 10;

/// Of an error's message, this much is told.
const MAX_MESSAGE_CHARS: usize = 300;

/// Without a byte for this long, a connection is given up.
pub(super) const STALL: Duration = Duration::from_secs(120);

#[derive(Deserialize)]
struct Body {
    #[serde(default)]
    errors: Vec<Told>,
}

#[derive(Deserialize)]
struct Told {
    #[serde(default)]
    code: String,
    #[serde(default)]
    message: String,
}

/// Sends a request that has no long body. An answer with another status than success is an error.
pub(super) async fn ask(request: RequestBuilder, object: &str) -> Result<Response, Error> {
    let (had_login, answer) = send(request);
    match tokio::time::timeout(STALL, answer).await {
        Ok(Ok(response)) => judge(response, had_login, object).await,
        Ok(Err(error)) => Err(Error::broken(object, describe(&error))),
        Err(_) => Err(Error::broken(object, format!("no answer within {} s", STALL.as_secs()))),
    }
}

/// Whether the request carries a login, and its answer.
pub(super) fn send(request: RequestBuilder) -> (bool, impl Future<Output = reqwest::Result<Response>>) {
    let (client, request) = request.build_split();
    let had_login = request.as_ref().is_ok_and(|request| request.headers().contains_key(AUTHORIZATION));
    (had_login, async move { client.execute(request?).await })
}

pub(super) async fn judge(response: Response, had_login: bool, object: &str) -> Result<Response, Error> {
    if response.status().is_success() {
        return Ok(response);
    }
    let status = response.status().as_u16();
    let seconds = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
    let body = whole(response, MAX_ERROR_BYTES, object).await.unwrap_or_default();
    let told = serde_json::from_slice(&body).ok().and_then(|body: Body| body.errors.into_iter().next());
    let (code, message) = told.map_or_else(Default::default, |told| (told.code, told.message));
    let message = message.chars().take(MAX_MESSAGE_CHARS).collect();
    let answer = Answer { status, code, message, retry_after: seconds.map(Duration::from_secs), had_login };
    Err(Error::Refused { object: object.to_owned(), answer: Box::new(answer) })
}

/// A body of at most `limit` bytes.
pub(super) async fn whole(mut response: Response, limit: usize, object: &str) -> Result<bytes::Bytes, Error> {
    let mut whole = bytes::BytesMut::new();
    while let Some(chunk) = chunk(&mut response, object).await? {
        if whole.len() + chunk.len() > limit {
            return Err(Error::wrong(object, format!("the answer is longer than {limit} bytes")));
        }
        whole.extend_from_slice(&chunk);
    }
    Ok(whole.freeze())
}

/// The next bytes of a body, or its end.
pub(super) async fn chunk(response: &mut Response, object: &str) -> Result<Option<bytes::Bytes>, Error> {
    match tokio::time::timeout(STALL, response.chunk()).await {
        Ok(Ok(chunk)) => Ok(chunk),
        Ok(Err(error)) => Err(Error::broken(object, describe(&error))),
        Err(_) => Err(Error::broken(object, format!("nothing came for {} s", STALL.as_secs()))),
    }
}

/// What went wrong, without the query of the URL: that of a redirect may hold a signature.
pub(super) fn describe(error: &reqwest::Error) -> String {
    let mut parts: Vec<String> = Vec::new();
    if let Some(url) = error.url() {
        let mut url = url.clone();
        url.set_query(None);
        parts.push(url.to_string());
    }
    let mut cause = error.source();
    while let Some(error) = cause {
        let text = error.to_string();
        if !text.starts_with("client error") && !parts.iter().any(|part| part.contains(&text)) {
            parts.push(text);
        }
        cause = error.source();
    }
    let text = if parts.is_empty() { "the connection failed".to_owned() } else { parts.join(": ") };
    if text.contains("UnknownIssuer") { format!("{text}; name a private authority by --ca") } else { text }
}
