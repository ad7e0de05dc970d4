//! `[[certificate]]`: whose the certificates are that clients show in the TLS handshake.

use serde::{Serialize, Serializer};

use super::auth::{read_policies, user_name};
use super::http::Listener;
use crate::config::Access;
use crate::config::printing::document as show;
use crate::config::reading::key::{Fallback, Key, Kind, Section};
use crate::config::reading::problem::Place;
use crate::config::reading::reader::{Context, MAX_ELEMENTS, Reader};
use crate::config::reading::tree::{Node, Value};
use crate::config::reading::value;

/// A rule. The first that a certificate matches decides.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CertificateSettings {
    pub name: CertificateName,
    #[serde(flatten)]
    pub gives: CertificateGives,
}

/// The names that a rule is about, written `kind:pattern`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateName {
    pub kind: CertificateNameKind,
    /// With `*` for anything. Of DNS names in lower case.
    pub pattern: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CertificateNameKind {
    Dns,
    Uri,
    Email,
    /// Of the subject. The others are its alternative names.
    CommonName,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum CertificateGives {
    User {
        user: String,
    },
    Role {
        role: String,
        /// Each a name and its document, which is empty for those that come with the program.
        #[serde(serialize_with = "show::names")]
        policies: Vec<(String, String)>,
    },
}

const MAX_PATTERN_BYTES: usize = 512;

const KINDS: [(&str, CertificateNameKind); 4] = [
    ("dns", CertificateNameKind::Dns),
    ("uri", CertificateNameKind::Uri),
    ("email", CertificateNameKind::Email),
    ("cn", CertificateNameKind::CommonName),
];

pub static SECTION: Section = Section {
    name: "certificate",
    meaning: "Whose the certificates are that clients show to a listener with `client_ca`. Where a request shows nothing else, it is of that \
              user, or of somebody in that role who is called like the name in the certificate. The first rule that a certificate matches \
              decides; one that matches none names nobody. The ECR API is signed as ever.",
    keys: &[
        Key {
            name: "name",
            kind: Kind::Text,
            fallback: Fallback::Required,
            meaning: "A name in the certificate, with `*` for anything (dots and slashes, too): `\"dns:*.nodes.example\"`, \
                      `\"uri:spiffe://cluster.example/ns/ci/*\"`, `\"email:*@example.org\"`, which are alternative names of the subject, or `\"cn:…\"`, \
                      its common name.",
        },
        Key {
            name: "user",
            kind: Kind::Text,
            fallback: Fallback::Unset,
            meaning: "The name of a user of `auth.account`, of this file or made by `entrepot iam`.",
        },
        Key {
            name: "role",
            kind: Kind::Text,
            fallback: Fallback::Unset,
            meaning: "The role's name, in place of `user`. The session in it is called like the name that matched; characters that no session may \
                      have become dashes, and a hash follows.",
        },
        Key {
            name: "policies",
            kind: Kind::Texts,
            fallback: Fallback::Unset,
            meaning: "What the role may do, as for a `[[user]]`.",
        },
    ],
};

/// `listen` is what the rules are for, if it could be read; `required` is whether its listeners usually want to know who asks.
pub fn read(
    nodes: Vec<Node>,
    listen: Option<&[Listener]>,
    required: bool,
    context: &Context,
) -> Option<Vec<CertificateSettings>> {
    let Some(place) = nodes.first().map(|node| node.place.clone()) else { return Some(Vec::new()) };
    if nodes.len() > MAX_ELEMENTS {
        context.report(&place, "certificate", format!("has more than {MAX_ELEMENTS} elements"));
        return None;
    }
    report_unused(&place, listen?, required, context);
    let rules: Vec<Option<CertificateSettings>> = nodes
        .into_iter()
        .enumerate()
        .map(|(index, node)| read_rule(&Reader::of_node(&SECTION, format!("certificate[{index}]"), node, context)?))
        .collect();
    rules.into_iter().collect()
}

fn report_unused(place: &Place, listen: &[Listener], required: bool, context: &Context) {
    let usual = if required { Access::Required } else { Access::Open };
    let asks = |listener: &Listener| {
        listener.auth.unwrap_or(usual) == Access::Required
            && listener.tls.as_ref().is_some_and(|tls| tls.client_ca.is_some())
    };
    if !listen.iter().any(asks) {
        let message = "names nobody: no listener that wants to know who asks has a `client_ca` in its `tls`";
        context.report(place, "certificate", message);
    }
}

fn read_rule(reader: &Reader<'_>) -> Option<CertificateSettings> {
    let name = reader.get("name", name);
    let user = reader.optional("user", user_name);
    let role = reader.optional("role", user_name);
    let policies = read_policies(reader);
    let (name, policies) = (name?, policies?);
    let gives = match (user?, role?) {
        (Some(user), None) if reader.has("policies") => {
            reader.report("policies", format!("belong to a `role`; what user {user} may do is said where the user is"));
            return None;
        }
        (Some(user), None) => CertificateGives::User { user },
        (None, Some(role)) => CertificateGives::Role { role, policies },
        (None, None) => {
            reader.report("name", "names nobody: write whose such certificates are, `user` or `role`");
            return None;
        }
        (Some(_), Some(_)) => {
            reader.report("role", "stands beside a `user`: keep one of the two");
            return None;
        }
    };
    Some(CertificateSettings { name, gives })
}

fn name(key: &Key, node: &Value) -> Result<CertificateName, String> {
    let text = value::text(key, node)?;
    let kinds = || KINDS.map(|(word, _)| format!("{word}:")).join(", ");
    let Some((word, pattern)) = text.split_once(':') else {
        return Err(format!("{text:?} says no kind of name: it begins with one of {}", kinds()));
    };
    let Some((_, kind)) = KINDS.into_iter().find(|(known, _)| *known == word) else {
        return Err(format!("{text:?} is of no kind of name that is known: it begins with one of {}", kinds()));
    };
    if pattern.is_empty() || pattern.len() > MAX_PATTERN_BYTES {
        return Err(format!("{text:?} has no pattern of 1 to {MAX_PATTERN_BYTES} bytes after {word}:; * is anything"));
    }
    let (right, words) = match kind {
        CertificateNameKind::Dns => {
            let right = |c: char| c.is_ascii_alphanumeric() || "-_.*?".contains(c);
            (pattern.chars().all(right), "letters, digits, dashes, dots and * are in a DNS name")
        }
        CertificateNameKind::Uri | CertificateNameKind::Email => {
            (pattern.chars().all(|c| c.is_ascii_graphic()), "there is ASCII without spaces in such a name")
        }
        CertificateNameKind::CommonName => {
            (!pattern.chars().any(char::is_control), "no common name with control characters is looked at")
        }
    };
    if !right {
        return Err(format!("{text:?} could match nothing: {words}"));
    }
    let pattern = match kind {
        CertificateNameKind::Dns => pattern.to_ascii_lowercase(),
        _ => pattern.to_owned(),
    };
    Ok(CertificateName { kind, pattern })
}

impl std::fmt::Display for CertificateName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let word = KINDS.iter().find(|(_, kind)| *kind == self.kind).map_or("", |(word, _)| word);
        write!(f, "{word}:{}", self.pattern)
    }
}

impl Serialize for CertificateName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
