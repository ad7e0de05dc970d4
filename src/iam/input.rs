//! The parameters of each operation and their limits, as the service models have them.

use std::collections::{BTreeMap, BTreeSet};

use super::entity::{Entity, EntityKind};
use super::fault::{Code, Fault};
use super::form::Form;
use super::managed_policy::{MANAGED_VERSION, ManagedPolicy};
use super::name::{AccessKeyId, EntityName, Name, PolicyName, length};
use super::operation::{NewRole, Operation};
use super::operation_name::OperationName;
use super::page::Page;
use super::role_arn::RoleArn;
use super::sensitive::Sensitive;
use super::simulation::Simulation;

/// Of a request.
pub const MAX_BODY_BYTES: u64 = 64 << 10;
/// Of a policy of a user or role (IAM allows 10,240 characters to a role, fewer to a user).
pub const MAX_POLICY_BYTES: usize = 10_240;
/// Of a user or role.
pub const MAX_TAGS: usize = 50;

const MAX_PASSWORD_CHARS: usize = 128;
const MAX_DESCRIPTION_CHARS: usize = 1000;
/// As long as an ID token may be.
const MAX_TOKEN_CHARS: usize = 20_000;
const HOUR: u32 = 60 * 60;
const LEAST_SESSION: u32 = 15 * 60;
const LONGEST_SESSION: u32 = 12 * HOUR;
const MAX_SIMULATED: usize = 100;
const MAX_SIMULATIONS: usize = 100;
const MAX_CONTEXT_VALUE_CHARS: usize = 512;

pub(super) fn parse(name: OperationName, mut form: Form, caller: Option<&str>) -> Result<Operation, Fault> {
    let operation = operation(name, &mut form, caller)?;
    form.finish()?;
    Ok(operation)
}

fn operation(name: OperationName, form: &mut Form, caller: Option<&str>) -> Result<Operation, Fault> {
    use OperationName as Of;
    let user = |form: &mut Form| Ok::<_, Fault>(Entity::user(named(form, "UserName")?));
    let role = |form: &mut Form| Ok::<_, Fault>(Entity::role(named(form, "RoleName")?));
    Ok(match name {
        Of::GetCallerIdentity => Operation::GetCallerIdentity,
        Of::GetSessionToken => {
            Operation::GetSessionToken { seconds: seconds(form, "DurationSeconds", LONGEST_SESSION)? }
        }
        Of::AssumeRole => Operation::AssumeRole {
            role: role_arn(form)?,
            session: named(form, "RoleSessionName")?,
            seconds: seconds(form, "DurationSeconds", HOUR)?,
        },
        Of::AssumeRoleWithWebIdentity => Operation::AssumeRoleWithWebIdentity {
            role: role_arn(form)?,
            session: named(form, "RoleSessionName")?,
            token: Sensitive::new(secret(form, "WebIdentityToken", 4, MAX_TOKEN_CHARS)?),
            seconds: seconds(form, "DurationSeconds", HOUR)?,
        },

        Of::CreateUser => {
            path(form)?;
            Operation::CreateUser { name: named(form, "UserName")?, tags: tags(form)? }
        }
        Of::GetUser => Operation::Get(Entity::user(user_or_caller(form, caller)?)),
        Of::ListUsers => list(form, EntityKind::User)?,
        Of::DeleteUser => Operation::Delete(user(form)?),
        Of::CreateRole => {
            path(form)?;
            Operation::CreateRole { name: named(form, "RoleName")?, tags: tags(form)?, role: new_role(form)? }
        }
        Of::GetRole => Operation::Get(role(form)?),
        Of::ListRoles => list(form, EntityKind::Role)?,
        Of::DeleteRole => Operation::Delete(role(form)?),
        Of::UpdateAssumeRolePolicy => {
            Operation::PutTrust { role: named(form, "RoleName")?, document: document(form, "PolicyDocument")? }
        }

        Of::CreateAccessKey => Operation::CreateAccessKey(user_or_caller(form, caller)?),
        Of::ListAccessKeys => Operation::ListAccessKeys(user_or_caller(form, caller)?, page(form)?),
        Of::UpdateAccessKey => {
            let (id, is_active) = (access_key_id(form)?, is_active(form)?);
            Operation::UpdateAccessKey { of: user_or_caller(form, caller)?, id, is_active }
        }
        Of::DeleteAccessKey => {
            let id = access_key_id(form)?;
            Operation::DeleteAccessKey(user_or_caller(form, caller)?, id)
        }

        Of::CreateLoginProfile => Operation::CreatePassword(user_or_caller(form, caller)?, password(form)?),
        Of::UpdateLoginProfile => Operation::ChangePassword(named(form, "UserName")?, password(form)?),
        Of::GetLoginProfile => Operation::GetPassword(user_or_caller(form, caller)?),
        Of::DeleteLoginProfile => Operation::DeletePassword(user_or_caller(form, caller)?),

        Of::PutUserPolicy => put_policy(user(form)?, form)?,
        Of::PutRolePolicy => put_policy(role(form)?, form)?,
        Of::GetUserPolicy => Operation::GetPolicy(user(form)?, policy_name(form)?),
        Of::GetRolePolicy => Operation::GetPolicy(role(form)?, policy_name(form)?),
        Of::ListUserPolicies => Operation::ListPolicies(user(form)?, page(form)?),
        Of::ListRolePolicies => Operation::ListPolicies(role(form)?, page(form)?),
        Of::DeleteUserPolicy => Operation::DeletePolicy(user(form)?, policy_name(form)?),
        Of::DeleteRolePolicy => Operation::DeletePolicy(role(form)?, policy_name(form)?),

        Of::ListPolicies => Operation::ListManaged(managed_policies(form)?),
        Of::GetPolicy => Operation::GetManaged(managed(form)?),
        Of::GetPolicyVersion => {
            let policy = managed(form)?;
            version(form)?;
            Operation::GetManagedDocument(policy)
        }
        Of::AttachUserPolicy => Operation::Attach(user(form)?, managed(form)?),
        Of::AttachRolePolicy => Operation::Attach(role(form)?, managed(form)?),
        Of::DetachUserPolicy => Operation::Detach(user(form)?, managed(form)?),
        Of::DetachRolePolicy => Operation::Detach(role(form)?, managed(form)?),
        Of::ListAttachedUserPolicies => list_attached(user(form)?, form)?,
        Of::ListAttachedRolePolicies => list_attached(role(form)?, form)?,

        Of::TagUser => Operation::Tag(user(form)?, tags(form)?),
        Of::TagRole => Operation::Tag(role(form)?, tags(form)?),
        Of::UntagUser => Operation::Untag(user(form)?, form.take_texts("TagKeys", MAX_TAGS)?),
        Of::UntagRole => Operation::Untag(role(form)?, form.take_texts("TagKeys", MAX_TAGS)?),
        Of::ListUserTags => Operation::ListTags(user(form)?, page(form)?),
        Of::ListRoleTags => Operation::ListTags(role(form)?, page(form)?),

        Of::SimulatePrincipalPolicy => Operation::Simulate(simulation(form)?),
    })
}

