//! Policy variables in resources and conditions.

use super::*;

const USER: &str = "arn:aws:iam::111122223333:user/dev/ann";
const TAGGED: &str = "arn:aws:iam::111122223333:user/ann #team=core #star=* #Mixed=MiX";
const SESSION: &str = "session:arn:aws:iam::111122223333:role/ci run1";

/// The version, the asker, the resource's last part in the policy, the repository asked, whether it matches.
const RESOURCES: &[(&str, &str, &str, &str, bool)] = &[
    ("2012-10-17", USER, "repository/${aws:username}/*", "ann/app", true),
    ("2012-10-17", USER, "repository/${aws:username}/*", "bob/app", false),
    ("2012-10-17", USER, "repository/${AWS:UserName}/*", "ann/app", true),
    ("2012-10-17", SESSION, "repository/${aws:username}/*", "ann/app", false),
    ("2012-10-17", SESSION, "repository/${aws:username, 'shared'}/*", "shared/app", true),
    ("2012-10-17", USER, "repository/${aws:username, 'shared'}/*", "shared/app", false),
    ("2012-10-17", TAGGED, "repository/${aws:PrincipalTag/team}/*", "core/app", true),
    ("2012-10-17", TAGGED, "repository/${aws:principaltag/TEAM}/*", "core/app", true),
    ("2012-10-17", USER, "repository/${aws:PrincipalTag/team}/*", "core/app", false),
    ("2012-10-17", USER, "repository/${aws:PrincipalTag/team,'none'}/*", "none/app", true),
    ("2012-10-17", USER, "repository/x${aws:PrincipalTag/team, ''}/*", "x/app", true),
    ("2012-10-17", TAGGED, "repository/${aws:PrincipalTag/star}/app", "core/app", false),
    ("2012-10-17", TAGGED, "repository/${aws:PrincipalTag/star}/app", "*/app", true),
    ("2012-10-17", TAGGED, "repository/${aws:username}-${aws:PrincipalTag/team}", "ann-core", true),
    ("2012-10-17", USER, "repository/a${*}b", "a*b", true),
    ("2012-10-17", USER, "repository/a${*}b", "aXb", false),
    ("2012-10-17", USER, "repository/a${?}b", "aXb", false),
    ("2012-10-17", USER, "repository/a${$}b", "a$b", true),
    ("2008-10-17", USER, "repository/${aws:username}/app", "ann/app", false),
    ("2008-10-17", USER, "repository/${aws:username}/app", "${aws:username}/app", true),
];

#[test]
fn resources() {
    for (version, who, pattern, repository, holds) in RESOURCES {
        let ending = format!(r#""Action": "ecr:*", "Resource": "arn:aws:ecr:*:*:{pattern}""#);
        let resource = format!("arn:aws:ecr:eu-west-1:{OURS}:repository/{repository}");
        let found = statement_holds(version, &ending, who, "ecr:PutImage", &resource, "");
        assert_eq!(found, *holds, "{pattern} for {who} on {repository}");
    }
}

/// The asker, the condition, the context, whether it holds.
const CONDITIONS: &[(&str, &str, &str, bool)] = &[
    (
        TAGGED,
        r#"{"StringEquals": {"aws:ResourceTag/team": "${aws:PrincipalTag/team}"}}"#,
        "aws:ResourceTag/team=core",
        true,
    ),
    (
        TAGGED,
        r#"{"StringEquals": {"aws:ResourceTag/team": "${aws:PrincipalTag/team}"}}"#,
        "aws:ResourceTag/team=web",
        false,
    ),
    (
        USER,
        r#"{"StringEquals": {"aws:ResourceTag/team": "${aws:PrincipalTag/team}"}}"#,
        "aws:ResourceTag/team=core",
        false,
    ),
    (
        USER,
        r#"{"StringEquals": {"aws:ResourceTag/team": "${aws:PrincipalTag/team, 'core'}"}}"#,
        "aws:ResourceTag/team=core",
        true,
    ),
    (
        USER,
        r#"{"StringNotEquals": {"aws:ResourceTag/team": "${aws:PrincipalTag/team}"}}"#,
        "aws:ResourceTag/team=core",
        true,
    ),
    (TAGGED, r#"{"StringLike": {"ecr:a": "x-${aws:PrincipalTag/star}"}}"#, "ecr:a=x-y", false),
    (TAGGED, r#"{"StringLike": {"ecr:a": "${aws:username}-*"}}"#, "ecr:a=ann-y", true),
    (TAGGED, r#"{"StringEqualsIgnoreCase": {"ecr:a": "${aws:PrincipalTag/mixed}"}}"#, "ecr:a=mIx", true),
    (TAGGED, r#"{"StringEquals": {"ecr:a": "${ecr:b}"}}"#, "ecr:a=1; ecr:b=1", true),
    (TAGGED, r#"{"StringEquals": {"ecr:a": "${ecr:b}"}}"#, "ecr:a=1; ecr:b=1|2", false),
    (TAGGED, r#"{"StringEquals": {"ecr:a": "${ecr:b, 'd'}"}}"#, "ecr:a=d; ecr:b=1|2", false),
    (TAGGED, r#"{"StringEquals": {"ecr:a": "${ecr:b, 'd'}"}}"#, "ecr:a=d; ecr:b=[]", true),
    (TAGGED, r#"{"StringLike": {"ecr:a": "5${*}"}}"#, "ecr:a=5*", true),
    (TAGGED, r#"{"StringLike": {"ecr:a": "5${*}"}}"#, "ecr:a=55", false),
    (
        TAGGED,
        r#"{"ArnLike": {"aws:SourceArn": "arn:aws:s3:::${aws:username}*"}}"#,
        "aws:SourceArn=arn:aws:s3:::annex",
        true,
    ),
    (
        TAGGED,
        r#"{"ArnLike": {"aws:SourceArn": "${aws:PrincipalArn}"}}"#,
        "aws:SourceArn=arn:aws:iam::111122223333:user/ann",
        true,
    ),
    (
        USER,
        r#"{"ArnLike": {"aws:SourceArn": "arn:aws:s3:::${aws:PrincipalTag/team}"}}"#,
        "aws:SourceArn=arn:aws:s3:::",
        false,
    ),
];

#[test]
fn conditions() {
    for (who, condition, seen, holds) in CONDITIONS {
        let ending = format!(r#""Action": "*", "Resource": "*", "Condition": {condition}"#);
        let found = statement_holds("2012-10-17", &ending, who, "ecr:PutImage", REPOSITORY, seen);
        assert_eq!(found, *holds, "{condition} for {who} on {seen:?}");
    }
}

#[test]
fn an_exception_without_a_value_never_widens() {
    let exception = r#""Action": "*", "NotResource": "arn:aws:ecr:*:*:repository/${aws:PrincipalTag/team}/*""#;
    assert!(!statement_holds("2012-10-17", exception, USER, "ecr:PutImage", REPOSITORY, ""));
    assert!(statement_holds("2012-10-17", exception, TAGGED, "ecr:PutImage", REPOSITORY, ""));

    let allow = document(Kind::Identity, r#"{"Effect": "Allow", "Action": "*", "Resource": "*"}"#);
    let deny = document(Kind::Identity, &format!(r#"{{"Effect": "Deny", {exception}}}"#));
    let identity = [IdentityPolicy { name: "a", document: &allow }, IdentityPolicy { name: "d", document: &deny }];
    let policies = Policies { identity: &identity, ..Policies::default() };
    assert_eq!(ask(&policies, &asker(USER), "ecr:PutImage", REPOSITORY, &Context::new()), "denied");
}
