//! Who may assume a role: the asker's own policies and the role's trust policy, both.

use super::*;

const ROLE: &str = "arn:aws:iam::111122223333:role/ci";
const ANN: &str = "arn:aws:iam::111122223333:user/ann";
const ELSEWHERE: &str = "arn:aws:iam::444455556666:user/eve";

fn may(who: &str, own: &str, trust: Option<&str>) -> String {
    let own = (!own.is_empty()).then(|| document(Kind::Identity, own));
    let trust = trust.map(|trust| document(Kind::Trust, trust));
    let identity: Vec<_> = own.iter().map(|document| IdentityPolicy { name: "p", document }).collect();
    let policies = Policies { identity: &identity, trust: trust.as_ref(), ..Policies::default() };
    let (who, context) = (asker(who), context("sts:RoleSessionName=s1"));
    let question = Question::new(&who, "sts:AssumeRole", ROLE, OURS.parse().unwrap(), &context);
    answer(decide_assumption(&policies, &question))
}

#[test]
fn both_sides_must_allow() {
    let all = r#"{"Effect":"Allow","Action":"*","Resource":"*"}"#;
    let this = r#"{"Effect":"Allow","Action":"sts:AssumeRole","Resource":"arn:aws:iam::111122223333:role/ci"}"#;
    let other = r#"{"Effect":"Allow","Action":"sts:AssumeRole","Resource":"arn:aws:iam::111122223333:role/other"}"#;
    let deny = r#"{"Effect":"Allow","Action":"*","Resource":"*"},{"Effect":"Deny","Action":"sts:*","Resource":"*"}"#;
    let to = |principal: &str| format!(r#"{{"Effect":"Allow","Principal":{principal},"Action":"sts:AssumeRole"}}"#);
    let ours = to(r#"{"AWS":"111122223333"}"#);
    let ann = to(r#"{"AWS":"arn:aws:iam::111122223333:user/ann"}"#);
    let bob = to(r#"{"AWS":"arn:aws:iam::111122223333:user/bob"}"#);
    let eve = to(r#"{"AWS":"arn:aws:iam::444455556666:root"}"#);
    let everyone = to(r#""*""#);
    let web = r#"{"Effect":"Allow","Principal":"*","Action":"sts:AssumeRoleWithWebIdentity"}"#.to_owned();
    let shut = format!(r#"{everyone},{{"Effect":"Deny","Principal":{{"AWS":"{ANN}"}},"Action":"sts:*"}}"#);
    let named = r#"{"Effect":"Allow","Principal":"*","Action":"sts:AssumeRole","Condition":{"StringLike":{"sts:RoleSessionName":"ann-*"}}}"#.to_owned();
    let session = format!("session:{ROLE} s0");
    for (who, own, trust, wanted) in [
        (ANN, this, &ours, "allowed"),
        (ANN, all, &ann, "allowed"),
        (ANN, all, &everyone, "allowed"),
        // Neither side by itself.
        (ANN, "", &ours, "no identity"),
        (ANN, "", &ann, "no identity"),
        (ANN, "", &everyone, "no identity"),
        (ANN, other, &ours, "no identity"),
        (ANN, all, &bob, "no trust"),
        (ANN, all, &eve, "no trust"),
        (ANN, all, &web, "no trust"),
        (ANN, all, &named, "no trust"),
        (ANN, deny, &ours, "denied"),
        (ANN, all, &shut, "denied"),
        // Another account.
        (ELSEWHERE, all, &eve, "allowed"),
        (ELSEWHERE, all, &everyone, "allowed"),
        (ELSEWHERE, all, &ours, "no trust"),
        (ELSEWHERE, "", &eve, "no identity"),
        // In the role already.
        (session.as_str(), all, &ann, "no trust"),
        (session.as_str(), all, &to(&format!(r#"{{"AWS":"{ROLE}"}}"#)), "allowed"),
    ] {
        assert_eq!(may(who, own, Some(trust)), wanted, "{who}: {own} | {trust}");
    }
    assert_eq!(may(ANN, all, None), "no trust");
    assert_eq!(may(ANN, "", None), "no identity");
}

#[test]
fn refused_as_trust_policies() {
    for text in [
        r#"{"Effect":"Allow","Action":"sts:AssumeRole"}"#,
        r#"{"Effect":"Allow","Principal":"*","Action":"ecr:PutImage"}"#,
        r#"{"Effect":"Allow","Principal":"*","Action":"sts:AssumeRole","Resource":"*"}"#,
        r#"{"Effect":"Allow","NotPrincipal":{"AWS":"111122223333"},"Action":"sts:AssumeRole"}"#,
        r#"{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::111122223333:user/*"},"Action":"sts:AssumeRole"}"#,
    ] {
        let whole = format!(r#"{{"Version":"2012-10-17","Statement":[{text}]}}"#);
        assert!(Document::parse(Kind::Trust, &whole, MAX_BYTES).is_err(), "{text}");
    }
    let federated = r#"{"Effect":"Allow","Principal":{"Federated":"token.example.com"},"Action":["sts:AssumeRoleWithWebIdentity","sts:*"]}"#;
    document(Kind::Trust, federated);
}