fn named<const MIN: usize, const MAX: usize>(form: &mut Form, parameter: &str) -> Result<Name<MIN, MAX>, Fault> {
    let text = form.require(parameter)?;
    Name::parse(&text).map_err(|why| Fault::constraint(parameter, Some(&text), &why))
}

fn user_or_caller(form: &mut Form, caller: Option<&str>) -> Result<EntityName, Fault> {
    match (form.take("UserName"), caller) {
        (Some(text), _) => EntityName::parse(&text).map_err(|why| Fault::constraint("UserName", Some(&text), &why)),
        (None, Some(caller)) => {
            EntityName::parse(caller).map_err(|why| Fault::constraint("UserName", Some(caller), &why))
        }
        (None, None) => {
            let message = "Must specify userName when calling with non-User credentials";
            Err(Fault::new(Code::ValidationError, message))
        }
    }
}

fn policy_name(form: &mut Form) -> Result<PolicyName, Fault> {
    named(form, "PolicyName")
}

fn bounded(form: &mut Form, parameter: &str, min: usize, max: usize) -> Result<String, Fault> {
    let text = form.require(parameter)?;
    length(&text, min, max).map_err(|why| Fault::constraint(parameter, Some(&text), &why))?;
    Ok(text)
}

fn access_key_id(form: &mut Form) -> Result<AccessKeyId, Fault> {
    let text = form.require("AccessKeyId")?;
    AccessKeyId::parse(&text).map_err(|why| Fault::constraint("AccessKeyId", Some(&text), &why))
}

fn is_active(form: &mut Form) -> Result<bool, Fault> {
    let text = form.require("Status")?;
    match text.as_str() {
        "Active" => Ok(true),
        "Inactive" => Ok(false),
        _ => Err(Fault::constraint("Status", Some(&text), "Member must satisfy enum value set: [Active, Inactive]")),
    }
}

/// All that there are come with the program, as AWS's do, and none is the account's own.
fn managed_policies(form: &mut Form) -> Result<Page, Fault> {
    let scope = form.take("Scope").unwrap_or_else(|| "All".to_owned());
    if form.take("OnlyAttached").is_some_and(|text| text != "false") {
        let message = "It is not counted here what policies are attached to: leave OnlyAttached out";
        return Err(Fault::new(Code::ValidationError, message));
    }
    let page = below_path(form)?;
    match scope.as_str() {
        "All" | "AWS" => Ok(page),
        "Local" => Ok(Page::of_nothing()),
        _ => Err(Fault::constraint("Scope", Some(&scope), "Member must satisfy enum value set: [AWS, All, Local]")),
    }
}

