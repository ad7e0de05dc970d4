//! What comes in and what goes out.

use super::*;

fn parse(form: &str) -> Result<Operation, Fault> {
    parse_as(form, Some("me"))
}

fn parse_as(form: &str, caller: Option<&str>) -> Result<Operation, Fault> {
    let version = if form.starts_with("Action=Get") && form.contains("Caller")
        || form.contains("AssumeRole&")
        || form.contains("SessionToken")
        || form.contains("WebIdentity&")
    {
        Service::Sts.version()
    } else {
        Service::Iam.version()
    };
    let form = Form::parse(format!("{form}&Version={version}").as_bytes())?;
    Operation::parse(form.operation_name()?, form, caller)
}

fn user(name: &str) -> Entity {
    Entity::user(EntityName::parse(name).unwrap())
}

fn role(name: &str) -> Entity {
    Entity::role(EntityName::parse(name).unwrap())
}

const ROLE: &str = "RoleArn=arn%3Aaws%3Aiam%3A%3A123456789012%3Arole%2Fci";

#[test]
fn operations() {
    let whole = Page { after: None, most: 100 };
    let me = EntityName::parse("me").unwrap();
    let policy = PolicyName::parse("p").unwrap();
    for (form, operation) in [
        ("Action=GetCallerIdentity".to_owned(), Operation::GetCallerIdentity),
        ("Action=GetSessionToken".into(), Operation::GetSessionToken { seconds: 43_200 }),
        ("Action=GetSessionToken&DurationSeconds=900".into(), Operation::GetSessionToken { seconds: 900 }),
        (
            format!("Action=AssumeRole&{ROLE}&RoleSessionName=s1"),
            Operation::AssumeRole {
                role: RoleArn::parse("arn:aws:iam::123456789012:role/ci").unwrap(),
                session: SessionName::parse("s1").unwrap(),
                seconds: 3600,
            },
        ),
        (
            format!("Action=AssumeRoleWithWebIdentity&{ROLE}&RoleSessionName=s1&WebIdentityToken=a.b.c"),
            Operation::AssumeRoleWithWebIdentity {
                role: RoleArn::parse("arn:aws:iam::123456789012:role/ci").unwrap(),
                session: SessionName::parse("s1").unwrap(),
                token: Sensitive::new("a.b.c".to_owned()),
                seconds: 3600,
            },
        ),
        (
            "Action=CreateUser&UserName=a%2Bb&Path=%2F&Tags.member.1.Key=k+1&Tags.member.1.Value=".into(),
            Operation::CreateUser {
                name: EntityName::parse("a+b").unwrap(),
                tags: [("k 1".to_owned(), String::new())].into(),
            },
        ),
        ("Action=CreateUser&UserName=a&Tags=".into(), Operation::CreateUser { name: user("a").name, tags: [].into() }),
        ("Action=GetUser".into(), Operation::Get(user("me"))),
        ("Action=GetUser&UserName=a".into(), Operation::Get(user("a"))),
        ("Action=GetRole&RoleName=a".into(), Operation::Get(role("a"))),
        (
            "Action=ListUsers&MaxItems=1000&Marker=b".into(),
            Operation::List(EntityKind::User, Page { after: Some("b".to_owned()), most: 1000 }),
        ),
        ("Action=ListRoles&PathPrefix=%2Fteam%2F".into(), Operation::List(EntityKind::Role, Page::of_nothing())),
        ("Action=CreateAccessKey".into(), Operation::CreateAccessKey(me.clone())),
        ("Action=ListAccessKeys".into(), Operation::ListAccessKeys(me.clone(), whole.clone())),
        (
            "Action=PutRolePolicy&RoleName=a&PolicyName=p&PolicyDocument=%7B%7D".into(),
            Operation::PutPolicy { of: role("a"), policy: policy.clone(), document: "{}".to_owned() },
        ),
        ("Action=DeleteUserPolicy&UserName=a&PolicyName=p".into(), Operation::DeletePolicy(user("a"), policy)),
        (
            "Action=UpdateAccessKey&AccessKeyId=AKIA000000000000&Status=Inactive".into(),
            Operation::UpdateAccessKey {
                of: me.clone(),
                id: AccessKeyId::parse("AKIA000000000000").unwrap(),
                is_active: false,
            },
        ),
        ("Action=ListPolicies&Scope=AWS&OnlyAttached=false".into(), Operation::ListManaged(whole.clone())),
        ("Action=ListPolicies&Scope=Local".into(), Operation::ListManaged(Page::of_nothing())),
        (
            "Action=GetPolicy&PolicyArn=arn:aws:iam::aws:policy/PullOnly".into(),
            Operation::GetManaged(ManagedPolicy::PullOnly),
        ),
        (
            "Action=GetPolicyVersion&PolicyArn=arn:aws:iam::aws:policy/PullOnly&VersionId=v1".into(),
            Operation::GetManagedDocument(ManagedPolicy::PullOnly),
        ),
        (
            "Action=AttachUserPolicy&UserName=a&PolicyArn=arn:aws:iam::aws:policy/AdministratorAccess".into(),
            Operation::Attach(user("a"), ManagedPolicy::Administrator),
        ),
        ("Action=UntagUser&UserName=a&TagKeys.member.1=x".into(), Operation::Untag(user("a"), vec!["x".to_owned()])),
        (
            "Action=CreateLoginProfile&UserName=me&Password=a%20b&PasswordResetRequired=false".into(),
            Operation::CreatePassword(me, Sensitive::new("a b".to_owned())),
        ),
        (
            "Action=CreateRole&RoleName=a&AssumeRolePolicyDocument=%7B%7D&Description=d&MaxSessionDuration=7200".into(),
            Operation::CreateRole {
                name: role("a").name,
                tags: [].into(),
                role: NewRole {
                    trust: "{}".to_owned(),
                    description: Some("d".to_owned()),
                    longest_session_seconds: 7200,
                },
            },
        ),
        (
            "Action=SimulatePrincipalPolicy&PolicySourceArn=arn:aws:iam::1:user/me&ActionNames.member.1=ecr:PutImage\
             &ContextEntries.member.1.ContextKeyName=aws:SourceIp&ContextEntries.member.1.ContextKeyType=ip\
             &ContextEntries.member.1.ContextKeyValues.member.1=::1"
                .into(),
            Operation::Simulate(Simulation {
                principal: "arn:aws:iam::1:user/me".to_owned(),
                actions: vec!["ecr:PutImage".to_owned()],
                resources: vec!["*".to_owned()],
                context: vec![("aws:SourceIp".to_owned(), vec!["::1".to_owned()])],
            }),
        ),
    ] {
        assert_eq!(parse(&form), Ok(operation), "{form}");
    }
}

