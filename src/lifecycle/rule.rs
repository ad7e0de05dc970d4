//! Rules of a policy.

use super::action::Action;
use super::condition::Condition;
use super::count;
use super::dialect::{Extensions, NAMESPACE};
use super::error::{PolicyError, Problem};
use super::extension::{RuleExtension, Subject};
use super::image::StorageClass;
use super::json::Node;
use super::members::Members;
use super::selection::{Selection, TagStatus};

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Rule {
    /// The lowest number comes first.
    pub priority: u32,
    pub selection: Selection,
    pub extension: RuleExtension,
    pub effect: Effect,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    Expire(Condition),
    Archive(Condition),
    /// Leaves to other rules what is past the condition; without one, nothing.
    Keep(Option<Condition>),
}

impl Rule {
    pub fn read(node: &Node, place: &str, extensions: Extensions) -> Result<Self, PolicyError> {
        let members =
            Members::read(node, place, &["action", "rulePriority", "selection"], &["description", NAMESPACE])?;
        extensions.check_member(&members)?;
        members.text("description")?;
        let missing = |name| Problem::MissingMembers(vec![name]).at(place);
        let priority = members.integer("rulePriority", 1)?.and_then(|number| u32::try_from(number).ok());
        let priority = priority.ok_or_else(|| missing("rulePriority"))?;
        let action = members.node("action").ok_or_else(|| missing("action"))?;
        let action = Action::read(action, &members.place_of("action"), extensions)?;
        let extension = match members.node(NAMESPACE) {
            Some(node) => RuleExtension::read(node, &members.place_of(NAMESPACE))?,
            None => RuleExtension::default(),
        };
        let selection = members.node("selection").ok_or_else(|| missing("selection"))?;
        let chosen = selection_members(selection, &members.place_of("selection"), action)?;
        let selection = Selection::read(&chosen)?;
        let condition = || count::read(&chosen, selection.storage_class, action, extensions);
        let effect = match action {
            Action::Expire => Effect::Expire(condition()?),
            Action::Archive => Effect::Archive(condition()?),
            Action::Keep => Effect::Keep(extension.retention),
        };
        let rule = Self { priority, selection, extension, effect };
        rule.check_extension(&members.place_of(NAMESPACE))?;
        Ok(rule)
    }

    /// Whether no rule after this one, of the same class and with the same selection, would ever do anything.
    pub fn claims_all(&self) -> bool {
        let RuleExtension { subject, group_by, referrers, .. } = &self.extension;
        *subject == Subject::Image
            && group_by.is_none()
            && referrers.is_everything()
            && !matches!(self.effect, Effect::Keep(Some(_)))
    }

    fn check_extension(&self, place: &str) -> Result<(), PolicyError> {
        let is_tagged = matches!(self.selection.tags, TagStatus::Tagged(_));
        let RuleExtension { subject, group_by, retention, .. } = &self.extension;
        let counts = matches!(
            self.effect,
            Effect::Expire(Condition::MoreThan(_))
                | Effect::Archive(Condition::MoreThan(_))
                | Effect::Keep(Some(Condition::MoreThan(_)))
        );
        let refuse = |rule| Err(Problem::Broken(rule).at(place));
        match (subject, self.effect) {
            (_, Effect::Expire(_) | Effect::Archive(_)) if retention.is_some() => {
                refuse("newest, pulledWithinDays and pushedWithinDays belong to the action keep")
            }
            (Subject::Tag, Effect::Archive(_)) => refuse("subject tag cannot be used with transition"),
            (Subject::Tag, _) if !is_tagged => refuse("subject tag needs tagStatus tagged"),
            (Subject::Tag, _) if self.selection.storage_class == StorageClass::Archive => {
                refuse("subject tag cannot be used with storageClass archive")
            }
            _ if group_by.is_some() && !is_tagged => refuse("groupBy needs tagStatus tagged"),
            _ if group_by.is_some() && !counts => refuse("groupBy needs imageCountMoreThan, or keep with newest"),
            _ => Ok(()),
        }
    }
}

fn selection_members<'n>(node: &'n Node, place: &str, action: Action) -> Result<Members<'n>, PolicyError> {
    const OPTIONAL: [&str; 4] = ["countUnit", "storageClass", "tagPatternList", "tagPrefixList"];
    if action != Action::Keep {
        return Members::read(node, place, &["countNumber", "countType", "tagStatus"], &OPTIONAL);
    }
    let members = Members::read(node, place, &["tagStatus"], &["storageClass", "tagPatternList", "tagPrefixList"]);
    let hint = format!("keep has no count; newest, pulledWithinDays or pushedWithinDays in {NAMESPACE} limit it");
    members.map_err(|refusal| refusal.hint(hint))
}
