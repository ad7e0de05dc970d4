//! Files that are accepted, and what they mean.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::super::reading::{Fallback, Section};
use super::super::settings::SECTIONS;
use super::super::{Credential, DefaultFor, LogFormat, OnNotFound, UpstreamName, UpstreamSettings, load};
use super::{certificate, load_in, parse};

#[test]
fn nothing_written_is_a_proxy_for_the_well_known() {
    let settings = load(None, std::iter::empty()).unwrap();
    assert_eq!(settings.listen[0].address.to_string(), "127.0.0.1:5000");
    assert_eq!(settings.admin.listen[0].to_string(), "127.0.0.1:5001");
    assert_eq!(settings.data, PathBuf::from("./entrepot-data"));
    assert_eq!((settings.cache.memory, settings.cache.disk), (64 << 20, 50 << 30));
    assert_eq!(settings.telemetry.format, LogFormat::Text);
    let names: Vec<_> = settings.upstreams.iter().map(|upstream| upstream.name.as_str()).collect();
    assert_eq!(
        names,
        [
            "docker.io",
            "ghcr.io",
            "quay.io",
            "registry.k8s.io",
            "public.ecr.aws",
            "gcr.io",
            "mcr.microsoft.com",
            "registry.gitlab.com"
        ]
    );
    let hub = &settings.upstreams[0];
    assert_eq!(hub.default, DefaultFor::Library);
    assert!(settings.upstreams[1..].iter().all(|upstream| upstream.default == DefaultFor::None));
    assert_eq!(hub.ns, ["docker.io", "index.docker.io", "registry-1.docker.io"]);
    assert_eq!(hub.urls[0].as_str(), "https://registry-1.docker.io/");
    assert_eq!((hub.library.as_deref(), hub.realms.as_slice()), (Some("library"), &["auth.docker.io".to_owned()][..]));
    assert_eq!((hub.tag_ttl, hub.stale_while_revalidate), (Duration::from_secs(60), Duration::from_secs(300)));
    assert_eq!(hub.stale_if_error, Duration::from_secs(7 * 86_400));
    assert_eq!((&hub.credential, hub.on_not_found), (&Credential::Anonymous, OnNotFound::Tell));
    assert_eq!(settings.upstreams[1].ns, ["ghcr.io"]);
    assert_eq!(settings.upstreams[7].realms, ["gitlab.com"]);
}

#[test]
fn the_file_of_the_contract() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("ca.pem"), certificate().0).unwrap();
    let text = r#"
listen = ["127.0.0.1:5000"]
data = "/var/lib/entrepot"

[cache]
memory = "256MiB"
disk = "50GiB"

[[upstream]]
name = "docker.io"
ns = ["docker.io", "index.docker.io", "registry-1.docker.io"]
url = ["https://registry-1.docker.io"]
default = true
tag_ttl = "60s"
stale_while_revalidate = "5m"
stale_if_error = "7d"
username = "me"
password_env = "HUB_TOKEN"
ca = "ca.pem"
"#;
    let settings = load_in(folder.path(), text, &[("HUB_TOKEN", "hunter2")]).unwrap();
    assert_eq!(settings.data, Path::new("/var/lib/entrepot"));
    let [hub] = settings.upstreams.as_slice() else { panic!("{:?}", settings.upstreams) };
    assert_eq!(hub.ca.as_deref(), Some(folder.path().join("ca.pem").as_path()));
    let Credential::Basic { username, password } = &hub.credential else { panic!("{:?}", hub.credential) };
    assert_eq!((username.as_str(), password.expose()), ("me", "hunter2"));
    assert!(!format!("{settings:?}").contains("hunter2"));
}

#[test]
fn a_well_known_name_takes_what_it_does_not_say() {
    let settings =
        parse("[[upstream]]\nname = \"docker.io\"\nurl = \"https://mirror.example\"\nlibrary = \"\"\n").unwrap();
    let [hub] = settings.upstreams.as_slice() else { panic!("{:?}", settings.upstreams) };
    assert_eq!(hub.urls[0].as_str(), "https://mirror.example/");
    assert_eq!(hub.ns.len(), 3);
    assert_eq!(hub.library, None);
    assert_eq!(hub.default, DefaultFor::None, "without a library there are no official images");
}

