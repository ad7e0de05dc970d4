//! What operations answer, and its XML.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::entity::{Entity, EntityKind};
use super::managed_policy::{MANAGED_VERSION, ManagedPolicy};
use super::operation_name::OperationName;
use super::page::Listed;
use super::sensitive::Sensitive;
use super::simulation::Simulated;
use super::xml::Xml;
use crate::oci::AccountId;

#[derive(Clone, Debug)]
pub enum Output {
    Done,
    CallerIdentity(CallerIdentity),
    SessionToken(SessionCredentials),
    AssumedRole {
        credentials: SessionCredentials,
        id: String,
        arn: String,
    },
    Entity(Box<EntityDetail>),
    Entities(EntityKind, Listed<EntityDetail>),
    /// The secret is told here and never again.
    NewAccessKey(AccessKeyDetail, Sensitive),
    AccessKeys(Listed<AccessKeyDetail>),
    LoginProfile {
        user: String,
        created_at_ms: i64,
    },
    Policy {
        of: Entity,
        name: String,
        document: String,
    },
    PolicyNames(Listed<String>),
    Attached(Listed<ManagedPolicy>),
    ManagedPolicies(Listed<ManagedPolicy>),
    ManagedPolicy(ManagedPolicy),
    ManagedDocument(&'static str),
    Tags(Listed<(String, String)>),
    Simulation(Vec<Simulated>),
}

#[derive(Clone, Debug)]
pub struct CallerIdentity {
    pub arn: String,
    pub id: String,
    pub account: AccountId,
}

#[derive(Clone, Debug)]
pub struct SessionCredentials {
    pub access_key_id: String,
    pub secret: Sensitive,
    pub session_token: Sensitive,
    pub expires_at_ms: i64,
}

/// A user or role.
#[derive(Clone, Debug)]
pub struct EntityDetail {
    pub entity: Entity,
    pub account: AccountId,
    /// `AIDA…` or `AROA…`.
    pub id: String,
    pub created_at_ms: i64,
    pub tags: Vec<(String, String)>,
    /// Of a role.
    pub trust: Option<String>,
    pub description: Option<String>,
    pub longest_session_seconds: Option<u32>,
}

#[derive(Clone, Debug)]
pub struct AccessKeyDetail {
    pub user: String,
    pub id: String,
    pub created_at_ms: i64,
    pub is_active: bool,
}

/// RFC 3986: documents are encoded so in answers, and clients decode them.
const DOCUMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

impl Output {
    pub fn to_xml(&self, name: OperationName, request_id: &str) -> String {
        let action = name.name();
        Xml::document(&format!("{action}Response"), name.service().namespace(), |xml| {
            if !matches!(self, Self::Done) {
                xml.nest(&format!("{action}Result"), |xml| self.write(xml));
            }
            xml.nest("ResponseMetadata", |xml| xml.text("RequestId", request_id));
        })
    }

