//! A policy, ready to be evaluated. Its text stays with the caller, who answers it as it was written.

use super::coherence;
use super::condition::Condition;
use super::dialect::{Dialect, Extensions, NAMESPACE};
use super::error::{PolicyError, Problem};
use super::extension::PolicyExtension;
use super::json::Node;
use super::members::Members;
use super::rule::{Effect, Rule};

/// Characters of a policy's text.
pub const MAX_CHARS: usize = 30_720;

pub const MAX_RULES: usize = 50;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// In order of their priorities.
    rules: Vec<Rule>,
    extension: PolicyExtension,
}

impl Policy {
    /// Fails at the first thing that ECR would refuse. The least length of 100 characters is the API's to check.
    pub fn parse(text: &str, dialect: Dialect) -> Result<Self, PolicyError> {
        if text.chars().nth(MAX_CHARS).is_some() {
            return Err(Problem::NotAPolicy.at("").hint(format!("it has more than {MAX_CHARS} characters")));
        }
        let node = Node::read(text).map_err(|error| Problem::NotAPolicy.at("").hint(error.to_string()))?;
        if !matches!(node, Node::Object(_)) {
            return Err(Problem::NotAPolicy.at("").hint("it is not a JSON object"));
        }
        let members = Members::read(&node, "", &["rules"], &[NAMESPACE])?;
        let extensions = Extensions::of(dialect, members.node(NAMESPACE).is_some());
        extensions.check_member(&members)?;
        let extension = members.node(NAMESPACE).map(PolicyExtension::read).transpose()?.unwrap_or_default();
        let nodes = members.list("rules", MAX_RULES)?.unwrap_or_default();
        let rule = |(index, node)| Rule::read(node, &format!("rules[{index}]"), extensions);
        let mut rules: Vec<Rule> = nodes.iter().enumerate().map(rule).collect::<Result<_, _>>()?;
        rules.sort_by_key(|rule| rule.priority);
        coherence::check(&rules)?;
        Ok(Self { rules, extension })
    }

    /// Whether a rule looks at times of pulls, so that those which are not written down yet have to be before an
    /// evaluation.
    pub fn reads_pull_times(&self) -> bool {
        self.rules.iter().any(|rule| match rule.effect {
            Effect::Expire(condition) | Effect::Archive(condition) | Effect::Keep(Some(condition)) => {
                matches!(condition, Condition::PulledBefore(_))
            }
            Effect::Keep(None) => false,
        })
    }

    pub(super) fn rules(&self) -> &[Rule] {
        &self.rules
    }

    pub(super) fn extension(&self) -> PolicyExtension {
        self.extension
    }
}