#[test]
fn refused() {
    let long = "x".repeat(129);
    let many_tags: String = (1..=51).map(|n| format!("&Tags.member.{n}.Key=k{n}&Tags.member.{n}.Value=v")).collect();
    let many: String = (1..=40).map(|n| format!("&ActionNames.member.{n}=ecr:X&ResourceArns.member.{n}=*")).collect();
    let pairs: String = (1..=51).map(|n| format!("&ActionNames.member.{n}=ecr:X")).collect();
    let two = "&ResourceArns.member.1=a&ResourceArns.member.2=b";
    for (form, code) in [
        (
            format!("Action=SimulatePrincipalPolicy&PolicySourceArn=arn:aws:iam::123456789012:user/x{pairs}{two}"),
            Code::InvalidInput,
        ),
        ("Action=UpdateAccessKey&AccessKeyId=AKIA000000000000&Status=active".to_owned(), Code::ValidationError),
        ("Action=UpdateAccessKey&AccessKeyId=AKIA000000000000".into(), Code::ValidationError),
        ("Action=ListPolicies&OnlyAttached=true".into(), Code::ValidationError),
        ("Action=ListPolicies&Scope=Mine".into(), Code::ValidationError),
        ("Action=GetPolicy&PolicyArn=arn:aws:iam::aws:policy/Other".into(), Code::NoSuchEntity),
        (
            "Action=GetPolicyVersion&PolicyArn=arn:aws:iam::aws:policy/PullOnly&VersionId=v2".into(),
            Code::NoSuchEntity,
        ),
        ("Action=CreateGroup".into(), Code::InvalidAction),
        ("Action=".into(), Code::InvalidAction),
        ("UserName=a".into(), Code::InvalidAction),
        ("Action=CreateUser".into(), Code::ValidationError),
        ("Action=CreateUser&UserName=".into(), Code::ValidationError),
        ("Action=CreateUser&UserName=a%2Fb".into(), Code::ValidationError),
        ("Action=CreateUser&UserName=a&UserName=b".into(), Code::ValidationError),
        ("Action=CreateUser&UserName=%FF".into(), Code::ValidationError),
        ("Action=CreateUser&UserName=a&Path=/team/".into(), Code::ValidationError),
        (format!("Action=CreateUser&UserName={}", "x".repeat(65)), Code::ValidationError),
        // It would give more than was meant to pass these over.
        ("Action=CreateUser&UserName=a&PermissionsBoundary=arn:aws:iam::aws:policy/X".into(), Code::ValidationError),
        (format!("Action=AssumeRole&{ROLE}&RoleSessionName=s1&Policy=%7B%7D"), Code::ValidationError),
        (format!("Action=AssumeRole&{ROLE}&RoleSessionName=s1&Tags.member.1.Key=a&Tags.member.1.Value=b"), Code::ValidationError),
        (format!("Action=CreateUser&UserName=a{many_tags}"), Code::ValidationError),
        ("Action=TagUser&UserName=a&Tags.member.1.Key=a&Tags.member.1.Value=1&Tags.member.2.Key=a&Tags.member.2.Value=2".into(), Code::InvalidInput),
        ("Action=TagUser&UserName=a&Tags.member.1.Key=team&Tags.member.1.Value=1&Tags.member.2.Key=Team&Tags.member.2.Value=2".into(), Code::InvalidInput),
        ("Action=TagUser&UserName=a&Tags.member.1.Key=%3C&Tags.member.1.Value=1".into(), Code::ValidationError),
        ("Action=TagUser&UserName=a&Tags.member.2.Key=a&Tags.member.2.Value=1".into(), Code::ValidationError),
        ("Action=ListUsers&MaxItems=0".into(), Code::ValidationError),
        ("Action=ListUsers&MaxItems=1001".into(), Code::ValidationError),
        ("Action=ListUsers&MaxItems=%2B5".into(), Code::ValidationError),
        ("Action=ListUsers&MaxItems=99999999999".into(), Code::ValidationError),
        ("Action=ListUsers&Marker=".into(), Code::ValidationError),
        ("Action=ListUsers&Marker=%00".into(), Code::ValidationError),
        ("Action=GetSessionToken&DurationSeconds=899".into(), Code::ValidationError),
        ("Action=GetSessionToken&DurationSeconds=43201".into(), Code::ValidationError),
        ("Action=GetSessionToken&SerialNumber=x".into(), Code::ValidationError),
        (format!("Action=AssumeRole&{ROLE}&RoleSessionName=s"), Code::ValidationError),
        (format!("Action=AssumeRole&{ROLE}&RoleSessionName=a%3Ab"), Code::ValidationError),
        ("Action=AssumeRole&RoleArn=arn:aws:iam::1:role/ci&RoleSessionName=s1".into(), Code::ValidationError),
        ("Action=CreateLoginProfile&UserName=a&Password=".into(), Code::ValidationError),
        (format!("Action=CreateLoginProfile&UserName=a&Password={long}"), Code::ValidationError),
        ("Action=CreateLoginProfile&UserName=a&Password=a%0Ab".into(), Code::PasswordPolicyViolation),
        ("Action=CreateLoginProfile&UserName=a&Password=ab&PasswordResetRequired=true".into(), Code::ValidationError),
        (
            format!("Action=PutUserPolicy&UserName=a&PolicyName=p&PolicyDocument={}", "x".repeat(MAX_POLICY_BYTES + 1)),
            Code::LimitExceeded,
        ),
        (format!("Action=PutUserPolicy&UserName=a&PolicyName={long}&PolicyDocument=x"), Code::ValidationError),
        ("Action=AttachUserPolicy&UserName=a&PolicyArn=arn:aws:iam::aws:policy/AmazonS3FullAccess".into(), Code::NoSuchEntity),
        ("Action=DeleteAccessKey&AccessKeyId=short".into(), Code::ValidationError),
        ("Action=CreateRole&RoleName=a".into(), Code::ValidationError),
        ("Action=CreateRole&RoleName=a&AssumeRolePolicyDocument=x&MaxSessionDuration=43201".into(), Code::ValidationError),
        ("Action=SimulatePrincipalPolicy&PolicySourceArn=arn:aws:iam::1:user/me".into(), Code::ValidationError),
        (format!("Action=SimulatePrincipalPolicy&PolicySourceArn=arn:aws:iam::1:user/me{many}"), Code::InvalidInput),
    ] {
        assert_eq!(parse(&form).map_err(|fault| fault.code()), Err(code), "{form}");
    }
    let many: String = (0..2000).map(|n| format!("&a{n}=b")).collect();
    assert!(parse(&format!("Action=ListUsers{many}")).is_err());
    // Who is no user has to say whom it means.
    assert!(parse_as("Action=GetUser", None).unwrap_err().message().contains("Must specify userName"));
    let other = Form::parse(b"Action=CreateUser&Version=2011-06-15").map(|form| form.operation_name());
    let message = other.unwrap().unwrap_err();
    assert_eq!(message.to_string(), "InvalidAction: Could not find operation CreateUser for version 2011-06-15");
}

