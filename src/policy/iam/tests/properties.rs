//! What holds of all policies and questions, not only of those in the tables.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};

use super::*;

const PRINCIPALS: [&str; 6] = [
    r#""*""#,
    r#"{"AWS": "111122223333"}"#,
    r#"{"AWS": "arn:aws:iam::111122223333:user/ann"}"#,
    r#"{"AWS": ["arn:aws:iam::111122223333:role/ci", "222233334444"]}"#,
    r#"{"AWS": "arn:aws:sts::111122223333:assumed-role/ci/run1"}"#,
    r#"{"Service": "codebuild.amazonaws.com"}"#,
];
const ACTIONS: [&str; 5] = [
    r#""Action": "*""#,
    r#""Action": "ecr:Put*""#,
    r#""Action": ["ecr:BatchGetImage", "ecr:PutImage"]"#,
    r#""NotAction": "ecr:PutImage""#,
    r#""Action": "ecr:GetAuthorizationToken""#,
];
const RESOURCES: [&str; 4] = [
    r#""Resource": "*""#,
    r#""Resource": "arn:aws:ecr:*:*:repository/team/*""#,
    r#""NotResource": "arn:aws:ecr:*:*:repository/team/*""#,
    r#""Resource": "arn:aws:ecr:*:*:repository/${aws:username}/*""#,
];
const CONDITIONS: [&str; 6] = [
    r#"{}"#,
    r#"{"IpAddress": {"aws:SourceIp": "192.0.2.0/24"}}"#,
    r#"{"StringNotEquals": {"aws:RequestTag/a": "1"}}"#,
    r#"{"ForAllValues:StringEquals": {"aws:TagKeys": ["a", "b"]}}"#,
    r#"{"ForAnyValue:StringLike": {"aws:TagKeys": "a*"}}"#,
    r#"{"StringEqualsIfExists": {"aws:PrincipalTag/t": "${aws:RequestTag/a, '1'}"}, "Null": {"aws:TagKeys": false}}"#,
];
const ASKERS: [&str; 8] = [
    "anonymous",
    "arn:aws:iam::111122223333:user/ann",
    "arn:aws:iam::111122223333:root",
    "arn:aws:iam::222233334444:user/far",
    "arn:aws:iam::222233334444:root",
    "session:arn:aws:iam::111122223333:role/ci run1",
    "session:arn:aws:iam::222233334444:role/ci run1 #t=1",
    "service:codebuild.amazonaws.com",
];
const ASKED: [&str; 3] = ["ecr:PutImage", "ecr:BatchGetImage", "ecr:GetAuthorizationToken"];
const CONTEXTS: [&str; 4] = [
    "",
    "aws:SourceIp=ip:192.0.2.1",
    "aws:TagKeys=a|c; aws:RequestTag/a=1",
    "aws:TagKeys=b; aws:SourceIp=ip:203.0.113.1",
];

