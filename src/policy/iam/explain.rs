//! Why: what each statement of each document said to a question.
//!
//! The statements are asked by the code that decides, and the decision here is counted from the same answers.

use std::fmt;
use std::ops::ControlFlow;

use serde::Serialize;

use super::decision::{Citation, Decision};
use super::evaluate::{Heard, Policies, TOO_MUCH, Tally, hear};
use super::grantee_set::Named;
use super::question::Question;
use super::statement::{Effect, Miss};
use super::work;

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Explanation<'a> {
    pub decision: Decision<'a>,
    /// Every statement: identity policies first, then boundary, session, registry, repository, what is public.
    pub statements: Vec<Examined<'a>>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Examined<'a> {
    pub statement: Citation<'a>,
    pub effect: Effect,
    pub outcome: Outcome,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "outcome", rename_all = "camelCase")]
pub enum Outcome {
    Matched,
    /// It names the role of the asker's session, so within an account the session's limits still bind.
    MatchedRole,
    /// It names the asker's account, so that account's own policies must allow too.
    MatchedAccount,
    /// Policies of this kind do not count for the action.
    DoesNotCount,
    OtherAction,
    OtherPrincipal,
    OtherResource,
    /// The first condition that did not hold; nothing seen means that the request has no such key.
    Condition {
        operator: String,
        key: String,
        seen: Vec<String>,
    },
}

pub fn explain<'a>(policies: &Policies<'a>, question: &Question<'_>) -> Explanation<'a> {
    let mut tally = Tally::default();
    let mut statements = Vec::new();
    let whole = work::bounded(|| {
        hear(policies, question, |citation, statement, heard| {
            tally.count(citation, statement, heard);
            let outcome = Outcome::of(heard, question);
            statements.push(Examined { statement: citation, effect: statement.effect(), outcome });
            ControlFlow::Continue(())
        })
    });
    let decision = if whole.is_some() { tally.decision(policies, question) } else { TOO_MUCH };
    Explanation { decision, statements }
}

impl Outcome {
    fn of(heard: Heard<'_>, question: &Question<'_>) -> Self {
        match heard {
            Heard::Matched(Named::Directly) => Self::Matched,
            Heard::Matched(Named::Role) => Self::MatchedRole,
            Heard::Matched(Named::Account) => Self::MatchedAccount,
            Heard::NotAsked => Self::DoesNotCount,
            Heard::Missed(Miss::Action) => Self::OtherAction,
            Heard::Missed(Miss::Principal) => Self::OtherPrincipal,
            Heard::Missed(Miss::Resource) => Self::OtherResource,
            Heard::Missed(Miss::Condition(condition)) => Self::Condition {
                operator: condition.written_operator().to_owned(),
                key: condition.written_key().to_owned(),
                seen: condition.seen(question),
            },
        }
    }
}

impl fmt::Display for Explanation<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Examined { statement, effect, outcome } in &self.statements {
            writeln!(f, "{effect:?}, {statement}: {outcome}")?;
        }
        write!(f, "{}", self.decision)
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Matched => f.write_str("matched"),
            Self::MatchedRole => f.write_str("matched by the role's name"),
            Self::MatchedAccount => f.write_str("matched by the account, whose own policies must allow too"),
            Self::DoesNotCount => f.write_str("does not count for this action"),
            Self::OtherAction => f.write_str("is about other actions"),
            Self::OtherPrincipal => f.write_str("is about other principals"),
            Self::OtherResource => f.write_str("is about other resources"),
            Self::Condition { operator, key, seen } if seen.is_empty() => {
                write!(f, "{operator} on {key} did not hold: the request has no such key")
            }
            Self::Condition { operator, key, seen } => {
                write!(f, "{operator} on {key} did not hold: the request has {}", seen.join(", "))
            }
        }
    }
}
