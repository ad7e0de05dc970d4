//! IAM and STS from outside: who makes users and roles, who gets sessions, and that nobody gets more than they had.

use std::time::{Duration, SystemTime};

use base64::Engine;
use entrepot::auth::proof::{Keyring, Principal, issue_session};
use entrepot::auth::{Signer, UnixTime};
use serde_json::Value;

use crate::bound::until_async;
use crate::client::{Answer, Client};
use crate::edge::Issuer;
use crate::proxy::{Proxy, Setup};
use crate::push::path;
use crate::upstream::FakeUpstream;

const ACCOUNT: &str = "000000000000";

/// Of every user of the file, sought in logs.
const SECRET: &str = "a-secret-that-nobody-may-see";

pub const USERS: &str = r#"
[[user]]
name = "root"
access_key_id = "AKIAROOTROOTROOTROOT"
secret_access_key = "a-secret-that-nobody-may-see"
policies = ["Administrator"]

[[user]]
name = "full"
access_key_id = "AKIAFULLFULLFULLFULL"
secret_access_key = "a-secret-that-nobody-may-see"
policies = ["FullAccess"]

[[user]]
name = "nobody"
access_key_id = "AKIANOBONOBONOBONOBO"
secret_access_key = "a-secret-that-nobody-may-see"

[[user]]
name = "foreign"
account = "111111111111"
access_key_id = "AKIAFOREFOREFOREFORE"
secret_access_key = "a-secret-that-nobody-may-see"
policies = ["Administrator"]
"#;

/// What requests are signed with.
#[derive(Clone)]
pub struct Key {
    pub id: String,
    pub secret: String,
    pub token: Option<String>,
}

impl Key {
    pub fn of(id: &str) -> Self {
        Self { id: id.to_owned(), secret: SECRET.to_owned(), token: None }
    }

    pub fn secret(&self) -> &str {
        &self.secret
    }

    pub fn id(&self) -> &str {
        &self.id
    }

    /// As an answer says it.
    pub fn told(answer: &Answer) -> Self {
        answer.assert_status(200);
        let text = answer.text();
        let token = text.contains("<SessionToken>").then(|| element(&text, "SessionToken"));
        Self { id: element(&text, "AccessKeyId"), secret: element(&text, "SecretAccessKey"), token }
    }
}

pub fn root() -> Key {
    Key::of("AKIAROOTROOTROOTROOT")
}

pub fn element(text: &str, name: &str) -> String {
    let (_, rest) = text.split_once(&format!("<{name}>")).unwrap_or_else(|| panic!("no {name} in {text}"));
    rest.split_once('<').unwrap().0.to_owned()
}

fn elements(text: &str, name: &str) -> Vec<String> {
    let begin = format!("<{name}>");
    text.split(&begin).skip(1).map(|rest| rest.split_once('<').unwrap().0.to_owned()).collect()
}

pub fn encoded(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
}