#[test]
fn what_is_written_goes_before_the_well_known() {
    let text = "well_known_upstreams = true\n[[upstream]]\nname = \"hub\"\nurl = \"https://mirror.example\"\n\
                ns = [\"Docker.io\"]\ndefault = true\n[[upstream]]\nname = \"quay.io\"\ntag_ttl = \"1h\"\n";
    let settings = parse(text).unwrap();
    assert_eq!(settings.upstreams.len(), 9);
    assert_eq!(settings.upstreams[0].ns, ["docker.io"]);
    assert_eq!(settings.upstreams[1].urls[0].as_str(), "https://quay.io/");
    let hub = settings.upstreams.iter().find(|upstream| upstream.name.as_str() == "docker.io").unwrap();
    assert_eq!(hub.ns, ["index.docker.io", "registry-1.docker.io"]);
    assert_eq!(hub.default, DefaultFor::None);
}

#[test]
fn no_upstream_at_all_can_be_said() {
    assert!(parse("well_known_upstreams = false\n").unwrap().upstreams.is_empty());
}

#[test]
fn names_may_begin_with_each_other() {
    let text = "[[upstream]]\nname = \"team\"\nurl = \"https://a\"\n[[upstream]]\nname = \"team/mirror\"\nurl = \"https://b\"\n";
    let settings = parse(text).unwrap();
    assert_eq!(settings.upstreams[0].ns, ["team"]);
    // A path is no host.
    assert!(settings.upstreams[1].ns.is_empty());
}

#[test]
fn windows_may_be_off() {
    let text = "[[upstream]]\nname = \"a\"\nurl = \"https://a\"\ntag_ttl = \"0s\"\nstale_if_error = \"0s\"\n\
                on_not_found = \"keep\"\n[admin]\nlisten = []\n";
    let settings = parse(text).unwrap();
    assert!(settings.upstreams[0].tag_ttl.is_zero());
    assert_eq!(settings.upstreams[0].on_not_found, OnNotFound::Keep);
    assert!(settings.admin.listen.is_empty());
}

#[test]
fn listeners_with_tls_and_files_beside_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let (pem, key) = certificate();
    std::fs::write(folder.path().join("cert.pem"), pem).unwrap();
    std::fs::write(folder.path().join("key.pem"), key).unwrap();
    std::fs::write(folder.path().join("password"), "hunter2\r\n").unwrap();
    let text = r#"
listen = ["127.0.0.1:0", { address = "[::1]:0", tls = { certificate = "cert.pem", key = "key.pem", client_ca = "cert.pem" } }]
data = "kept"
[[upstream]]
name = "a"
url = ["https://a", "http://b:5000"]
username = "me"
password_file = "password"
client_certificate = "cert.pem"
client_key = "key.pem"
[[upstream]]
name = "b"
url = "https://b"
credential_helper = { command = ["docker-credential-x", "-v"] }
"#;
    let settings = load_in(folder.path(), text, &[]).unwrap();
    let tls = settings.listen[1].tls.as_ref().unwrap();
    assert_eq!(tls.certificate, folder.path().join("cert.pem"));
    assert_eq!(settings.data, folder.path().join("kept"));
    let Credential::Basic { password, .. } = &settings.upstreams[0].credential else { panic!() };
    assert_eq!(password.expose(), "hunter2");
    let helper = Credential::Helper {
        command: vec!["docker-credential-x".to_owned(), "-v".to_owned()],
        lifetime: Duration::from_secs(3600),
    };
    assert_eq!(settings.upstreams[1].credential, helper);
}

#[test]
fn one_upstream_made_by_hand_has_the_defaults() {
    let made = UpstreamSettings::new(UpstreamName::new("ghcr.io"), "https://ghcr.io".parse().unwrap()).unwrap();
    let settings = load(None, std::iter::empty()).unwrap();
    assert_eq!(made, settings.upstreams[1]);
}

#[test]
fn every_default_of_the_tables_of_keys_is_a_value() {
    for section in SECTIONS {
        for key in section.keys {
            assert!(!key.meaning.is_empty(), "{}.{}", section.name, key.name);
            if let Fallback::Value(_) = key.fallback {
                assert!(key.usual_value().is_some(), "{}.{}", section.name, key.name);
            }
        }
        assert!(no_key_twice(section), "{}", section.name);
    }
}

fn no_key_twice(section: &Section) -> bool {
    let mut names: Vec<_> = section.keys.iter().map(|key| key.name).collect();
    names.sort_unstable();
    names.windows(2).all(|pair| pair[0] != pair[1])
}

#[test]
fn every_example_loads() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("config");
    let mut count = 0;
    for entry in std::fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "toml") {
            if let Err(errors) = load(Some(&path), std::iter::empty()) {
                panic!("{errors}");
            }
            count += 1;
        }
    }
    assert!(count >= 3, "{count} examples in {}", folder.display());
}
