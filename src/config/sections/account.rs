//! `[[account]]`: registries beside the one of `auth.account`, and what holds for each.

use reqwest::Url;
use serde::Serialize;

use super::auth::account;
use crate::config::printing::document as show;
use crate::config::reading::key::{Fallback, Key, Kind, Section};
use crate::config::reading::problem::Place;
use crate::config::reading::reader::{Context, MAX_ELEMENTS, Reader};
use crate::config::reading::tree::Node;
use crate::config::reading::value;
use crate::oci::AccountId;

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AccountSettings {
    pub id: AccountId,
    /// Names under which clients reach its registry, in lower case and without a port.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub hosts: Vec<String>,
    /// Quotas of all that is pushed to its registry. `None` is without limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_repositories: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_images: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "show::some_size")]
    pub max_bytes: Option<u64>,
}

/// An exbibyte.
const MAX_BYTES: u64 = 1 << 60;

pub static SECTION: Section = Section {
    name: "account",
    meaning: "An account has a registry of its own: repositories, policies, settings, rules. That of `auth.account` is always there; it may stand \
              here, too, to be given hosts.",
    keys: &[
        Key { name: "id", kind: Kind::Text, fallback: Fallback::Required, meaning: "Twelve digits." },
        Key {
            name: "hosts",
            kind: Kind::Texts,
            fallback: Fallback::Unset,
            meaning: "Host names under which clients reach this registry, beside `<id>.dkr.ecr.<region>.<auth.domain>`. Under all other names \
                      they reach that of `auth.account`.",
        },
        Key {
            name: "max_repositories",
            kind: Kind::Count { min: 0, max: u32::MAX as u64 },
            fallback: Fallback::Unset,
            meaning: "The most repositories that pushing and the API make; what is pulled through does not count for any quota.",
        },
        Key {
            name: "max_images",
            kind: Kind::Count { min: 0, max: u32::MAX as u64 },
            fallback: Fallback::Unset,
            meaning: "The most manifests in all its repositories.",
        },
        Key {
            name: "max_bytes",
            kind: Kind::Size { min: 0, max: MAX_BYTES },
            fallback: Fallback::Unset,
            meaning: "The most bytes of blobs and manifests in all its repositories; what several have counts for each.",
        },
    ],
};

pub fn read(nodes: Vec<Node>, context: &Context) -> Option<Vec<AccountSettings>> {
    if nodes.len() > MAX_ELEMENTS {
        context.report(&nodes.first()?.place, "account", format!("has more than {MAX_ELEMENTS} elements"));
        return None;
    }
    let accounts: Vec<Option<(Place, AccountSettings)>> = nodes
        .into_iter()
        .enumerate()
        .map(|(index, node)| {
            let place = node.place.clone();
            let reader = Reader::of_node(&SECTION, format!("account[{index}]"), node, context)?;
            read_one(&reader).map(|account| (place, account))
        })
        .collect();
    let accounts: Vec<_> = accounts.into_iter().collect::<Option<_>>()?;
    let mut good = true;
    for (index, (place, account)) in accounts.iter().enumerate() {
        for (_, other) in accounts.iter().take(index) {
            if other.id == account.id {
                context.report(place, "account.id", format!("{} stands here twice", account.id));
                good = false;
            }
            if let Some(host) = account.hosts.iter().find(|host| other.hosts.contains(host)) {
                context.report(place, "account.hosts", format!("{host:?} is a host of account {}", other.id));
                good = false;
            }
        }
    }
    good.then(|| accounts.into_iter().map(|(_, account)| account).collect())
}

fn read_one(reader: &Reader<'_>) -> Option<AccountSettings> {
    let id = reader.get("id", account);
    let hosts = reader.list("hosts", host);
    let max_repositories = reader.optional("max_repositories", value::count);
    let max_images = reader.optional("max_images", value::count);
    let max_bytes = reader.optional("max_bytes", value::size);
    Some(AccountSettings {
        id: id?,
        hosts: hosts?.unwrap_or_default().into_iter().map(|(_, host)| host).collect(),
        max_repositories: max_repositories?,
        max_images: max_images?,
        max_bytes: max_bytes?,
    })
}

/// A name without a port: the port that a client comes to says nothing.
pub fn host(key: &Key, node: &Node) -> Result<String, String> {
    host_name(&value::element(key, node)?)
}

pub fn host_name(text: &str) -> Result<String, String> {
    let is_host = Url::parse(&format!("http://{text}/"))
        .is_ok_and(|url| url.host_str() == Some(text.to_ascii_lowercase().as_str()));
    if is_host {
        Ok(text.to_ascii_lowercase())
    } else {
        Err(format!("{text:?} is no host name, such as \"registry.example\""))
    }
}
