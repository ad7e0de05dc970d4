//! Every reason to refuse a document, with its place.

use super::*;

/// The statement's members after `Effect`, the pointer below `/Statement/0`, words of the reason.
const STATEMENTS: &[(&str, &str, &str)] = &[
    (r#""Action": "*", "Resource": "*", "Actions": "*""#, "/Actions", "is no member of this object"),
    (r#""Action": "*", "Action": "*", "Resource": "*""#, "/Action", "is written twice"),
    (r#""Resource": "*""#, "", "has no Action"),
    (r#""Action": "*""#, "", "has no Resource"),
    (r#""Action": "*", "NotAction": "*", "Resource": "*""#, "", "has both Action and NotAction"),
    (r#""Action": "*", "Resource": "*", "NotResource": "*""#, "", "has both Resource and NotResource"),
    (r#""Action": [], "Resource": "*""#, "/Action", "is empty; write at least one action"),
    (r#""Action": 5, "Resource": "*""#, "/Action", "is a number; write a string"),
    (r#""Action": ["ecr:*", null], "Resource": "*""#, "/Action/1", "is null; write a string"),
    (r#""Action": [["ecr:*"]], "Resource": "*""#, "/Action/0", "is a list; write a string"),
    (r#""Action": "PutImage", "Resource": "*""#, "/Action", "\"PutImage\" is no action"),
    (r#""Action": "", "Resource": "*""#, "/Action", "\"\" is no action"),
    (r#""Action": "ecr:", "Resource": "*""#, "/Action", "\"ecr:\" is no action"),
    (r#""Action": "ecr:Put Image", "Resource": "*""#, "/Action", "is no action"),
    (r#""NotAction": ["ecr:a:b"], "Resource": "*""#, "/NotAction/0", "is no action"),
    (r#""Action": "*", "Resource": []"#, "/Resource", "at least one resource"),
    (r#""Action": "*", "Resource": "team/app""#, "/Resource", "\"team/app\" is no resource"),
    (r#""Action": "*", "Resource": """#, "/Resource", "is no resource"),
    (r#""Action": "*", "Resource": ["*", {"a": 1}]"#, "/Resource/1", "is an object; write a string"),
    (
        r#""Action": "*", "NotResource": "arn:aws:ecr:*:${aws:PrincipalAccount}:repository/*""#,
        "/NotResource",
        "before the fifth colon",
    ),
    (r#""Action": "*", "Resource": "arn:aws:ecr:*:*:repository/${aws:username""#, "/Resource", "is not closed"),
    (r#""Action": "*", "Resource": "arn:aws:ecr:*:*:repository/${}""#, "/Resource", "is empty"),
    (r#""Action": "*", "Resource": "arn:aws:ecr:*:*:repository/${username}""#, "/Resource", "is no condition key"),
    (r#""Action": "*", "Resource": "arn:aws:ecr:*:*:repository/${aws:a${aws:b}}""#, "/Resource", "is no condition key"),
    (
        r#""Action": "*", "Resource": "arn:aws:ecr:*:*:repository/${aws:username, none}""#,
        "/Resource",
        "without single quotes",
    ),
    (r#""Action": "*", "Resource": "*", "Principal": "*""#, "/Principal", "is not allowed in an identity policy"),
    (r#""Action": "*", "Resource": "*", "NotPrincipal": "*""#, "/NotPrincipal", "is not allowed in an identity policy"),
    (r#""Action": "*", "Resource": "*", "Sid": 5"#, "/Sid", "is a number"),
    (r#""Action": "*", "Resource": "*", "Condition": "x""#, "/Condition", "is a string; write an object"),
    (r#""Action": "*", "Resource": "*", "Condition": {"Bool": []}"#, "/Condition/Bool", "is a list; write an object"),
    (r#""Action": "*", "Resource": "*", "Condition": {"Bool": {}}"#, "/Condition/Bool", "at least one condition key"),
    (
        r#""Action": "*", "Resource": "*", "Condition": {"Bool": {"aws:a": "true"}, "Bool": {"aws:b": "true"}}"#,
        "/Condition/Bool",
        "is written twice",
    ),
    (
        r#""Action": "*", "Resource": "*", "Condition": {"Bool": {"aws:a": "true", "aws:a": "true"}}"#,
        "/Condition/Bool/aws:a",
        "is written twice",
    ),
];

/// A condition, the pointer below `/Statement/0/Condition`, words of the reason.
const CONDITIONS: &[(&str, &str, &str)] = &[
    (r#"{"StringEqual": {"aws:a": "x"}}"#, "/StringEqual", "\"StringEqual\" is no condition operator; those are"),
    (r#"{"stringequals": {"aws:a": "x"}}"#, "/stringequals", "write StringEquals"),
    (
        r#"{"ForEachValue:StringEquals": {"aws:a": "x"}}"#,
        "/ForEachValue:StringEquals",
        "a prefix is ForAllValues: or ForAnyValue:",
    ),
    (r#"{"NullIfExists": {"aws:a": "true"}}"#, "/NullIfExists", "Null takes no prefix and no suffix"),
    (r#"{"ForAnyValue:Null": {"aws:a": "true"}}"#, "/ForAnyValue:Null", "Null takes no prefix"),
    (r#"{"StringEquals": {"a": "x"}}"#, "/StringEquals/a", "\"a\" is no condition key"),
    (r#"{"StringEquals": {"": "x"}}"#, "/StringEquals/", "is no condition key"),
    (r#"{"StringEquals": {"aws:a": []}}"#, "/StringEquals/aws:a", "at least one value"),
    (r#"{"StringEquals": {"aws:a": null}}"#, "/StringEquals/aws:a", "is null"),
    (r#"{"StringEquals": {"aws:ResourceTag/a~b": {}}}"#, "/StringEquals/aws:ResourceTag~1a~0b", "is an object"),
    (r#"{"StringEquals": {"aws:a": ["x", "${y"]}}"#, "/StringEquals/aws:a/1", "is not closed"),
    (r#"{"NumericEquals": {"aws:a": "ten"}}"#, "/NumericEquals/aws:a", "\"ten\" is no number"),
    (r#"{"NumericEquals": {"aws:a": "inf"}}"#, "/NumericEquals/aws:a", "is no number"),
    (r#"{"NumericEquals": {"aws:a": "1e999"}}"#, "/NumericEquals/aws:a", "is no number"),
    (r#"{"DateLessThan": {"aws:a": "2026-02-30"}}"#, "/DateLessThan/aws:a", "is no point in time"),
    (r#"{"Bool": {"aws:a": "yes"}}"#, "/Bool/aws:a", "is no truth value"),
    (r#"{"Bool": {"aws:a": "${aws:b}"}}"#, "/Bool/aws:a", "this operator takes none"),
    (r#"{"Null": {"aws:a": "1"}}"#, "/Null/aws:a", "is no truth value"),
    (r#"{"BinaryEquals": {"aws:a": "a=b"}}"#, "/BinaryEquals/aws:a", "is no base64"),
    (
        r#"{"IpAddress": {"aws:SourceIp": "192.0.2.0/33"}}"#,
        "/IpAddress/aws:SourceIp",
        "\"192.0.2.0/33\" is no address and no CIDR",
    ),
    (r#"{"IpAddress": {"aws:SourceIp": ["192.0.2.0/24", "192.0.2.*"]}}"#, "/IpAddress/aws:SourceIp/1", "no CIDR range"),
    (r#"{"NotIpAddress": {"aws:SourceIp": ""}}"#, "/NotIpAddress/aws:SourceIp", "no CIDR range"),
    (r#"{"ArnLike": {"aws:SourceArn": "role/x"}}"#, "/ArnLike/aws:SourceArn", "\"role/x\" is no ARN"),
];

/// A principal, the pointer below `/Statement/0`, words of the reason.
const PRINCIPALS: &[(&str, &str, &str)] = &[
    (r#""Principal": "111122223333""#, "/Principal", "write \"*\" or an object"),
    (r#""Principal": {}"#, "/Principal", "at least one principal"),
    (r#""Principal": ["*"]"#, "/Principal", "is a list; write an object"),
    (r#""Principal": {"aws": "*"}"#, "/Principal/aws", "those are AWS, Service, Federated"),
    (r#""Principal": {"AWS": []}"#, "/Principal/AWS", "at least one principal"),
    (r#""Principal": {"AWS": ["*", "ann"]}"#, "/Principal/AWS/1", "\"ann\" is no principal"),
    (r#""Principal": {"AWS": "11112222333"}"#, "/Principal/AWS", "is no principal"),
    (r#""Principal": {"AWS": "arn:aws:iam::111122223333:group/dev"}"#, "/Principal/AWS", "is no principal"),
    (r#""Principal": {"AWS": "arn:aws:iam::111122223333:role/*"}"#, "/Principal/AWS", "ArnLike on aws:PrincipalArn"),
    (r#""Principal": {"AWS": "arn:aws:sts::111122223333:assumed-role/ci/*"}"#, "/Principal/AWS", "has a wildcard"),
    (r#""Principal": {"AWS": "1111*"}"#, "/Principal/AWS", "has a wildcard"),
    (r#""Principal": {"Service": "codebuild"}"#, "/Principal/Service", "is no service"),
    (r#""Principal": {"Service": "*.amazonaws.com"}"#, "/Principal/Service", "is no service"),
    (r#""Principal": {"Federated": "*"}"#, "/Principal/Federated", "is no identity provider"),
    (r#""NotPrincipal": {"AWS": "111122223333"}"#, "/NotPrincipal", "NotPrincipal with Allow"),
    (r#""Principal": "*", "NotPrincipal": "*""#, "", "has both Principal and NotPrincipal"),
    (r#""Sid": "x""#, "", "has no Principal"),
];

/// A document, the pointer, words of the reason.
const DOCUMENTS: &[(&str, &str, &str)] = &[
    (r#"[]"#, "", "is a list; write an object"),
    (r#""x""#, "", "is a string; write an object"),
    (r#"{}"#, "", "has no Statement"),
    (r#"{"Statement": []}"#, "/Statement", "at least one statement"),
    (r#"{"Statement": "x"}"#, "/Statement", "is a string; write an object"),
    (r#"{"Statement": [1]}"#, "/Statement/0", "is a number; write an object"),
    (r#"{"Statement": [], "Statement": []}"#, "/Statement", "is written twice"),
    (r#"{"statement": []}"#, "/statement", "those are Version, Id, Statement"),
    (r#"{"Version": "2012-10-18", "Statement": []}"#, "/Version", "is no version of the policy language"),
    (r#"{"Version": 2012, "Statement": []}"#, "/Version", "is a number"),
    (r#"{"Id": {}, "Statement": []}"#, "/Id", "is an object"),
    (r#"{"Statement": {"Action": "*", "Resource": "*"}}"#, "/Statement", "has no Effect"),
    (
        r#"{"Statement": {"Effect": "allow", "Action": "*", "Resource": "*"}}"#,
        "/Statement/Effect",
        "\"allow\" is no effect",
    ),
];

fn refused(kind: Kind, text: &str, pointer: &str, words: &str) {
    let error = Document::parse(kind, text, MAX_BYTES).expect_err(text);
    assert_eq!(error.pointer(), Some(pointer), "{text}: {error}");
    assert!(error.to_string().contains(words), "{text}: {error}");
}

#[test]
fn statements() {
    for (members, pointer, words) in STATEMENTS {
        let text = format!(r#"{{"Version": "2012-10-17", "Statement": [{{"Effect": "Allow", {members}}}]}}"#);
        refused(Kind::Identity, &text, &format!("/Statement/0{pointer}"), words);
    }
}

#[test]
fn conditions() {
    for (condition, pointer, words) in CONDITIONS {
        let text = format!(
            r#"{{"Version": "2012-10-17", "Statement": [{{"Effect": "Allow", "Action": "*", "Resource": "*", "Condition": {condition}}}]}}"#
        );
        refused(Kind::Identity, &text, &format!("/Statement/0/Condition{pointer}"), words);
    }
}

#[test]
fn principals() {
    for (member, pointer, words) in PRINCIPALS {
        let text = format!(r#"{{"Statement": [{{"Effect": "Allow", {member}, "Action": "ecr:*"}}]}}"#);
        refused(Kind::Repository, &text, &format!("/Statement/0{pointer}"), words);
    }
}

#[test]
fn documents() {
    for (text, pointer, words) in DOCUMENTS {
        refused(Kind::Identity, text, pointer, words);
    }
}

#[test]
fn kinds() {
    let foreign = r#"{"Statement": [{"Effect": "Allow", "Principal": "*", "Action": ["ecr:*", "s3:GetObject"]}]}"#;
    refused(
        Kind::Repository,
        foreign,
        "/Statement/0/Action/1",
        "an action of another service, which a repository policy",
    );
    let bare = r#"{"Statement": [{"Effect": "Allow", "Principal": "*", "Action": "ecr:*"}]}"#;
    refused(Kind::Registry, bare, "/Statement/0", "has no Resource");
    let nobody = r#"{"Statement": [{"Effect": "Allow", "Action": "ecr:*", "Resource": "*"}]}"#;
    refused(Kind::Registry, nobody, "/Statement/0", "has no Principal");
    refused(Kind::Repository, nobody, "/Statement/0", "has no Principal");
}

#[test]
fn malformed_json_has_a_line_and_a_column() {
    for (text, line, column) in [
        ("", 1, 0),
        ("{", 1, 1),
        ("{\n  \"Statement\": [,]\n}", 2, 17),
        ("{\"Statement\": []} x", 1, 19),
        ("{\"Statement\": [1e999]}", 1, 20),
        ("{'Statement': []}", 1, 2),
        ("{\"Id\": \"\u{1}\"}", 1, 9),
        ("\u{feff}{}", 1, 1),
    ] {
        match Document::parse(Kind::Identity, text, MAX_BYTES) {
            Err(DocumentError::NotJson { line: l, column: c, reason }) => {
                assert_eq!((l, c), (line, column), "{text}: {reason}");
                assert!(!reason.contains("line"), "{reason}");
            }
            other => panic!("{text}: {other:?}"),
        }
    }
}

#[test]
fn depth_and_size_are_bounded() {
    let deep = format!("{{\"Statement\":\n{}", "[".repeat(10_000));
    let error = Document::parse(Kind::Identity, &deep, MAX_BYTES).unwrap_err();
    assert!(matches!(error, DocumentError::TooDeep { line: 2, .. }), "{error}");
    let objects = r#"{"a":"#.repeat(1_000);
    assert!(matches!(Document::parse(Kind::Identity, &objects, MAX_BYTES), Err(DocumentError::TooDeep { .. })));

    let text = r#"{"Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}}"#;
    assert!(Document::parse(Kind::Identity, text, text.len()).is_ok());
    let error = Document::parse(Kind::Identity, text, text.len() - 1).unwrap_err();
    assert_eq!(error, DocumentError::TooBig { size: text.len(), limit: text.len() - 1 });
    assert!(error.to_string().contains("may have"), "{error}");
}
