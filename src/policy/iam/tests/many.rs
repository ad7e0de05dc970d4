//! Questions about every resource below a prefix.

use super::*;

/// The statements of ann's one policy (`~` is `arn:aws:ecr:eu-west-1:111122223333:repository/`), what the registry's policy says, and the
/// answer for `ecr:SetRepositoryPolicy` on all that is below `team/`.
const ROWS: &[(&[&str], &str, &str)] = &[
    (&[], "", "no either"),
    (&[r#""Allow", "Resource": "*""#], "", "allowed"),
    (&[r#""Allow", "Resource": "~*""#], "", "allowed"),
    (&[r#""Allow", "Resource": "~team/*""#], "", "allowed"),
    (&[r#""Allow", "Resource": "~team*""#], "", "allowed"),
    (&[r#""Allow", "Resource": "arn:aws-cn:ecr:cn-north-1:111122223333:repository/team/*""#], "", "allowed"),
    (&[r#""Allow", "Resource": "arn:aws:ecr""#], "", "allowed"),
    (&[r#""Allow", "Resource": "arn:aws:ecr:*:222233334444:repository/*""#], "", "no either"),
    // It has to cover them all by itself.
    (&[r#""Allow", "Resource": "~team/app""#], "", "no either"),
    (&[r#""Allow", "Resource": "~team/app/*""#], "", "no either"),
    (&[r#""Allow", "Resource": "~team/""#], "", "no either"),
    (&[r#""Allow", "Resource": "~*/app""#], "", "no either"),
    (&[r#""Allow", "Resource": "~te*m/*/*""#], "", "no either"),
    (&[r#""Allow", "Resource": ["~team/a*", "~team/b*"]"#], "", "no either"),
    // A text of a star is no name of a repository.
    (&[r#""Allow", "Resource": "~team/${*}""#], "", "no either"),
    // A Deny of any of them is enough.
    (&[r#""Allow", "Resource": "*""#, r#""Deny", "Resource": "~team/app/secret""#], "", "denied"),
    (&[r#""Allow", "Resource": "*""#, r#""Deny", "Resource": "~team/app/*""#], "", "denied"),
    (&[r#""Allow", "Resource": "*""#, r#""Deny", "Resource": "~*/secret""#], "", "denied"),
    (&[r#""Allow", "Resource": "*""#, r#""Deny", "Resource": "~*""#], "", "denied"),
    (&[r#""Allow", "Resource": "*""#, r#""Deny", "Resource": "~team""#], "", "allowed"),
    (&[r#""Allow", "Resource": "*""#, r#""Deny", "Resource": "~team2/*""#], "", "allowed"),
    (&[r#""Allow", "Resource": "*""#, r#""Deny", "Resource": "~tea/*""#], "", "allowed"),
    (&[r#""Allow", "Resource": "*""#, r#""Deny", "Resource": "~other/*""#], "", "allowed"),
    // All but what is listed.
    (&[r#""Allow", "NotResource": "~other/*""#], "", "allowed"),
    (&[r#""Allow", "NotResource": "~team/app""#], "", "no either"),
    (&[r#""Allow", "NotResource": "~team*""#], "", "no either"),
    (&[r#""Allow", "NotResource": "~*/secret""#], "", "no either"),
    (&[r#""Allow", "Resource": "*""#, r#""Deny", "NotResource": "~team/*""#], "", "allowed"),
    (&[r#""Allow", "Resource": "*""#, r#""Deny", "NotResource": "~team/app/*""#], "", "denied"),
    (&[r#""Allow", "Resource": "*""#, r#""Deny", "NotResource": ["~team/a*", "~team/b*"]"#], "", "denied"),
    (&[r#""Allow", "Resource": "*""#, r#""Deny", "NotResource": "~other/*""#], "", "denied"),
    // Variables that have a value, none, or one that nobody knows.
    (&[r#""Allow", "Resource": "~${aws:PrincipalTag/team}/*""#], "", "allowed"),
    (&[r#""Allow", "Resource": "~${aws:PrincipalTag/none}/*""#], "", "no either"),
    (&[r#""Allow", "Resource": "~${aws:ResourceTag/team, 'team'}/*""#], "", "no either"),
    (&[r#""Allow", "NotResource": "~${aws:ResourceTag/team, 'x'}/*""#], "", "no either"),
    (&[r#""Allow", "Resource": "*""#, r#""Deny", "Resource": "~${aws:PrincipalTag/none}/*""#], "", "allowed"),
    (&[r#""Allow", "Resource": "*""#, r#""Deny", "Resource": "~${ecr:ResourceTag/team}/*""#], "", "denied"),
    (&[r#""Allow", "Resource": "*""#, r#""Deny", "NotResource": "~${aws:ResourceTag/team, 'team'}/*""#], "", "denied"),
    // Conditions on what a repository that is not there will tell are no help for an Allow, and hold for a Deny.
    (&[r#""Allow", "Resource": "*", "Condition": {"StringEquals": {"aws:ResourceTag/team": "a"}}"#], "", "no either"),
    (
        &[r#""Allow", "Resource": "*", "Condition": {"StringNotEquals": {"AWS:ResourceTag/Team": "a"}}"#],
        "",
        "no either",
    ),
    (
        &[r#""Allow", "Resource": "*", "Condition": {"StringEqualsIfExists": {"ecr:ResourceTag/team": "a"}}"#],
        "",
        "no either",
    ),
    (&[r#""Allow", "Resource": "*", "Condition": {"Null": {"entrepot:Upstream": "true"}}"#], "", "no either"),
    (
        &[
            r#""Allow", "Resource": "*", "Condition": {"StringNotEquals": {"aws:PrincipalTag/team": "${aws:ResourceTag/team}"}}"#,
        ],
        "",
        "no either",
    ),
    (&[r#""Allow", "Resource": "*", "Condition": {"StringEquals": {"aws:PrincipalTag/team": "team"}}"#], "", "allowed"),
    (
        &[
            r#""Allow", "Resource": "*""#,
            r#""Deny", "Resource": "*", "Condition": {"StringEquals": {"aws:ResourceTag/guard": "on"}}"#,
        ],
        "",
        "denied",
    ),
    (
        &[
            r#""Allow", "Resource": "*""#,
            r#""Deny", "Resource": "*", "Condition": {"StringEquals": {"aws:PrincipalTag/team": "${aws:ResourceTag/team}"}}"#,
        ],
        "",
        "denied",
    ),
    (
        &[
            r#""Allow", "Resource": "*""#,
            r#""Deny", "Resource": "*", "Condition": {"ArnLike": {"aws:PrincipalArn": "arn:aws:iam::111122223333:user/${aws:ResourceTag/owner}"}}"#,
        ],
        "",
        "denied",
    ),
    (
        &[
            r#""Allow", "Resource": "*""#,
            r#""Deny", "Resource": "*", "Condition": {"StringEquals": {"aws:PrincipalTag/team": "other"}}"#,
        ],
        "",
        "allowed",
    ),
    (
        &[
            r#""Allow", "Resource": "*""#,
            r#""Deny", "Resource": "~other/*", "Condition": {"StringEquals": {"aws:ResourceTag/guard": "on"}}"#,
        ],
        "",
        "allowed",
    ),
    // The registry's policy counts, too.
    (&[], r#""Allow", "Resource": "~team/*""#, "allowed"),
    (&[], r#""Allow", "Resource": "~team/a/*""#, "no either"),
    (&[r#""Allow", "Resource": "*""#], r#""Deny", "Resource": "~team/a/b""#, "denied"),
    (&[r#""Allow", "Resource": "*""#], r#""Deny", "Resource": "~team""#, "allowed"),
];

fn whole(text: &str) -> String {
    text.replace('~', "arn:aws:ecr:eu-west-1:111122223333:repository/")
}

fn ask_about_many(statements: &str, registry: &str, action: &str, stem: &str) -> String {
    let ann = asker("arn:aws:iam::111122223333:user/ann #team=team");
    let own = (!statements.is_empty()).then(|| document(Kind::Identity, &whole(statements)));
    let identity: Vec<_> = own.iter().map(|document| IdentityPolicy { name: "p", document }).collect();
    let registry = (!registry.is_empty()).then(|| document(Kind::Registry, &whole(registry)));
    let policies = Policies { identity: &identity, registry: registry.as_ref(), ..Policies::default() };
    let (context, stem) = (Context::new(), whole(stem));
    let question = Question::new(&ann, action, &stem, OURS.parse().unwrap(), &context).about_many();
    let decision = decide(&policies, &question);
    assert_eq!(kind_of(&explain(&policies, &question).decision), kind_of(&decision));
    answer(decision)
}

#[test]
fn table() {
    for (own, registry, expected) in ROWS {
        let own: Vec<String> = own.iter().map(|rest| format!(r#"{{"Action": "ecr:*", "Effect": {rest}}}"#)).collect();
        let registry = match registry {
            &"" => String::new(),
            rest => format!(r#"{{"Action": "ecr:*", "Principal": "*", "Effect": {rest}}}"#),
        };
        let found = ask_about_many(&own.join(", "), &registry, "ecr:SetRepositoryPolicy", "~team/");
        assert_eq!(found, *expected, "{own:?} {registry}");
    }
}

/// `NotAction` says as much about many resources as about one.
#[test]
fn actions() {
    let allow = r#"{"Effect": "Allow", "NotAction": "ecr:SetRepositoryPolicy", "Resource": "*"}"#;
    assert_eq!(ask_about_many(allow, "", "ecr:SetRepositoryPolicy", "~team/"), "no either");
    assert_eq!(ask_about_many(allow, "", "ecr:CreateRepository", "~team/"), "allowed");
    let deny = r#"{"Effect": "Allow", "Action": "*", "Resource": "*"},
        {"Effect": "Deny", "NotAction": "ecr:CreateRepository", "Resource": "~team/app"}"#;
    assert_eq!(ask_about_many(deny, "", "ecr:SetRepositoryPolicy", "~team/"), "denied");
    assert_eq!(ask_about_many(deny, "", "ecr:CreateRepository", "~team/"), "allowed");
}

/// All repositories of the registry.
#[test]
fn of_the_whole_registry() {
    let allow = |resource: &str| format!(r#"{{"Effect": "Allow", "Action": "ecr:*", "Resource": "{resource}"}}"#);
    for (resource, expected) in [("~*", "allowed"), ("*", "allowed"), ("~team/*", "no either"), ("~?*", "allowed")] {
        assert_eq!(ask_about_many(&allow(resource), "", "ecr:CreateRepository", "~"), expected, "{resource}");
    }
    let deny = allow("*") + r#", {"Effect": "Deny", "Action": "ecr:*", "Resource": "~one"}"#;
    assert_eq!(ask_about_many(&deny, "", "ecr:CreateRepository", "~"), "denied");
}

/// Patterns that take long to be followed along a prefix count for what a decision may cost, as those that are compared whole do.
#[test]
fn it_costs_so_much_at_the_most() {
    let patterns = vec![format!(r#""~{}X""#, "*a".repeat(100)); 60].join(",");
    let statements = format!(
        r#"{{"Effect": "Allow", "Action": "*", "Resource": "*"}}, {{"Effect": "Deny", "Action": "*", "Resource": [{patterns}]}}"#
    );
    let long = format!("~{}", "a/".repeat(120));
    assert_eq!(ask_about_many(&statements, "", "ecr:CreateRepository", &long), "no patience");
    assert_eq!(ask_about_many(&statements, "", "ecr:CreateRepository", "~team/"), "allowed");
}
