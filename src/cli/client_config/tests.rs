use clap::ValueEnum;
use reqwest::Url;

use super::*;
use crate::cli::arguments::Output;
use crate::config::parse;

const UPSTREAMS: &str = r#"
listen = "0.0.0.0:5000"
[[upstream]]
name = "docker.io"
[[upstream]]
name = "quay"
ns = ["quay.io", "quay.example:5000"]
url = "http://quay.example:5000"
[[upstream]]
name = "team/mirror"
url = "https://a.example"
"#;

fn made(client: Client, url: Option<&str>) -> Guide {
    let url: Option<Url> = url.map(|url| url.parse().unwrap());
    guide(client, &Service::new(&parse(UPSTREAMS).unwrap(), url.as_ref()).unwrap())
}

#[test]
fn containerd_gets_a_file_per_host() {
    let guide = made(Client::Containerd, None);
    let paths: Vec<_> = guide.files.iter().map(|file| file.path.as_str()).collect();
    assert_eq!(
        paths,
        [
            "/etc/containerd/certs.d/docker.io/hosts.toml",
            "/etc/containerd/certs.d/quay.io/hosts.toml",
            "/etc/containerd/certs.d/quay.example:5000/hosts.toml"
        ]
    );
    let hosts: Vec<toml::Table> = guide.files.iter().map(|file| file.content.parse().unwrap()).collect();
    assert_eq!(hosts[0]["server"].as_str(), Some("https://registry-1.docker.io"));
    assert_eq!(hosts[1]["server"].as_str(), Some("https://quay.io"));
    assert_eq!(hosts[2]["server"].as_str(), Some("http://quay.example:5000"));
    assert_eq!(hosts[0]["host"]["http://127.0.0.1:5000"]["dial_timeout"].as_str(), Some("1s"));
    assert!(guide.to_text().contains("127.0.0.1:5000/team/mirror/..."));
}

#[test]
fn docker_gets_json_and_a_word_about_plain_http() {
    let local: serde_json::Value = serde_json::from_str(&made(Client::Docker, None).files[0].content).unwrap();
    assert_eq!(local, serde_json::json!({ "registry-mirrors": ["http://127.0.0.1:5000"] }));
    let guide = made(Client::Docker, Some("http://cache.example:5000/"));
    let remote: serde_json::Value = serde_json::from_str(&guide.files[0].content).unwrap();
    assert_eq!(remote["registry-mirrors"][0], "http://cache.example:5000");
    assert_eq!(remote["insecure-registries"][0], "cache.example:5000");
    assert!(guide.to_text().contains("docker pull cache.example:5000/quay/<image>"));
    assert!(!guide.to_text().contains("Take care"));
}

#[test]
fn docker_is_warned_where_the_default_is_not_docker_hub() {
    let warned = |text: &str| {
        let service = Service::new(&parse(text).unwrap(), None).unwrap();
        guide(Client::Docker, &service).to_text().contains("Take care")
    };
    assert!(warned("[[upstream]]\nname = \"quay.io\"\n"));
    assert!(warned("[[upstream]]\nname = \"quay.io\"\ndefault = true\n"));
    assert!(!warned(""));
}

#[test]
fn podman_gets_toml_with_prefixes() {
    let guide = made(Client::Podman, None);
    let table: toml::Table = guide.files[0].content.parse().unwrap();
    let registries = table["registry"].as_array().unwrap();
    assert_eq!(registries.len(), 3);
    assert_eq!(registries[1]["prefix"].as_str(), Some("quay.io"));
    assert_eq!(registries[1]["mirror"][0]["location"].as_str(), Some("127.0.0.1:5000/quay"));
    assert_eq!(registries[1]["mirror"][0]["insecure"].as_bool(), Some(true));
    let secure = made(Client::Podman, Some("https://cache.example"));
    assert!(!secure.files[0].content.contains("insecure"));
    assert!(secure.files[0].content.contains("location = \"cache.example/docker.io\""));
}

#[test]
fn buildkit_gets_toml_with_hosts() {
    let table: toml::Table = made(Client::Buildkit, None).files[0].content.parse().unwrap();
    assert_eq!(table["registry"]["docker.io"]["mirrors"][0].as_str(), Some("127.0.0.1:5000"));
    assert_eq!(table["registry"]["127.0.0.1:5000"]["http"].as_bool(), Some(true));
}