#[test]
fn secrets_are_never_printed() {
    let wrong = parse(&format!("Action=CreateLoginProfile&UserName=a&Password={}", "hunter2".repeat(30))).unwrap_err();
    assert!(!wrong.to_string().contains("hunter2"));
    let right = parse("Action=CreateLoginProfile&UserName=a&Password=hunter2").unwrap();
    assert!(!format!("{right:?}").contains("hunter2"));
    let detail = AccessKeyDetail { user: "a".to_owned(), id: "AKIA".to_owned(), created_at_ms: 0, is_active: true };
    let output = Output::NewAccessKey(detail, Sensitive::new("hunter2".to_owned()));
    assert!(!format!("{output:?}").contains("hunter2"));
    assert!(output.to_xml(OperationName::CreateAccessKey, "1").contains("hunter2"));
}

#[test]
fn resources_and_keys() {
    let account = "123456789012".parse().unwrap();
    for (form, resource) in [
        ("Action=GetCallerIdentity", None),
        ("Action=GetSessionToken", None),
        ("Action=ListUsers", Some("arn:aws:iam::123456789012:user/")),
        ("Action=GetRole&RoleName=a", Some("arn:aws:iam::123456789012:role/a")),
        ("Action=CreateAccessKey", Some("arn:aws:iam::123456789012:user/me")),
        (
            "Action=SimulatePrincipalPolicy&PolicySourceArn=arn:aws:iam::1:user/x&ActionNames.member.1=a:b",
            Some("arn:aws:iam::1:user/x"),
        ),
    ] {
        assert_eq!(parse(form).unwrap().resource(account).as_deref(), resource, "{form}");
    }
    let attach = "Action=AttachUserPolicy&UserName=a&PolicyArn=arn:aws:iam::aws:policy/PullOnly";
    assert_eq!(
        parse(attach).unwrap().context(),
        [(
            "iam:PolicyARN".to_owned(),
            ["AmazonEC2ContainerRegistryPullOnly", "PullOnly"]
                .map(|name| format!("arn:aws:iam::aws:policy/{name}"))
                .to_vec()
        )]
    );
}

