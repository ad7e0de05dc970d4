//! Why somebody may not.

use std::borrow::Cow;

use crate::auth::Access;
use crate::meta;

#[derive(Debug, thiserror::Error)]
pub enum Denied {
    #[error("{0} is not allowed on this listener; to allow it, set `push = true` in its `[[listen]]`")]
    Listener(String),
    /// `principal` is `None` for somebody who showed nothing. `why` is the whole reason, for the audit log; `told` is what they may know of it.
    #[error("User: {} is not authorized to perform: {action} on resource: {resource} because {told}", .principal.as_deref().unwrap_or("anonymous"))]
    Policy { principal: Option<String>, action: String, resource: String, why: String, told: String },
    /// Meanwhile, while its request was coming.
    #[error("what was shown was revoked, or whom it was given to is no more: log in again")]
    Revoked,
    #[error("the token that was shown is not for {0}")]
    Token(Access),
    #[error("the URL's signature is for another layer: ask GetDownloadUrlForLayer for the URL of this one")]
    OtherLayer,
    #[error("it cannot be found out what is allowed: {0}")]
    Unavailable(#[from] meta::Error),
}

impl Denied {
    /// The whole reason, for the audit log.
    pub fn reason(&self) -> Cow<'_, str> {
        match self {
            Self::Policy { why, .. } => why.into(),
            denied => denied.to_string().into(),
        }
    }
}