#[test]
fn k3s_and_talos_get_yaml() {
    assert_eq!(
        made(Client::K3s, None).files[0].content.lines().take(4).collect::<Vec<_>>(),
        ["mirrors:", "  \"docker.io\":", "    endpoint:", "      - \"http://127.0.0.1:5000\""]
    );
    let talos = made(Client::Talos, Some("http://10.5.0.1:5000"));
    let first = "apiVersion: v1alpha1\nkind: RegistryMirrorConfig\nname: \"docker.io\"\nendpoints:\n  \
                 - url: \"http://10.5.0.1:5000\"\n---\n";
    assert!(talos.files[0].content.starts_with(first));
}

#[test]
fn every_client_explains_and_becomes_json() {
    for client in [Client::Containerd, Client::Docker, Client::Podman, Client::Buildkit, Client::K3s, Client::Talos] {
        let guide = made(client, None);
        assert_eq!(guide.client, client.to_possible_value().unwrap().get_name());
        assert!(guide.to_text().starts_with("# "));
        let json: serde_json::Value = serde_json::from_str(&output::json(&guide).unwrap()).unwrap();
        assert!(json["files"][0]["content"].as_str().is_some_and(|content| !content.is_empty()));
    }
}

const CLIENTS: [Client; 6] =
    [Client::Containerd, Client::Docker, Client::Podman, Client::Buildkit, Client::K3s, Client::Talos];

fn text(config: &str, client: Client) -> String {
    guide(client, &Service::new(&parse(config).unwrap(), None).unwrap()).to_text()
}

/// A site that imports its images: clients ask the service for them and nothing else.
#[test]
fn nh2_an_offline_upstream_has_files() {
    let site = "listen = \"10.0.0.1:5000\"\n[[upstream]]\nname = \"docker.io\"\noffline = true\n\
                [[upstream]]\nname = \"registry.example\"\noffline = true\n";
    for client in CLIENTS {
        let text = text(site, client);
        assert!(text.contains("10.0.0.1:5000"), "{client:?} {text}");
        assert!(
            !text.contains("registry-1.docker.io") && !text.contains("https://registry.example"),
            "{client:?} {text}"
        );
    }
    let podman: toml::Table = text(site, Client::Podman).parse().unwrap();
    assert_eq!(podman["registry"][0]["location"].as_str(), Some("10.0.0.1:5000/docker.io"));
    assert_eq!(podman["registry"][0]["insecure"].as_bool(), Some(true));
    assert!(podman["registry"][0].get("mirror").is_none());
    assert!(!text(site, Client::Docker).contains("Take care"));
}

#[test]
fn nh2_nothing_to_print_is_a_failure() {
    for config in
        ["well_known_upstreams = false\n", "[[upstream]]\nname = \"team/mirror\"\nurl = \"https://a.example\"\n"]
    {
        let Err(failure) = Service::new(&parse(config).unwrap(), None) else { panic!("{config}") };
        assert!(failure.exit_code() != 0 && failure.to_string().contains("offline = true"), "{failure}");
    }
}

/// A client that is refused goes past its mirror in silence, so it is told what the service wants.
#[test]
fn nm1_clients_are_told_of_logins_and_certificates() {
    let login = format!("{UPSTREAMS}[auth]\nrequired = true\n");
    for (client, says) in [
        (Client::Containerd, "Authorization = [\"Basic BASE64\"]"),
        (Client::Docker, "Docker sends no credentials to a mirror"),
        (Client::Podman, "podman login 127.0.0.1:5000"),
        (Client::Buildkit, "docker login 127.0.0.1:5000"),
        (Client::K3s, "#       password: PASSWORD"),
        (Client::Talos, "kind: RegistryAuthConfig"),
    ] {
        let told = text(&login, client);
        assert!(told.contains("wants a login") && told.contains(says), "{client:?} {told}");
        assert!(!text(UPSTREAMS, client).contains("wants a login"), "{client:?}");
    }
    // What is written is TOML with the lines as comments, and without them.
    let containerd = guide(Client::Containerd, &Service::new(&parse(&login).unwrap(), None).unwrap());
    let filled = containerd.files[0].content.replace("  # [", "[").replace("  #   A", "A");
    let filled: toml::Table = filled.parse().unwrap();
    let header = &filled["host"]["http://127.0.0.1:5000"]["header"]["Authorization"];
    assert_eq!(header[0].as_str(), Some("Basic BASE64"));
    // Of several listeners it is the one of the URL that counts.
    let two = "listen = [{ address = \"0.0.0.0:5000\", auth = \"open\" }, { address = \"0.0.0.0:6000\", auth = \"required\" }]\n";
    let wants = |url: &str| {
        let url: Url = url.parse().unwrap();
        Service::new(&parse(two).unwrap(), Some(&url)).unwrap().wanted.login
    };
    assert!(!wants("http://a.example:5000") && wants("http://a.example:6000") && !wants("https://a.example"));
}