#[test]
fn conditions_see_tags_and_their_keys() {
    let tags = "Tags.member.1.Key=team&Tags.member.1.Value=x&Tags.member.2.Key=env&Tags.member.2.Value=y";
    let said =
        |key: &str, values: &[&str]| (key.to_owned(), values.iter().map(|v| (*v).to_owned()).collect::<Vec<_>>());
    let both = vec![
        said("aws:RequestTag/env", &["y"]),
        said("aws:RequestTag/team", &["x"]),
        said("aws:TagKeys", &["env", "team"]),
    ];
    for (form, context) in [
        (format!("Action=CreateUser&UserName=a&{tags}"), both.clone()),
        (format!("Action=CreateRole&RoleName=a&AssumeRolePolicyDocument={{}}&{tags}"), both.clone()),
        (format!("Action=TagUser&UserName=a&{tags}"), both.clone()),
        (format!("Action=TagRole&RoleName=a&{tags}"), both),
        ("Action=CreateUser&UserName=a".to_owned(), vec![]),
        (
            "Action=UntagUser&UserName=a&TagKeys.member.1=b&TagKeys.member.2=a".to_owned(),
            vec![said("aws:TagKeys", &["b", "a"])],
        ),
        ("Action=UntagRole&RoleName=a&TagKeys.member.1=b".to_owned(), vec![said("aws:TagKeys", &["b"])]),
    ] {
        assert_eq!(parse(&form).unwrap().context(), context, "{form}");
    }
}

