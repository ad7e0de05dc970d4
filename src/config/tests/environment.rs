//! Variables over files.

use super::super::{Credential, Settings, Source, load};
use super::{load_in, variables};

fn of(pairs: &[(&str, &str)]) -> Settings {
    load(None, variables(pairs)).unwrap_or_else(|errors| panic!("{errors}"))
}

#[track_caller]
fn refused(pairs: &[(&str, &str)], expected: &[&str]) {
    let errors = load(None, variables(pairs)).expect_err("the environment is wrong");
    assert_eq!(errors.to_string().lines().collect::<Vec<_>>(), expected);
}

#[test]
fn keys_of_every_kind() {
    let settings = of(&[
        ("ENTREPOT_LISTEN", "127.0.0.1:1, [::1]:2"),
        ("ENTREPOT_DATA", "kept"),
        ("ENTREPOT_CACHE__DISK", "10GiB"),
        ("ENTREPOT_CACHE__MEMORY", "1048576"),
        ("ENTREPOT_CACHE__STAGING_TTL", "1h"),
        ("ENTREPOT_CACHE__FILL_ATTEMPTS", "7"),
        ("ENTREPOT_LOG__ACCESS", "false"),
        ("ENTREPOT_LOG__LEVEL", "debug"),
        ("ENTREPOT_ADMIN__LISTEN", ""),
        ("HOME", "/root"),
    ]);
    assert_eq!(settings.listen.len(), 2);
    assert_eq!(settings.data.to_str(), Some("kept"));
    assert_eq!((settings.cache.disk, settings.cache.memory, settings.cache.fill_attempts), (10 << 30, 1 << 20, 7));
    assert!(!settings.telemetry.access && settings.admin.listen.is_empty());
    assert_eq!(settings.upstreams.len(), 8);
}

#[test]
fn a_variable_goes_before_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let text = "[cache]\ndisk = \"1GiB\"\nmemory = \"nonsense\"\n";
    let pairs = [("ENTREPOT_CACHE__DISK", "2GiB"), ("ENTREPOT_CACHE__MEMORY", "1MiB")];
    assert_eq!(load_in(folder.path(), text, &pairs).unwrap().cache.disk, 2 << 30);
}

#[test]
fn the_file_itself_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("entrepot.toml");
    std::fs::write(&file, "data = \"/there\"\n").unwrap();
    let source = Source::new(None, variables(&[("ENTREPOT_CONFIG", file.to_str().unwrap())]));
    assert_eq!(source.file(), Some(file.as_path()));
    assert_eq!(source.load().unwrap().data.to_str(), Some("/there"));
    let none = Source::new(None, variables(&[("ENTREPOT_CONFIG", "")]));
    assert_eq!(none.file(), None);
}

#[test]
fn a_well_known_upstream_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let secret = folder.path().join("secret");
    std::fs::write(&secret, "hunter2\n").unwrap();
    let settings = of(&[
        ("ENTREPOT_UPSTREAM__DOCKER_IO__USERNAME", "me"),
        ("ENTREPOT_UPSTREAM__DOCKER_IO__PASSWORD_FILE", secret.to_str().unwrap()),
        ("ENTREPOT_UPSTREAM__QUAY_IO__URL", "https://one.example,https://two.example"),
    ]);
    assert_eq!(settings.upstreams.len(), 8);
    let Credential::Basic { username, password } = &settings.upstreams[0].credential else { panic!() };
    assert_eq!((username.as_str(), password.expose()), ("me", "hunter2"));
    assert_eq!(settings.upstreams[2].urls.len(), 2);
}