#[test]
fn a_url_with_more_than_a_host_is_refused() {
    for bad in ["http://a/path", "ftp://a", "http://me@a", "http://a?x"] {
        let url: Url = bad.parse().unwrap();
        let Err(failure) = Service::new(&parse("").unwrap(), Some(&url)) else { panic!("{bad}") };
        assert_eq!(failure.exit_code(), 2);
    }
}

/// `entrepot client-config containerd --root FOLDER`, with more.
fn below(root: &std::path::Path, url: Option<&str>, more: impl FnOnce(&mut ClientConfig)) -> Result<String, Failure> {
    let mut wanted = ClientConfig {
        client: Client::Containerd,
        url: url.map(|url| url.parse().unwrap()),
        root: Some(root.to_owned()),
        force: false,
        if_free: false,
        remove: false,
        output: Output { format: Format::Text },
    };
    more(&mut wanted);
    run(&Source::new(None, std::iter::empty()), &wanted)
}

#[test]
fn files_are_written_below_a_folder_and_not_over_others() {
    let folder = tempfile::tempdir().unwrap();
    let write = |force| below(folder.path(), None, |wanted| wanted.force = force);
    assert_eq!(write(false).unwrap().lines().count(), 8);
    assert!(write(false).is_ok(), "the same content again is no conflict");
    let hosts = folder.path().join("etc/containerd/certs.d/quay.io/hosts.toml");
    std::fs::write(&hosts, "mine").unwrap();
    assert!(write(false).unwrap_err().to_string().contains("--force"));
    assert_eq!(std::fs::read_to_string(&hosts).unwrap(), "mine");
    write(true).unwrap();
    assert!(std::fs::read_to_string(&hosts).unwrap().contains("https://quay.io"));
}

/// What another program would be asked for is written only once nobody listens there.
#[test]
fn nm12_nothing_is_written_while_another_has_the_port() {
    let folder = tempfile::tempdir().unwrap();
    for address in ["127.0.0.1:0", "0.0.0.0:0"] {
        let other = std::net::TcpListener::bind(address).unwrap();
        let url = format!("http://127.0.0.1:{}", other.local_addr().unwrap().port());
        let write = || below(folder.path(), Some(&url), |wanted| wanted.if_free = true);
        let said = write().unwrap_err().to_string();
        assert!(said.contains("another program listens at") && said.contains(&url), "{said}");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
        drop(other);
        assert_eq!(write().unwrap().lines().count(), 8);
        std::fs::remove_dir_all(folder.path().join("etc")).unwrap();
    }
    let foreign = below(folder.path(), Some("http://192.0.2.1:5000"), |wanted| wanted.if_free = true);
    assert!(foreign.unwrap_err().to_string().contains("will serve there"));
}

/// A node is as it was; what somebody has changed is left and told.
#[test]
fn nm13_what_was_written_is_removed_again() {
    let folder = tempfile::tempdir().unwrap();
    let certificates = folder.path().join("etc/containerd/certs.d");
    let remove = |force| {
        below(folder.path(), None, |wanted| {
            wanted.remove = true;
            wanted.force = force;
        })
    };
    assert_eq!(remove(false).unwrap(), "nothing was there\n");
    below(folder.path(), None, |_| ()).unwrap();
    std::fs::write(certificates.join("quay.io/hosts.toml"), "mine").unwrap();
    std::fs::write(certificates.join("gcr.io/ca.pem"), "mine, too").unwrap();
    std::fs::create_dir(certificates.join("other.example")).unwrap();
    let said = remove(false).unwrap_err().to_string();
    assert!(said.contains("quay.io/hosts.toml") && said.contains("--force") && !said.contains("docker.io"), "{said}");
    let left = || {
        let names = std::fs::read_dir(&certificates).unwrap().map(|it| it.unwrap().file_name().into_string().unwrap());
        names.collect::<std::collections::BTreeSet<_>>()
    };
    assert_eq!(left(), ["gcr.io", "other.example", "quay.io"].map(str::to_owned).into());
    assert_eq!(remove(true).unwrap().lines().count(), 1);
    assert_eq!(left(), ["gcr.io", "other.example"].map(str::to_owned).into());
    assert_eq!(std::fs::read_dir(certificates.join("gcr.io")).unwrap().count(), 1);
}
