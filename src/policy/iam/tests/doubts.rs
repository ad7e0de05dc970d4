//! Keys that no request has, where a policy is written.

use super::*;

/// The effect, the statement's other members, and words of the refusal; none where it is taken.
const ROWS: &[(&str, &str, Option<&str>)] = &[
    // Misspelt keys are refused whatever they would do.
    ("Deny", r#""Condition": {"NotIpAddress": {"aws:SourceIP": "192.0.2.0/24"}}"#, None),
    ("Deny", r#""Condition": {"NotIpAddress": {"aws:SourceIP2": "192.0.2.0/24"}}"#, Some("\"aws:SourceIP2\"")),
    ("Deny", r#""Condition": {"IpAddress": {"aws:SourceIP2": "192.0.2.0/24"}}"#, Some("\"aws:SourceIp\"")),
    ("Deny", r#""Condition": {"StringLike": {"entrepot:Foo": "x"}}"#, Some("\"entrepot:ImageTag\"")),
    ("Allow", r#""Condition": {"StringLike": {"entrepot:Foo": "x"}}"#, Some("\"entrepot:Foo\"")),
    ("Deny", r#""Condition": {"Null": {"aws:PrincipalTags/team": "true"}}"#, Some("\"aws:PrincipalTag/\"")),
    ("Deny", r#""Condition": {"StringEquals": {"aws:ResourceTag:team": "x"}}"#, Some("\"aws:ResourceTag/\"")),
    ("Deny", r#""Condition": {"StringEquals": {"s3:prefix": "x"}}"#, Some("\"s3:prefix\"")),
    ("Deny", r#""Sid": "guard", "Condition": {"StringEquals": {"aws:Nothing": "x"}}"#, Some("Sid \"guard\"")),
    // AWS's keys that no request here has, in a Deny: it has to hold without them.
    ("Deny", r#""Condition": {"StringEquals": {"aws:SourceVpce": "vpce-1"}}"#, Some("would never deny")),
    ("Deny", r#""Condition": {"StringNotEquals": {"aws:SourceVpce": "vpce-1"}}"#, None),
    ("Deny", r#""Condition": {"StringEqualsIfExists": {"aws:SourceVpce": "vpce-1"}}"#, None),
    ("Deny", r#""Condition": {"ForAnyValue:StringLike": {"aws:PrincipalOrgPaths": "o-1/*"}}"#, Some("never deny")),
    ("Deny", r#""Condition": {"ForAnyValue:StringNotLike": {"aws:PrincipalOrgPaths": "o-1/*"}}"#, Some("never deny")),
    ("Deny", r#""Condition": {"ForAllValues:StringNotLike": {"aws:PrincipalOrgPaths": "o-1/*"}}"#, None),
    ("Deny", r#""Condition": {"Null": {"aws:SourceVpc": "true"}}"#, None),
    ("Deny", r#""Condition": {"Null": {"aws:SourceVpc": "false"}}"#, Some("never deny")),
    ("Deny", r#""Condition": {"Bool": {"aws:MultiFactorAuthPresent": "false"}}"#, Some("never deny")),
    ("Deny", r#""Condition": {"BoolIfExists": {"aws:MultiFactorAuthPresent": "false"}}"#, None),
    // In an Allow it must not hold without them.
    ("Allow", r#""Condition": {"StringEquals": {"aws:PrincipalOrgID": "o-1"}}"#, None),
    ("Allow", r#""Condition": {"StringNotEquals": {"aws:PrincipalOrgID": "o-1"}}"#, Some("would allow without it")),
    ("Allow", r#""Condition": {"StringEqualsIfExists": {"aws:PrincipalOrgID": "o-1"}}"#, Some("allow without it")),
    ("Allow", r#""Condition": {"ForAllValues:StringEquals": {"aws:CalledVia": "x"}}"#, Some("allow without it")),
    ("Allow", r#""Condition": {"Null": {"aws:SourceVpc": "true"}}"#, Some("allow without it")),
    ("Allow", r#""Condition": {"Null": {"aws:SourceVpc": "false"}}"#, None),
    ("Allow", r#""Condition": {"StringEquals": {"sts:ExternalId": "x"}}"#, None),
    // Variables are keys, too.
    ("Deny", r#""Resource": "arn:aws:ecr:*:*:repository/${aws:usrname}/*""#, Some("\"aws:usrname\"")),
    ("Deny", r#""Resource": "arn:aws:ecr:*:*:repository/${aws:username}/*""#, None),
    ("Deny", r#""Resource": "arn:aws:ecr:*:*:repository/${aws:userid}/*""#, Some("never deny")),
    ("Deny", r#""Resource": "arn:aws:ecr:*:*:repository/${aws:userid, 'x'}/*""#, None),
    ("Deny", r#""NotResource": "arn:aws:ecr:*:*:repository/${aws:userid}/*""#, None),
    ("Allow", r#""Resource": "arn:aws:ecr:*:*:repository/${aws:userid}/*""#, None),
    ("Allow", r#""NotResource": "arn:aws:ecr:*:*:repository/${aws:userid}/*""#, None),
    ("Deny", r#""Condition": {"StringEquals": {"aws:PrincipalTag/a": "${aws:userid}"}}"#, Some("never deny")),
    ("Deny", r#""Condition": {"StringNotEquals": {"aws:PrincipalTag/a": "${aws:userid}"}}"#, None),
    ("Allow", r#""Condition": {"StringNotEquals": {"aws:PrincipalTag/a": "${aws:userid}"}}"#, Some("allow without it")),
    ("Deny", r#""Condition": {"ArnLike": {"aws:PrincipalArn": "arn:aws:iam::*:user/${aws:name}"}}"#, Some("aws:name")),
];

/// AWS's own examples, and what people carry over.
const TAKEN: &[(Kind, &str)] = &[
    // AmazonEC2ContainerRegistryFullAccess.
    (
        Kind::Identity,
        r#"{"Effect": "Allow", "Action": ["iam:CreateServiceLinkedRole"], "Resource": "*",
        "Condition": {"StringEquals": {"iam:AWSServiceName": ["replication.ecr.amazonaws.com"]}}}"#,
    ),
    // Access from an address, but for what services do.
    (
        Kind::Identity,
        r#"{"Effect": "Deny", "Action": "*", "Resource": "*", "Condition": {
        "NotIpAddress": {"aws:SourceIp": ["192.0.2.0/24"]}, "Bool": {"aws:ViaAWSService": "false"}}}"#,
    ),
    // Lambda pulls across accounts.
    (
        Kind::Repository,
        r#"{"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": ["ecr:BatchGetImage"],
        "Condition": {"StringLike": {"aws:sourceArn": "arn:aws:lambda:us-east-1:123456789012:function:*"}}}"#,
    ),
    (
        Kind::Repository,
        r#"{"Effect": "Allow", "Principal": "*", "Action": "ecr:*", "Condition": {"StringEquals": {"aws:PrincipalOrgID": "o-1"}}}"#,
    ),
    (
        Kind::Identity,
        r#"{"Effect": "Allow", "Action": "ecr:*", "Resource": "*", "Condition": {"StringEquals": {"ecr:ResourceTag/a": "b"}}}"#,
    ),
    // Other services' actions are never asked about, so their keys decide nothing.
    (
        Kind::Identity,
        r#"{"Effect": "Deny", "Action": "s3:ListBucket", "Resource": "*", "Condition": {"StringEquals": {"s3:prefix": "x"}}}"#,
    ),
    (
        Kind::Trust,
        r#"{"Effect": "Allow", "Principal": {"Federated": "token.actions.githubusercontent.com"},
        "Action": "sts:AssumeRoleWithWebIdentity",
        "Condition": {"StringLike": {"token.actions.githubusercontent.com:sub": "repo:a/b:*"}}}"#,
    ),
];

#[test]
fn g05_what_lets_somebody_do_more_is_refused() {
    for (effect, members, words) in ROWS {
        let resource = if members.contains("Resource\"") { "" } else { r#""Resource": "*", "# };
        let text = format!(
            r#"{{"Version": "2012-10-17", "Statement": [{{"Effect": "{effect}", "Action": "ecr:*", {resource}{members}}}]}}"#
        );
        // What is there goes on.
        assert!(Document::parse(Kind::Identity, &text, MAX_BYTES).is_ok(), "{text}");
        match (Document::written(Kind::Identity, &text, MAX_BYTES), words) {
            (Ok(_), None) => {}
            (Err(error), Some(words)) => {
                assert!(error.to_string().contains(words), "{text}: {error}");
                assert!(error.pointer().is_some_and(|pointer| pointer.starts_with("/Statement/0/")), "{error}");
            }
            (Err(error), None) => panic!("{text}: {error}"),
            (Ok(_), Some(words)) => panic!("{text} is taken, and not refused with {words:?}"),
        }
    }
}

/// The effect, the member, and words of the refusal; none where it is taken.
const ACTIONS: &[(&str, &str, Option<&str>)] = &[
    ("Deny", r#""Action": "ecr:PutImge""#, Some("the nearest is \"ecr:PutImage\"")),
    ("Deny", r#""Action": ["ecr:PutImage", "ECR:putimage", "ecr:Put*", "ecr:*", "ecr:?utImage", "*"]"#, None),
    ("Deny", r#""Action": ["ecr:PutImage", "ecr:Putt*"]"#, Some("\"ecr:Putt*\" is no action")),
    ("Deny", r#""Action": ["ecr:BatchImportUpstreamImage", "ecr:ReplicateImage"]"#, None),
    ("Allow", r#""Action": "ecr:PutImge""#, None),
    ("Allow", r#""NotAction": "ecr:DeleteRepositry""#, Some("the nearest is \"ecr:DeleteRepository\"")),
    ("Deny", r#""NotAction": "ecr:GetAuthorizatonToken""#, None),
    // Nobody here knows all of other services'.
    ("Deny", r#""Action": ["s3:GetObjct", "iam:CreateGroup", "e*:PutImge"]"#, None),
];

/// A Deny of an action that there is not denies nothing either.
#[test]
fn h02_actions_that_there_are_not() {
    for (effect, member, words) in ACTIONS {
        let text = format!(
            r#"{{"Version": "2012-10-17", "Statement": [{{"Effect": "{effect}", {member}, "Resource": "*"}}]}}"#
        );
        assert!(Document::parse(Kind::Identity, &text, MAX_BYTES).is_ok(), "{text}");
        let written =
            Document::written(Kind::Identity, &text, MAX_BYTES).map(|_| ()).map_err(|error| error.to_string());
        match words {
            None => assert_eq!(written, Ok(()), "{text}"),
            Some(words) => assert!(written.as_ref().is_err_and(|error| error.contains(words)), "{text} {written:?}"),
        }
    }
}

/// The effect, the other members, and words of the refusal; none where it is taken.
const OTHERS: &[(&str, &str, Option<&str>)] = &[
    // What is no repository is denied to nobody.
    ("Deny", r#""Resource": "arn:aws:ecr:eu-west-1:111122223333:repositry/team/*""#, Some("is no repository's")),
    ("Deny", r#""Resource": "arn:aws:ecr:eu-west-1:111122223333:team/app""#, Some("is no repository's")),
    (
        "Deny",
        r#""Resource": ["*", "arn:aws:ecr:*:*:repository/Team/*"]"#,
        Some("repository/Team/*\" is no repository's"),
    ),
    (
        "Deny",
        r#""Resource": ["arn:aws:ecr:*:*:repository/team/*", "arn:aws:ecr:*:*:*", "arn:aws:ecr:*", "arn:aws:ecr:*:*:r*"]"#,
        None,
    ),
    (
        "Deny",
        r#""Resource": ["arn:aws:ecr:*:*:repository/${aws:username}", "arn:aws:iam::111122223333:user/Ann"]"#,
        None,
    ),
    ("Allow", r#""Resource": "arn:aws:ecr:*:*:repositry/team/*""#, None),
    ("Allow", r#""NotResource": "arn:aws:ecr:*:*:repositry/team/*""#, Some("is no repository's")),
    ("Deny", r#""NotResource": "arn:aws:ecr:*:*:repositry/team/*""#, None),
    // Operators that compare nothing with a key's values.
    ("Deny", r#""Condition": {"StringEquals": {"aws:SourceIp": "192.0.2.0/24"}}"#, Some("write IpAddress")),
    ("Deny", r#""Condition": {"StringLike": {"aws:SourceIp": ["192.0.2.*", "192.0.3.7"]}}"#, None),
    (
        "Deny",
        r#""Condition": {"ForAnyValue:StringEquals": {"aws:SOURCEIP": ["192.0.2.1", "192.0.2.0/24"]}}"#,
        Some("IpAddress"),
    ),
    ("Deny", r#""Condition": {"StringLessThan": {"aws:CurrentTime": "2026-01-01"}}"#, Some("no condition operator")),
    ("Deny", r#""Condition": {"StringLike": {"aws:CurrentTime": "2026-*"}}"#, Some("write DateLessThan")),
    ("Allow", r#""Condition": {"StringNotLike": {"aws:CurrentTime": "2026-*"}}"#, Some("write DateLessThan")),
    ("Deny", r#""Condition": {"DateLessThan": {"aws:TokenIssueTime": "2026-01-01T00:00:00Z"}}"#, None),
    (
        "Deny",
        r#""Condition": {"NumericLessThan": {"aws:EpochTime": "1800000000"}, "Null": {"aws:SourceIp": "true"}}"#,
        None,
    ),
    ("Deny", r#""Condition": {"IpAddress": {"aws:SecureTransport": "192.0.2.1"}}"#, Some("write Bool")),
    ("Deny", r#""Condition": {"StringEquals": {"aws:SecureTransport": "false"}}"#, None),
];

/// A principal of a repository's policy, and words of the refusal of its Deny.
const DENIED: &[(&str, Option<&str>)] = &[
    (r#"{"AWS": "arn:aws-cn:iam::111122223333:user/ann"}"#, Some("nobody here can have the name")),
    (r#"{"AWS": ["*", "arn:aws:iam::111122223333:user/team/ann"]}"#, Some("have no path")),
    (r#"{"AWS": ["arn:aws:iam::111122223333:user/ann", "arn:aws:sts::111122223333:assumed-role/ci/x"]}"#, None),
    (r#"{"AWS": ["111122223333", "arn:aws-cn:iam::111122223333:root"], "Service": "lambda.amazonaws.com"}"#, None),
];

#[test]
fn h02_resources_principals_and_operators_that_are_none() {
    for (effect, members, words) in OTHERS {
        let resource = if members.contains("Resource\"") { "" } else { r#""Resource": "*", "# };
        let statement = format!(r#"{{"Effect": "{effect}", "Action": "ecr:*", {resource}{members}}}"#);
        told(Kind::Identity, &statement, *words);
    }
    for (principal, words) in DENIED {
        let statement = |effect| format!(r#"{{"Effect": "{effect}", "Principal": {principal}, "Action": "ecr:*"}}"#);
        told(Kind::Repository, &statement("Deny"), *words);
        told(Kind::Repository, &statement("Allow"), None);
    }
}

fn told(kind: Kind, statement: &str, words: Option<&str>) {
    let text = format!(r#"{{"Version": "2012-10-17", "Statement": [{statement}]}}"#);
    let written = Document::written(kind, &text, MAX_BYTES).map(|_| ()).map_err(|error| error.to_string());
    match words {
        None => assert_eq!(written, Ok(()), "{text}"),
        Some(words) => assert!(written.as_ref().is_err_and(|error| error.contains(words)), "{text} {written:?}"),
    }
}

#[test]
fn g05_documented_policies_are_taken() {
    for (kind, statement) in TAKEN {
        let text = format!(r#"{{"Version": "2012-10-17", "Statement": [{statement}]}}"#);
        if let Err(error) = Document::written(*kind, &text, MAX_BYTES) {
            panic!("{text}: {error}");
        }
    }
    for preset in crate::iam::ManagedPolicy::ALL {
        assert!(Document::written(Kind::Identity, preset.text(), MAX_BYTES).is_ok(), "{preset:?}");
    }
}

/// What is refused for that would have decided wrongly, and what is taken decides as if the policy were true to its words: a key that is
/// refused in a Deny is one whose Deny does not hold.
#[test]
fn g05_refusals_and_decisions_agree() {
    for effect in ["Allow", "Deny"] {
        for operator in
            ["StringEquals", "StringNotEquals", "StringLike", "StringNotLike", "ArnLike", "Bool", "NotIpAddress"]
        {
            for (before, after) in [("", ""), ("", "IfExists"), ("ForAllValues:", ""), ("ForAnyValue:", "IfExists")] {
                let value = match operator {
                    "ArnLike" => "arn:aws:iam::*:*",
                    "Bool" => "true",
                    "NotIpAddress" => "192.0.2.1",
                    _ => "x",
                };
                let condition = format!(r#"{{"{before}{operator}{after}": {{"aws:SourceVpc": "{value}"}}}}"#);
                let holds = condition_holds(&condition, "");
                let text = format!(
                    r#"{{"Version": "2012-10-17", "Statement": [{{"Effect": "{effect}", "Action": "*", "Resource": "*", "Condition": {condition}}}]}}"#
                );
                let is_taken = Document::written(Kind::Identity, &text, MAX_BYTES).is_ok();
                assert_eq!(is_taken, holds == (effect == "Deny"), "{text}");
            }
        }
    }
}
