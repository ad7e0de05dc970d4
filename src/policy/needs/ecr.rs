//! ECR's control plane: each operation is an action of its own name, on the registry or on each repository that it names. A template needs
//! besides what it gives; what an update makes of the one that is there is known only when it is carried out.

use super::template::given;
use super::{About, Asked, Below, Need, On};
use crate::ecr::{Operation, Resource};
use crate::oci::{AccountId, QualifiedName, RepositoryName};

const CREATE_REPOSITORY: &str = "ecr:CreateRepository";
const TAG_RESOURCE: &str = "ecr:TagResource";

/// An operation of ECR, with the repositories that it names.
#[derive(Debug)]
pub struct EcrRequest {
    pub operation: Operation,
    /// The registry that it is about.
    pub registry: AccountId,
    /// The account of the caller.
    pub caller: AccountId,
    pub repositories: Vec<About>,
    /// What a new template is for.
    below: Option<Below>,
}

impl EcrRequest {
    /// The repository that has to be made first, as for a push on the data plane.
    pub fn makes(&self) -> Option<&About> {
        let begins = matches!(self.operation, Operation::InitiateLayerUpload(_));
        self.repositories.first().filter(|about| begins && !about.exists)
    }

    /// `about` looks a repository of the registry up.
    pub fn new(
        operation: Operation,
        registry: AccountId,
        caller: AccountId,
        about: impl Fn(QualifiedName) -> About,
    ) -> Self {
        let about = |name: &RepositoryName| about(QualifiedName::new(registry, name.clone()));
        let repositories = match operation.resource() {
            Resource::Registry | Resource::AllRepositories => Vec::new(),
            Resource::Repository(name) => vec![about(name)],
            Resource::Repositories(names) => names.iter().map(about).collect(),
        };
        let below = match &operation {
            Operation::CreateRepositoryCreationTemplate(input) => {
                Some(Below { account: registry, prefix: input.prefix.clone() })
            }
            _ => None,
        };
        Self { operation, registry, caller, repositories, below }
    }
}

impl Asked for EcrRequest {
    fn needs(&self) -> Vec<Need<'_>> {
        let Self { operation, registry, caller, repositories, below } = self;
        let (action, said) = (operation.iam_action(), operation.said());
        match operation.resource() {
            // Only the caller's own account lets them log in.
            Resource::Registry if matches!(operation, Operation::GetAuthorizationToken(_)) => {
                vec![Need::new(action, On::Registry(*caller))]
            }
            Resource::Registry => {
                let mut needs = vec![Need::new(action, On::Registry(*registry)).said(said)];
                if let (Operation::CreateRepositoryCreationTemplate(input), Some(below)) = (operation, below) {
                    needs.extend(given(below, &input.settings));
                }
                needs
            }
            // A list shows what the caller may see.
            Resource::AllRepositories => Vec::new(),
            Resource::Repository(_) | Resource::Repositories(_) => {
                let actions = || std::iter::once(action).chain(tags_resource(operation).then_some(TAG_RESOURCE));
                let tags = operation.image_tags();
                let each = repositories.iter().flat_map(|about| tags.iter().map(move |tag| (about, *tag)));
                let needs = each.flat_map(|(about, tag)| {
                    let said = &said;
                    actions().map(move |action| Need::new(action, On::Repository(about)).tagged(tag).said(said.clone()))
                });
                let made = self.makes().map(|about| Need::new(CREATE_REPOSITORY, On::Repository(about)));
                needs.chain(made).collect()
            }
        }
    }

    fn is_write(&self) -> bool {
        self.operation.is_write()
    }

    fn detail(&self) -> Option<String> {
        if let Operation::CreatePullThroughCacheRule(rule) = &self.operation {
            return Some(format!("prefix {}, upstream {}", rule.rule.prefix, rule.upstream_registry_url));
        }
        let tags: Vec<&str> = self.operation.image_tags().into_iter().flatten().collect();
        (!tags.is_empty()).then(|| format!("tags {}", tags.join(", ")))
    }

    fn change(&self) -> Option<(&str, Option<On<'_>>)> {
        let on = match self.repositories.as_slice() {
            [about] => On::Repository(about),
            _ => On::Registry(self.registry),
        };
        self.is_write().then_some((self.operation.iam_action(), Some(on)))
    }
}

/// Whether a new repository gets tags, which is a right of its own.
fn tags_resource(operation: &Operation) -> bool {
    matches!(operation, Operation::CreateRepository(input) if !input.tags.is_empty())
}
