//! One statement: whom it is about, what, on which resources and when.
//!
//! [`Statement::examine`] is the only matching code. It asks the cheapest question first and says what did not match, which costs
//! nothing until somebody prints it.

use serde::Serialize;

use super::action_set::ActionSet;
use super::condition::{self, Condition};
use super::document::Kind;
use super::error::{DocumentError, Refusal, StatementName};
use super::grantee_set::{self, GranteeSet, Named};
use super::json::{Node, Place, member};
use super::keys::{self, Standing};
use super::question::Question;
use super::resource_set::ResourceSet;
use super::variables::Variable;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
pub enum Effect {
    Allow,
    Deny,
}

#[derive(Clone, Debug)]
pub(super) struct Statement {
    /// Cut: it is in each reason that the statement is, in records, answers and what is remembered.
    sid: Option<Box<str>>,
    effect: Effect,
    actions: ActionSet,
    /// None in a policy of an identity.
    grantees: Option<GranteeSet>,
    /// None in a policy of a repository that leaves them out, and of a role.
    resources: Option<ResourceSet>,
    conditions: Box<[Condition]>,
}

/// The first thing that did not match.
#[derive(Clone, Copy, Debug)]
pub(super) enum Miss<'s> {
    Action,
    Principal,
    Resource,
    Condition(&'s Condition),
}

const MAX_SID_CHARS: usize = 128;

const MEMBERS: [&str; 9] =
    ["Sid", "Effect", "Principal", "NotPrincipal", "Action", "NotAction", "Resource", "NotResource", "Condition"];

impl Statement {
    pub fn parse(node: &Node, place: &Place<'_>, kind: Kind, variables: bool) -> Result<Self, DocumentError> {
        let members = node.known_members(place, &MEMBERS)?;
        let sid = match member(members, "Sid") {
            None => None,
            Some(sid) => Some(sid.text(&place.member("Sid"))?.chars().take(MAX_SID_CHARS).collect()),
        };
        let effect = effect(members, place)?;
        let pair = |name, not_name| either(members, place, name, not_name);

        let (node, place_of, negated) =
            pair("Action", "NotAction")?.ok_or_else(|| place.refuse(Refusal::Missing("Action")))?;
        let actions = ActionSet::parse(node, &place.member(place_of), negated, kind)?;

        let grantees = match pair("Principal", "NotPrincipal")? {
            Some((_, name, _)) if !grantee_set::wanted_by(kind) => {
                let why = "its principal is the user or role that it is attached to";
                return Err(place.member(name).refuse(Refusal::NotHere { kind, why }));
            }
            Some((_, name, true)) if effect == Effect::Allow => {
                return Err(place.member(name).refuse(Refusal::NotPrincipalAllows));
            }
            Some((node, name, negated)) => Some(GranteeSet::parse(node, &place.member(name), negated)?),
            None if grantee_set::wanted_by(kind) => return Err(place.refuse(Refusal::Missing("Principal"))),
            None => None,
        };

        let resources = match pair("Resource", "NotResource")? {
            Some((_, name, _)) if kind == Kind::Trust => {
                let why = "its resource is the role that it is attached to";
                return Err(place.member(name).refuse(Refusal::NotHere { kind, why }));
            }
            Some((node, name, negated)) => Some(ResourceSet::parse(node, &place.member(name), negated, variables)?),
            None if matches!(kind, Kind::Repository | Kind::Trust) => None,
            None => return Err(place.refuse(Refusal::Missing("Resource"))),
        };

        let conditions = match member(members, "Condition") {
            None => Box::default(),
            Some(node) => condition::parse(node, &place.member("Condition"), variables)?,
        };
        Ok(Self { sid, effect, actions, grantees, resources, conditions })
    }

