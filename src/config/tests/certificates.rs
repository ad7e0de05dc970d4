//! `[[certificate]]`, and the listeners that it is for.

use std::path::Path;

use super::super::{CertificateGives, CertificateNameKind, ClientCertificate, ConfigErrors, Settings};
use super::{certificate, load_in, parse};

/// A listener that asks clients for certificates, and below it the text that is tried. It begins on line 2.
fn load(folder: &Path, text: &str) -> Result<Settings, ConfigErrors> {
    load_with(folder, r#", client_ca = "c""#, text)
}

fn load_with(folder: &Path, more_of_tls: &str, text: &str) -> Result<Settings, ConfigErrors> {
    let (pem, key) = certificate();
    std::fs::write(folder.join("c"), pem).unwrap();
    std::fs::write(folder.join("k"), key).unwrap();
    let tls = format!(r#"{{ certificate = "c", key = "k"{more_of_tls} }}"#);
    load_in(folder, &format!("listen = [{{ address = \"127.0.0.1:0\", tls = {tls} }}]\n{text}"), &[])
}

#[test]
fn rules_read_and_read_back() {
    let folder = tempfile::tempdir().unwrap();
    let text = r#"
[[certificate]]
name = "dns:*.Nodes.example"
role = "nodes"
policies = ["PullOnly"]
[[certificate]]
name = "uri:spiffe://cluster.example/ns/*"
role = "nodes"
[[certificate]]
name = "email:ann@example.org"
user = "ann"
[[certificate]]
name = "cn:b\u00fcilder: *"
role = "builders"
[[oidc]]
issuer = "https://a.example"
audience = "x"
claims = ["sub=*"]
role = "nodes"
policies = ["PowerUser"]
"#;
    let settings = load_with(folder.path(), r#", client_ca = "c", client_certificate = "optional""#, text).unwrap();
    assert!(settings.auth.required);
    let tls = settings.listen[0].tls.as_ref().unwrap();
    assert_eq!(tls.client_certificate, ClientCertificate::Optional);
    let names: Vec<_> = settings.certificates.iter().map(|rule| (rule.name.kind, rule.name.pattern.as_str())).collect();
    let expected = [
        (CertificateNameKind::Dns, "*.nodes.example"),
        (CertificateNameKind::Uri, "spiffe://cluster.example/ns/*"),
        (CertificateNameKind::Email, "ann@example.org"),
        (CertificateNameKind::CommonName, "b\u{fc}ilder: *"),
    ];
    assert_eq!(names, expected);
    assert_eq!(settings.certificates[2].gives, CertificateGives::User { user: "ann".to_owned() });
    let roles: Vec<_> = settings.ruled_roles().map(|(role, policies)| (role, policies.len())).collect();
    assert_eq!(roles, [("nodes", 1), ("nodes", 1), ("nodes", 0), ("builders", 0)]);
    let shown = settings.to_toml().unwrap();
    assert_eq!(parse(&shown).unwrap_or_else(|errors| panic!("{errors}\n{shown}")), settings, "{shown}");
    let usual = load(folder.path(), "").unwrap();
    assert_eq!(usual.listen[0].tls.as_ref().unwrap().client_certificate, ClientCertificate::Required);
    assert!(!usual.auth.required);
    assert!(!usual.to_toml().unwrap().contains("client_certificate"));
    assert!(usual.needs_restart(&settings).contains(&"certificate".to_owned()));
}

#[test]
fn rules_that_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let told = |result: Result<Settings, ConfigErrors>| -> Vec<String> {
        let told = result.unwrap_err().to_string();
        told.lines().map(|line| line.split_once("entrepot.toml:").unwrap().1.to_owned()).collect()
    };
    for (name, message) in [
        ("nodes.example", r#""nodes.example" says no kind of name: it begins with one of dns:, uri:, email:, cn:"#),
        (
            "ip:127.0.0.1",
            r#""ip:127.0.0.1" is of no kind of name that is known: it begins with one of dns:, uri:, email:, cn:"#,
        ),
        ("dns:", r#""dns:" has no pattern of 1 to 512 bytes after dns:; * is anything"#),
        ("dns:a/b", r#""dns:a/b" could match nothing: letters, digits, dashes, dots and * are in a DNS name"#),
        (
            "dns:b\u{fc}.example",
            "\"dns:b\u{fc}.example\" could match nothing: letters, digits, dashes, dots and * are in a DNS name",
        ),
        ("uri:spiffe://a b", r#""uri:spiffe://a b" could match nothing: there is ASCII without spaces in such a name"#),
        ("cn:a\tb", r#""cn:a\tb" could match nothing: no common name with control characters is looked at"#),
    ] {
        let text = format!("[[certificate]]\nname = {name:?}\nuser = \"a\"\n");
        assert_eq!(told(load(folder.path(), &text)), [format!("3:8: certificate[0].name: {message}")], "{name}");
    }
    let long = format!("[[certificate]]\nname = \"cn:{}\"\nuser = \"a\"\n", "n".repeat(513));
    assert_eq!(told(load(folder.path(), &long)).len(), 1);
    let text = r#"[[certificate]]
name = "cn:a"
[[certificate]]
name = "cn:a"
user = "a"
role = "b"
[[certificate]]
name = "cn:a"
user = "a"
policies = ["PullOnly"]
[[certificate]]
user = "a:b"
pattern = "x"
"#;
    assert_eq!(
        told(load(folder.path(), text)),
        [
            "3:1: certificate[0].name: names nobody: write whose such certificates are, `user` or `role`",
            "7:1: certificate[1].role: stands beside a `user`: keep one of the two",
            "11:1: certificate[2].policies: belong to a `role`; what user a may do is said where the user is",
            "12:1: certificate[3].name: is missing: A name in the certificate, with `*` for anything (dots and slashes, too): \
             `\"dns:*.nodes.example\"`, `\"uri:spiffe://cluster.example/ns/ci/*\"`, `\"email:*@example.org\"`, which are alternative \
             names of the subject, or `\"cn:…\"`, its common name.",
            "13:8: certificate[3].user: \"a:b\" is no name of a user: at most 64 letters, digits and +=,.@_-, and neither AWS nor oidc",
            "14:1: certificate[3].pattern: is not a key; the keys here are name, user, role, policies",
        ]
    );
    assert_eq!(
        told(load_with(folder.path(), r#", client_certificate = "optional""#, "")),
        [
            "1:76: listen[0].tls.client_certificate: has no `client_ca` beside it: no certificate of a client could be verified"
        ]
    );
    assert_eq!(
        told(load_with(folder.path(), r#", client_ca = "c", client_certificate = "perhaps""#, "")),
        ["1:114: listen[0].tls.client_certificate: \"perhaps\" is not one of required, optional"]
    );
}

#[test]
fn rules_without_a_listener() {
    let folder = tempfile::tempdir().unwrap();
    let rule = "[[certificate]]\nname = \"cn:a\"\nuser = \"a\"\n";
    let closed = load(folder.path(), &format!("{rule}[auth]\nrequired = false\n")).unwrap_err().to_string();
    assert!(closed.contains("certificate: names nobody"), "{closed}");
    for listen in [
        r#""127.0.0.1:0""#,
        r#"{ address = "127.0.0.1:0", tls = { certificate = "c", key = "k" } }"#,
        r#"{ address = "127.0.0.1:0", auth = "open", tls = { certificate = "c", key = "k", client_ca = "c" } }"#,
    ] {
        load(folder.path(), rule).unwrap();
        let errors = load_in(folder.path(), &format!("listen = [{listen}]\n{rule}"), &[]).unwrap_err().to_string();
        let expected =
            "2:1: certificate: names nobody: no listener that wants to know who asks has a `client_ca` in its `tls`";
        assert!(errors.ends_with(expected) && errors.lines().count() == 1, "{errors}");
    }
}
