//! A token service (distribution, "Token Authentication"), which any of the servers can host.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use http::{HeaderMap, StatusCode};

/// Which fields the answer carries the token in.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum TokenField {
    Token,
    AccessToken,
}

#[derive(Clone)]
pub struct TokenRules {
    pub field: TokenField,
    /// What the answer says; `None` leaves it out.
    pub expires_in_s: Option<u64>,
    /// Name and password that a token costs; `None` gives to everyone.
    pub credential: Option<(&'static str, &'static str)>,
    /// How the registry answers a token that is no longer good.
    pub expired_status: u16,
}

impl Default for TokenRules {
    fn default() -> Self {
        Self { field: TokenField::Token, expires_in_s: Some(300), credential: None, expired_status: 401 }
    }
}

#[derive(Clone)]
pub struct TokenService(Arc<Mutex<State>>);

struct State {
    rules: TokenRules,
    /// Token to scope, for those that are still good.
    good: HashMap<String, String>,
    issued: u64,
}

impl TokenService {
    pub fn new(rules: TokenRules) -> Self {
        Self(Arc::new(Mutex::new(State { rules, good: HashMap::new(), issued: 0 })))
    }

    pub fn issued(&self) -> u64 {
        self.0.lock().unwrap().issued
    }

    /// From now on no token that has been issued is good.
    pub fn expire_all(&self) {
        self.0.lock().unwrap().good.clear();
    }

    /// Answers a request at the realm: a status and a JSON document.
    pub(super) fn issue(&self, query: &str, form: &str, headers: &HeaderMap) -> (StatusCode, String) {
        let mut state = self.0.lock().unwrap();
        if let Some((user, password)) = state.rules.credential {
            let by_header = headers.get("authorization").is_some_and(|value| value == &basic(user, password));
            let by_form = form.contains(&format!("username={user}")) && form.contains(&format!("password={password}"));
            if !by_header && !by_form {
                return (
                    StatusCode::UNAUTHORIZED,
                    r#"{"errors":[{"code":"UNAUTHORIZED","message":"incorrect username or password"}]}"#.to_owned(),
                );
            }
        }
        state.issued += 1;
        let token = format!("token-{}-{:x}", state.issued, std::process::id());
        let scope = pairs(if form.is_empty() { query } else { form })
            .filter(|(name, _)| *name == "scope")
            .map(|(_, value)| decode(value))
            .collect::<Vec<_>>()
            .join(" ");
        state.good.insert(token.clone(), scope);
        let field = match state.rules.field {
            TokenField::Token => "token",
            TokenField::AccessToken => "access_token",
        };
        let expiry = state.rules.expires_in_s.map_or_else(String::new, |seconds| format!(r#","expires_in":{seconds}"#));
        (StatusCode::OK, format!(r#"{{"{field}":"{token}"{expiry}}}"#))
    }

    /// `None` when the request may pass; else the status to refuse with.
    pub(super) fn refuse(&self, headers: &HeaderMap, scope: Option<&str>) -> Option<u16> {
        let state = self.0.lock().unwrap();
        let Some(sent) = headers.get("authorization").and_then(|value| value.to_str().ok()) else { return Some(401) };
        let Some(token) = sent.strip_prefix("Bearer ") else { return Some(401) };
        match state.good.get(token) {
            None => Some(state.rules.expired_status),
            Some(granted) => match scope {
                Some(scope) if !granted.split(' ').any(|one| one == scope) => Some(401),
                _ => None,
            },
        }
    }
}

/// The value of an `Authorization` header.
pub fn basic(user: &str, password: &str) -> String {
    use base64::Engine;
    format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}")))
}

pub(super) fn pairs(query: &str) -> impl Iterator<Item = (&str, &str)> {
    query.split('&').filter_map(|pair| pair.split_once('='))
}

/// Percent-decoding, and `+` as a space.
pub(super) fn decode(text: &str) -> String {
    let mut out = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        rest = tail;
        match first {
            b'+' => out.push(b' '),
            b'%' if tail.len() >= 2 => {
                let digits = std::str::from_utf8(&tail[..2]).unwrap_or_default();
                out.push(u8::from_str_radix(digits, 16).unwrap_or(b'%'));
                rest = &tail[2..];
            }
            other => out.push(*other),
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}
