//! Why somebody may not.

use crate::auth::Access;
use crate::meta;

#[derive(Debug, thiserror::Error)]
pub enum Denied {
    #[error("{0} is not allowed on this listener; to allow it, set `push = true` in its `[[listen]]`")]
    Listener(String),
    /// `principal` is `None` for somebody who showed nothing.
    #[error("User: {} is not authorized to perform: {action} on resource: {resource} because {why}", .principal.as_deref().unwrap_or("anonymous"))]
    Policy { principal: Option<String>, action: String, resource: String, why: String },
    #[error("the token that was shown is not for {0}")]
    Token(Access),
    #[error("it cannot be found out what is allowed: {0}")]
    Unavailable(#[from] meta::Error),
}
