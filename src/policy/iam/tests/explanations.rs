//! What an explanation says of each statement.

use super::*;

const WHO: &str = "session:arn:aws:iam::111122223333:role/ci run1";

fn outcomes(repository: &str, action: &str, seen: &str) -> Vec<Outcome> {
    let identity =
        document(Kind::Identity, r#"{"Sid": "base", "Effect": "Allow", "Action": "ecr:Get*", "Resource": "*"}"#);
    let identity = [IdentityPolicy { name: "base", document: &identity }];
    let repository = document(Kind::Repository, repository);
    let policies = Policies { identity: &identity, repository: Some(&repository), ..Policies::default() };
    let (principal, context) = (asker(WHO), context(seen));
    let question = Question::new(&principal, action, REPOSITORY, OURS.parse().unwrap(), &context);
    explain(&policies, &question).statements.into_iter().skip(1).map(|examined| examined.outcome).collect()
}

#[test]
fn the_first_thing_that_did_not_match_is_told() {
    let condition = |seen: &[&str]| Outcome::Condition {
        operator: "IpAddress".into(),
        key: "aws:SourceIp".into(),
        seen: seen.iter().map(|seen| (*seen).to_owned()).collect(),
    };
    let statement = |principal: &str, ending: &str| {
        format!(r#"{{"Effect": "Allow", "Principal": {principal}, "Action": "ecr:PutImage"{ending}}}"#)
    };
    let from = r#", "Condition": {"Null": {"ecr:x": true}, "IpAddress": {"aws:SourceIp": "192.0.2.0/24"}}"#;
    let role = r#"{"AWS": "arn:aws:iam::111122223333:role/ci"}"#;
    let put = "ecr:PutImage";
    for (text, action, seen, wanted) in [
        (statement(r#""*""#, ""), put, "", Outcome::Matched),
        (statement(role, ""), put, "", Outcome::MatchedRole),
        (statement(r#"{"AWS": "111122223333"}"#, ""), put, "", Outcome::MatchedAccount),
        (statement(r#""*""#, ""), "ecr:ListImages", "", Outcome::OtherAction),
        (statement(r#"{"AWS": "222233334444"}"#, ""), put, "", Outcome::OtherPrincipal),
        (statement(r#""*""#, r#", "Resource": "arn:aws:ecr:*:*:repository/x""#), put, "", Outcome::OtherResource),
        (statement(r#""*""#, from), put, "aws:SourceIp=ip:203.0.113.9", condition(&["203.0.113.9"])),
        (statement(r#""*""#, from), put, "", condition(&[])),
        (statement(r#""*""#, from), put, "aws:SourceIp=ip:192.0.2.1", Outcome::Matched),
        (statement(r#""*""#, ""), "ecr:GetAuthorizationToken", "", Outcome::DoesNotCount),
    ] {
        assert_eq!(outcomes(&text, action, seen), [wanted], "{text}");
    }
}

#[test]
fn it_reads_as_text_and_as_json() {
    let identity = document(Kind::Identity, r#"{"Sid": "all", "Effect": "Allow", "Action": "*", "Resource": "*"}"#);
    let identity = [IdentityPolicy { name: "admin", document: &identity }];
    let repository = document(
        Kind::Repository,
        r#"{"Effect": "Deny", "Principal": "*", "Action": "ecr:Put*", "Condition": {"StringEquals": {"ecr:a": "1"}}},
           {"Sid": "frozen", "Effect": "Deny", "Principal": "*", "Action": "ecr:Put*"}"#,
    );
    let policies = Policies { identity: &identity, repository: Some(&repository), ..Policies::default() };
    let (principal, context) = (asker(WHO), context("ecr:a=2|3"));
    let question = Question::new(&principal, "ecr:PutImage", REPOSITORY, OURS.parse().unwrap(), &context);
    let explanation = explain(&policies, &question);
    assert_eq!(
        explanation.to_string(),
        "Allow, statement 0 of the identity policy \"admin\" (Sid \"all\"): matched\n\
         Deny, statement 0 of the repository policy: StringEquals on ecr:a did not hold: the request has 2, 3\n\
         Deny, statement 1 of the repository policy (Sid \"frozen\"): matched\n\
         denied by statement 1 of the repository policy (Sid \"frozen\")"
    );
    let json = serde_json::to_value(&explanation).unwrap();
    assert_eq!(json["decision"]["decision"], "denied");
    assert_eq!(json["decision"]["by"]["sid"], "frozen");
    assert_eq!(json["statements"][1]["outcome"]["seen"][1], "3");
    assert_eq!(json["statements"][0]["statement"]["source"]["identity"], "admin");
}

#[test]
fn a_decision_names_the_statement_it_rests_on() {
    let ours = document(
        Kind::Identity,
        r#"{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}, {"Sid": "x", "Effect": "Allow", "Action": "*", "Resource": "*"}"#,
    );
    let identity = [IdentityPolicy { name: "p", document: &ours }];
    let repository =
        document(Kind::Repository, r#"{"Effect": "Allow", "Principal": {"AWS": "222233334444"}, "Action": "ecr:*"}"#);
    let policies = Policies { identity: &identity, repository: Some(&repository), ..Policies::default() };
    let context = Context::new();
    let by_identity = Citation { source: Source::Identity("p"), statement: 1, sid: Some("x") };
    let by_repository = Citation { source: Source::Repository, statement: 0, sid: None };
    for (who, grant) in [
        ("arn:aws:iam::111122223333:user/ann", Grant::Identity(by_identity)),
        ("arn:aws:iam::222233334444:user/ann", Grant::Both { identity: by_identity, resource: by_repository }),
        ("arn:aws:iam::222233334444:root", Grant::Resource(by_repository)),
        ("arn:aws:iam::111122223333:root", Grant::RootUser),
    ] {
        let principal = asker(who);
        let question = Question::new(&principal, "ecr:PutImage", REPOSITORY, OURS.parse().unwrap(), &context);
        assert_eq!(decide(&policies, &question), Decision::Allowed { by: grant }, "{who}");
    }
}

/// A reason goes into answers, records and memory for each decision: whoever writes a policy does not choose its length.
#[test]
fn h05_reasons_are_short() {
    let sid = "\u{e4}".repeat(10_000);
    let statement = format!(r#"{{"Sid": "{sid}", "Effect": "Deny", "Principal": "*", "Action": "ecr:*"}}"#);
    let text = format!(r#"{{"Version": "2012-10-17", "Statement": [{statement}]}}"#);
    let document = Document::parse(Kind::Repository, &text, 40_960).unwrap();
    let policies = Policies { repository: Some(&document), ..Policies::default() };
    let (who, context) = (asker("arn:aws:iam::111122223333:user/ann"), Context::new());
    let question = Question::new(&who, "ecr:PutImage", REPOSITORY, OURS.parse().unwrap(), &context);
    let reason = decide(&policies, &question).to_string();
    assert!(reason.starts_with("denied by statement 0") && reason.chars().count() < 250, "{}", reason.len());
}
