//! What the room promises: tables of decisions, and properties of all of them.
//!
//! The tables are rows of short text. An asker is `anonymous`, `service:NAME`, `federated:NAME`, `session:ROLE-ARN SESSION`, or the ARN
//! of a user, root or federated user, and may be followed by tags as ` #key=value`. A context is `key=value|value; key=value`, where a
//! value may be typed as `ip:`, `num:`, `bool:` or `at:`. An answer is `allowed`, `denied`, or `no` and the side that is missing.

mod actions;
mod conditions;
mod documents;
mod doubts;
mod evaluation;
mod explanations;
mod many;
mod principals;
mod properties;
mod refusals;
mod resources;
mod set_operators;
mod trust;
mod variables;

use super::*;

const OURS: &str = "111122223333";
const MAX_BYTES: usize = 20_000;
const REPOSITORY: &str = "arn:aws:ecr:eu-west-1:111122223333:repository/team/app";

fn parse(kind: Kind, text: &str) -> Document {
    Document::parse(kind, text, MAX_BYTES).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

/// A document of 2012 from its statements, without the brackets.
fn document(kind: Kind, statements: &str) -> Document {
    parse(kind, &format!(r#"{{"Version": "2012-10-17", "Statement": [{statements}]}}"#))
}

fn asker(text: &str) -> Principal {
    let (who, tags) = text.split_once(" #").map_or((text, None), |(who, tags)| (who, Some(tags)));
    let principal = match who.split_once(':') {
        None => Principal::anonymous(),
        Some(("service", name)) => Principal::service(name),
        Some(("federated", name)) => Principal::federated(name),
        Some(("session", rest)) => {
            let (role, session) = rest.split_once(' ').unwrap();
            Principal::session(role, session).unwrap()
        }
        Some(_) => Principal::from_arn(who).unwrap(),
    };
    tags.into_iter().flat_map(|tags| tags.split(" #")).fold(principal, |principal, tag| {
        let (key, value) = tag.split_once('=').unwrap();
        principal.with_tag(key, value)
    })
}

fn context(text: &str) -> Context<'_> {
    let mut context = Context::new();
    for entry in text.split(';').map(str::trim).filter(|entry| !entry.is_empty()) {
        let (key, values) = entry.split_once('=').unwrap();
        match values.split('|').map(value).collect::<Vec<_>>() {
            _ if values == "[]" => context.add_all(key, Vec::<Value<'_>>::new()),
            mut one if one.len() == 1 => context.add(key, one.remove(0)),
            many => context.add_all(key, many),
        }
    }
    context
}

fn value(text: &str) -> Value<'_> {
    match text.split_once(':') {
        Some(("ip", address)) => address.parse::<std::net::IpAddr>().unwrap().into(),
        Some(("num", number)) => number.parse::<f64>().unwrap().into(),
        Some(("bool", value)) => (value == "true").into(),
        Some(("at", time)) => Moment::parse(time).unwrap().into(),
        _ => text.into(),
    }
}

fn answer(decision: Decision<'_>) -> String {
    match decision {
        Decision::Allowed { .. } => "allowed".into(),
        Decision::Denied { .. } => "denied".into(),
        Decision::NotAllowed { missing } => format!("no {missing:?}").to_lowercase(),
    }
}

/// Asks in the account of the registry, and holds that the explanation agrees.
fn ask(policies: &Policies<'_>, who: &Principal, action: &str, resource: &str, context: &Context<'_>) -> String {
    let question = Question::new(who, action, resource, OURS.parse().unwrap(), context);
    let decision = decide(policies, &question);
    assert_eq!(kind_of(&explain(policies, &question).decision), kind_of(&decision));
    answer(decision)
}

/// A decision without the statement it rests on.
fn kind_of(decision: &Decision<'_>) -> String {
    answer(*decision)
}

/// Asks an identity policy of one statement, which allows with this ending.
fn statement_holds(version: &str, ending: &str, who: &str, action: &str, resource: &str, seen: &str) -> bool {
    let text = format!(r#"{{"Version": "{version}", "Statement": {{"Effect": "Allow", {ending}}}}}"#);
    let document = parse(Kind::Identity, &text);
    let identity = [IdentityPolicy { name: "p", document: &document }];
    let policies = Policies { identity: &identity, ..Policies::default() };
    ask(&policies, &asker(who), action, resource, &context(seen)) == "allowed"
}

/// Whether a condition holds for the user `ann`.
fn condition_holds(condition: &str, seen: &str) -> bool {
    let ending = format!(r#""Action": "*", "Resource": "*", "Condition": {condition}"#);
    statement_holds("2012-10-17", &ending, "arn:aws:iam::111122223333:user/ann", "ecr:PutImage", REPOSITORY, seen)
}
