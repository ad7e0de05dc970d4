//! `[auth]` and `[[user]]`: who may come in, and how they show who they are.

use std::path::{Path, PathBuf};
use std::time::Duration;

use reqwest::Url;
use serde::Serialize;

use super::account::host_name;
use super::credential::{Secret, access_key, either};
use crate::config::printing::document as show;
use crate::config::reading::key::{Fallback, Key, Kind, Section};
use crate::config::reading::problem::Place;
use crate::config::reading::reader::{Context, MAX_ELEMENTS, Reader};
use crate::config::reading::tree::Node;
use crate::config::reading::value;
use crate::oci::AccountId;

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AuthSettings {
    /// Whether listeners that do not say otherwise want to know who asks. Default: where somebody is declared.
    pub required: bool,
    /// The account that the registry belongs to. Default 000000000000.
    pub account: AccountId,
    /// Stands in the names of repositories (ARNs). Default `local`.
    pub region: String,
    /// Below it, `<account>.dkr.ecr.<region>` names a registry.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub domain: Option<String>,
    /// The keys that seal tokens and secrets; `None` is `keys` below `data`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_file: Option<PathBuf>,
    /// Where clients reach the registry; `None` is the host that they came to.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "show::url")]
    pub url: Option<Url>,
    /// How clients of the data plane are asked to log in. Default bearer.
    pub challenge: Challenge,
    /// How long an authorization token is good for. Default 12 h.
    #[serde(serialize_with = "show::duration")]
    pub token_lifetime: Duration,
    /// Characters that a password has at least. Default 8.
    pub password_min_length: u32,
    /// Wrong passwords of one user from one address within a minute; more are refused unseen. Default 20.
    pub failed_logins: u32,
    /// Wrong passwords of all users from one address within a minute. Default 1000.
    pub failed_logins_per_address: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Challenge {
    Basic,
    Bearer,
}

/// A user who stands in the configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct UserSettings {
    pub name: String,
    /// `None` is the registry's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account: Option<AccountId>,
    /// Each a name and its document, which is empty for those that come with the program.
    #[serde(serialize_with = "show::names")]
    pub policies: Vec<(String, String)>,
    #[serde(flatten, serialize_with = "show::access_key")]
    pub access_key: Option<(String, Secret)>,
    /// For logging in with the user's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password: Option<Secret>,
}

const USUAL_ACCOUNT: &str = r#""000000000000""#;

/// Bytes of a policy's file.
const MAX_POLICY_BYTES: usize = 64 << 10;

