//! `[[oidc]]`: whose ID tokens are believed, and which role they assume.

use std::net::IpAddr;
use std::path::PathBuf;

use reqwest::Url;
use serde::Serialize;

use super::auth::read_policies;
use crate::config::printing::document as show;
use crate::config::reading::key::{Fallback, Key, Kind, Section};
use crate::config::reading::pem;
use crate::config::reading::reader::{Context, MAX_ELEMENTS, Reader};
use crate::config::reading::tree::Node;
use crate::config::reading::value;

/// A rule. The first that a token matches decides.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct OidcSettings {
    /// The claim `iss`, letter by letter.
    pub issuer: String,
    /// The claim `aud`.
    pub audience: String,
    /// Each `claim=pattern`.
    pub claims: Vec<String>,
    /// The role's name.
    pub role: String,
    /// Each a name and its document, which is empty for those that come with the program.
    #[serde(serialize_with = "show::names")]
    pub policies: Vec<(String, String)>,
    /// The claim that names the session. Default `sub`.
    pub session: String,
    /// Where the issuer's keys are; `None` asks the issuer.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "show::url")]
    pub jwks_url: Option<Url>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca: Option<PathBuf>,
}

pub static SECTION: Section = Section {
    name: "oidc",
    meaning: "An identity provider whose ID tokens are believed (Kubernetes service accounts, GitHub Actions, GitLab, Keycloak), and the role that \
              they assume. Clients show a token as bearer token, or as the password of the user `oidc`. The first rule that a token matches decides.",
    keys: &[
        Key {
            name: "issuer",
            kind: Kind::Text,
            fallback: Fallback::Required,
            meaning: "The token's `iss`, letter by letter, such as `\"https://token.actions.githubusercontent.com\"`.",
        },
        Key {
            name: "audience",
            kind: Kind::Text,
            fallback: Fallback::Required,
            meaning: "What must be in the token's `aud`: a name of this registry that the client asks the issuer for.",
        },
        Key {
            name: "claims",
            kind: Kind::Texts,
            fallback: Fallback::Required,
            meaning: "What else the token must say, each `claim=pattern` with `*` for anything, such as `\"repository=team/*\"` or \
                      `\"realm_access.roles=pusher\"`; all must hold.",
        },
        Key { name: "role", kind: Kind::Text, fallback: Fallback::Required, meaning: "The role's name." },
        Key {
            name: "policies",
            kind: Kind::Texts,
            fallback: Fallback::Unset,
            meaning: "What the role may do, as for a `[[user]]`.",
        },
        Key {
            name: "session",
            kind: Kind::Text,
            fallback: Fallback::Value(r#""sub""#),
            meaning: "The claim that names the session in the role, for logs, histories and policies; characters that no \
                      session may have become dashes, what is longer than 64 characters is cut, and a hash follows.",
        },
        Key {
            name: "jwks_url",
            kind: Kind::Text,
            fallback: Fallback::Follows("the issuer's `/.well-known/openid-configuration`"),
            meaning: "Where the issuer's keys are.",
        },
        Key {
            name: "ca",
            kind: Kind::Path,
            fallback: Fallback::Unset,
            meaning: "PEM file with certificate authorities to trust besides the usual ones.",
        },
    ],
};

pub fn read(nodes: Vec<Node>, context: &Context) -> Option<Vec<OidcSettings>> {
    if nodes.len() > MAX_ELEMENTS {
        context.report(&nodes.first()?.place, "oidc", format!("has more than {MAX_ELEMENTS} elements"));
        return None;
    }
    let rules: Vec<Option<OidcSettings>> = nodes
        .into_iter()
        .enumerate()
        .map(|(index, node)| read_rule(&Reader::of_node(&SECTION, format!("oidc[{index}]"), node, context)?))
        .collect();
    rules.into_iter().collect()
}

fn read_rule(reader: &Reader<'_>) -> Option<OidcSettings> {
    let issuer = reader.get("issuer", value::text);
    let audience = reader.get("audience", value::text);
    let claims = reader.list("claims", value::element);
    let role = reader.get("role", super::auth::user_name);
    let policies = read_policies(reader);
    let session = reader.get("session", value::text);
    let jwks_url = reader.optional("jwks_url", value::text);
    let ca = if reader.has("ca") { reader.path("ca") } else { Some(None) };
    let issuer = issuer?;
    url(reader, "issuer", &issuer)?;
    let claims: Vec<String> = claims?.unwrap_or_default().into_iter().map(|(_, claim)| claim).collect();
    if claims.is_empty() {
        reader.report("claims", "is empty: everybody to whom the issuer gives tokens would get the role");
        return None;
    }
    if let Some(claim) = claims.iter().find(|claim| !claim.contains('=')) {
        reader.report("claims", format!("{claim:?} is not claim=pattern"));
        return None;
    }
    let jwks_url = match jwks_url? {
        None => None,
        Some(text) => Some(url(reader, "jwks_url", &text)?),
    };
    let ca = ca?;
    if let Some(path) = &ca {
        pem::check_certificates(reader, "ca", path)?;
    }
    let (audience, role, policies, session) = (audience?, role?, policies?, session?);
    Some(OidcSettings { issuer, audience, claims, role, policies, session, jwks_url, ca })
}

/// Keys that came over plain HTTP could be anybody's; on this machine there is nobody between.
fn url(reader: &Reader<'_>, key: &str, text: &str) -> Option<Url> {
    let is_loopback = |host: &str| host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
    let is_here = |url: &Url| {
        url.host_str().is_some_and(|host| host == "localhost" || is_loopback(host.trim_matches(['[', ']'])))
    };
    match Url::parse(text) {
        Ok(url) if url.scheme() == "https" || (url.scheme() == "http" && is_here(&url)) => Some(url),
        _ => {
            reader.report(key, format!("{text:?} is not an https:// URL"));
            None
        }
    }
}
