//! `entrepot iam` and `entrepot policy`: users, their keys and policies, and why somebody may or may not.

use std::collections::BTreeMap;
use std::io::Read;
use std::net::IpAddr;
use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::arguments::{Format, Output};
use super::failure::Failure;
use super::{existing, output};
use crate::accounts;
use crate::app::{Doubt, Question, Users};
use crate::config::{PRESETS, Source};
use crate::iam::{Entity, EntityName, ManagedPolicy, PolicyName};
use crate::meta::{PrincipalRow, RoleColumns};
use crate::oci::{AccountId, QualifiedName, RepositoryName};
use crate::telemetry::Entry;

#[derive(Debug, Subcommand)]
pub enum Iam {
    /// All users, their policies and the ids of their keys
    List {
        #[command(flatten)]
        output: Output,
    },
    /// Make a user, with an access key that is told only now
    CreateUser {
        #[command(flatten)]
        user: User,
        /// Administrator, FullAccess, PowerUser, ReadOnly, PullOnly, or a file with a policy in IAM's form
        #[arg(long = "policy", value_name = "POLICY")]
        policies: Vec<String>,
        #[command(flatten)]
        output: Output,
    },
    /// Remove a user with its keys and policies
    DeleteUser {
        #[command(flatten)]
        user: User,
    },
    /// Give a user one more access key
    CreateAccessKey {
        #[command(flatten)]
        user: User,
        #[command(flatten)]
        output: Output,
    },
    /// Take an access key away
    DeleteAccessKey {
        /// As `entrepot iam list` shows it
        id: String,
    },
    /// Set the password for `docker login`; it is read from standard input
    SetPassword {
        #[command(flatten)]
        user: User,
    },
    /// Give a user a policy, or change it
    PutPolicy {
        #[command(flatten)]
        user: User,
        /// Administrator, FullAccess, PowerUser, ReadOnly, PullOnly, or a file with a policy in IAM's form
        policy: String,
    },
    /// Take a policy from a user
    DeletePolicy {
        #[command(flatten)]
        user: User,
        /// As `entrepot iam list` shows it
        policy: String,
    },
    /// Make every token and session that a user was given worthless
    Revoke {
        #[command(flatten)]
        user: User,
        /// It is the name of a role: its sessions end
        #[arg(long)]
        role: bool,
    },
}

#[derive(Debug, Args)]
pub struct User {
    /// The user's name, without its path
    #[arg(value_name = "USER")]
    pub name: EntityName,
    /// The account that the user belongs to [default: the registry's own]
    #[arg(long, value_name = "ID")]
    pub account: Option<AccountId>,
}

impl User {
    fn arn(&self, account: AccountId) -> String {
        Entity::user(self.name.clone()).arn(account)
    }
}

#[derive(Debug, Subcommand)]
pub enum Policy {
    /// Tell which statement decides whether somebody may do something
    Explain(Explain),
    /// List stored policies that do not say what they seem to: keys of conditions that no request has, or text that cannot be read
    Check,
    /// Remove a repository's policy, which may keep everybody out, and print it
    DeleteRepository {
        /// Such as team/app
        #[arg(value_name = "NAME")]
        repository: RepositoryName,
        /// The account of the registry, `auth.account` unless it is given
        #[arg(long, value_name = "ACCOUNT")]
        registry: Option<AccountId>,
    },
    /// Remove a registry's policy, which may keep everybody out, and print it
    DeleteRegistry {
        /// The account of the registry, `auth.account` unless it is given
        #[arg(long, value_name = "ACCOUNT")]
        registry: Option<AccountId>,
    },
}

#[derive(Debug, Args)]
pub struct Explain {
    /// Such as arn:aws:iam::000000000000:user/ci, or `anonymous`
    #[arg(long, value_name = "ARN")]
    pub principal: String,
    /// Such as ecr:PutImage
    #[arg(long)]
    pub action: String,
    /// Such as team/app, or docker.io/library/nginx
    #[arg(long, value_name = "NAME")]
    pub repository: Option<RepositoryName>,
    /// The account of the registry, `auth.account` unless it is given
    #[arg(long, value_name = "ACCOUNT")]
    pub registry: Option<AccountId>,
    /// The tag that is pulled, pushed or deleted, where a policy looks at tags
    #[arg(long)]
    pub tag: Option<String>,
    /// The client's address
    #[arg(long, value_name = "IP")]
    pub source_ip: Option<IpAddr>,
    #[command(flatten)]
    pub output: Output,
}

/// A password is no longer than this.
const MAX_PASSWORD_BYTES: u64 = 1024;

