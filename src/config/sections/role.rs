//! `[[role]]`: what users and other roles may become for a while.

use std::path::PathBuf;

use serde::Serialize;

use super::auth::{account, read_policies, read_policy, user_name};
use crate::config::printing::document as show;
use crate::config::reading::key::{Fallback, Key, Kind, Section};
use crate::config::reading::problem::Place;
use crate::config::reading::reader::{Context, MAX_ELEMENTS, Reader};
use crate::config::reading::tree::Node;
use crate::oci::AccountId;

/// A role that stands in the configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RoleSettings {
    pub name: String,
    /// `None` is the registry's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account: Option<AccountId>,
    /// Each a name and its document, which is empty for those that come with the program.
    #[serde(serialize_with = "show::names")]
    pub policies: Vec<(String, String)>,
    #[serde(rename = "trust")]
    pub trust_file: PathBuf,
    /// What the file says.
    #[serde(skip)]
    pub trust: String,
}

pub static SECTION: Section = Section {
    name: "role",
    meaning: "A role, which users assume for a while (`aws sts assume-role`). Others are made through the IAM API; those in the file change only there.",
    keys: &[
        Key { name: "name", kind: Kind::Text, fallback: Fallback::Required, meaning: "The role's name." },
        Key {
            name: "account",
            kind: Kind::Text,
            fallback: Fallback::Follows("`auth.account`"),
            meaning: "The account that the role belongs to: twelve digits.",
        },
        Key {
            name: "policies",
            kind: Kind::Texts,
            fallback: Fallback::Unset,
            meaning: "What the role may do, as for a `[[user]]`.",
        },
        Key {
            name: "trust",
            kind: Kind::Path,
            fallback: Fallback::Required,
            meaning: "A file with a trust policy in IAM's form: who may assume the role. They need `sts:AssumeRole` in a policy of their own as well.",
        },
    ],
};

/// `own` is the registry's account, which is meant where a role names none.
pub fn read(nodes: Vec<Node>, own: Option<AccountId>, context: &Context) -> Option<Vec<RoleSettings>> {
    if nodes.len() > MAX_ELEMENTS {
        context.report(&nodes.first()?.place, "role", format!("has more than {MAX_ELEMENTS} elements"));
        return None;
    }
    let roles: Vec<Option<(Place, RoleSettings)>> = nodes
        .into_iter()
        .enumerate()
        .map(|(index, node)| {
            let place = node.place.clone();
            read_role(&Reader::of_node(&SECTION, format!("role[{index}]"), node, context)?).map(|role| (place, role))
        })
        .collect();
    let roles: Vec<_> = roles.into_iter().collect::<Option<_>>()?;
    for (index, (place, role)) in roles.iter().enumerate() {
        let mut before = roles.iter().take(index).map(|(_, other)| other);
        if before.any(|other| other.name == role.name && other.account.or(own) == role.account.or(own)) {
            context.report(place, "role.name", format!("{:?} is the name of another role", role.name));
            return None;
        }
    }
    Some(roles.into_iter().map(|(_, role)| role).collect())
}

fn read_role(reader: &Reader<'_>) -> Option<RoleSettings> {
    let name = reader.get("name", user_name);
    let account = reader.optional("account", account);
    let policies = read_policies(reader);
    reader.get("trust", crate::config::reading::value::text)?;
    let trust_file = reader.path("trust")??;
    let trust = read_policy(reader, "trust", &trust_file)?;
    Some(RoleSettings { name: name?, account: account?, policies: policies?, trust_file, trust })
}