#[test]
fn upstreams_by_number_and_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let text = "[[upstream]]\nname = \"team/mirror\"\nurl = \"https://a\"\n[[upstream]]\nname = \"team\"\nurl = \"https://b\"\n";
    let settings = load_in(
        folder.path(),
        text,
        &[
            ("ENTREPOT_UPSTREAM__0__URL", "https://c"),
            ("ENTREPOT_UPSTREAM__TEAM__MAX_FETCHES", "3"),
            ("ENTREPOT_UPSTREAM__TEAM_MIRROR__MAX_FETCHES", "4"),
            ("ENTREPOT_UPSTREAM__2__NAME", "third"),
            ("ENTREPOT_UPSTREAM__2__URL", "https://d"),
            ("ENTREPOT_UPSTREAM__THIRD__CREDENTIAL_HELPER__COMMAND", "docker-credential-x,-v"),
        ],
    )
    .unwrap();
    let [mirror, team, third] = settings.upstreams.as_slice() else { panic!("{:?}", settings.upstreams) };
    assert_eq!((mirror.urls[0].as_str(), mirror.max_fetches, team.max_fetches), ("https://c/", 4, 3));
    assert!(matches!(&third.credential, Credential::Helper { command, .. } if command.len() == 2));
}

#[test]
fn an_upstream_by_number_takes_the_place_of_the_well_known() {
    let settings = of(&[("ENTREPOT_UPSTREAM__0__NAME", "ghcr.io")]);
    let [only] = settings.upstreams.as_slice() else { panic!("{:?}", settings.upstreams) };
    assert_eq!(only.urls[0].as_str(), "https://ghcr.io/");
    assert_eq!(
        of(&[("ENTREPOT_UPSTREAM__0__NAME", "ghcr.io"), ("ENTREPOT_WELL_KNOWN_UPSTREAMS", "true")]).upstreams.len(),
        8
    );
}

#[test]
fn eleven_upstreams_by_number() {
    let pairs: Vec<(String, String)> = (0..11)
        .flat_map(|n| {
            let key = |key: &str| format!("ENTREPOT_UPSTREAM__{n}__{key}");
            [(key("NAME"), format!("u{n}")), (key("URL"), format!("https://u{n}"))]
        })
        .collect();
    let settings = load(None, pairs.into_iter()).unwrap();
    assert_eq!(settings.upstreams[10].name.as_str(), "u10");
}