pub static SECTION: Section = Section {
    name: "auth",
    meaning: "Who may come in. Without users every listener is open: whoever reaches it may read.",
    keys: &[
        Key {
            name: "required",
            kind: Kind::Flag,
            fallback: Fallback::Follows(
                "`true` where the file has a `[[user]]`, a `[[role]]`, an `[[oidc]]` or a `[[certificate]]`",
            ),
            meaning: "Whether listeners that do not say otherwise (`auth`) want to know who asks, and let policies decide.",
        },
        Key {
            name: "account",
            kind: Kind::Text,
            fallback: Fallback::Value(USUAL_ACCOUNT),
            meaning: "The account that the registry belongs to: twelve digits.",
        },
        Key {
            name: "region",
            kind: Kind::Text,
            fallback: Fallback::Value(r#""local""#),
            meaning: "The region in the names of repositories, such as `arn:aws:ecr:local:000000000000:repository/team/app`.",
        },
        Key {
            name: "domain",
            kind: Kind::Text,
            fallback: Fallback::Unset,
            meaning: "A domain such as `\"registry.example\"`: below it, `<account>.dkr.ecr.<region>.<domain>` is the registry of an account, \
                      as in ECR.",
        },
        Key {
            name: "key_file",
            kind: Kind::Path,
            fallback: Fallback::Follows("`keys` below `data`, made at the first start"),
            meaning: "The keys that seal tokens and the secrets in the database, one a line; the first is used, all are accepted. Several \
                      replicas need the same.",
        },
        Key {
            name: "url",
            kind: Kind::Text,
            fallback: Fallback::Follows("the host that the client came to"),
            meaning: "Where clients reach the registry, such as `\"https://registry.example\"`: for the address of the token endpoint, and what ECR's API calls `proxyEndpoint`.",
        },
        Key {
            name: "challenge",
            kind: Kind::Choice(&["bearer", "basic"]),
            fallback: Fallback::Value(r#""bearer""#),
            meaning: "How clients are asked to log in. With `basic`, as ECR does, nobody can pull from a public repository without a login.",
        },
        Key {
            name: "token_lifetime",
            kind: Kind::Timeout,
            fallback: Fallback::Value(r#""12h""#),
            meaning: "How long an authorization token is good for.",
        },
        Key {
            name: "password_min_length",
            kind: Kind::Count { min: 1, max: 128 },
            fallback: Fallback::Value("8"),
            meaning: "Characters that a new password has at least, in this file, from `entrepot iam set-password` and in IAM's API. Passwords that are \
                      there already go on working.",
        },
        Key {
            name: "failed_logins",
            kind: Kind::Count { min: 1, max: 1_000_000 },
            fallback: Fallback::Value("20"),
            meaning: "Wrong passwords for one user name from one address within a minute; after that, passwords for it from there have to wait. \
                      Tokens and signatures are never limited.",
        },
        Key {
            name: "failed_logins_per_address",
            kind: Kind::Count { min: 1, max: 1_000_000 },
            fallback: Fallback::Value("1000"),
            meaning: "Wrong passwords for all user names from one address within a minute; after that, only users who logged in from there within \
                      a day are let in by password. An address may stand for a whole site.",
        },
    ],
};

pub static USER: Section = Section {
    name: "user",
    meaning: "A user. Others are made by `entrepot iam` or through the IAM API; those in the file change only there.",
    keys: &[
        Key { name: "name", kind: Kind::Text, fallback: Fallback::Required, meaning: "The user's name." },
        Key {
            name: "account",
            kind: Kind::Text,
            fallback: Fallback::Follows("`auth.account`"),
            meaning: "The account that the user belongs to: twelve digits.",
        },
        Key {
            name: "policies",
            kind: Kind::Texts,
            fallback: Fallback::Unset,
            meaning: "What the user may do: `Administrator` (users and their rights, too), `FullAccess`, `PowerUser`, `ReadOnly`, `PullOnly`, or the path of a file with a policy in IAM's form.",
        },
        Key {
            name: "access_key_id",
            kind: Kind::Text,
            fallback: Fallback::Unset,
            meaning: "A key for the ECR API (`aws ecr`): 16 to 128 letters and digits.",
        },
        Key {
            name: "secret_access_key",
            kind: Kind::Secret,
            fallback: Fallback::Unset,
            meaning: "Belongs to `access_key_id`.",
        },
        Key {
            name: "secret_access_key_file",
            kind: Kind::Path,
            fallback: Fallback::Unset,
            meaning: "A file with the secret in one line, in place of `secret_access_key`.",
        },
        Key {
            name: "password",
            kind: Kind::Secret,
            fallback: Fallback::Unset,
            meaning: "For `docker login` with the user's name.",
        },
        Key {
            name: "password_file",
            kind: Kind::Path,
            fallback: Fallback::Unset,
            meaning: "A file with the password in one line, in place of `password`.",
        },
    ],
};

/// The names of policies that come with the program.
pub const PRESETS: [&str; 5] = ["Administrator", "FullAccess", "PowerUser", "ReadOnly", "PullOnly"];

pub fn read(reader: &Reader<'_>, has_users: bool) -> Option<AuthSettings> {
    let required = reader.optional("required", value::flag);
    let account = reader.get("account", account);
    let region = reader.get("region", region);
    let domain = reader.optional("domain", |key, node| host_name(&value::text(key, node)?));
    let key_file = reader.optional("key_file", value::text);
    let url = reader.optional("url", value::text);
    let challenge = reader.get("challenge", value::choice);
    let token_lifetime = reader.get("token_lifetime", value::duration);
    let password_min_length = reader.get("password_min_length", value::count);
    let failed_logins = reader.get("failed_logins", value::count);
    let failed_logins_per_address = reader.get("failed_logins_per_address", value::count);
    let key_file = match key_file? {
        Some(_) => reader.path("key_file")?,
        None => None,
    };
    let url = match url? {
        None => None,
        Some(text) => match Url::parse(&text) {
            Ok(url) if matches!(url.scheme(), "http" | "https") && url.has_host() && url.path() == "/" => Some(url),
            _ => {
                reader.report(
                    "url",
                    format!("{text:?} is not where a registry is, such as \"https://registry.example\""),
                );
                return None;
            }
        },
    };
    Some(AuthSettings {
        required: required?.unwrap_or(has_users),
        account: account?,
        region: region?,
        domain: domain?,
        key_file,
        url,
        challenge: if challenge? == "basic" { Challenge::Basic } else { Challenge::Bearer },
        token_lifetime: token_lifetime?,
        password_min_length: u32::try_from(password_min_length?).ok()?,
        failed_logins: u32::try_from(failed_logins?).ok()?,
        failed_logins_per_address: u32::try_from(failed_logins_per_address?).ok()?,
    })
}

/// `auth` has the registry's account, which is meant where a user names none.
pub fn read_users(nodes: Vec<Node>, auth: Option<&AuthSettings>, context: &Context) -> Option<Vec<UserSettings>> {
    let own = auth.map(|auth| auth.account);
    let least = auth.map_or(0, |auth| auth.password_min_length);
    if nodes.len() > MAX_ELEMENTS {
        context.report(&nodes.first()?.place, "user", format!("has more than {MAX_ELEMENTS} elements"));
        return None;
    }
    let users: Vec<Option<(Place, UserSettings)>> = nodes
        .into_iter()
        .enumerate()
        .map(|(index, node)| {
            let place = node.place.clone();
            let reader = Reader::of_node(&USER, format!("user[{index}]"), node, context)?;
            read_user(&reader, least).map(|user| (place, user))
        })
        .collect();
    let users: Vec<_> = users.into_iter().collect::<Option<_>>()?;
    let mut good = true;
    for (index, (place, user)) in users.iter().enumerate() {
        let mut before = users.iter().take(index).map(|(_, other)| other);
        if before.any(|other| other.name == user.name && other.account.or(own) == user.account.or(own)) {
            context.report(place, "user.name", format!("{:?} is the name of another user", user.name));
            good = false;
        }
    }
    good.then(|| users.into_iter().map(|(_, user)| user).collect())
}

fn read_user(reader: &Reader<'_>, least: u32) -> Option<UserSettings> {
    let name = reader.get("name", user_name);
    let account = reader.optional("account", account);
    let policies = read_policies(reader);
    let password = either(reader, "password", "password_file", "password")?;
    if password.as_ref().is_some_and(|password| password.expose().chars().count() < least as usize) {
        let key = if reader.has("password_file") { "password_file" } else { "password" };
        reader.report(
            key,
            format!("is too short: a password has at least {least} characters (`auth.password_min_length`)"),
        );
        return None;
    }
    let access_key = access_key(reader, access_key_id);
    Some(UserSettings { name: name?, account: account?, policies: policies?, access_key: access_key?, password })
}

/// A preset has no text here: the policy room knows it.
pub fn read_policies(reader: &Reader<'_>) -> Option<Vec<(String, String)>> {
    let named = reader.list("policies", value::element)?.unwrap_or_default();
    let mut policies = Vec::new();
    for (_, name) in named {
        if PRESETS.contains(&name.as_str()) {
            policies.push((name, String::new()));
            continue;
        }
        let path = reader.context().folder.join(&name);
        if !path.exists() {
            reader.report("policies", no_policy(&name, &path));
            return None;
        }
        let text = read_policy(reader, "policies", &path)?;
        policies.push((name, text));
    }
    Some(policies)
}

/// A name that is neither a policy of the program nor a file.
fn no_policy(name: &str, path: &Path) -> String {
    let close =
        PRESETS.iter().find(|preset| strsim::damerau_levenshtein(&preset.to_lowercase(), &name.to_lowercase()) <= 2);
    let hint = close.map(|preset| format!("; did you mean {preset}?")).unwrap_or_default();
    format!("{name} is none of {}, and there is no file {}{hint}", PRESETS.join(", "), path.display())
}

/// The text of a file with a policy.
pub fn read_policy(reader: &Reader<'_>, key: &str, path: &Path) -> Option<String> {
    match String::from_utf8(reader.contents(key, path)?) {
        Ok(text) if text.len() <= MAX_POLICY_BYTES => Some(text),
        Ok(_) => {
            reader.report(key, format!("{} has more than {MAX_POLICY_BYTES} bytes", path.display()));
            None
        }
        Err(_) => {
            reader.report(key, format!("{} is not text", path.display()));
            None
        }
    }
}

pub fn account(key: &Key, node: &crate::config::reading::tree::Value) -> Result<AccountId, String> {
    value::text(key, node)?.parse().map_err(|error: crate::oci::AccountIdError| error.to_string())
}

fn region(key: &Key, node: &crate::config::reading::tree::Value) -> Result<String, String> {
    let text = value::text(key, node)?;
    let right = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-';
    if text.len() <= 32 && text.bytes().all(right) {
        Ok(text)
    } else {
        Err(format!("{text:?} is no name of a region: lower-case letters, digits and dashes"))
    }
}

pub fn user_name(key: &Key, node: &crate::config::reading::tree::Value) -> Result<String, String> {
    let text = value::text(key, node)?;
    let right = |c: u8| c.is_ascii_alphanumeric() || b"+=,.@_-".contains(&c);
    if text.len() <= 64 && text.bytes().all(right) && !["AWS", "oidc"].contains(&text.as_str()) {
        Ok(text)
    } else {
        Err(format!("{text:?} is no name of a user: at most 64 letters, digits and +=,.@_-, and neither AWS nor oidc"))
    }
}

fn access_key_id(key: &Key, node: &crate::config::reading::tree::Value) -> Result<String, String> {
    let text = value::text(key, node)?;
    if (16..=128).contains(&text.len()) && text.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'_') {
        Ok(text)
    } else {
        Err("is no access key id: 16 to 128 letters and digits".to_owned())
    }
}
