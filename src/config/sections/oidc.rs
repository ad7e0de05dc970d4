//! `[[oidc]]`: whose ID tokens are believed, and which role they assume.

use std::net::IpAddr;
use std::path::PathBuf;

use reqwest::Url;

use super::names::USER_NAME;
use super::policies::Policies;
use crate::config::reading::{
    Key, Kind, List, Optional, PATH, Parts as _, Pem, Reader, Section, Shape, TEXT, TEXTS, parse_plain_url, section,
    settings,
};

settings! {
    /// A rule. The first that a token matches decides.
    pub struct OidcSettings {
        /// The claim `iss`, letter by letter.
        pub issuer: String = ISSUER,
        /// The claim `aud`.
        pub audience: String = AUDIENCE,
        /// Each `claim=pattern`.
        pub claims: Vec<String> = CLAIMS,
        /// The role's name.
        pub role: String = ROLE,
        /// Each a name and its document, which is empty for those that come with the program.
        pub policies: Vec<(String, String)> = POLICIES,
        /// The claim that names the session.
        pub session: String = SESSION,
        /// Where the issuer's keys are; `None` asks the issuer.
        pub jwks_url: Option<Url> = JWKS_URL,
        pub ca: Option<PathBuf> = Pem::certificates(&CA),
    }
}

section! {
    pub static SECTION = Section::many(
        "oidc",
        "An identity provider whose ID tokens are believed (Kubernetes service accounts, GitHub Actions, GitLab, \
         Keycloak), and the role that they assume. Clients show a token as bearer token, or as the password of the \
         user `oidc`. The first rule that a token matches decides.",
    );

    static ISSUER: Key<String> = Key::required(
        "issuer",
        Kind::parsed(Shape::Text, issuer),
        "The token's `iss`, letter by letter, such as `\"https://token.actions.githubusercontent.com\"`.",
    );
    static AUDIENCE: Key<String> = Key::required(
        "audience",
        TEXT,
        "What must be in the token's `aud`: a name of this registry that the client asks the issuer for.",
    );
    static CLAIMS: List<String> = List::required(
        "claims",
        TEXTS,
        "What else the token must say, each `claim=pattern` with `*` for anything, such as `\"repository=team/*\"` or \
         `\"realm_access.roles=pusher\"`; all must hold.",
    );
    static ROLE: Key<String> = Key::required("role", USER_NAME, "The role's name.");
    static POLICIES: Policies = Policies::new("What the role may do, as for a `[[user]]`.");
    static SESSION: Key<String> = Key::usual(
        "session",
        TEXT,
        "sub",
        "The claim that names the session in the role, for logs, histories and policies; characters that no session \
         may have become dashes, what is longer than 64 characters is cut, and a hash follows.",
    );
    static JWKS_URL: Optional<Url> = Optional::follows(
        "jwks_url",
        Kind::parsed(Shape::Text, https_url),
        "the issuer's `/.well-known/openid-configuration`",
        "Where the issuer's keys are.",
    );
    static CA: Optional<PathBuf> =
        Optional::new("ca", PATH, "PEM file with certificate authorities to trust besides the usual ones.");
}

pub fn read(reader: &Reader<'_>) -> Option<OidcSettings> {
    let rule = OidcSettings::read(reader)?;
    if rule.claims.is_empty() {
        reader.report(&CLAIMS, "is empty: everybody to whom the issuer gives tokens would get the role");
        return None;
    }
    if let Some(claim) = rule.claims.iter().find(|claim| !claim.contains('=')) {
        reader.report(&CLAIMS, format!("{claim:?} is not claim=pattern"));
        return None;
    }
    Some(rule)
}

fn issuer(text: &str) -> Result<String, String> {
    https_url(text).map(|_| text.to_owned())
}

/// Keys that came over plain HTTP could be anybody's, except from this machine.
fn https_url(text: &str) -> Result<Url, String> {
    let is_loopback = |host: &str| host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
    let is_here = |url: &Url| {
        url.host_str().is_some_and(|host| host == "localhost" || is_loopback(host.trim_matches(['[', ']'])))
    };
    match parse_plain_url(text)? {
        url if url.scheme() == "https" || (url.scheme() == "http" && is_here(&url)) => Ok(url),
        _ => Err(format!("{text:?} is not an https:// URL")),
    }
}
