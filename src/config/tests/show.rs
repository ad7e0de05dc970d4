//! Settings written out again.

use super::super::{Settings, load};
use super::{certificate, load_in, parse};

#[track_caller]
fn reads_back(settings: &Settings) {
    // Whoever saves it as a file has to write the secrets.
    let text = settings.to_toml().unwrap().replace("(secret)", "hidden");
    let again = parse(&text).unwrap_or_else(|errors| panic!("{errors}\n{text}"));
    assert_eq!(&again, settings, "{text}");
}

#[test]
fn the_defaults_read_back() {
    let settings = load(None, std::iter::empty()).unwrap();
    reads_back(&settings);
    let json: serde_json::Value = serde_json::from_str(&settings.to_json().unwrap()).unwrap();
    assert_eq!(json["cache"]["disk"], "50GiB");
    assert_eq!(json["upstream"][0]["name"], "docker.io");
}

#[test]
fn everything_reads_back_but_secrets() {
    let folder = tempfile::tempdir().unwrap();
    let (pem, key) = certificate();
    std::fs::write(folder.path().join("c"), pem).unwrap();
    std::fs::write(folder.path().join("k"), key).unwrap();
    std::fs::write(folder.path().join("j"), "{}").unwrap();
    let text = r#"
listen = ["127.0.0.1:0", { address = "0.0.0.0:0", push = true, redirect = true, proxy_protocol = true }, { address = "[::1]:0", tls = { certificate = "c", key = "k" } }]
[http]
idle_timeout = "1500ms"
trusted_proxies = ["10.0.0.0/8", "fd00::1"]
hosts = ["registry.example"]
[cache]
disk = 12345
[hosted]
grace = "90m"
tag_mutability = "immutable"
tag_mutability_except = ["latest"]
[storage]
kind = "s3"
bucket = "b"
endpoint = "http://127.0.0.1:9000/"
access_key_id = "id"
secret_access_key = "hidden"
encryption = "kms"
kms_key_id = "k"
[meta]
url = "postgres://hidden"
[log]
level = "off"
format = "json"
[[upstream]]
name = "docker.io"
library = ""
default = false
username = "me"
accounts = ["*"]
password = "hidden"
ca = "c"
client_certificate = "c"
client_key = "k"
[[upstream]]
name = "b"
url = ["https://b/path", "http://[::1]:5000"]
credential_helper = { command = ["x", "y"], lifetime = "90s" }
on_not_found = "keep"
[[upstream]]
name = "c/d"
url = "https://c"
docker_config = "j"
"#;
    reads_back(&load_in(folder.path(), text, &[]).unwrap());
    reads_back(&parse("well_known_upstreams = false\n").unwrap());
}

#[test]
fn secrets_are_not_shown() {
    let text = "[[upstream]]\nname = \"a\"\nurl = \"https://a\"\nusername = \"me\"\npassword = \"hunter2\"\n";
    let settings = parse(text).unwrap();
    for shown in [settings.to_toml().unwrap(), settings.to_json().unwrap(), format!("{settings:?}")] {
        assert!(shown.contains("(secret)") && !shown.contains("hunter2"), "{shown}");
    }
}
