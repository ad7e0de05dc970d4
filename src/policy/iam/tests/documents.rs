//! Documents that are accepted as they stand.

use super::*;

#[test]
fn the_examples_of_the_api_parse() {
    let repository = r#"{"Version":"2012-10-17","Statement":[
     {"Sid":"cluster pulls","Effect":"Allow","Principal":{"AWS":["arn:aws:iam::222233334444:role/node"]},
      "Action":["ecr:BatchGetImage","ecr:GetDownloadUrlForLayer"]},
     {"Sid":"cluster pulls","Effect":"Deny","Principal":"*","Action":"ecr:*",
      "Condition":{"NotIpAddress":{"aws:SourceIp":["192.0.2.0/24","2001:db8::/48"]}}}]}"#;
    let parsed = parse(Kind::Repository, repository);
    assert_eq!((parsed.kind(), parsed.statement_count(), parsed.id()), (Kind::Repository, 2, None));

    let registry = r#"{"Version":"2012-10-17","Id":"replication","Statement":[{"Effect":"Allow",
      "Principal":{"AWS":"arn:aws:iam::222233334444:root"},"Action":["ecr:ReplicateImage","ecr:CreateRepository"],
      "Resource":"arn:aws:ecr:eu-west-1:111122223333:repository/prod/*"}]}"#;
    assert_eq!(parse(Kind::Registry, registry).id(), Some("replication"));
}

#[test]
fn other_writings_are_accepted() {
    for (kind, text) in [
        (Kind::Repository, r#"{"Statement":{"Effect":"Allow","Principal":"*","Action":"ecr:*"}}"#),
        (
            Kind::Repository,
            r#"{"Version":"2008-10-17","Statement":[{"Sid":"","Effect":"Allow","Principal":{"AWS":"*"},"Action":["ecr:*"]}]}"#,
        ),
        (
            Kind::Repository,
            r#"{"Statement":[{"Effect":"Deny","NotPrincipal":{"AWS":"111122223333"},"NotAction":"ecr:Put*","NotResource":"*"}]}"#,
        ),
        (
            Kind::Repository,
            r#"{"Statement":[{"Effect":"Allow","Principal":{"Federated":"arn:aws:iam::111122223333:saml-provider/x"},"Action":"*"}]}"#,
        ),
        (
            Kind::Repository,
            r#"{"Statement":[{"Effect":"Allow","Principal":{"AWS":"arn:aws-us-gov:iam::111122223333:user/a/b/c"},"Action":"*:*","Condition":{}}]}"#,
        ),
        (
            Kind::Identity,
            r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["s3:Get*","ecr:*"],"Resource":["*","arn:aws:s3:::b"]}]}"#,
        ),
        (
            Kind::Identity,
            r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"StringEquals":{"made:up":["a",1,true]}}}]}"#,
        ),
    ] {
        parse(kind, text);
    }
}

/// A star that reaches over the region is no region that counts for nothing: left out, everything would remain.
#[test]
fn a_star_over_the_region_is_no_star_over_everything() {
    let principal = asker("arn:aws:iam::111122223333:user/ann");
    let secret = "arn:aws:ecr:eu-west-1:111122223333:repository/team-b/secret";
    let answer = |statements: &str| {
        let document = parse(Kind::Identity, &format!(r#"{{"Version":"2012-10-17","Statement":[{statements}]}}"#));
        let identity = [IdentityPolicy { name: "p", document: &document }];
        let policies = Policies { identity: &identity, ..Policies::default() };
        ask(&policies, &principal, "ecr:PutImage", secret, &Context::new())
    };
    let allow = |arn: &str| answer(&format!(r#"{{"Effect":"Allow","Action":"*","Resource":"{arn}"}}"#));
    let except = |arn: &str| {
        let all = r#"{"Effect":"Allow","Action":"*","Resource":"*"}"#;
        answer(&format!(r#"{all},{{"Effect":"Deny","Action":"*","NotResource":"{arn}"}}"#))
    };
    for other in [
        "arn:aws:ecr:*/team-a/*",
        "arn:aws:ecr:*repository/team-a/*",
        "arn:aws/team-a:ecr",
        "arn:*/team-a/*:ecr:*",
        "arn:aws:ecr:*team-b/*",
    ] {
        assert_eq!(allow(other), "no either", "{other}");
        assert_eq!(except(other), "denied", "{other}");
    }
    for this in ["arn:aws:ecr:*", "arn:aws:ecr:*:*:*", "arn:aws-cn:ecr:cn-*:*:repository/team-b/*", "arn:aws:ecr"] {
        assert_eq!(allow(this), "allowed", "{this}");
        assert_eq!(except(this), "allowed", "{this}");
    }
}

#[test]
fn a_missing_version_is_that_of_2008() {
    let text = |version| {
        format!(
            r#"{{{version}"Statement":{{"Effect":"Allow","Action":"*","Resource":"arn:aws:ecr:*:*:repository/${{aws:username}}"}}}}"#
        )
    };
    let principal = asker("arn:aws:iam::111122223333:user/ann");
    for (version, wanted) in [("", "no either"), (r#""Version":"2012-10-17","#, "allowed")] {
        let document = parse(Kind::Identity, &text(version));
        let identity = [IdentityPolicy { name: "p", document: &document }];
        let policies = Policies { identity: &identity, ..Policies::default() };
        let resource = "arn:aws:ecr:eu-west-1:111122223333:repository/ann";
        assert_eq!(ask(&policies, &principal, "ecr:PutImage", resource, &Context::new()), wanted);
    }
}

#[test]
fn a_large_document_is_read_in_one_pass() {
    let statement = r#"{"Effect":"Allow","Action":"ecr:PutImage","Resource":"*"}"#;
    let text = format!(r#"{{"Statement":[{}]}}"#, vec![statement; 10_000].join(","));
    assert_eq!(Document::parse(Kind::Identity, &text, text.len()).unwrap().statement_count(), 10_000);
}
