//! `[[user]]`: users who stand in the configuration.

use std::path::PathBuf;

use super::auth::AuthSettings;
use super::names::{ACCOUNT_ID, USER_NAME};
use super::policies::Policies;
use super::secrets::{AccessKey, SecretOrFile};
use crate::config::reading::{
    Key, Kind, Optional, PATH, Parts as _, Reader, SECRET, Secret, Section, Shape, TablesKey, section, settings,
};
use crate::oci::AccountId;

settings! {
    /// A user who stands in the configuration.
    pub struct UserSettings {
        pub name: String = NAME,
        /// `None` is the registry's own.
        pub account: Option<AccountId> = ACCOUNT,
        /// Each a name and its document, which is empty for those that come with the program.
        pub policies: Vec<(String, String)> = POLICIES,
        pub access_key: Option<(String, Secret)> = AccessKey {
            id: &ACCESS_KEY_ID,
            secret: SecretOrFile { word: "secret", key: &SECRET_ACCESS_KEY, file: &SECRET_ACCESS_KEY_FILE },
        },
        /// For logging in with the user's name.
        pub password: Option<Secret> = SecretOrFile { word: "password", key: &PASSWORD, file: &PASSWORD_FILE },
    }
}

const PASSWORDS: &[&str] = &["password", "password_file"];

section! {
    pub static SECTION = Section::many(
        "user",
        "A user. Others are made by `entrepot iam` or through the IAM API; those in the file change only there.",
    );

    static NAME: Key<String> = Key::required("name", USER_NAME, "The user's name.");
    static ACCOUNT: Optional<AccountId> = Optional::follows(
        "account",
        ACCOUNT_ID,
        "`auth.account`",
        "The account that the user belongs to: twelve digits.",
    );
    static POLICIES: Policies = Policies::new(
        "What the user may do: `Administrator` (users and their rights, too), `FullAccess`, `PowerUser`, `ReadOnly`, \
         `PullOnly`, or the path of a file with a policy in IAM's form.",
    );
    static ACCESS_KEY_ID: Optional<String> = Optional::new(
        "access_key_id",
        Kind::parsed(Shape::Text, access_key_id),
        "A key for the ECR API (`aws ecr`): 16 to 128 letters and digits.",
    );
    static SECRET_ACCESS_KEY: Optional<Secret> =
        Optional::new("secret_access_key", SECRET, "Belongs to `access_key_id`.");
    static SECRET_ACCESS_KEY_FILE: Optional<PathBuf> = Optional::new(
        "secret_access_key_file",
        PATH,
        "A file with the secret in one line, in place of `secret_access_key`.",
    );
    static PASSWORD: Optional<Secret> =
        Optional::new("password", SECRET, "For `docker login` with the user's name.").displacing(PASSWORDS);
    static PASSWORD_FILE: Optional<PathBuf> = Optional::new(
        "password_file",
        PATH,
        "A file with the password in one line, in place of `password`.",
    )
    .displacing(PASSWORDS);
}

/// `auth` has the registry's account, which is meant where a user names none, and the rules for passwords.
pub fn read(key: &TablesKey, reader: &Reader<'_>, auth: Option<&AuthSettings>) -> Option<Vec<UserSettings>> {
    let own = auth.map(|auth| auth.account);
    let least = auth.map_or(0, |auth| auth.password_min_length);
    let users = key.read(reader, |reader| {
        let user = UserSettings::read(reader)?;
        check_password(reader, &user, least)?;
        Some((reader.beginning().clone(), user))
    })?;
    let mut good = true;
    for (index, (place, user)) in users.iter().enumerate() {
        let mut before = users.iter().take(index).map(|(_, other)| other);
        if before.any(|other| other.name == user.name && other.account.or(own) == user.account.or(own)) {
            let message = format!("{:?} is the name of another user", user.name);
            reader.context().report(place, format!("{}.{}", key.name, NAME.name), message);
            good = false;
        }
    }
    good.then(|| users.into_iter().map(|(_, user)| user).collect())
}

fn check_password(reader: &Reader<'_>, user: &UserSettings, least: u32) -> Option<()> {
    if user.password.as_ref().is_none_or(|password| password.expose().chars().count() >= least as usize) {
        return Some(());
    }
    let key = if reader.has(&PASSWORD_FILE) { PASSWORD_FILE.declared() } else { PASSWORD.declared() };
    let message = format!("is too short: a password has at least {least} characters (`auth.password_min_length`)");
    reader.report(key, message);
    None
}

fn access_key_id(text: &str) -> Result<String, String> {
    if (16..=128).contains(&text.len()) && text.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'_') {
        Ok(text.to_owned())
    } else {
        Err("is no access key id: 16 to 128 letters and digits".to_owned())
    }
}