#[test]
fn a_password_of_the_environment_takes_the_place_of_the_files() {
    let folder = tempfile::tempdir().unwrap();
    let text = "[[upstream]]\nname = \"a\"\nurl = \"https://a\"\nusername = \"me\"\npassword_file = \"none\"\n\
                [[upstream]]\nname = \"b\"\nurl = \"https://b\"\ndocker_config = \"none\"\n";
    let pairs = [
        ("ENTREPOT_UPSTREAM__A__PASSWORD", "hunter2"),
        ("ENTREPOT_UPSTREAM__B__USERNAME", "you"),
        ("ENTREPOT_UPSTREAM__B__PASSWORD_ENV", "ENTREPOT_OWN"),
        ("ENTREPOT_OWN", "hunter3"),
    ];
    let settings = load_in(folder.path(), text, &pairs).unwrap();
    let passwords: Vec<_> = settings
        .upstreams
        .iter()
        .map(|upstream| match &upstream.credential {
            Credential::Basic { username, password } => (username.as_str(), password.expose()),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(passwords, [("me", "hunter2"), ("you", "hunter3")]);
}

#[test]
fn listeners_by_number() {
    let folder = tempfile::tempdir().unwrap();
    let (pem, key) = super::certificate();
    std::fs::write(folder.path().join("c"), pem).unwrap();
    std::fs::write(folder.path().join("k"), key).unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let settings = of(&[
        ("ENTREPOT_LISTEN", "127.0.0.1:0"),
        ("ENTREPOT_LISTEN__0__TLS__CERTIFICATE", &path("c")),
        ("ENTREPOT_LISTEN__0__TLS__KEY", &path("k")),
        ("ENTREPOT_LISTEN__1__ADDRESS", "127.0.0.1:9"),
    ]);
    assert!(settings.listen[0].tls.is_some() && settings.listen[1].tls.is_none());
}

#[test]
fn what_is_wrong_names_the_variable() {
    refused(
        &[
            ("ENTREPOT_CACHE_DISK", "1GiB"),
            ("ENTREPOT_CACHE__DISK", "lots"),
            ("ENTREPOT_CACHE", "1GiB"),
            ("ENTREPOT_HTTP__IDLE_TIMEOUT", "60"),
            ("ENTREPOT_LISTEN", "127.0.0.1"),
            ("ENTREPOT_CONFGI", "a"),
            ("ENTREPOT_NONSENSE", ""),
            ("ENTREPOT_X", ""),
            ("ENTREPOT_UPSTREAM__5__URL", "https://a"),
            ("ENTREPOT_UPSTREAM__DOCKER_IO__PASWORD", "hunter2"),
            ("ENTREPOT_UPSTREAM__HARBOR_EXAMPLE_ORG__URL", "https://a"),
        ],
        &[
            "ENTREPOT_CACHE: is a whole table; set its keys one by one: ENTREPOT_CACHE__...",
            "ENTREPOT_CACHE_DISK: is not a setting; did you mean ENTREPOT_CACHE__DISK?",
            "ENTREPOT_CACHE__DISK: cache.disk: \"lots\" is not a size: write whole bytes, or a whole number with a unit, \
             such as \"50GiB\"",
            "ENTREPOT_CONFGI: is not a setting; did you mean ENTREPOT_CONFIG?",
            "ENTREPOT_HTTP__IDLE_TIMEOUT: http.idle_timeout: \"60\" has no unit: write \"60s\" for seconds; the units are \
             ms, s, m, h and d",
            "ENTREPOT_LISTEN: listen[0]: \"127.0.0.1\" is not an address to listen on: the port is missing: write for \
             instance \"127.0.0.1:5000\"",
            "ENTREPOT_NONSENSE: is not a setting; remove it, or see docs/configuration.md for the names",
            "ENTREPOT_UPSTREAM__5__URL: there are 0 before it: the next number is 0",
            "ENTREPOT_UPSTREAM__DOCKER_IO__PASWORD: is not a setting; did you mean \
             ENTREPOT_UPSTREAM__DOCKER_IO__PASSWORD?",
            "ENTREPOT_UPSTREAM__HARBOR_EXAMPLE_ORG__URL: is not a setting; upstreams are named DOCKER_IO, GHCR_IO, \
             QUAY_IO, REGISTRY_K8S_IO, PUBLIC_ECR_AWS, GCR_IO, MCR_MICROSOFT_COM, REGISTRY_GITLAB_COM",
            "ENTREPOT_X: is not a setting; remove it, or see docs/configuration.md for the names",
        ],
    );
}

#[test]
fn two_upstreams_of_one_variable_name() {
    let folder = tempfile::tempdir().unwrap();
    let text = "[[upstream]]\nname = \"a.b\"\nurl = \"https://a\"\n[[upstream]]\nname = \"a-b\"\nurl = \"https://b\"\n";
    assert!(load_in(folder.path(), text, &[]).is_ok());
    let errors = load_in(folder.path(), text, &[("ENTREPOT_UPSTREAM__A_B__LIBRARY", "x")]).unwrap_err();
    assert_eq!(errors.to_string(), "ENTREPOT_UPSTREAM__A_B__LIBRARY: fits several upstreams: name it by its number");
}

/// A Kubernetes Service called `entrepot` puts these into every pod of its namespace.
#[test]
fn variables_of_kubernetes_services_are_no_settings() {
    of(&[
        ("ENTREPOT_SERVICE_HOST", "10.0.0.1"),
        ("ENTREPOT_SERVICE_PORT", "5000"),
        ("ENTREPOT_SERVICE_PORT_HTTP", "5000"),
        ("ENTREPOT_PORT", "tcp://10.0.0.1:5000"),
        ("ENTREPOT_PORT_5000_TCP", "tcp://10.0.0.1:5000"),
        ("ENTREPOT_PORT_5000_TCP_PROTO", "tcp"),
        ("ENTREPOT_PORT_5000_TCP_PORT", "5000"),
        ("ENTREPOT_PORT_5000_TCP_ADDR", "10.0.0.1"),
        ("ENTREPOT_ADMIN_SERVICE_HOST", "10.0.0.2"),
        ("ENTREPOT_ADMIN_PORT_5001_TCP", "tcp://10.0.0.2:5001"),
        // `cargo run` sets what the build script has set.
        ("ENTREPOT_COMMIT", "0123456789ab"),
    ]);
}
