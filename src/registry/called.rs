//! What the repository of a request is called, where that is known without asking anybody.

use super::dispatch::Registry;
use super::names::Named;
use crate::action::RequestedName;
use crate::oci::{QualifiedName, RepositoryName};

/// As policies and lists know it, whichever way the client named it.
pub struct Called {
    own: Option<QualifiedName>,
    upstream: Option<QualifiedName>,
}

impl Registry {
    /// Without names for what means nothing here.
    pub fn called(&self, name: &RequestedName) -> Called {
        match self.resolve(name) {
            Ok(Named::Upstream(repository)) => Called { own: None, upstream: Some(repository.own) },
            Ok(Named::Own { name, otherwise }) => {
                Called { own: Some(name), upstream: otherwise.map(|repository| repository.own) }
            }
            Err(_) => Called { own: None, upstream: None },
        }
    }
}

impl Called {
    /// The name in a token's scope, whichever way the client named the repository. The token endpoint knows what else a path may mean.
    pub fn in_tokens(self, requested: &RequestedName) -> RepositoryName {
        self.own.or(self.upstream).map_or_else(|| requested.path.clone(), |name| name.name)
    }

    /// The name, once it is known whether an upstream's or one's own repository was meant.
    pub fn name(&self, of_upstream: bool) -> Option<QualifiedName> {
        if of_upstream { self.upstream.clone() } else { self.own.clone() }
    }
}