pub fn allow(actions: &str, resources: &str) -> String {
    let statement = format!(r#"{{"Effect":"Allow","Action":{actions},"Resource":{resources}}}"#);
    encoded(&format!(r#"{{"Version":"2012-10-17","Statement":[{statement}]}}"#))
}

pub fn trust(principal: &str) -> String {
    let statement = format!(r#"{{"Effect":"Allow","Principal":{principal},"Action":"sts:AssumeRole"}}"#);
    encoded(&format!(r#"{{"Version":"2012-10-17","Statement":[{statement}]}}"#))
}

pub async fn guarded() -> (Proxy, FakeUpstream) {
    let upstream = FakeUpstream::start().await;
    let mut setup = Setup::of(&upstream);
    setup.more = format!("{USERS}\n[auth]\nfailed_logins = 1000\n");
    (setup.start().await, upstream)
}

async fn signed(client: &Client, key: &Key, service: &str, body: &str, target: Option<&str>) -> Answer {
    let mut headers = http::HeaderMap::new();
    headers.insert("host", client.host().parse().unwrap());
    let content_type = if target.is_some() {
        "application/x-amz-json-1.1"
    } else {
        "application/x-www-form-urlencoded; charset=utf-8"
    };
    headers.insert("content-type", content_type.parse().unwrap());
    if let Some(target) = target {
        let target = format!("AmazonEC2ContainerRegistry_V20150921.{target}");
        headers.insert("x-amz-target", target.parse().unwrap());
    }
    let signer = Signer {
        access_key_id: &key.id,
        secret: &key.secret,
        session_token: key.token.as_deref(),
        region: "us-east-1",
        service,
    };
    let hash: [u8; 32] = <sha2::Sha256 as sha2::Digest>::digest(body).into();
    signer.sign(&http::Method::POST, &"/".parse().unwrap(), &mut headers, &hash, SystemTime::now().into()).unwrap();
    let headers: Vec<(&str, &str)> = headers
        .iter()
        .filter(|(name, _)| *name != "host")
        .map(|(name, value)| (name.as_str(), value.to_str().unwrap()))
        .collect();
    client.send("POST", "/", &headers, body.as_bytes()).await
}

pub async fn iam(proxy: &Proxy, key: &Key, action: &str) -> Answer {
    signed(&proxy.client(), key, "iam", &format!("Version=2010-05-08&Action={action}"), None).await
}

pub async fn sts(proxy: &Proxy, key: &Key, action: &str) -> Answer {
    signed(&proxy.client(), key, "sts", &format!("Version=2011-06-15&Action={action}"), None).await
}

pub async fn ecr(proxy: &Proxy, key: &Key, operation: &str, input: &str) -> Answer {
    signed(&proxy.client(), key, "ecr", input, Some(operation)).await
}

/// As root.
pub async fn done(proxy: &Proxy, action: &str) -> Answer {
    let answer = iam(proxy, &root(), action).await;
    assert_eq!(answer.status, 200, "{action}: {}", answer.text());
    answer
}

#[track_caller]
pub fn assert_fault(answer: &Answer, status: u16, code: &str) {
    let text = answer.text();
    assert!(answer.status == status && text.contains(&format!("<Code>{code}</Code>")), "{}: {text}", answer.status);
    assert_eq!(answer.header("content-type"), Some("text/xml"));
}

/// Who it is, or the fault.
pub async fn caller(proxy: &Proxy, key: &Key) -> String {
    let answer = sts(proxy, key, "GetCallerIdentity").await;
    let name = if answer.status == 200 { "Arn" } else { "Code" };
    element(&answer.text(), name)
}

/// A user with a key and one policy of its own.
pub async fn user(proxy: &Proxy, name: &str, policy: Option<&str>) -> Key {
    done(proxy, &format!("CreateUser&UserName={name}")).await;
    if let Some(policy) = policy {
        done(proxy, &format!("PutUserPolicy&UserName={name}&PolicyName=own&PolicyDocument={policy}")).await;
    }
    Key::told(&done(proxy, &format!("CreateAccessKey&UserName={name}")).await)
}

#[tokio::test]
async fn a_user_from_the_first_to_the_last() {
    let (mut proxy, _upstream) = guarded().await;
    let made = done(&proxy, "CreateUser&UserName=alice&Tags.member.1.Key=team&Tags.member.1.Value=a%2Bb+c").await;
    let made = made.text();
    assert!(made.starts_with(
        "<CreateUserResponse xmlns=\"https://iam.amazonaws.com/doc/2010-05-08/\"><CreateUserResult><User>"
    ));
    assert_eq!(element(&made, "Arn"), "arn:aws:iam::000000000000:user/alice");
    assert_eq!(element(&made, "Value"), "a+b c");
    let id = element(&made, "UserId");
    assert!(id.starts_with("AIDA") && id.len() == 21);
    assert_fault(&iam(&proxy, &root(), "CreateUser&UserName=alice").await, 409, "EntityAlreadyExists");
    for name in ["AWS", "oidc"] {
        assert_fault(&iam(&proxy, &root(), &format!("CreateUser&UserName={name}")).await, 400, "InvalidInput");
    }
    assert_fault(&iam(&proxy, &root(), "GetUser&UserName=none").await, 404, "NoSuchEntity");

    let key = Key::told(&done(&proxy, "CreateAccessKey&UserName=alice").await);
    assert_eq!(caller(&proxy, &key).await, "arn:aws:iam::000000000000:user/alice");
    assert_fault(&iam(&proxy, &key, "GetUser").await, 403, "AccessDenied");
    let own = allow(r#"["iam:GetUser","iam:ListAccessKeys","ecr:*"]"#, r#""*""#);
    done(&proxy, &format!("PutUserPolicy&UserName=alice&PolicyName=own&PolicyDocument={own}")).await;
    // What was changed here holds here at once.
    assert_eq!(element(&iam(&proxy, &key, "GetUser").await.text(), "UserId"), id);
    assert_eq!(elements(&iam(&proxy, &key, "ListAccessKeys").await.text(), "AccessKeyId"), [key.id.as_str()]);
    ecr(&proxy, &key, "CreateRepository", r#"{"repositoryName":"a/b"}"#).await.assert_status(200);
    let second = Key::told(&done(&proxy, "CreateAccessKey&UserName=alice").await);
    assert_fault(&iam(&proxy, &root(), "CreateAccessKey&UserName=alice").await, 409, "LimitExceeded");
    assert_fault(
        &iam(&proxy, &root(), &format!("DeleteAccessKey&UserName=full&AccessKeyId={}", second.id)).await,
        400,
        "UnmodifiableEntity",
    );
    done(&proxy, "CreateUser&UserName=other").await;
    let of_another = format!("DeleteAccessKey&UserName=other&AccessKeyId={}", second.id);
    assert_fault(&iam(&proxy, &root(), &of_another).await, 404, "NoSuchEntity");
    done(&proxy, &format!("DeleteAccessKey&UserName=alice&AccessKeyId={}", second.id)).await;
    assert_eq!(caller(&proxy, &second).await, "InvalidClientTokenId");

    let policy = done(&proxy, "GetUserPolicy&UserName=alice&PolicyName=own").await.text();
    let document =
        percent_encoding::percent_decode_str(&element(&policy, "PolicyDocument")).decode_utf8().unwrap().into_owned();
    assert_eq!(encoded(&document), own, "it comes back letter by letter");
    done(&proxy, "AttachUserPolicy&UserName=alice&PolicyArn=arn:aws:iam::aws:policy/PullOnly").await;
    let attached = done(&proxy, "ListAttachedUserPolicies&UserName=alice").await.text();
    assert_eq!(elements(&attached, "PolicyName"), ["AmazonEC2ContainerRegistryPullOnly"]);
    let listed = done(&proxy, "ListUserPolicies&UserName=alice").await.text();
    assert_eq!(elements(&listed, "member"), ["own"]);
    for (action, status, code) in [
        ("PutUserPolicy&UserName=alice&PolicyName=x&PolicyDocument=%7B%7D", 400, "MalformedPolicyDocument"),
        ("PutUserPolicy&UserName=alice&PolicyName=FullAccess&PolicyDocument=%7B%7D", 400, "InvalidInput"),
        ("DeleteUserPolicy&UserName=alice&PolicyName=PullOnly", 404, "NoSuchEntity"),
        ("GetUserPolicy&UserName=alice&PolicyName=PullOnly", 404, "NoSuchEntity"),
        ("DetachUserPolicy&UserName=alice&PolicyArn=arn:aws:iam::aws:policy/ReadOnly", 404, "NoSuchEntity"),
        ("DeleteUser&UserName=alice", 409, "DeleteConflict"),
    ] {
        assert_fault(&iam(&proxy, &root(), action).await, status, code);
    }

    let basic = |password: &str| {
        let pair = base64::engine::general_purpose::STANDARD.encode(format!("alice:{password}"));
        format!("Basic {pair}")
    };
    let login = async |password: &str| {
        proxy.client().request("GET", "/v2/", &[("Authorization", &basic(password))]).await.status
    };
    assert_fault(&iam(&proxy, &root(), "UpdateLoginProfile&UserName=alice&Password=x").await, 404, "NoSuchEntity");
    done(&proxy, "CreateLoginProfile&UserName=alice&Password=first-robots-secret").await;
    assert_eq!((login("first-robots-secret").await, login("another").await), (200, 401));
    let again = iam(&proxy, &root(), "CreateLoginProfile&UserName=alice&Password=x").await;
    assert_fault(&again, 409, "EntityAlreadyExists");
    done(&proxy, "UpdateLoginProfile&UserName=alice&Password=second-robots-secret").await;
    assert_eq!((login("first-robots-secret").await, login("second-robots-secret").await), (401, 200));
    done(&proxy, "GetLoginProfile&UserName=alice").await;
    done(&proxy, "DeleteLoginProfile&UserName=alice").await;
    assert_eq!(login("second-robots-secret").await, 401);

    done(&proxy, "TagUser&UserName=alice&Tags.member.1.Key=stage&Tags.member.1.Value=prod").await;
    assert_eq!(elements(&done(&proxy, "ListUserTags&UserName=alice").await.text(), "Key"), ["stage", "team"]);
    done(&proxy, "UntagUser&UserName=alice&TagKeys.member.1=team").await;
    assert_eq!(elements(&done(&proxy, "ListUserTags&UserName=alice").await.text(), "Key"), ["stage"]);

    let page = done(&proxy, "ListUsers&MaxItems=2").await.text();
    assert_eq!(
        (elements(&page, "UserName"), element(&page, "IsTruncated")),
        (vec!["alice".into(), "full".into()], "true".into())
    );
    let rest = done(&proxy, &format!("ListUsers&Marker={}", element(&page, "Marker"))).await.text();
    assert_eq!(elements(&rest, "UserName"), ["nobody", "other", "root"], "others' accounts are not in it");

    done(&proxy, "DetachUserPolicy&UserName=alice&PolicyArn=arn:aws:iam::aws:policy/PullOnly").await;
    done(&proxy, "DeleteUserPolicy&UserName=alice&PolicyName=own").await;
    assert_fault(&iam(&proxy, &root(), "DeleteUser&UserName=alice").await, 409, "DeleteConflict");
    done(&proxy, &format!("DeleteAccessKey&UserName=alice&AccessKeyId={}", key.id)).await;
    done(&proxy, "DeleteUser&UserName=alice").await;
    assert_fault(&iam(&proxy, &root(), "GetUser&UserName=alice").await, 404, "NoSuchEntity");
    proxy.terminate().await;
    let log = proxy.log();
    for secret in [SECRET, &key.secret, &second.secret, "robots-secret"] {
        assert!(!log.contains(secret));
    }
}

#[tokio::test]
async fn what_stands_in_the_configuration_is_not_changed() {
    let (proxy, _upstream) = guarded().await;
    for action in [
        "DeleteUser&UserName=nobody",
        "CreateAccessKey&UserName=nobody",
        "DeleteAccessKey&UserName=nobody&AccessKeyId=AKIANOBONOBONOBONOBO",
        "CreateLoginProfile&UserName=nobody&Password=x",
        "AttachUserPolicy&UserName=nobody&PolicyArn=arn:aws:iam::aws:policy/PullOnly",
        "DetachUserPolicy&UserName=full&PolicyArn=arn:aws:iam::aws:policy/FullAccess",
        "TagUser&UserName=nobody&Tags.member.1.Key=a&Tags.member.1.Value=b",
        &format!("PutUserPolicy&UserName=nobody&PolicyName=x&PolicyDocument={}", allow(r#""*""#, r#""*""#)),
    ] {
        assert_fault(&iam(&proxy, &root(), action).await, 400, "UnmodifiableEntity");
    }
    done(&proxy, "GetUser&UserName=nobody").await;
}

/// Whoever has no right to change rights gets none, whichever way they try.
#[tokio::test]
async fn nobody_raises_their_own_rights() {
    let (proxy, _upstream) = guarded().await;
    let everything = allow(r#""*""#, r#""*""#);
    let mallory = user(&proxy, "mallory", Some(&allow(r#"["ecr:*","sts:*"]"#, r#""*""#))).await;
    user(&proxy, "victim", None).await;
    let strong = |name: &str, principal: &str| {
        format!("CreateRole&RoleName={name}&AssumeRolePolicyDocument={}", trust(principal))
    };
    done(&proxy, &strong("strong", r#"{"AWS":"arn:aws:iam::000000000000:user/victim"}"#)).await;
    done(&proxy, "AttachRolePolicy&RoleName=strong&PolicyArn=arn:aws:iam::aws:policy/AdministratorAccess").await;
    done(&proxy, &strong("ours", r#"{"AWS":"000000000000"}"#)).await;
    done(&proxy, "AttachRolePolicy&RoleName=ours&PolicyArn=arn:aws:iam::aws:policy/AdministratorAccess").await;
    let session = Key::told(&sts(&proxy, &mallory, "GetSessionToken").await);
    let full = Key::of("AKIAFULLFULLFULLFULL");
    for key in [&mallory, &session, &full, &Key::of("AKIANOBONOBONOBONOBO")] {
        for action in [
            format!("PutUserPolicy&UserName=mallory&PolicyName=own&PolicyDocument={everything}"),
            "AttachUserPolicy&UserName=mallory&PolicyArn=arn:aws:iam::aws:policy/AdministratorAccess".into(),
            "CreateAccessKey&UserName=victim".into(),
            "CreateAccessKey&UserName=root".into(),
            "CreateAccessKey&UserName=mallory".into(),
            "CreateLoginProfile&UserName=victim&Password=guessed".into(),
            "CreateUser&UserName=another".into(),
            strong("mine", r#""*""#),
            format!("UpdateAssumeRolePolicy&RoleName=strong&PolicyDocument={}", trust(r#""*""#)),
            format!("PutRolePolicy&RoleName=ours&PolicyName=x&PolicyDocument={everything}"),
            "TagUser&UserName=mallory&Tags.member.1.Key=admin&Tags.member.1.Value=yes".into(),
            "DeleteUserPolicy&UserName=mallory&PolicyName=own".into(),
            "ListUsers".into(),
            "GetUser&UserName=root".into(),
            "GetUser&UserName=none".into(),
            "SimulatePrincipalPolicy&PolicySourceArn=arn:aws:iam::000000000000:user/root&ActionNames.member.1=a:b"
                .into(),
        ] {
            assert_fault(&iam(&proxy, key, &action).await, 403, "AccessDenied");
        }
    }
    let assume = |role: &str| format!("AssumeRole&RoleArn=arn:aws:iam::000000000000:role/{role}&RoleSessionName=s1");
    // The trust policy names another; it lets the account in, but the user has no such right.
    assert_fault(&sts(&proxy, &mallory, &assume("strong")).await, 403, "AccessDenied");
    assert_fault(&sts(&proxy, &mallory, &assume("none")).await, 403, "AccessDenied");
    assert_fault(&sts(&proxy, &full, &assume("ours")).await, 403, "AccessDenied");
    assert_fault(&sts(&proxy, &session, &assume("strong")).await, 403, "AccessDenied");
    // An administrator of another account is nobody here, and cannot even name what is here.
    let foreign = Key::of("AKIAFOREFOREFOREFORE");
    assert_fault(&sts(&proxy, &foreign, &assume("ours")).await, 403, "AccessDenied");
    assert_fault(&iam(&proxy, &foreign, "CreateAccessKey&UserName=mallory").await, 404, "NoSuchEntity");
    assert_fault(&iam(&proxy, &foreign, "DeleteRole&RoleName=ours").await, 404, "NoSuchEntity");
    let theirs = iam(&proxy, &foreign, "ListUsers").await.text();
    assert_eq!(elements(&theirs, "UserName"), ["foreign"]);
    // A right to one user is none to others, and its denial outweighs.
    let resources = r#"["arn:aws:iam::000000000000:user/team-*"]"#;
    let lead = user(&proxy, "lead", Some(&allow(r#""iam:*""#, resources))).await;
    iam(&proxy, &lead, "CreateUser&UserName=team-1").await.assert_status(200);
    for action in ["CreateUser&UserName=other", "CreateAccessKey", "ListUsers", "GetRole&RoleName=ours"] {
        assert_fault(&iam(&proxy, &lead, action).await, 403, "AccessDenied");
    }
    // Still what it was.
    let listed = done(&proxy, "ListUserPolicies&UserName=mallory").await.text();
    assert_eq!(elements(&listed, "member"), ["own"]);
}

#[tokio::test]
async fn sessions_end() {
    let (mut proxy, _upstream) = guarded().await;
    let ecr_only = allow(r#""ecr:*""#, r#""*""#);
    let key = user(&proxy, "bob", Some(&ecr_only)).await;
    let session = Key::told(&sts(&proxy, &key, "GetSessionToken&DurationSeconds=900").await);
    let other = Key::told(&sts(&proxy, &key, "GetSessionToken").await);
    assert!(session.id.starts_with("ASIA"));
    assert_eq!(caller(&proxy, &session).await, "arn:aws:iam::000000000000:user/bob");
    ecr(&proxy, &session, "CreateRepository", r#"{"repositoryName":"s/1"}"#).await.assert_status(200);
    // It is not made longer by itself.
    assert_fault(&sts(&proxy, &session, "GetSessionToken").await, 403, "AccessDenied");
    // A token belongs to one key; a key of a session is nothing without it.
    for (wrong, code) in [
        (Key { token: other.token.clone(), ..session.clone() }, "InvalidClientTokenId"),
        (Key { token: None, ..session.clone() }, "InvalidClientTokenId"),
        (Key { secret: other.secret.clone(), ..session.clone() }, "SignatureDoesNotMatch"),
        (Key { token: session.token.clone(), ..key.clone() }, "InvalidClientTokenId"),
        (Key { token: Some("x".repeat(9000)), ..session.clone() }, "InvalidClientTokenId"),
    ] {
        assert_eq!(caller(&proxy, &wrong).await, code);
    }
    // One that has run out, and what the registry gave for a session that soon will.
    let ring = Keyring::parse(&std::fs::read_to_string(proxy.data_path().join("keys")).unwrap()).unwrap();
    let epoch = epoch_of(&session, &ring);
    let bob = Principal::new("arn:aws:iam::000000000000:user/bob", ACCOUNT, epoch).unwrap();
    let now = UnixTime::from(SystemTime::now());
    let made = |begun: UnixTime, lifetime: u64| {
        let made = issue_session(&ring, &bob, None, begun, Duration::from_secs(lifetime)).unwrap();
        Key { id: made.access_key.id, secret: made.access_key.secret, token: Some(made.session_token) }
    };
    assert_eq!(caller(&proxy, &made(now.minus(Duration::from_secs(7200)), 3600)).await, "ExpiredToken");
    let short = made(now, 600);
    let given = ecr(&proxy, &short, "GetAuthorizationToken", "{}").await;
    let data = given.json()["authorizationData"][0].clone();
    let ends = data["expiresAt"].as_f64().unwrap();
    assert!(ends <= (now.seconds() + 600) as f64, "{data}");
    let authorization = format!("Basic {}", data["authorizationToken"].as_str().unwrap());
    let with = async |authorization: &str| {
        proxy.client().request("GET", "/v2/", &[("Authorization", authorization)]).await.status
    };
    assert_eq!(with(&authorization).await, 200);
    let headers = [("Authorization", authorization.as_str())];
    let refresh = proxy.client().request("GET", "/token?service=x&offline_token=true", &headers).await.json();
    let opened = refresh["expires_in"].as_u64().unwrap();
    assert!(opened <= 600, "{refresh}");

    // Gone with the user, and not there again with another of the same name.
    for action in [
        "DeleteUserPolicy&UserName=bob&PolicyName=own".into(),
        format!("DeleteAccessKey&UserName=bob&AccessKeyId={}", key.id),
    ] {
        done(&proxy, &action).await;
    }
    assert_eq!(caller(&proxy, &session).await, "arn:aws:iam::000000000000:user/bob");
    done(&proxy, "DeleteUser&UserName=bob").await;
    assert_eq!((caller(&proxy, &session).await, with(&authorization).await), ("InvalidClientTokenId".into(), 401));
    let again = user(&proxy, "bob", Some(&ecr_only)).await;
    assert_eq!((caller(&proxy, &session).await, with(&authorization).await), ("InvalidClientTokenId".into(), 401));

    // Revoked, by another process.
    let session = Key::told(&sts(&proxy, &again, "GetSessionToken").await);
    revoke(&proxy, &["bob"]);
    until_async("the session is over", async || caller(&proxy, &session).await == "InvalidClientTokenId").await;
    assert_eq!(caller(&proxy, &again).await, "arn:aws:iam::000000000000:user/bob");
    proxy.terminate().await;
    for secret in [&session.secret, session.token.as_ref().unwrap()] {
        assert!(!proxy.log().contains(secret.as_str()));
    }
}

/// By another process.
pub fn revoke(proxy: &Proxy, whom: &[&str]) {
    let mut program = std::process::Command::new(env!("CARGO_BIN_EXE_entrepot"));
    let output = program.args(["iam", "revoke"]).args(whom).arg("--config").arg(proxy.config_path()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn epoch_of(session: &Key, ring: &Keyring) -> u64 {
    let now = UnixTime::from(SystemTime::now());
    let opened =
        entrepot::auth::proof::open_session(ring, &session.id, session.token.as_deref().unwrap(), now).unwrap();
    opened.principal.epoch()
}

#[tokio::test]
async fn roles_are_assumed_for_a_while() {
    let (proxy, _upstream) = guarded().await;
    let role = "arn:aws:iam::000000000000:role/pusher";
    let assume = |role: &str, more: &str| format!("AssumeRole&RoleArn={role}&RoleSessionName=job-1{more}");
    let may_assume = allow(r#""sts:AssumeRole""#, &format!(r#""{role}""#));
    let key = user(&proxy, "carol", Some(&may_assume)).await;
    let made = done(
        &proxy,
        &format!(
            "CreateRole&RoleName=pusher&MaxSessionDuration=7200&Description=d&AssumeRolePolicyDocument={}",
            trust(r#"{"AWS":"000000000000"}"#)
        ),
    )
    .await;
    assert_eq!(element(&made.text(), "MaxSessionDuration"), "7200");
    done(
        &proxy,
        &format!(
            "PutRolePolicy&RoleName=pusher&PolicyName=own&PolicyDocument={}",
            allow(r#"["ecr:*","sts:*"]"#, r#""*""#)
        ),
    )
    .await;
    let answer = sts(&proxy, &key, &assume(role, "")).await;
    let session = Key::told(&answer);
    let arn = "arn:aws:sts::000000000000:assumed-role/pusher/job-1";
    assert_eq!(element(&answer.text(), "Arn"), arn);
    assert!(element(&answer.text(), "AssumedRoleId").starts_with("AROA"));
    assert_eq!(caller(&proxy, &session).await, arn);
    ecr(&proxy, &session, "CreateRepository", r#"{"repositoryName":"r/1"}"#).await.assert_status(200);
    // The user's own rights are not in it, nor the role's in the user.
    assert_eq!(ecr(&proxy, &key, "CreateRepository", r#"{"repositoryName":"r/2"}"#).await.status, 400);
    assert_fault(&sts(&proxy, &session, &assume(role, "&DurationSeconds=7200")).await, 400, "ValidationError");
    assert_fault(&sts(&proxy, &key, &assume(role, "&DurationSeconds=7201")).await, 400, "ValidationError");
    Key::told(&sts(&proxy, &key, &assume(role, "&DurationSeconds=7200")).await);
    assert_fault(&iam(&proxy, &session, "GetUser").await, 400, "ValidationError");
    let chained = Key::told(&sts(&proxy, &session, &assume(role, "")).await);
    assert_eq!(caller(&proxy, &chained).await, arn);

    // A repository's policy may name the session's role.
    let token = ecr(&proxy, &session, "GetAuthorizationToken", "{}").await;
    let token = token.json()["authorizationData"][0]["authorizationToken"].as_str().unwrap().to_owned();
    let basic = format!("Basic {token}");
    let begin = async || {
        let to = path("r/1", "blobs/uploads/");
        proxy.client().send("POST", &to, &[("Authorization", &basic)], b"").await.status
    };
    assert_eq!(begin().await, 202);

    // Another account: both sides.
    let foreign = Key::of("AKIAFOREFOREFOREFORE");
    assert_fault(&sts(&proxy, &foreign, &assume(role, "")).await, 403, "AccessDenied");
    let both = trust(r#"{"AWS":["000000000000","arn:aws:iam::111111111111:user/foreign"]}"#);
    done(&proxy, &format!("UpdateAssumeRolePolicy&RoleName=pusher&PolicyDocument={both}")).await;
    assert_eq!(caller(&proxy, &Key::told(&sts(&proxy, &foreign, &assume(role, "")).await)).await, arn);
    let bad = trust(r#"{"AWS":"arn:aws:iam::111111111111:user/*"}"#);
    let refused = iam(&proxy, &root(), &format!("UpdateAssumeRolePolicy&RoleName=pusher&PolicyDocument={bad}")).await;
    assert_fault(&refused, 400, "MalformedPolicyDocument");

    // Who assumed it is gone: so are the sessions, those of sessions, and their tokens; others' stay.
    let others = Key::told(&sts(&proxy, &foreign, &assume(role, "")).await);
    done(&proxy, "DeleteUserPolicy&UserName=carol&PolicyName=own").await;
    done(&proxy, &format!("DeleteAccessKey&UserName=carol&AccessKeyId={}", key.id)).await;
    done(&proxy, "DeleteUser&UserName=carol").await;
    for key in [&session, &chained] {
        assert_eq!(caller(&proxy, key).await, "InvalidClientTokenId");
    }
    assert_eq!(begin().await, 401);
    assert_eq!(caller(&proxy, &others).await, arn);
    // And with the role.
    assert_fault(&iam(&proxy, &root(), "DeleteRole&RoleName=pusher").await, 409, "DeleteConflict");
    done(&proxy, "DeleteRolePolicy&RoleName=pusher&PolicyName=own").await;
    done(&proxy, "DeleteRole&RoleName=pusher").await;
    assert_eq!(caller(&proxy, &others).await, "InvalidClientTokenId");
}

#[tokio::test]
async fn roles_of_the_configuration_and_of_id_tokens() {
    let (upstream, issuer) = (FakeUpstream::start().await, Issuer::start().await);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("trust.json");
    let statement = r#"{"Effect":"Allow","Principal":{"AWS":"000000000000"},"Action":"sts:AssumeRole"}"#;
    std::fs::write(&file, format!(r#"{{"Version":"2012-10-17","Statement":{statement}}}"#)).unwrap();
    let mut setup = Setup::of(&upstream);
    let audit = folder.path().join("audit");
    setup.log.text("audit", audit.to_str().unwrap());
    setup.more = format!(
        "{USERS}\n[[role]]\nname = \"release\"\npolicies = [\"FullAccess\"]\ntrust = {file:?}\n\
         [[oidc]]\nissuer = {:?}\naudience = \"registry\"\nclaims = [\"repository=team/*\"]\nrole = \"ci\"\npolicies = [\"FullAccess\"]\n",
        issuer.name()
    );
    let mut proxy = setup.start().await;
    let role = "arn:aws:iam::000000000000:role";
    let assumed = sts(&proxy, &root(), &format!("AssumeRole&RoleArn={role}/release&RoleSessionName=s1")).await;
    let release = Key::told(&assumed);
    ecr(&proxy, &release, "CreateRepository", r#"{"repositoryName":"r/1"}"#).await.assert_status(200);
    assert_fault(&iam(&proxy, &root(), "DeleteRole&RoleName=release").await, 400, "UnmodifiableEntity");
    // Rules give it, and nobody else does.
    let refused = sts(&proxy, &root(), &format!("AssumeRole&RoleArn={role}/ci&RoleSessionName=s1")).await;
    assert_fault(&refused, 403, "AccessDenied");

    let client = proxy.client();
    let web = async |role: &str, token: &str| {
        let body = format!(
            "Action=AssumeRoleWithWebIdentity&Version=2011-06-15&RoleArn={role}&RoleSessionName=admin&WebIdentityToken={token}"
        );
        client.send("POST", "/", &[("Content-Type", "application/x-www-form-urlencoded")], body.as_bytes()).await
    };
    let good = issuer.token(serde_json::json!({}));
    let given = Key::told(&web(&format!("{role}/ci"), &good).await);
    // The session is named by the token, not by whoever brings it.
    assert_eq!(
        caller(&proxy, &given).await,
        "arn:aws:sts::000000000000:assumed-role/ci/repo-team-app-ref-refs-heads-main-7af2d52a04777d2a"
    );
    ecr(&proxy, &given, "CreateRepository", r#"{"repositoryName":"r/2"}"#).await.assert_status(200);
    assert_fault(&iam(&proxy, &given, "ListUsers").await, 403, "AccessDenied");
    assert_fault(&web(&format!("{role}/release"), &good).await, 403, "AccessDenied");
    for changes in [serde_json::json!({ "repository": "elsewhere/x" }), serde_json::json!({ "exp": 1_000_000 })] {
        assert_fault(&web(&format!("{role}/ci"), &issuer.token(changes)).await, 400, "InvalidIdentityToken");
    }
    for wrong in ["x.y.z", &good[..good.len() - 4]] {
        assert_fault(&web(&format!("{role}/ci"), wrong).await, 400, "InvalidIdentityToken");
    }
    assert!(!proxy.log().contains(&good));
    // Sessions of what stands in the configuration can be ended as well.
    revoke(&proxy, &["ci", "--role"]);
    until_async("the session is over", async || caller(&proxy, &given).await == "InvalidClientTokenId").await;
    assert_eq!(caller(&proxy, &release).await, "arn:aws:sts::000000000000:assumed-role/release/s1");
    revoke(&proxy, &["root"]);
    until_async("the session is over", async || caller(&proxy, &release).await == "InvalidClientTokenId").await;
    // Strangers are refused, and do not fill the file.
    let throttled = async || web(&format!("{role}/ci"), "x.y.z").await.text().contains("Throttling");
    until_async("it is told to wait", throttled).await;
    proxy.terminate().await;
    let text = std::fs::read_to_string(audit).unwrap();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let of_strangers: Vec<&Value> = lines.iter().filter(|line| line["principal"] == "anonymous").collect();
    assert!(of_strangers.len() >= 4 && of_strangers.iter().all(|line| line["decision"] == "denied"), "{text}");
    assert!(lines.iter().all(|line| line["fault"] != "Throttling"), "{text}");
}

#[tokio::test]
async fn what_would_be_decided() {
    let (proxy, _upstream) = guarded().await;
    ecr(&proxy, &root(), "CreateRepository", r#"{"repositoryName":"team/app"}"#).await.assert_status(200);
    let statement = r#"{"Sid":"pull","Effect":"Allow","Action":"ecr:BatchGetImage","Resource":"*","Condition":{"IpAddress":{"aws:SourceIp":"192.0.2.0/24"}}}"#;
    let deny = r#"{"Effect":"Deny","Action":"ecr:DeleteRepository","Resource":"*"}"#;
    let own = encoded(&format!(r#"{{"Version":"2012-10-17","Statement":[{statement},{deny}]}}"#));
    user(&proxy, "dave", Some(&own)).await;
    let set = serde_json::json!({ "repositoryName": "team/app", "policyText": serde_json::json!({ "Version": "2012-10-17", "Statement": [
        { "Effect": "Allow", "Principal": { "AWS": "arn:aws:iam::000000000000:user/dave" }, "Action": "ecr:PutImage" },
        { "Effect": "Allow", "Principal": { "AWS": "111111111111" }, "Action": "ecr:PutImage" }] }).to_string() });
    ecr(&proxy, &root(), "SetRepositoryPolicy", &set.to_string()).await.assert_status(200);
    let ask = async |action: &str, resource: &str, more: &str| {
        let asked = format!(
            "SimulatePrincipalPolicy&PolicySourceArn=arn:aws:iam::000000000000:user/dave&ActionNames.member.1={action}&ResourceArns.member.1={resource}{more}"
        );
        let text = done(&proxy, &asked).await.text();
        (element(&text, "EvalDecision"), elements(&text, "SourcePolicyId").join(","))
    };
    let app = "arn:aws:ecr:local:000000000000:repository/team/app";
    let from = "&ContextEntries.member.1.ContextKeyName=aws:SourceIp&ContextEntries.member.1.ContextKeyType=ip&ContextEntries.member.1.ContextKeyValues.member.1=192.0.2.9";
    let told = |decision: &str, by: &str| (decision.to_owned(), by.to_owned());
    assert_eq!(ask("ecr:BatchGetImage", app, from).await, told("allowed", "own:0:pull"));
    assert_eq!(ask("ecr:BatchGetImage", app, "").await, told("implicitDeny", ""));
    assert_eq!(ask("ecr:DeleteRepository", app, "").await, told("explicitDeny", "own:1"));
    assert_eq!(ask("ecr:PutImage", app, "").await, told("allowed", "resource-policy:0"));
    assert_eq!(ask("ecr:PutImage", "arn:aws:ecr:local:000000000000:repository/team/other", "").await.0, "implicitDeny");
    assert_eq!(ask("iam:CreateUser", "*", "").await.0, "implicitDeny");
    let of_none =
        "SimulatePrincipalPolicy&PolicySourceArn=arn:aws:iam::000000000000:user/none&ActionNames.member.1=a:b";
    assert_fault(&iam(&proxy, &root(), of_none).await, 404, "NoSuchEntity");
    let of_others =
        "SimulatePrincipalPolicy&PolicySourceArn=arn:aws:iam::111111111111:user/foreign&ActionNames.member.1=a:b";
    assert_fault(&iam(&proxy, &root(), of_others).await, 400, "InvalidInput");
    // What the policies of other accounts say is not told.
    let foreign = Key::of("AKIAFOREFOREFOREFORE");
    let across = format!(
        "SimulatePrincipalPolicy&PolicySourceArn=arn:aws:iam::111111111111:user/foreign&ActionNames.member.1=ecr:PutImage&ResourceArns.member.1={app}"
    );
    let answer = iam(&proxy, &foreign, &across).await;
    answer.assert_status(200);
    assert_eq!(element(&answer.text(), "EvalDecision"), "implicitDeny");
    assert!(!answer.text().contains("resource-policy"), "{}", answer.text());
}

#[tokio::test]
async fn crooked_requests() {
    let (proxy, _upstream) = guarded().await;
    let client = proxy.client();
    let form = [("Content-Type", "application/x-www-form-urlencoded")];
    let unsigned = async |body: &str| client.send("POST", "/", &form, body.as_bytes()).await;
    assert_fault(&unsigned("Action=ListUsers&Version=2010-05-08").await, 403, "MissingAuthenticationToken");
    assert_fault(&unsigned("Action=GetCallerIdentity&Version=2011-06-15").await, 403, "MissingAuthenticationToken");
    assert_fault(&unsigned("Action=CreateGroup&Version=2010-05-08").await, 400, "InvalidAction");
    assert_fault(&unsigned("Action=ListUsers").await, 400, "InvalidAction");
    assert_fault(&unsigned("").await, 400, "InvalidAction");
    assert_fault(&unsigned("%ff=1").await, 400, "ValidationError");
    assert_fault(&unsigned(&"a".repeat(70 << 10)).await, 400, "ValidationError");
    let sent = "Version=2010-05-08&Action=ListUsers";
    // Signed for another service, or by nobody that is known.
    assert_fault(&signed(&client, &root(), "ecr", sent, None).await, 403, "SignatureDoesNotMatch");
    assert_fault(&signed(&client, &root(), "sts", sent, None).await, 403, "SignatureDoesNotMatch");
    assert_fault(&iam(&proxy, &Key::of("AKIAXXXXXXXXXXXXXXXX"), "ListUsers").await, 403, "InvalidClientTokenId");
    let wrong = Key { secret: "guessed".to_owned(), ..root() };
    assert_fault(&iam(&proxy, &wrong, "ListUsers").await, 403, "SignatureDoesNotMatch");
    let answer = iam(&proxy, &root(), "CreateUser&UserName=%3Cx%3E").await;
    assert_fault(&answer, 400, "ValidationError");
    assert!(answer.text().contains("&apos;&lt;x&gt;&apos;"), "{}", answer.text());
    let id = element(&answer.text(), "RequestId");
    assert_eq!(answer.header("x-amzn-requestid"), Some(id.as_str()));
    // Elsewhere a form is no request of these.
    assert!(matches!(client.send("POST", "/v2/", &form, sent.as_bytes()).await.status, 401 | 404 | 405));
}

#[tokio::test]
async fn changes_and_refusals_are_written_down() {
    let upstream = FakeUpstream::start().await;
    let mut setup = Setup::of(&upstream);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("audit");
    setup.log.text("audit", file.to_str().unwrap());
    setup.more = USERS.to_owned();
    let mut proxy = setup.start().await;
    let key = user(&proxy, "erin", None).await;
    done(&proxy, "CreateLoginProfile&UserName=erin&Password=erins-secret").await;
    done(&proxy, "ListUsers").await;
    assert_fault(&iam(&proxy, &key, "CreateUser&UserName=x").await, 403, "AccessDenied");
    let session = Key::told(&sts(&proxy, &key, "GetSessionToken").await);
    assert_fault(&iam(&proxy, &root(), "DeleteUser&UserName=erin").await, 409, "DeleteConflict");
    assert_fault(&sts(&proxy, &session, "GetSessionToken").await, 403, "AccessDenied");
    proxy.terminate().await;
    let text = std::fs::read_to_string(file).unwrap();
    for secret in [SECRET, &key.secret, &session.secret, session.token.as_ref().unwrap(), "erins-secret"] {
        assert!(!text.contains(secret));
    }
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let seen: Vec<_> = lines
        .iter()
        .map(|line| {
            let of = |name: &str| line[name].as_str().unwrap_or_default().rsplit('/').next().unwrap().to_owned();
            [of("principal"), of("action"), of("resource"), of("decision"), of("fault")].join(" ")
        })
        .collect();
    assert_eq!(
        seen,
        [
            "root iam:CreateUser erin allowed ",
            "root iam:CreateAccessKey erin allowed ",
            "root iam:CreateLoginProfile erin allowed ",
            "erin iam:CreateUser x denied ",
            "erin sts:GetSessionToken erin allowed ",
            "root iam:DeleteUser erin allowed DeleteConflict",
            "erin sts:GetSessionToken erin denied AccessDenied",
        ]
    );
    assert!(lines[0]["because"].as_str().unwrap().contains("Administrator"));
    assert_eq!(lines[6]["means"], "session");
}

/// ID tokens that only pull or push let nobody in who can make others; those that administer do. A user without key and password
/// is nobody yet.
#[tokio::test]
async fn id_tokens_alone_administer_nothing() {
    let upstream = FakeUpstream::start().await;
    let rule = |policy: &str| {
        format!(
            "[[user]]\nname = \"ci\"\npolicies = [\"PowerUser\"]\n[[oidc]]\nissuer = \"https://issuer.example\"\n\
             audience = \"registry\"\nrole = \"people\"\npolicies = [{policy:?}]\nclaims = [\"sub=*\"]\n"
        )
    };
    for (policy, is_made) in [("PullOnly", true), ("PowerUser", true), ("Administrator", false)] {
        let mut setup = Setup::of(&upstream);
        setup.more = rule(policy);
        let mut proxy = setup.start().await;
        let file = proxy.data_path().join("admin-credentials");
        assert_eq!(file.exists(), is_made, "{policy}");
        // Once only: who has taken the key out is not given another.
        if is_made {
            std::fs::remove_file(&file).unwrap();
            proxy.restart().await;
            assert!(!file.exists());
        }
    }
}

/// Where a role is given by rules and can be assumed as well, no session of the one is called like one of the other.
#[tokio::test]
async fn g13_a_session_is_of_one_source() {
    let (upstream, issuer) = (FakeUpstream::start().await, Issuer::start().await);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("trust.json");
    let statement = r#"{"Effect":"Allow","Principal":{"AWS":"000000000000"},"Action":"sts:AssumeRole"}"#;
    std::fs::write(&file, format!(r#"{{"Version":"2012-10-17","Statement":{statement}}}"#)).unwrap();
    let mut setup = Setup::of(&upstream);
    setup.more = format!(
        "{USERS}\n[[role]]\nname = \"ci\"\npolicies = [\"FullAccess\"]\ntrust = {file:?}\n\
         [[role]]\nname = \"free\"\ntrust = {file:?}\n\
         [[oidc]]\nissuer = {:?}\naudience = \"registry\"\nclaims = [\"repository=team/*\"]\nsession = \"actor\"\nrole = \"ci\"\n",
        issuer.name()
    );
    let proxy = setup.start().await;
    let token = issuer.token(serde_json::json!({ "actor": "ann" }));
    let body = format!(
        "Action=AssumeRoleWithWebIdentity&Version=2011-06-15&RoleArn=arn:aws:iam::000000000000:role/ci&RoleSessionName=x1&WebIdentityToken={token}"
    );
    let headers = [("Content-Type", "application/x-www-form-urlencoded")];
    let of_token = proxy.client().send("POST", "/", &headers, body.as_bytes()).await;
    let of_token = caller(&proxy, &Key::told(&of_token)).await;
    let name = of_token.rsplit('/').next().unwrap().to_owned();
    assert!(name.starts_with("ann-"), "{name}");
    let assume = async |role: &str, name: &str| {
        let assume = format!("AssumeRole&RoleArn=arn:aws:iam::000000000000:role/{role}&RoleSessionName={name}");
        sts(&proxy, &root(), &assume).await
    };
    // The name that the claim has is not that of its session, and whoever assumes the role cannot take that.
    let assumed = caller(&proxy, &Key::told(&assume("ci", "ann").await)).await;
    assert_ne!(assumed, of_token);
    assert_fault(&assume("ci", &name).await, 400, "ValidationError");
    assert_fault(&assume("ci", &name.to_uppercase()).await, 400, "ValidationError");
    // Elsewhere it is a name like any other.
    assume("free", &name).await.assert_status(200);
}

/// Somebody has to be able to make the others.
#[tokio::test]
async fn the_first_user_makes_the_others() {
    let upstream = FakeUpstream::start().await;
    let mut setup = Setup::of(&upstream);
    // A role lets nobody in by itself.
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("trust.json");
    let statement = r#"{"Effect":"Allow","Principal":{"AWS":"000000000000"},"Action":"sts:AssumeRole"}"#;
    std::fs::write(&file, format!(r#"{{"Version":"2012-10-17","Statement":{statement}}}"#)).unwrap();
    setup.more = format!("[[role]]\nname = \"release\"\ntrust = {file:?}\n");
    let proxy = setup.start().await;
    let text = std::fs::read_to_string(proxy.data_path().join("admin-credentials")).unwrap();
    let value = |name: &str| {
        let line = text.lines().find(|line| line.starts_with(name)).unwrap();
        line.split_once(" = ").unwrap().1.to_owned()
    };
    let admin = Key { id: value("aws_access_key_id"), secret: value("aws_secret_access_key"), token: None };
    assert_eq!(caller(&proxy, &admin).await, "arn:aws:iam::000000000000:user/admin");
    iam(&proxy, &admin, "CreateUser&UserName=alice").await.assert_status(200);
    iam(&proxy, &admin, "AttachUserPolicy&UserName=alice&PolicyArn=arn:aws:iam::aws:policy/PullOnly")
        .await
        .assert_status(200);
}

/// Tags that policies look at are a right of their own, also where a new user or role gets them.
#[tokio::test]
async fn g27_making_somebody_with_tags_needs_the_right_to_tag() {
    let (proxy, _upstream) = guarded().await;
    let statements = r#"{"Effect":"Allow","Action":["iam:CreateUser","iam:CreateRole"],"Resource":"*"}"#;
    let own = |more: &str| encoded(&format!(r#"{{"Version":"2012-10-17","Statement":[{statements}{more}]}}"#));
    let key = user(&proxy, "maker", Some(&own(""))).await;
    let role = trust(r#"{"AWS":"000000000000"}"#);
    let user_of = |name: &str, tags: &str| format!("CreateUser&UserName={name}{tags}");
    let role_of = |name: &str, tags: &str| format!("CreateRole&RoleName={name}&AssumeRolePolicyDocument={role}{tags}");
    let tags = "&Tags.member.1.Key=team&Tags.member.1.Value=boss";
    iam(&proxy, &key, &user_of("plain", "")).await.assert_status(200);
    iam(&proxy, &key, &role_of("plain", "")).await.assert_status(200);
    assert_fault(&iam(&proxy, &key, &user_of("new", tags)).await, 403, "AccessDenied");
    assert_fault(&iam(&proxy, &key, &role_of("new", tags)).await, 403, "AccessDenied");
    // The right may be narrowed to some tags.
    let narrowed = r#",{"Effect":"Allow","Action":["iam:TagUser","iam:TagRole"],"Resource":"*","Condition":{"StringEquals":{"aws:RequestTag/team":"apprentice"}}}"#;
    done(&proxy, &format!("PutUserPolicy&UserName=maker&PolicyName=own&PolicyDocument={}", own(narrowed))).await;
    assert_fault(&iam(&proxy, &key, &user_of("new", tags)).await, 403, "AccessDenied");
    let lesser = tags.replace("boss", "apprentice");
    iam(&proxy, &key, &user_of("new", &lesser)).await.assert_status(200);
    iam(&proxy, &key, &role_of("new", &lesser)).await.assert_status(200);
}

/// The policy by which AWS's console revokes older sessions of a role.
#[tokio::test]
async fn g05_sessions_of_before_are_revoked_by_their_time() {
    let (proxy, _upstream) = guarded().await;
    done(&proxy, &format!("CreateRole&RoleName=r1&AssumeRolePolicyDocument={}", trust(r#"{"AWS":"000000000000"}"#)))
        .await;
    done(&proxy, "AttachRolePolicy&RoleName=r1&PolicyArn=arn:aws:iam::aws:policy/FullAccess").await;
    let assume = "AssumeRole&RoleArn=arn:aws:iam::000000000000:role/r1&RoleSessionName=s1";
    let session = Key::told(&sts(&proxy, &root(), assume).await);
    let token = ecr(&proxy, &session, "GetAuthorizationToken", "{}").await.json();
    let token = format!("Basic {}", token["authorizationData"][0]["authorizationToken"].as_str().unwrap());
    let pull = async || {
        let shown = [("Authorization", token.as_str())];
        proxy.client().request("GET", &path("team/app", "tags/list"), &shown).await.status
    };
    ecr(&proxy, &session, "DescribeRegistry", "{}").await.assert_status(200);
    assert_eq!(pull().await, 404);
    for (before, refused) in [("2020-01-01T00:00:00Z", false), ("2999-01-01T00:00:00Z", true)] {
        let revoke = encoded(&format!(
            r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"Deny","Action":"*","Resource":"*","Condition":{{"DateLessThan":{{"aws:TokenIssueTime":"{before}"}}}}}}]}}"#
        ));
        done(&proxy, &format!("PutRolePolicy&RoleName=r1&PolicyName=AWSRevokeOlderSessions&PolicyDocument={revoke}"))
            .await;
        let status = ecr(&proxy, &session, "DescribeRegistry", "{}").await.status;
        assert_eq!((status, pull().await), if refused { (400, 403) } else { (200, 404) });
    }
    // A key that lasts has no such time.
    ecr(&proxy, &root(), "DescribeRegistry", "{}").await.assert_status(200);
}

/// A key is rotated by making the second, and the first inactive before it is deleted.
#[tokio::test]
async fn c4_an_inactive_key_logs_nobody_in() {
    let (mut proxy, _upstream) = guarded().await;
    let first = user(&proxy, "alice", Some(&allow(r#"["iam:*","ecr:*"]"#, r#""*""#))).await;
    let second = Key::told(&done(&proxy, "CreateAccessKey&UserName=alice").await);
    let arn = "arn:aws:iam::000000000000:user/alice";
    let set =
        |key: &Key, status: &str| format!("UpdateAccessKey&UserName=alice&AccessKeyId={}&Status={status}", key.id);
    let statuses = async || elements(&done(&proxy, "ListAccessKeys&UserName=alice").await.text(), "Status");
    assert_eq!(statuses().await, ["Active", "Active"]);
    // Without a name it is the caller's own.
    let own = format!("UpdateAccessKey&AccessKeyId={}&Status=Inactive", first.id);
    iam(&proxy, &second, &own).await.assert_status(200);
    assert_eq!(caller(&proxy, &first).await, "InvalidClientTokenId");
    assert_eq!(caller(&proxy, &second).await, arn);
    let refused = ecr(&proxy, &first, "DescribeRegistry", "{}").await;
    assert_eq!(refused.json()["__type"], "UnrecognizedClientException", "{}", refused.text());
    // Also where the body is so long that the key is looked at before it.
    let long = format!("{{\"repositoryName\":\"a/b\",\"imageManifest\":\"{}\"}}", "x".repeat(200_000));
    let refused = ecr(&proxy, &first, "PutImage", &long).await;
    assert_eq!(refused.json()["__type"], "UnrecognizedClientException", "{}", refused.text());
    let mut both = statuses().await;
    both.sort_unstable();
    assert_eq!(both, ["Active", "Inactive"]);
    proxy.restart().await;
    assert_eq!(caller(&proxy, &first).await, "InvalidClientTokenId");
    done(&proxy, &set(&first, "Active")).await;
    assert_eq!(caller(&proxy, &first).await, arn);

    // It is a right of its own, on the user; and keys of the configuration change only there.
    let reader = user(&proxy, "reader", Some(&allow(r#"["iam:ListAccessKeys"]"#, r#""*""#))).await;
    assert_fault(&iam(&proxy, &reader, &set(&first, "Inactive")).await, 403, "AccessDenied");
    let declared = "UpdateAccessKey&UserName=full&AccessKeyId=AKIAFULLFULLFULLFULL&Status=Inactive";
    assert_fault(&iam(&proxy, &root(), declared).await, 400, "UnmodifiableEntity");
    let of_another = format!("UpdateAccessKey&UserName=reader&AccessKeyId={}&Status=Inactive", first.id);
    assert_fault(&iam(&proxy, &root(), &of_another).await, 404, "NoSuchEntity");
    assert_eq!(caller(&proxy, &first).await, arn);
}

/// How people find the ARNs that they attach, and what these allow.
#[tokio::test]
async fn c4_managed_policies_are_listed() {
    let (proxy, _upstream) = guarded().await;
    let listed = done(&proxy, "ListPolicies").await.text();
    let names = elements(&listed, "PolicyName");
    assert_eq!(names.len(), 5);
    assert!(names.is_sorted() && names.contains(&"AmazonEC2ContainerRegistryPullOnly".to_owned()), "{names:?}");
    let arns = elements(&listed, "Arn");
    let first = done(&proxy, "ListPolicies&MaxItems=3").await.text();
    let marker = element(&first, "Marker");
    let rest = done(&proxy, &format!("ListPolicies&MaxItems=3&Marker={marker}")).await.text();
    assert_eq!([elements(&first, "Arn"), elements(&rest, "Arn")].concat(), arns);
    assert_eq!(elements(&done(&proxy, "ListPolicies&Scope=Local").await.text(), "Arn"), Vec::<String>::new());
    done(&proxy, "CreateUser&UserName=alice").await;
    for arn in &arns {
        let got = done(&proxy, &format!("GetPolicy&PolicyArn={arn}")).await.text();
        assert_eq!((element(&got, "Arn"), element(&got, "DefaultVersionId")), (arn.clone(), "v1".to_owned()));
        let document = done(&proxy, &format!("GetPolicyVersion&PolicyArn={arn}&VersionId=v1")).await.text();
        let document = element(&document, "Document");
        let document = percent_encoding::percent_decode_str(&document).decode_utf8().unwrap();
        let document: serde_json::Value = serde_json::from_str(&document).unwrap();
        assert_eq!(document["Statement"][0]["Effect"], "Allow", "{arn}");
        // What is listed can be attached.
        done(&proxy, &format!("AttachUserPolicy&UserName=alice&PolicyArn={arn}")).await;
    }
    let nobody = user(&proxy, "nobody-else", None).await;
    let arn = &arns[0];
    for action in [
        "ListPolicies".to_owned(),
        format!("GetPolicy&PolicyArn={arn}"),
        format!("GetPolicyVersion&PolicyArn={arn}&VersionId=v1"),
    ] {
        assert_fault(&iam(&proxy, &nobody, &action).await, 403, "AccessDenied");
    }
}
