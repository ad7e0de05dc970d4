//! The token endpoint: rights that the access in a bearer token needs.
//!
//! Policies are asked again whenever the token is used, so a token needs the least right with which its access is of any use.

use super::{About, Need, On};
use crate::auth::{Access, AccessAction, ResourceType};
use crate::oci::{AccountId, QualifiedName};

const CATALOG: &str = "catalog";

/// All of them must be given. A token for the list of repositories needs none: the list shows what its reader may see, as it does to a
/// client that shows its password.
pub fn of_action<'a>(action: AccessAction, about: &'a About) -> Vec<Need<'a>> {
    let need = |action| Need::new(action, On::Repository(about));
    match action {
        AccessAction::Pull => vec![need("ecr:BatchGetImage")],
        AccessAction::Push => vec![need("ecr:InitiateLayerUpload")],
        AccessAction::Delete => vec![need("ecr:BatchDeleteImage")],
        AccessAction::All => {
            vec![need("ecr:BatchGetImage"), need("ecr:InitiateLayerUpload"), need("ecr:BatchDeleteImage")]
        }
    }
}

/// The part of an access to the registry itself that is given to everybody: the list of repositories.
pub fn of_registry(access: &Access) -> Access {
    let is_catalog = access.name == CATALOG;
    let actions = access.actions.iter().copied().filter(|action| is_catalog && *action == AccessAction::All).collect();
    Access { actions, ..access.clone() }
}

/// The list of repositories.
pub fn catalog() -> Access {
    let (kind, name, actions) = (ResourceType::Registry, CATALOG.to_owned(), vec![AccessAction::All]);
    Access { kind, class: None, name, actions }
}

pub fn of_repository(home: AccountId, about: &About, action: AccessAction) -> Access {
    let (kind, name) = (ResourceType::Repository, name_in_tokens(home, about));
    Access { kind, class: None, name, actions: vec![action] }
}

/// The repository's name inside a token: the name that policies decide about, so that a path means the same whichever way an upstream
/// was chosen. Other registries' names carry their account (`111122223333:team/app`); `:` cannot occur in a repository name.
pub fn name_in_tokens(home: AccountId, about: &About) -> String {
    let QualifiedName { account, name } = &about.repository;
    if *account == home { name.to_string() } else { format!("{account}:{name}") }
}