fn statement(kind: Kind, effect: &'static str) -> impl Strategy<Value = String> {
    (select(&PRINCIPALS), select(&ACTIONS), select(&RESOURCES), select(&CONDITIONS)).prop_map(
        move |(principal, action, resource, condition)| {
            let principal =
                if kind == Kind::Identity { String::new() } else { format!(r#""Principal": {principal}, "#) };
            format!(r#"{{"Effect": "{effect}", {principal}{action}, {resource}, "Condition": {condition}}}"#)
        },
    )
}

fn any_statement(kind: Kind) -> impl Strategy<Value = String> {
    prop_oneof![3 => statement(kind, "Allow"), 1 => statement(kind, "Deny")]
}

/// The statements of every document.
#[derive(Clone, Debug)]
struct Set {
    identity: Vec<Vec<String>>,
    boundary: Vec<String>,
    session: Vec<String>,
    registry: Vec<String>,
    repository: Vec<String>,
    public: Vec<String>,
}

fn sets() -> impl Strategy<Value = Set> {
    let identity = || vec(any_statement(Kind::Identity), 0..4);
    let identities = vec(vec(any_statement(Kind::Identity), 1..4), 0..3);
    let resource = |kind| vec(any_statement(kind), 0..4);
    let limit = || prop_oneof![2 => Just(Vec::new()), 1 => identity()];
    let resources = (resource(Kind::Registry), resource(Kind::Repository), public());
    (identities, limit(), limit(), resources).prop_map(|(identity, boundary, session, resources)| {
        let (registry, repository, public) = resources;
        Set { identity, boundary, session, registry, repository, public }
    })
}

/// Mostly nothing is public.
fn public() -> impl Strategy<Value = Vec<String>> {
    prop_oneof![3 => Just(Vec::new()), 1 => vec(statement(Kind::Registry, "Allow"), 1..3)]
}

type Asked = (&'static str, &'static str, &'static str);

fn questions() -> impl Strategy<Value = Asked> {
    (select(&ASKERS), select(&ASKED), select(&CONTEXTS))
}

fn decided(set: &Set, (who, action, seen): Asked) -> String {
    let identity: Vec<_> = set.identity.iter().map(|list| document(Kind::Identity, &list.join(","))).collect();
    let identity: Vec<_> = identity.iter().map(|document| IdentityPolicy { name: "p", document }).collect();
    let of = |kind, list: &[String]| (!list.is_empty()).then(|| document(kind, &list.join(",")));
    let (boundary, session) = (of(Kind::Identity, &set.boundary), of(Kind::Identity, &set.session));
    let (registry, repository) = (of(Kind::Registry, &set.registry), of(Kind::Repository, &set.repository));
    let public = of(Kind::Registry, &set.public);
    let policies = Policies {
        identity: &identity,
        boundary: boundary.as_ref(),
        session: session.as_ref(),
        registry: registry.as_ref(),
        registry_scope: RegistryScope::V2,
        repository: repository.as_ref(),
        public: public.as_ref(),
        trust: None,
    };
    ask(&policies, &asker(who), action, REPOSITORY, &context(seen))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    /// `ask` holds in every case that the explanation agrees.
    #[test]
    fn a_deny_more_never_grants(
        set in sets(),
        deny in (statement(Kind::Identity, "Deny"), statement(Kind::Repository, "Deny")),
        place in 0..5_usize,
        at in any::<Index>(),
        question in questions(),
    ) {
        let before = decided(&set, question);
        let mut more = set;
        // A boundary or session policy that was not there is a limit of its own, so only one that is there is added to.
        let (list, deny) = match place {
            0 if !more.identity.is_empty() => {
                let which = at.index(more.identity.len());
                (&mut more.identity[which], deny.0)
            }
            1 if !more.boundary.is_empty() => (&mut more.boundary, deny.0),
            2 if !more.session.is_empty() => (&mut more.session, deny.0),
            3 => (&mut more.registry, deny.1),
            _ => (&mut more.repository, deny.1),
        };
        let position = at.index(list.len() + 1);
        list.insert(position, deny);
        let after = decided(&more, question);
        prop_assert!(after != "allowed" || before == "allowed", "{} became {}", before, after);
        prop_assert!(before != "denied" || after == "denied");
    }

    #[test]
    fn order_does_not_matter(set in sets(), question in questions()) {
        let mut turned = set.clone();
        turned.public.reverse();
        turned.identity.reverse();
        for list in turned.identity.iter_mut().chain([&mut turned.boundary, &mut turned.session, &mut turned.registry, &mut turned.repository]) {
            list.reverse();
        }
        prop_assert_eq!(decided(&set, question), decided(&turned, question));
    }

    #[test]
    fn nothing_is_allowed_without_an_allow(set in sets(), question in questions()) {
        let mut denials = Set { public: Vec::new(), ..set };
        let keep = |list: &mut Vec<String>| list.retain(|statement| statement.contains(r#""Effect": "Deny""#));
        denials.identity.iter_mut().for_each(keep);
        denials.identity.retain(|list| !list.is_empty());
        for list in [&mut denials.boundary, &mut denials.session, &mut denials.registry, &mut denials.repository] {
            keep(list);
        }
        let (who, action, _) = question;
        let root = who == "arn:aws:iam::111122223333:root" || (who.ends_with(":root") && action == "ecr:GetAuthorizationToken");
        prop_assert!(root || decided(&denials, question) != "allowed");
    }

    #[test]
    fn bytes_never_panic(bytes in vec(any::<u8>(), 0..200)) {
        let _ = Document::parse(Kind::Repository, &String::from_utf8_lossy(&bytes), MAX_BYTES);
    }

    #[test]
    fn json_never_panics(value in any_json()) {
        for kind in [Kind::Identity, Kind::Repository, Kind::Registry] {
            let _ = Document::parse(kind, &value, MAX_BYTES);
        }
    }

    /// Whatever parses can be asked.
    #[test]
    fn whatever_parses_can_be_asked(words in vec(any_word(), 4), operator in select(&OPERATORS), question in questions()) {
        let text = format!(
            r#"{{"Version": "2012-10-17", "Statement": {{"Effect": "Allow", "Action": "ecr:{}", "Resource": "arn:{}",
                "Condition": {{"{operator}": {{"aws:TagKeys": ["{}", "{}"]}}}}}}}}"#,
            words[0], words[1], words[2], words[3]
        );
        if let Ok(document) = Document::parse(Kind::Identity, &text, MAX_BYTES) {
            let identity = [IdentityPolicy { name: "p", document: &document }];
            let policies = Policies { identity: &identity, ..Policies::default() };
            let (who, action, seen) = question;
            ask(&policies, &asker(who), action, REPOSITORY, &context(seen));
        }
    }
}

const OPERATORS: [&str; 8] = [
    "StringEquals",
    "StringEqualsIgnoreCase",
    "ForAnyValue:StringLike",
    "ForAllValues:StringNotLike",
    "ArnLike",
    "NumericLessThan",
    "DateGreaterThanIfExists",
    "NotIpAddress",
];

fn any_word() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-zA-Z*?:/]{0,12}",
        "(\\$\\{(aws:username|ecr:x, 'y'|\\*|\\$)\\}|a|\\*|:|é){0,6}",
        "[0-9a-f.:/T+-]{0,20}",
        "(aws:){0,1}[\\PC&&[^\"\\\\]]{0,8}",
    ]
}

/// JSON made of a policy's own words, mostly in the wrong places.
fn any_json() -> impl Strategy<Value = String> {
    let word = select(vec![
        "Version",
        "2012-10-17",
        "Statement",
        "Effect",
        "Allow",
        "Action",
        "ecr:*",
        "Resource",
        "*",
        "Principal",
        "AWS",
        "Condition",
        "StringLike",
        "aws:SourceIp",
        "${aws:username}",
        "${",
        "NotPrincipal",
        "Id",
        "",
    ]);
    let leaf = prop_oneof![
        word.clone().prop_map(|word| format!("{word:?}")),
        Just("null".to_owned()),
        any::<i32>().prop_map(|number| number.to_string()),
        any::<bool>().prop_map(|value| value.to_string()),
    ];
    leaf.prop_recursive(6, 60, 6, move |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(|items| format!("[{}]", items.join(","))),
            vec((word.clone(), inner), 0..6).prop_map(|members| {
                let members: Vec<_> = members.into_iter().map(|(name, value)| format!("{name:?}:{value}")).collect();
                format!("{{{}}}", members.join(","))
            }),
        ]
    })
}
