//! `[[role]]`: what users and other roles may become for a while.

use std::path::PathBuf;

use super::names::{ACCOUNT_ID, USER_NAME};
use super::policies::{Policies, read_policy};
use crate::config::reading::{
    Key, Optional, PATH, Parts as _, Reader, Section, TablesKey, Unwritten, section, settings,
};
use crate::oci::AccountId;

settings! {
    /// A role that stands in the configuration.
    pub struct RoleSettings {
        pub name: String = NAME,
        /// `None` is the registry's own.
        pub account: Option<AccountId> = ACCOUNT,
        /// Each a name and its document, which is empty for those that come with the program.
        pub policies: Vec<(String, String)> = POLICIES,
        pub trust_file: PathBuf = TRUST,
        /// The text of the file.
        pub trust: String = Unwritten,
    }
}

section! {
    pub static SECTION = Section::many(
        "role",
        "A role, which users assume for a while (`aws sts assume-role`). Others are made through the IAM API; those in \
         the file change only there.",
    );

    static NAME: Key<String> = Key::required("name", USER_NAME, "The role's name.");
    static ACCOUNT: Optional<AccountId> = Optional::follows(
        "account",
        ACCOUNT_ID,
        "`auth.account`",
        "The account that the role belongs to: twelve digits.",
    );
    static POLICIES: Policies = Policies::new("What the role may do, as for a `[[user]]`.");
    static TRUST: Key<PathBuf> = Key::required(
        "trust",
        PATH,
        "A file with a trust policy in IAM's form: who may assume the role. They need `sts:AssumeRole` in a policy of \
         their own as well.",
    );
}

/// `own` is the registry's account, which is meant where a role names none.
pub fn read(key: &TablesKey, reader: &Reader<'_>, own: Option<AccountId>) -> Option<Vec<RoleSettings>> {
    let roles = key.read(reader, |reader| {
        let role = RoleSettings::read(reader)?;
        let trust = read_policy(reader, &TRUST, &role.trust_file)?;
        Some((reader.beginning().clone(), RoleSettings { trust, ..role }))
    })?;
    for (index, (place, role)) in roles.iter().enumerate() {
        let mut before = roles.iter().take(index).map(|(_, other)| other);
        if before.any(|other| other.name == role.name && other.account.or(own) == role.account.or(own)) {
            let message = format!("{:?} is the name of another role", role.name);
            reader.context().report(place, format!("{}.{}", key.name, NAME.name), message);
            return None;
        }
    }
    Some(roles.into_iter().map(|(_, role)| role).collect())
}
