//! The name of an upstream, and parts of the names of its repositories.

use std::fmt;
use std::sync::Arc;

use crate::config::reading::{Given, Kind, Shape, Written};
use crate::oci::{AccountId, RepositoryName};

/// The path prefix under which an upstream's repositories are found: `docker.io`, `team/mirror`. It is a free name made
/// of repository name components. One name may be the beginning of another (`team` and `team/mirror`): the longest
/// wins.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UpstreamName(Arc<str>);

impl UpstreamName {
    /// The caller has checked that `text` is made of repository name components.
    pub fn new(text: &str) -> Self {
        Self(text.into())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for UpstreamName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for UpstreamName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

pub fn upstream_name(text: &str) -> Result<UpstreamName, String> {
    match text.parse::<RepositoryName>() {
        Ok(name) if name.components().next().is_some_and(|first| first.parse::<AccountId>().is_ok()) => Err(format!(
            "{text:?} begins with twelve digits, as the upstreams of other accounts' rules are called: choose another name"
        )),
        Ok(_) => Ok(UpstreamName::new(text)),
        Err(_) if text.contains(':') => Err(format!(
            "{text:?} cannot be a path prefix because of the colon: choose a name without, and put the host with its port into `ns`"
        )),
        Err(error) => Err(error.to_string()),
    }
}

/// The first component of official images; the empty text is none, which has to be said where a well-known upstream has
/// one.
pub const LIBRARY_NAME: Kind<Option<String>> =
    Kind::of(Shape::TextOrEmpty, read_library, |library| Written::text(library.as_deref().unwrap_or_default()));

fn read_library(given: &Given<'_>) -> Result<Option<String>, String> {
    let text = given.text_or_empty()?;
    if text.is_empty() {
        return Ok(None);
    }
    match text.parse::<RepositoryName>() {
        Ok(name) if name.components().count() == 1 => Ok(Some(text.to_owned())),
        Ok(_) => Err(format!("{text:?} has more than one component")),
        Err(error) => Err(error.to_string()),
    }
}

pub fn repository_prefix(text: &str) -> Result<RepositoryName, String> {
    text.parse::<RepositoryName>().map_err(|error| error.to_string())
}