    fn write(&self, xml: &mut Xml) {
        match self {
            Self::Done => {}
            Self::CallerIdentity(CallerIdentity { arn, id, account }) => {
                xml.text("Arn", arn);
                xml.text("UserId", id);
                xml.text("Account", account.as_str());
            }
            Self::SessionToken(credentials) => credentials.write(xml),
            Self::AssumedRole { credentials, id, arn } => {
                credentials.write(xml);
                xml.nest("AssumedRoleUser", |xml| {
                    xml.text("AssumedRoleId", id);
                    xml.text("Arn", arn);
                });
            }
            Self::Entity(detail) => xml.nest(detail.entity.kind.title(), |xml| detail.write(xml, true)),
            Self::Entities(kind, listed) => {
                let list = if *kind == EntityKind::User { "Users" } else { "Roles" };
                page(xml, list, listed, |xml, detail| detail.write(xml, false));
            }
            Self::NewAccessKey(detail, secret) => xml.nest("AccessKey", |xml| {
                detail.write(xml);
                xml.text("SecretAccessKey", secret.expose());
            }),
            Self::AccessKeys(listed) => page(xml, "AccessKeyMetadata", listed, |xml, detail| detail.write(xml)),
            Self::LoginProfile { user, created_at_ms } => xml.nest("LoginProfile", |xml| {
                xml.text("UserName", user);
                xml.text("CreateDate", &iso_8601(*created_at_ms));
                xml.text("PasswordResetRequired", "false");
            }),
            Self::Policy { of, name, document } => {
                xml.text(&format!("{}Name", of.kind.title()), of.name.as_str());
                xml.text("PolicyName", name);
                xml.text("PolicyDocument", &encoded(document));
            }
            Self::PolicyNames(listed) => {
                xml.texts("PolicyNames", &listed.items);
                end(xml, listed.next.as_deref());
            }
            Self::ManagedPolicies(listed) => page(xml, "Policies", listed, managed_policy),
            Self::ManagedPolicy(policy) => xml.nest("Policy", |xml| managed_policy(xml, policy)),
            Self::ManagedDocument(document) => xml.nest("PolicyVersion", |xml| {
                xml.text("Document", &encoded(document));
                xml.text("VersionId", MANAGED_VERSION);
                xml.text("IsDefaultVersion", "true");
            }),
            Self::Attached(listed) => page(xml, "AttachedPolicies", listed, |xml, policy| {
                xml.text("PolicyName", policy.aws_name());
                xml.text("PolicyArn", &policy.arn());
            }),
            Self::Tags(listed) => page(xml, "Tags", listed, tag),
            Self::Simulation(results) => {
                xml.list("EvaluationResults", results, simulated);
                end(xml, None);
            }
        }
    }
}

impl SessionCredentials {
    fn write(&self, xml: &mut Xml) {
        xml.nest("Credentials", |xml| {
            xml.text("AccessKeyId", &self.access_key_id);
            xml.text("SecretAccessKey", self.secret.expose());
            xml.text("SessionToken", self.session_token.expose());
            xml.text("Expiration", &iso_8601(self.expires_at_ms));
        });
    }
}

impl EntityDetail {
    /// In lists AWS leaves the tags out.
    fn write(&self, xml: &mut Xml, with_tags: bool) {
        let title = self.entity.kind.title();
        xml.text("Path", "/");
        xml.text(&format!("{title}Name"), self.entity.name.as_str());
        xml.text(&format!("{title}Id"), &self.id);
        xml.text("Arn", &self.entity.arn(self.account));
        xml.text("CreateDate", &iso_8601(self.created_at_ms));
        xml.optional("AssumeRolePolicyDocument", self.trust.as_deref().map(encoded).as_deref());
        xml.optional("Description", self.description.as_deref());
        let longest = self.longest_session_seconds.map(|seconds| seconds.to_string());
        xml.optional("MaxSessionDuration", longest.as_deref());
        if with_tags && !self.tags.is_empty() {
            xml.list("Tags", &self.tags, tag);
        }
    }
}

impl AccessKeyDetail {
    fn write(&self, xml: &mut Xml) {
        xml.text("UserName", &self.user);
        xml.text("AccessKeyId", &self.id);
        xml.text("Status", if self.is_active { "Active" } else { "Inactive" });
        xml.text("CreateDate", &iso_8601(self.created_at_ms));
    }
}

fn page<T>(xml: &mut Xml, name: &str, listed: &Listed<T>, write: impl FnMut(&mut Xml, &T)) {
    xml.list(name, &listed.items, write);
    end(xml, listed.next.as_deref());
}

fn end(xml: &mut Xml, next: Option<&str>) {
    xml.text("IsTruncated", if next.is_some() { "true" } else { "false" });
    xml.optional("Marker", next);
}

fn managed_policy(xml: &mut Xml, policy: &ManagedPolicy) {
    xml.text("PolicyName", policy.aws_name());
    xml.text("Arn", &policy.arn());
    xml.text("Path", "/");
    xml.text("DefaultVersionId", MANAGED_VERSION);
    xml.text("IsAttachable", "true");
}

fn tag(xml: &mut Xml, (key, value): &(String, String)) {
    xml.text("Key", key);
    xml.text("Value", value);
}

fn simulated(xml: &mut Xml, result: &Simulated) {
    xml.text("EvalActionName", &result.action);
    xml.text("EvalResourceName", &result.resource);
    xml.text("EvalDecision", result.verdict.word());
    xml.list("MatchedStatements", &result.matched, |xml, matched| {
        let sid = matched.sid.as_ref().map(|sid| format!(":{sid}")).unwrap_or_default();
        xml.text("SourcePolicyId", &format!("{}:{}{sid}", matched.policy, matched.statement));
        xml.text("SourcePolicyType", matched.policy_type);
    });
    xml.texts::<&str>("MissingContextValues", &[]);
}

fn encoded(document: &str) -> String {
    utf8_percent_encode(document, DOCUMENT).to_string()
}

fn iso_8601(ms: i64) -> String {
    let Ok(time) = time::OffsetDateTime::from_unix_timestamp(ms.div_euclid(1000)) else { return String::new() };
    let (year, month, day) = (time.year(), u8::from(time.month()), time.day());
    let (hour, minute, second) = time.to_hms();
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}
