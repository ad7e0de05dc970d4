//! `[auth]`: who may come in, and how they show who they are.

use std::path::PathBuf;
use std::time::Duration;

use reqwest::Url;

use super::names::{ACCOUNT_ID, host_name};
use crate::config::reading::{
    FLAG, Key, Kind, Optional, PATH, Parts as _, Reader, Section, Shape, TIMEOUT, choice, choice_of, count,
    parse_plain_url, section, settings,
};
use crate::oci::AccountId;

settings! {
    pub struct AuthSettings {
        /// Listeners that do not say otherwise want to know who asks.
        pub required: bool = REQUIRED,
        /// The account that the registry belongs to.
        pub account: AccountId = ACCOUNT,
        /// Stands in the names of repositories (ARNs).
        pub region: String = REGION,
        /// Below it, `<account>.dkr.ecr.<region>` names a registry.
        pub domain: Option<String> = DOMAIN,
        /// The keys that seal tokens and secrets; `None` is `keys` below `data`.
        pub key_file: Option<PathBuf> = KEY_FILE,
        /// Where clients reach the registry; `None` is the host that they came to.
        pub url: Option<Url> = URL,
        /// How clients of the data plane are asked to log in.
        pub challenge: Challenge = CHALLENGE,
        /// How long an authorization token is good for.
        pub token_lifetime: Duration = TOKEN_LIFETIME,
        /// Characters that a password has at least.
        pub password_min_length: u32 = PASSWORD_MIN_LENGTH,
        /// Wrong passwords of one user from one address within a minute; more are refused unseen.
        pub failed_logins: u32 = FAILED_LOGINS,
        /// Wrong passwords of all users from one address within a minute.
        pub failed_logins_per_address: u32 = FAILED_LOGINS_PER_ADDRESS,
    }
}

choice! {
    pub enum Challenge {
        Bearer = "bearer",
        Basic = "basic",
    }
}

section! {
    pub static SECTION =
        Section::one("auth", "Who may come in. Without users every listener is open: whoever reaches it may read.");

    static REQUIRED: Key<bool> = Key::follows(
        "required",
        FLAG,
        "`true` where the file has a `[[user]]`, a `[[role]]`, an `[[oidc]]` or a `[[certificate]]`",
        |_| Some(false),
        "Whether listeners that do not say otherwise (`auth`) want to know who asks, and let policies decide.",
    );
    static ACCOUNT: Key<AccountId> =
        Key::usual("account", ACCOUNT_ID, "000000000000", "The account that the registry belongs to: twelve digits.");
    static REGION: Key<String> = Key::usual(
        "region",
        Kind::parsed(Shape::Text, region),
        "local",
        "The region in the names of repositories, such as `arn:aws:ecr:local:000000000000:repository/team/app`.",
    );
    static DOMAIN: Optional<String> = Optional::new(
        "domain",
        Kind::parsed(Shape::Text, host_name),
        "A domain such as `\"registry.example\"`: below it, `<account>.dkr.ecr.<region>.<domain>` is the registry of \
         an account, as in ECR.",
    );
    static KEY_FILE: Optional<PathBuf> = Optional::follows(
        "key_file",
        PATH,
        "`keys` below `data`, made at the first start",
        "The keys that seal tokens and the secrets in the database, one a line; the first is used, all are accepted. \
         Several replicas need the same.",
    );
    static URL: Optional<Url> = Optional::follows(
        "url",
        Kind::parsed(Shape::Text, registry_url),
        "the host that the client came to",
        "Where clients reach the registry, such as `\"https://registry.example\"`: for the address of the token \
         endpoint, and what ECR's API calls `proxyEndpoint`.",
    );
    static CHALLENGE: Key<Challenge> = Key::usual(
        "challenge",
        choice_of(),
        "bearer",
        "How clients are asked to log in. With `basic`, as ECR does, nobody can pull from a public repository without \
         a login.",
    );
    static TOKEN_LIFETIME: Key<Duration> =
        Key::usual("token_lifetime", TIMEOUT, "12h", "How long an authorization token is good for.");
    static PASSWORD_MIN_LENGTH: Key<u32> = Key::usual(
        "password_min_length",
        count(1, 128),
        "8",
        "Characters that a new password has at least, in this file, from `entrepot iam set-password` and in IAM's API. \
         Passwords that are there already go on working.",
    );
    static FAILED_LOGINS: Key<u32> = Key::usual(
        "failed_logins",
        count(1, 1_000_000),
        "20",
        "Wrong passwords for one user name from one address within a minute; after that, passwords for it from there \
         have to wait. Tokens and signatures are never limited.",
    );
    static FAILED_LOGINS_PER_ADDRESS: Key<u32> = Key::usual(
        "failed_logins_per_address",
        count(1, 1_000_000),
        "1000",
        "Wrong passwords for all user names from one address within a minute; after that, only users who logged in \
         from there within a day are let in by password. An address may stand for a whole site.",
    );
}

/// `has_users` tells whether anybody is declared who could log in.
pub fn read(reader: &Reader<'_>, has_users: bool) -> Option<AuthSettings> {
    let settings = AuthSettings::read(reader)?;
    let required = if reader.has(&REQUIRED) { settings.required } else { has_users };
    Some(AuthSettings { required, ..settings })
}

fn region(text: &str) -> Result<String, String> {
    let right = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-';
    if text.len() <= 32 && text.bytes().all(right) {
        Ok(text.to_owned())
    } else {
        Err(format!("{text:?} is no name of a region: lower-case letters, digits and dashes"))
    }
}

fn registry_url(text: &str) -> Result<Url, String> {
    match parse_plain_url(text)? {
        url if matches!(url.scheme(), "http" | "https") && url.has_host() && url.path() == "/" => Ok(url),
        _ => Err(format!("{text:?} is not where a registry is, such as \"https://registry.example\"")),
    }
}