pub(super) async fn iam(source: &Source, command: Iam) -> Result<String, Failure> {
    let users = open(source).await?;
    let (users, accounts) = (&users, users.accounts());
    let account_of = |user: &User| user.account.unwrap_or(users.account());
    let find = async |user: &User| {
        accounts.find_changeable(account_of(user), &Entity::user(user.name.clone())).await.map_err(runtime)
    };
    match command {
        Iam::List { output } => {
            let list = users.list().await.map_err(runtime)?;
            if output.format == Format::Json { output::json(&list) } else { Ok(lines(&list)) }
        }
        Iam::CreateUser { user, policies, output } => {
            let policies = policies.iter().map(|policy| PolicyArgument::read(policy)).collect::<Result<Vec<_>, _>>()?;
            let entity = Entity::user(user.name.clone());
            let account = user.account.unwrap_or(users.account());
            let record = users.record("iam:CreateUser", entity.arn(account)).map_err(runtime)?;
            let made = noted(record, accounts.create(account, &entity, BTreeMap::new(), &RoleColumns::default()).await);
            let row = made.map_err(|error| match error {
                accounts::Error::IsThere(_) => Failure::Runtime(format!(
                    "EntityAlreadyExists: user {0} is there already; `entrepot iam create-access-key {0}` gives it another key, and `entrepot iam \
                     put-policy {0} POLICY` a policy",
                    user.name
                )),
                error => runtime(error),
            })?;
            for policy in policies {
                // What could not be made whole is not left behind: the command can be given again.
                if let Err(failure) = policy.give(users, &row, &entity).await {
                    change(users, "iam:DeleteUser", entity.arn(account), accounts.remove(&row)).await?;
                    return Err(failure);
                }
            }
            let work = accounts.make_access_key(&row);
            told(&change(users, "iam:CreateAccessKey", entity.arn(account), work).await?, output.format)
        }
        Iam::DeleteUser { user } => {
            let row = find(&user).await?;
            change(users, "iam:DeleteUser", user.arn(account_of(&user)), accounts.remove(&row)).await?;
            Ok(format!("user {} is gone, with its keys and policies", user.name))
        }
        Iam::CreateAccessKey { user, output } => {
            let row = find(&user).await?;
            let work = accounts.make_access_key(&row);
            told(&change(users, "iam:CreateAccessKey", user.arn(account_of(&user)), work).await?, output.format)
        }
        Iam::DeleteAccessKey { id } => {
            change(users, "iam:DeleteAccessKey", id.clone(), accounts.remove_access_key(&id)).await?;
            Ok(format!("access key {id} is gone"))
        }
        Iam::SetPassword { user } => {
            let row = find(&user).await?;
            let password = read_password()?;
            let work = accounts.put_password(&row, &password);
            change(users, "iam:UpdateLoginProfile", user.arn(account_of(&user)), work).await?;
            Ok(format!("{} can log in with the password", user.name))
        }
        Iam::PutPolicy { user, policy } => {
            let policy = PolicyArgument::read(&policy)?;
            let row = find(&user).await?;
            policy.give(users, &row, &Entity::user(user.name.clone())).await?;
            Ok(format!("{} has policy {}", user.name, policy.name()))
        }
        Iam::DeletePolicy { user, policy } => {
            let row = find(&user).await?;
            let entity = Entity::user(user.name.clone());
            let action =
                if ManagedPolicy::named(&policy).is_some() { "iam:DetachUserPolicy" } else { "iam:DeleteUserPolicy" };
            let work = accounts.remove_policy(&row, &entity, &policy);
            change(users, action, user.arn(account_of(&user)), work).await?;
            Ok(format!("{} no longer has policy {policy}", user.name))
        }
        Iam::Revoke { user, role } => {
            let account = user.account.unwrap_or(users.account());
            let name = user.name.clone();
            let entity = if role { Entity::role(name) } else { Entity::user(name) };
            // Also of the configuration, which says nothing of tokens.
            let row = accounts.find(account, &entity).await.map_err(runtime)?;
            change(users, "entrepot:RevokeTokens", entity.arn(account), accounts.revoke(&row)).await?;
            Ok(format!("tokens that {} was given before are worthless within seconds", user.name))
        }
    }
}

pub(super) async fn policy(source: &Source, command: Policy) -> Result<String, Failure> {
    let users = open(source).await?;
    let wanted = match command {
        Policy::Explain(wanted) => wanted,
        Policy::Check => return check(&users).await,
        Policy::DeleteRegistry { registry } => {
            let registry = registry.unwrap_or(users.account());
            let removed = users.delete_registry_policy(registry).await.map_err(runtime)?;
            return removed.ok_or_else(|| Failure::Runtime(format!("the registry {registry} has no policy")));
        }
        Policy::DeleteRepository { repository, registry } => {
            let name = QualifiedName::new(registry.unwrap_or(users.account()), repository);
            let removed = users.delete_repository_policy(&name).await.map_err(runtime)?;
            let none = || format!("the registry {} has no repository {} with a policy", name.account, name.name);
            return removed.ok_or_else(|| Failure::Runtime(none()));
        }
    };
    let question = Question {
        principal: wanted.principal,
        action: wanted.action,
        registry: wanted.registry,
        repository: wanted.repository,
        tag: wanted.tag,
        source: wanted.source_ip,
    };
    let explained = users.explain(question).await.map_err(runtime)?;
    if wanted.output.format == Format::Json {
        return output::json(&explained);
    }
    Ok(explained.get("text").and_then(Value::as_str).unwrap_or_default().to_owned())
}