/// Policies have one version.
fn version(form: &mut Form) -> Result<(), Fault> {
    let text = form.require("VersionId")?;
    if text == MANAGED_VERSION {
        return Ok(());
    }
    Err(Fault::new(Code::NoSuchEntity, format!("Policy version {text} does not exist; here is {MANAGED_VERSION}")))
}

/// Its value is not repeated in what goes wrong.
fn secret(form: &mut Form, parameter: &str, min: usize, max: usize) -> Result<String, Fault> {
    let text = form.require(parameter)?;
    length(&text, min, max).map_err(|why| Fault::constraint(parameter, Some("***"), &why))?;
    Ok(text)
}

/// `***` in what goes wrong, as AWS shows it.
fn password(form: &mut Form) -> Result<Sensitive, Fault> {
    let text = secret(form, "Password", 1, MAX_PASSWORD_CHARS)?;
    if text.chars().any(char::is_control) {
        return Err(Fault::new(Code::PasswordPolicyViolation, "The password holds a control character: leave it out"));
    }
    if form.take("PasswordResetRequired").is_some_and(|text| text != "false") {
        let message = "Nobody can be made to change a password here: leave PasswordResetRequired out";
        return Err(Fault::new(Code::ValidationError, message));
    }
    Ok(Sensitive::new(text))
}

/// Users and roles have the path `/` here.
fn path(form: &mut Form) -> Result<(), Fault> {
    match form.take("Path") {
        Some(path) if path != "/" => {
            Err(Fault::new(Code::ValidationError, "Users and roles have no other path than / here: leave Path out"))
        }
        _ => Ok(()),
    }
}

fn role_arn(form: &mut Form) -> Result<RoleArn, Fault> {
    let text = bounded(form, "RoleArn", 20, 2048)?;
    RoleArn::parse(&text)
        .ok_or_else(|| Fault::new(Code::ValidationError, format!("{text} is invalid: it is not the ARN of a role")))
}

fn managed(form: &mut Form) -> Result<ManagedPolicy, Fault> {
    let text = bounded(form, "PolicyArn", 20, 2048)?;
    ManagedPolicy::of_arn(&text).ok_or_else(|| {
        let known: Vec<String> = ManagedPolicy::ALL.iter().map(|policy| policy.arn()).collect();
        let message = format!("Policy {text} does not exist or is not attachable; here are {}", known.join(", "));
        Fault::new(Code::NoSuchEntity, message)
    })
}

fn document(form: &mut Form, parameter: &str) -> Result<String, Fault> {
    let text = form.require(parameter)?;
    if text.is_empty() {
        return Err(Fault::constraint(parameter, Some(""), "Member must have length greater than or equal to 1"));
    }
    if text.len() > MAX_POLICY_BYTES {
        let message = format!("Maximum policy size of {MAX_POLICY_BYTES} bytes exceeded");
        return Err(Fault::new(Code::LimitExceeded, message));
    }
    Ok(text)
}

fn number(form: &mut Form, parameter: &str, min: u32, max: u32, usual: u32) -> Result<u32, Fault> {
    let Some(text) = form.take(parameter) else { return Ok(usual) };
    let is_number = !text.is_empty() && text.bytes().all(|c| c.is_ascii_digit());
    match text.parse() {
        Ok(number) if is_number && (min..=max).contains(&number) => Ok(number),
        _ => Err(Fault::constraint(parameter, Some(&text), &format!("Member must be a number from {min} to {max}"))),
    }
}

fn seconds(form: &mut Form, parameter: &str, usual: u32) -> Result<u32, Fault> {
    number(form, parameter, LEAST_SESSION, LONGEST_SESSION, usual)
}

fn page(form: &mut Form) -> Result<Page, Fault> {
    let most = number(form, "MaxItems", 1, Page::MOST, Page::USUAL)?;
    let after = form.take("Marker");
    if let Some(marker) = &after {
        length(marker, 1, 320).map_err(|why| Fault::constraint("Marker", Some(marker), &why))?;
        if marker.chars().any(char::is_control) {
            return Err(Fault::constraint("Marker", Some(marker), "Member must be what an earlier page said"));
        }
    }
    Ok(Page { after, most })
}

fn list(form: &mut Form, kind: EntityKind) -> Result<Operation, Fault> {
    Ok(Operation::List(kind, below_path(form)?))
}

fn list_attached(of: Entity, form: &mut Form) -> Result<Operation, Fault> {
    Ok(Operation::ListAttached(of, below_path(form)?))
}

