//! Which role an ID token may assume.
//!
//! A rule names an issuer, an audience and patterns that claims must match; all must. A claim is named by a path: `sub`,
//! `realm_access.roles`, or, where names themselves have dots, a JSON pointer as `/kubernetes.io/namespace`. A list matches
//! where one of its elements does. Numbers and booleans match as JSON writes them; objects and null never do.

use std::borrow::Cow;

use serde_json::Value;

use super::super::session_name::distinct_session_name;
use super::id_token::IdToken;
use super::pattern::ClaimPattern;

const MAX_PATH_CHARS: usize = 256;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimRule {
    pub issuer: String,
    pub audience: String,
    pub claims: Vec<(ClaimPath, ClaimPattern)>,
    pub role_arn: String,
    /// The claim that names the session. A token without it does not match.
    pub session_name: ClaimPath,
    /// Others give the role as well: what both call the same is not the same.
    pub is_shared: bool,
}

/// Where a claim is, as a JSON pointer (RFC 6901).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimPath(String);

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a path to a claim is like sub, realm_access.roles or /kubernetes.io/namespace, with at most {MAX_PATH_CHARS} characters"
)]
pub struct ClaimPathError;

/// What a rule gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AssumedRole {
    pub role_arn: String,
    /// 2 to 64 of the characters that AWS allows there: letters, digits and `_+=,.@-`. Of two claims, or names in certificates,
    /// it is never the same.
    pub session_name: String,
}

impl ClaimRule {
    /// The first rule that matches decides.
    pub fn first_match<'a>(rules: impl IntoIterator<Item = &'a Self>, token: &IdToken) -> Option<AssumedRole> {
        rules.into_iter().find_map(|rule| rule.assume(token))
    }

    fn assume(&self, token: &IdToken) -> Option<AssumedRole> {
        let for_us = token.issuer == self.issuer && token.audiences.contains(&self.audience);
        if !for_us || !self.claims.iter().all(|(path, pattern)| path.matches(&token.claims, pattern)) {
            return None;
        }
        let named = token.claims.pointer(&self.session_name.0).and_then(scalar)?;
        // No session's name has a space, so that it ends in a hash of both, as no name does that somebody chooses who assumes the role.
        let named = if self.is_shared && !named.is_empty() { format!("{named} {}", self.issuer).into() } else { named };
        Some(AssumedRole { role_arn: self.role_arn.clone(), session_name: distinct_session_name(&named)? })
    }
}

impl ClaimPath {
    pub fn parse(text: &str) -> Result<Self, ClaimPathError> {
        if text.len() > MAX_PATH_CHARS {
            return Err(ClaimPathError);
        }
        if let Some(rest) = text.strip_prefix('/') {
            return if rest.is_empty() { Err(ClaimPathError) } else { Ok(Self(text.to_owned())) };
        }
        if text.split('.').any(str::is_empty) {
            return Err(ClaimPathError);
        }
        let escaped = text.replace('~', "~0").replace('/', "~1");
        Ok(Self(format!("/{}", escaped.replace('.', "/"))))
    }

    fn matches(&self, claims: &Value, pattern: &ClaimPattern) -> bool {
        let matches = |value: &Value| scalar(value).is_some_and(|text| pattern.matches(&text));
        match claims.pointer(&self.0) {
            Some(Value::Array(several)) => several.iter().any(matches),
            Some(value) => matches(value),
            None => false,
        }
    }
}

fn scalar(value: &Value) -> Option<Cow<'_, str>> {
    match value {
        Value::String(text) => Some(text.as_str().into()),
        Value::Bool(_) | Value::Number(_) => Some(value.to_string().into()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}