/// Fails where there is something to mend.
async fn check(users: &Users) -> Result<String, Failure> {
    let doubts = users.doubts().await.map_err(runtime)?;
    let lines: Vec<_> = doubts.iter().map(|Doubt { policy, reason }| format!("{policy}: {reason}")).collect();
    match lines.len() {
        0 => Ok("every stored policy says what it seems to".to_owned()),
        count => Err(Failure::Runtime(format!("{count} to mend in stored policies:\n{}", lines.join("\n")))),
    }
}

async fn open(source: &Source) -> Result<Users, Failure> {
    Users::open(&existing::open(source)?).await.map_err(runtime)
}

/// Makes a change, with a record of it in the audit log.
async fn change<T>(
    users: &Users,
    action: &str,
    resource: String,
    work: impl Future<Output = Result<T, accounts::Error>>,
) -> Result<T, Failure> {
    let record = users.record(action, resource).map_err(runtime)?;
    noted(record, work.await).map_err(runtime)
}

fn noted<T>(record: Entry, done: Result<T, accounts::Error>) -> Result<T, accounts::Error> {
    match &done {
        Ok(_) => record.done(),
        Err(error) => record.failed(error.fault().code().name()),
    }
    done
}

fn runtime(error: impl std::fmt::Display) -> Failure {
    Failure::Runtime(error.to_string())
}

/// A policy as the command line names it.
enum PolicyArgument {
    Preset(ManagedPolicy),
    Own(PolicyName, String),
}

impl PolicyArgument {
    fn read(policy: &str) -> Result<Self, Failure> {
        if let Some(preset) = ManagedPolicy::named(policy) {
            return Ok(Self::Preset(preset));
        }
        let path = PathBuf::from(policy);
        let text = std::fs::read_to_string(&path).map_err(|error| {
            Failure::Usage(format!(
                "policy {policy} is none of {}, and no file that can be read: {error}",
                PRESETS.join(", ")
            ))
        })?;
        let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or(policy);
        let name =
            PolicyName::parse(stem).map_err(|why| Failure::Usage(format!("{stem:?} is no policy's name: {why}")))?;
        Ok(Self::Own(name, text))
    }

    fn name(&self) -> &str {
        match self {
            Self::Preset(preset) => preset.name(),
            Self::Own(name, _) => name.as_str(),
        }
    }

    async fn give(&self, users: &Users, row: &PrincipalRow, of: &Entity) -> Result<(), Failure> {
        let (accounts, arn) = (users.accounts(), of.arn(row.account));
        match self {
            Self::Preset(preset) => change(users, "iam:AttachUserPolicy", arn, accounts.attach(row, *preset)).await,
            Self::Own(name, text) => {
                change(users, "iam:PutUserPolicy", arn, accounts.put_policy(row, of, name, text)).await
            }
        }
    }
}

fn read_password() -> Result<String, Failure> {
    let mut text = String::new();
    std::io::stdin().take(MAX_PASSWORD_BYTES).read_to_string(&mut text).map_err(runtime)?;
    let password = text.trim_end_matches(['\r', '\n']);
    if password.is_empty() {
        return Err(Failure::Usage("the password is read from standard input, and nothing came".to_owned()));
    }
    Ok(password.to_owned())
}

fn told(key: &crate::auth::AccessKey, format: Format) -> Result<String, Failure> {
    if format == Format::Json {
        return output::json(&json!({ "access_key_id": key.id, "secret_access_key": key.secret }));
    }
    Ok(format!("AWS_ACCESS_KEY_ID={}\nAWS_SECRET_ACCESS_KEY={}", key.id, key.secret))
}

fn lines(list: &Value) -> String {
    let text = |user: &Value, key: &str| match user.get(key) {
        Some(Value::Array(items)) => items.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(","),
        Some(value) => value.as_str().unwrap_or_default().to_owned(),
        None => String::new(),
    };
    let line = |user: &Value| {
        let declared =
            if user.get("declared").and_then(Value::as_bool) == Some(true) { " (configuration)" } else { "" };
        format!(
            "{}{declared}  policies: {}  keys: {}",
            text(user, "arn"),
            text(user, "policies"),
            text(user, "access_keys")
        )
    };
    list.as_array().into_iter().flatten().map(line).collect::<Vec<_>>().join("\n")
}
