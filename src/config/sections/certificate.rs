//! `[[certificate]]`: whose the certificates are that clients show in the TLS handshake.

use super::listener::{Access, Listener};
use super::names::USER_NAME;
use super::policies::{self, Policies};
use crate::config::reading::{
    Context, Joint, Key, Kind, Optional, Parts as _, Place, Reader, Section, Shape, TablesKey, Written, section,
    settings,
};

settings! {
    /// A rule. The first that a certificate matches decides.
    pub struct CertificateSettings {
        pub name: CertificateName = NAME,
        pub gives: CertificateGives = Joint::new(read_gives, write_gives),
    }
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

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CertificateGives {
    User {
        user: String,
    },
    Role {
        role: String,
        /// Each a name and its document, which is empty for those that come with the program.
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

section! {
    pub static SECTION = Section::many(
        "certificate",
        "Whose the certificates are that clients show to a listener with `client_ca`. Where a request shows nothing \
         else, it is of that user, or of somebody in that role who is called like the name in the certificate. The \
         first rule that a certificate matches decides; one that matches none names nobody. The ECR API is signed as \
         ever.",
    );

    static NAME: Key<CertificateName> = Key::required(
        "name",
        Kind::parsed(Shape::Text, name),
        "A name in the certificate, with `*` for anything (dots and slashes, too): `\"dns:*.nodes.example\"`, \
         `\"uri:spiffe://cluster.example/ns/ci/*\"`, `\"email:*@example.org\"`, which are alternative names of the \
         subject, or `\"cn:…\"`, its common name.",
    );
    static USER: Optional<String> = Optional::new(
        "user",
        USER_NAME,
        "The name of a user of `auth.account`, of this file or made by `entrepot iam`.",
    );
    static ROLE: Optional<String> = Optional::new(
        "role",
        USER_NAME,
        "The role's name, in place of `user`. The session in it is called like the name that matched; characters that \
         no session may have become dashes, and a hash follows.",
    );
    static POLICIES: Policies = Policies::new("What the role may do, as for a `[[user]]`.");
}

/// `listen` is what the rules are for, if it could be read; `required` is whether its listeners usually want to know
/// who asks.
pub fn read(
    key: &TablesKey,
    reader: &Reader<'_>,
    listen: Option<&[Listener]>,
    required: bool,
) -> Option<Vec<CertificateSettings>> {
    if let Some(place) = key.first(reader) {
        report_unused(place, listen?, required, reader.context());
    }
    key.read(reader, CertificateSettings::read)
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

fn read_gives(reader: &Reader<'_>) -> Option<CertificateGives> {
    let (user, role, policies) = (reader.get(&USER), reader.get(&ROLE), reader.get(&POLICIES));
    match (user?, role?, policies?) {
        (Some(user), None, _) if reader.has(&POLICIES) => {
            let message = format!("belong to a `role`; what user {user} may do is said where the user is");
            reader.report(&POLICIES, message);
            None
        }
        (Some(user), None, _) => Some(CertificateGives::User { user }),
        (None, Some(role), policies) => Some(CertificateGives::Role { role, policies }),
        (None, None, _) => {
            reader.report(&NAME, "names nobody: write whose such certificates are, `user` or `role`");
            None
        }
        (Some(_), Some(_), _) => {
            reader.report(&ROLE, "stands beside a `user`: keep one of the two");
            None
        }
    }
}

fn write_gives(gives: &CertificateGives) -> Vec<(&'static str, Written)> {
    match gives {
        CertificateGives::User { user } => vec![(USER.name, Written::text(user))],
        CertificateGives::Role { role, policies } => {
            vec![(ROLE.name, Written::text(role)), (POLICIES.name, policies::written(policies))]
        }
    }
}

fn name(text: &str) -> Result<CertificateName, String> {
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