/// Everything has the path `/`: below another there is nothing.
fn below_path(form: &mut Form) -> Result<Page, Fault> {
    let prefix = form.take("PathPrefix").unwrap_or_else(|| "/".to_owned());
    length(&prefix, 1, 512).map_err(|why| Fault::constraint("PathPrefix", Some(&prefix), &why))?;
    let page = page(form)?;
    Ok(if prefix == "/" { page } else { Page::of_nothing() })
}

fn new_role(form: &mut Form) -> Result<NewRole, Fault> {
    let trust = document(form, "AssumeRolePolicyDocument")?;
    let description = form.take("Description").filter(|text| !text.is_empty());
    if let Some(text) = &description {
        length(text, 0, MAX_DESCRIPTION_CHARS).map_err(|why| Fault::constraint("Description", Some(text), &why))?;
        if text.contains('\0') {
            return Err(Fault::constraint("Description", Some(text), "Member must be text"));
        }
    }
    let longest_session_seconds = number(form, "MaxSessionDuration", HOUR, LONGEST_SESSION, HOUR)?;
    Ok(NewRole { trust, description, longest_session_seconds })
}

fn put_policy(of: Entity, form: &mut Form) -> Result<Operation, Fault> {
    Ok(Operation::PutPolicy { of, policy: policy_name(form)?, document: document(form, "PolicyDocument")? })
}

fn tags(form: &mut Form) -> Result<BTreeMap<String, String>, Fault> {
    let members = form.take_members("Tags", MAX_TAGS, |form, member| {
        let (key, value) = (form.take(&format!("{member}.Key")), form.take(&format!("{member}.Value")));
        let Some((key, value)) = key.zip(value) else { return Ok(None) };
        tag_text("Key", &key, 1, 128)?;
        tag_text("Value", &value, 0, 256)?;
        Ok(Some((key, value)))
    })?;
    // Conditions do not tell them apart: one of them could carry what a policy forbids of the other.
    let folded: BTreeSet<String> = members.iter().map(|(key, _)| key.to_lowercase()).collect();
    if folded.len() != members.len() {
        return Err(Fault::new(
            Code::InvalidInput,
            "Duplicate tag keys found. Please note that Tag keys are case insensitive.",
        ));
    }
    Ok(members.into_iter().collect())
}

/// IAM's pattern: letters, spaces, digits, and some signs.
fn tag_text(parameter: &str, text: &str, min: usize, max: usize) -> Result<(), Fault> {
    let wrong = |why: &str| Fault::constraint(parameter, Some(text), why);
    length(text, min, max).map_err(|why| wrong(&why))?;
    if text.chars().all(|c| c.is_alphanumeric() || c == ' ' || "_.:/=+-@".contains(c)) {
        Ok(())
    } else {
        Err(wrong(r"Member must satisfy regular expression pattern: [\p{L}\p{Z}\p{N}_.:/=+\-@]*"))
    }
}

fn simulation(form: &mut Form) -> Result<Simulation, Fault> {
    let principal = bounded(form, "PolicySourceArn", 20, 2048)?;
    let actions = form.take_texts("ActionNames", MAX_SIMULATED)?;
    if actions.is_empty() {
        return Err(Fault::missing("ActionNames"));
    }
    for action in &actions {
        length(action, 3, 128).map_err(|why| Fault::constraint("ActionNames", Some(action), &why))?;
    }
    let mut resources = form.take_texts("ResourceArns", MAX_SIMULATED)?;
    for resource in &resources {
        length(resource, 1, 2048).map_err(|why| Fault::constraint("ResourceArns", Some(resource), &why))?;
    }
    if resources.is_empty() {
        resources.push("*".to_owned());
    }
    if actions.len() * resources.len() > MAX_SIMULATIONS {
        let message = format!("At most {MAX_SIMULATIONS} pairs of an action and a resource can be simulated at once");
        return Err(Fault::new(Code::InvalidInput, message));
    }
    let context = form.take_members("ContextEntries", MAX_TAGS, |form, member| {
        let Some(key) = form.take(&format!("{member}.ContextKeyName")) else { return Ok(None) };
        // Operators read text as what they need.
        form.take(&format!("{member}.ContextKeyType"));
        let values = form.take_texts(&format!("{member}.ContextKeyValues"), MAX_TAGS)?;
        for text in values.iter().chain([&key]) {
            length(text, 0, MAX_CONTEXT_VALUE_CHARS)
                .map_err(|why| Fault::constraint("ContextEntries", Some(text), &why))?;
        }
        Ok(Some((key, values)))
    })?;
    // All results are one page.
    page(form)?;
    Ok(Simulation { principal, actions, resources, context })
}