#[test]
fn names_are_once_and_complete() {
    for name in OperationName::ALL {
        assert_eq!(OperationName::named(name.name()), Some(*name));
        let prefix = if name.service() == Service::Iam { "iam:" } else { "sts:" };
        assert_eq!(name.iam_action(), format!("{prefix}{}", name.name()));
        let reads = ["Get", "List", "Simulate"].iter().any(|verb| name.name().starts_with(verb));
        assert_eq!(name.is_write(), !reads || *name == OperationName::GetSessionToken, "{name:?}");
    }
}

#[test]
fn answers() {
    let detail = EntityDetail {
        entity: role("ci"),
        account: "123456789012".parse().unwrap(),
        id: "AROAX".to_owned(),
        created_at_ms: 951_782_400_999,
        tags: vec![("k".to_owned(), "<".to_owned())],
        trust: Some("{\"a\": 1}".to_owned()),
        description: None,
        longest_session_seconds: Some(3600),
    };
    assert_eq!(
        Output::Entity(Box::new(detail)).to_xml(OperationName::GetRole, "r1"),
        "<GetRoleResponse xmlns=\"https://iam.amazonaws.com/doc/2010-05-08/\"><GetRoleResult><Role><Path>/</Path>\
         <RoleName>ci</RoleName><RoleId>AROAX</RoleId><Arn>arn:aws:iam::123456789012:role/ci</Arn>\
         <CreateDate>2000-02-29T00:00:00Z</CreateDate><AssumeRolePolicyDocument>%7B%22a%22%3A%201%7D</AssumeRolePolicyDocument>\
         <MaxSessionDuration>3600</MaxSessionDuration><Tags><member><Key>k</Key><Value>&lt;</Value></member></Tags></Role>\
         </GetRoleResult><ResponseMetadata><RequestId>r1</RequestId></ResponseMetadata></GetRoleResponse>"
    );
    assert_eq!(
        Output::Done.to_xml(OperationName::DeleteUser, "r1"),
        "<DeleteUserResponse xmlns=\"https://iam.amazonaws.com/doc/2010-05-08/\"><ResponseMetadata><RequestId>r1</RequestId>\
         </ResponseMetadata></DeleteUserResponse>"
    );
    let listed = Listed { items: vec!["a".to_owned()], next: Some("a".to_owned()) };
    assert!(
        Output::PolicyNames(listed)
            .to_xml(OperationName::ListUserPolicies, "r1")
            .contains("<PolicyNames><member>a</member></PolicyNames><IsTruncated>true</IsTruncated><Marker>a</Marker>")
    );
    assert_eq!(
        Fault::new(Code::NoSuchEntity, "no <user>").to_xml(Service::Sts, "r1"),
        "<ErrorResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><Error><Type>Sender</Type><Code>NoSuchEntity</Code>\
         <Message>no &lt;user&gt;</Message></Error><RequestId>r1</RequestId></ErrorResponse>"
    );
}

proptest::proptest! {
    #[test]
    fn never_panics(body: Vec<u8>, which in 0..OperationName::ALL.len(), rest in "[A-Za-z.=&%0-9+]{0,200}") {
        let _ = Form::parse(&body).and_then(|form| form.operation_name());
        let name = OperationName::ALL[which];
        let _ = parse(&format!("Action={}&{rest}", name.name()));
    }
}