    /// Actions that there are not, and conditions and variables on keys that no request has, where that lets somebody do more than the
    /// statement seems to say. What is about nothing that is ever asked here decides nothing.
    pub fn doubts(&self, place: &Place<'_>) -> Vec<DocumentError> {
        let mut doubts = Vec::new();
        // An action that there is not is denied to nobody, and nobody is spared by leaving it out.
        if self.actions.is_negated() == (self.effect == Effect::Allow) {
            let place = place.member(if self.actions.is_negated() { "NotAction" } else { "Action" });
            for (action, nearest) in self.actions.unknown() {
                let (action, of) = (action.to_owned(), StatementName(self.sid().map(str::to_owned)));
                doubts.push(place.refuse(Refusal::UnknownAction { action, of, nearest }));
            }
            if !doubts.is_empty() {
                return doubts;
            }
        }
        let of = || StatementName(self.sid().map(str::to_owned));
        if let Some(grantees) = self.grantees.as_ref().filter(|_| self.effect == Effect::Deny) {
            let place = place.member("Principal");
            let doubt = |name: &str| place.refuse(Refusal::UnknownPrincipal { name: name.to_owned(), of: of() });
            doubts.extend(grantees.nobodys().map(doubt));
        }
        if let Some(resources) =
            self.resources.as_ref().filter(|resources| resources.is_negated() == (self.effect == Effect::Allow))
        {
            let place = place.member(if resources.is_negated() { "NotResource" } else { "Resource" });
            let doubt = |arn: &str| place.refuse(Refusal::UnknownResource { arn: arn.to_owned(), of: of() });
            doubts.extend(resources.unknown().map(doubt));
        }
        if let Some(resources) = &self.resources {
            let place = place.member(if resources.is_negated() { "NotResource" } else { "Resource" });
            // Without a value it is about nothing; and what is excepted by it is not excepted from a Deny, and holds for no Allow.
            let is_void = self.effect == Effect::Deny && !resources.is_negated();
            doubts.extend(self.doubts_of(&resources.variables(), is_void, &place));
        }
        let place = place.member("Condition");
        for condition in &self.conditions {
            let place = place.member(condition.written_operator());
            let (key, place) = (condition.written_key(), place.member(condition.written_key()));
            if let Some(wanted) = condition.wanted_operators() {
                let (operator, key) = (condition.written_operator().to_owned(), key.to_owned());
                doubts.push(place.refuse(Refusal::OtherValues { operator, key, of: of(), wanted }));
            }
            let is_void = |holds| holds == (self.effect == Effect::Allow);
            doubts.extend(self.doubt(key, is_void(condition.on_nothing())).map(|reason| place.refuse(reason)));
            doubts.extend(self.doubts_of(&condition.variables(), is_void(condition.is_negated()), &place));
        }
        if doubts.is_empty() || self.actions.is_ever_asked() { doubts } else { Vec::new() }
    }

    fn doubts_of(&self, variables: &[Variable<'_>], is_void: bool, place: &Place<'_>) -> Vec<DocumentError> {
        let doubt = |&(key, has_default): &Variable<'_>| self.doubt(key, is_void && !has_default);
        variables.iter().filter_map(doubt).map(|reason| place.refuse(reason)).collect()
    }

    /// `is_void` says that the statement does not keep somebody off who lacks the key.
    fn doubt(&self, key: &str, is_void: bool) -> Option<Refusal> {
        let (key, of) = (key.to_owned(), StatementName(self.sid().map(str::to_owned)));
        match keys::standing(&key) {
            Standing::OfRequests => None,
            Standing::Unknown(nearest) => Some(Refusal::UnknownKey { key, of, nearest }),
            Standing::OfNoRequest if !is_void => None,
            Standing::OfNoRequest if self.effect == Effect::Deny => Some(Refusal::NeverDenies { key, of }),
            Standing::OfNoRequest => Some(Refusal::AlwaysAllows { key, of }),
        }
    }

    pub fn sid(&self) -> Option<&str> {
        self.sid.as_deref()
    }

    pub fn effect(&self) -> Effect {
        self.effect
    }

    /// Whether the statement says whom it is about.
    pub fn names_grantees(&self) -> bool {
        self.grantees.is_some()
    }

    /// `limited` says that the asker has a permissions boundary.
    pub fn examine(&self, question: &Question<'_>, limited: bool) -> Result<Named, Miss<'_>> {
        if !self.actions.holds(question.action()) {
            return Err(Miss::Action);
        }
        let named = match &self.grantees {
            None => Named::Directly,
            Some(grantees) => grantees.naming(question.principal(), limited).ok_or(Miss::Principal)?,
        };
        let doubtful = self.effect == Effect::Deny;
        if self.resources.as_ref().is_some_and(|resources| !resources.holds(question, doubtful)) {
            return Err(Miss::Resource);
        }
        match self.conditions.iter().find(|condition| !condition.holds(question, doubtful)) {
            Some(condition) => Err(Miss::Condition(condition)),
            None => Ok(named),
        }
    }
}

fn effect(members: &[(String, Node)], place: &Place<'_>) -> Result<Effect, DocumentError> {
    let node = member(members, "Effect").ok_or_else(|| place.refuse(Refusal::Missing("Effect")))?;
    let place = place.member("Effect");
    match node.text(&place)? {
        "Allow" => Ok(Effect::Allow),
        "Deny" => Ok(Effect::Deny),
        other => Err(place.refuse(Refusal::Effect(other.to_owned()))),
    }
}

type Chosen<'n> = Option<(&'n Node, &'static str, bool)>;

/// The member of this name or of its negation, and which of them it is.
fn either<'n>(
    members: &'n [(String, Node)],
    place: &Place<'_>,
    name: &'static str,
    not_name: &'static str,
) -> Result<Chosen<'n>, DocumentError> {
    match (member(members, name), member(members, not_name)) {
        (Some(_), Some(_)) => Err(place.refuse(Refusal::Both(name, not_name))),
        (Some(node), None) => Ok(Some((node, name, false))),
        (None, Some(node)) => Ok(Some((node, not_name, true))),
        (None, None) => Ok(None),
    }
}
