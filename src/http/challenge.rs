//! How a client is told to log in: the challenge, and the scope of the token that it would need.

use crate::action::Action;
use crate::auth::Authenticator;
use crate::config::Challenge;
use crate::oci::RepositoryName;

/// RFC 6750 section 3 and distribution's "token authentication"; RFC 7617 for Basic. `url` is where the client reaches the registry.
pub fn challenge(authenticator: &Authenticator, url: &str, scope: Option<&str>, error: Option<&str>) -> String {
    let service = authenticator.service();
    match authenticator.settings().challenge {
        Challenge::Basic => format!("Basic realm=\"{url}/\",service=\"{service}\""),
        Challenge::Bearer => {
            let mut challenge = format!("Bearer realm=\"{url}/token\",service=\"{service}\"");
            if let Some(scope) = scope {
                challenge += &format!(",scope=\"{scope}\"");
            }
            if let Some(error) = error {
                challenge += &format!(",error=\"{error}\"");
            }
            challenge
        }
    }
}

/// The scope of a token that would do for the action. `repository` is the name in tokens of the repository that it is about.
pub fn scope(action: &Action, repository: Option<RepositoryName>) -> Option<String> {
    let Some(name) = repository else {
        return matches!(action, Action::ListRepositories { .. }).then(|| "registry:catalog:*".to_owned());
    };
    let actions = match action {
        Action::DeleteBlob { .. } | Action::DeleteManifest { .. } => "delete",
        action if action.writes() => "pull,push",
        _ => "pull",
    };
    Some(format!("repository:{name}:{actions}"))
}
