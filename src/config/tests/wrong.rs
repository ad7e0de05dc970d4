//! Files that are refused: what is said, and of which line.

use super::super::reading::Shape;
use super::super::settings::SECTIONS;
use super::{certificate, load_in, parse};

/// Every problem of `text`, a line each, without the name of the file.
fn problems(text: &str) -> Vec<String> {
    let errors = parse(text).expect_err(text);
    errors.to_string().lines().map(|line| line.trim_start_matches("configuration:").to_owned()).collect()
}

#[track_caller]
fn refused(text: &str, expected: &[&str]) {
    assert_eq!(problems(text), expected, "{text}");
}

/// An upstream, and below it the lines that are tried. They begin on line 4.
#[track_caller]
fn upstream_refused(lines: &str, expected: &[&str]) {
    refused(&format!("[[upstream]]\nname = \"a\"\nurl = \"https://a.example\"\n{lines}\n"), expected);
}

#[test]
fn d4_a_policy_that_is_none_is_told_with_its_neighbour() {
    let errors = parse("[[user]]\nname = \"ci\"\npolicies = [\"PowerUsers\"]\n").unwrap_err().to_string();
    assert!(errors.contains("PowerUsers is none of Administrator, FullAccess, PowerUser"), "{errors}");
    assert!(errors.contains("there is no file PowerUsers; did you mean PowerUser?"), "{errors}");
}

/// The output of `config show`, saved as a file, has no secrets: the word in their place is none.
#[test]
fn d4_the_word_for_a_secret_is_no_secret() {
    for text in [
        "[[upstream]]\nname = \"docker.io\"\nusername = \"me\"\npassword = \"(secret)\"\n",
        "[[user]]\nname = \"ci\"\npassword = \"(secret)\"\n",
        "[meta]\nurl = \"postgres://(secret)\"\n",
    ] {
        let errors = parse(text).unwrap_err().to_string();
        assert!(errors.contains("`config show` prints in place of a secret"), "{errors}");
    }
}

#[test]
fn everything_at_once() {
    refused(
        r#"
listen = ["localhost:5000", ":5000"]
colour = "blue"

[cache]
memory = "64 megs"
dsik = "1GiB"
disk = 10.5
staging_ttl = 60

[[upstream]]
name = "a"
url = "https://me:hunter2@a.example"

[[upstream]]
name = "a"
"#,
        &[
            r#"2:11: listen[0]: "localhost:5000" is not an address to listen on: did you mean "127.0.0.1:5000"?"#,
            r#"2:29: listen[1]: ":5000" is not an address to listen on: did you mean "0.0.0.0:5000" or "[::]:5000"?"#,
            "3:1: colour: is not a key; the keys here are listen, data, well_known_upstreams, http, admin, cache, hosted, storage, meta, metering, rules, auth, account, repository, user, role, oidc, certificate, log, \
             upstream",
            r#"6:10: cache.memory: "64 megs" has an unknown unit "megs": the units are B, kB, MB, GB, TB, KiB, MiB, GiB and TiB"#,
            "7:1: cache.dsik: is not a key; did you mean `disk`?",
            "8:8: cache.disk: is a fraction where a size such as \"50GiB\", or a whole number of bytes is needed",
            "9:15: cache.staging_ttl: 60 has no unit: write \"60s\" for seconds",
            "13:7: upstream[0].url: the URL carries credentials: take them out and write `username` and `password_file` \
             instead",
            "15:1: upstream[1].url: is missing: write the registry's base URL, such as \"https://registry.example\"",
            "16:1: upstream[1].name: \"a\" is the name of another upstream, too (line 12)",
        ],
    );
}

#[test]
fn malformed_toml_is_told_with_what_else_is_wrong() {
    refused(
        "listen = [\"127.0.0.1:5000\"]\n[cache]\nmemory = 1\nmemory = 2\ndisk = \"1 Gib\"\n",
        &[
            "4:1: is not TOML here: duplicate key",
            "5:8: cache.disk: \"1 Gib\" has an unknown unit \"Gib\": did you mean \"1GiB\"?",
        ],
    );
    // Where the structure is broken, what values mean would be a guess.
    let found = problems("data = /var\n[cache]\ndisk = \"1 Gib\"\nmemory = \"\n");
    assert_eq!(found.len(), 2, "{found:#?}");
    assert!(found[0].starts_with("1:8: is not TOML here: "), "{found:#?}");
    assert!(found[1].starts_with("4:1"), "{found:#?}");
}

#[test]
fn keys_in_the_wrong_table() {
    refused(
        "[cache]\nlisten = [\"127.0.0.1:1\"]\ntag_ttl = \"1s\"\n[admin]\nfill_attempts = 2\n[kache]\n",
        &[
            "2:1: cache.listen: is not a key here; it belongs above the first table of the file",
            "3:1: cache.tag_ttl: is not a key here; it belongs into [[upstream]]",
            "5:1: admin.fill_attempts: is not a key here; it belongs into [cache]",
            "6:2: kache: is not a key; did you mean `cache`?",
        ],
    );
    refused(
        "cache = 5\n[upstream]\nname = \"a\"\n",
        &[
            "1:9: cache: is a number where a table is needed",
            "2:2: upstream: is one table where a list is needed: write [[upstream]], with two brackets",
        ],
    );
    refused("upstream = [3]\n", &["1:13: upstream[0]: is a number where a table is needed"]);
}

#[test]
fn values_out_of_range() {
    refused(
        "[cache]\ndisk = 0\nmemory = -1\nfill_attempts = 0\n[http]\nidle_timeout = \"0s\"\nheader_timeout = \"2d\"\n\
         max_header_bytes = \"4KiB\"\nmax_connections = \"many\"\n[log]\nlevel = \"loud\"\naccess = \"yes\"\n",
        &[
            "2:8: cache.disk: must be at least 1B",
            "3:10: cache.memory: -1 is less than nothing",
            "4:17: cache.fill_attempts: 0 is not between 1 and 100",
            "6:16: http.idle_timeout: must be more than zero",
            "7:18: http.header_timeout: must be at most \"24h\"",
            "8:20: http.max_header_bytes: must be at least 8KiB",
            "9:19: http.max_connections: is a text where a whole number is needed",
            "11:9: log.level: \"loud\" is not one of off, error, warn, info, debug, trace",
            "12:10: log.access: \"yes\" is neither true nor false",
        ],
    );
    refused(
        "[cache]\nmemory = 99999999999999999999\n",
        &[
            "2:10: cache.memory: is a number that is too large where a size such as \"50GiB\", or a whole number of bytes is \
         needed",
        ],
    );
    upstream_refused(
        "tag_ttl = \"4000d\"\nmax_fetches = 0",
        &[
            "4:11: upstream[0].tag_ttl: must be at most \"3650d\"",
            "5:15: upstream[0].max_fetches: 0 is not between 1 and 10000",
        ],
    );
}

#[test]
fn objects_must_fit_into_memory() {
    refused(
        "[cache]\nmemory = \"1MiB\"\nmemory_object = \"2MiB\"\n",
        &["3:1: cache.memory_object: is larger than `memory`: an object must fit into it"],
    );
    let small = parse("[cache]\nmemory = \"100KiB\"\n").unwrap();
    assert_eq!(small.cache.memory_object, 100 << 10);
}

#[test]
fn addresses() {
    refused("listen = []\n", &["1:1: listen: is empty: at least one address is needed"]);
    refused("listen = [\"127.0.0.1:5\", \"127.0.0.1:5\"]\n", &["1:26: listen: 127.0.0.1:5 is listed twice"]);
    refused(
        "listen = \"0.0.0.0\"\n",
        &["1:10: listen[0]: \"0.0.0.0\" is not an address to listen on: the port is missing: write for instance \
         \"0.0.0.0:5000\""],
    );
    refused(
        "[admin]\nlisten = \"127.0.0.1:5000\"\n",
        &["2:1: admin.listen: 127.0.0.1:5000 is an address for clients, too; choose another port"],
    );
    refused(
        "listen = [{ address = \"127.0.0.1:0\", certificate = \"c\" }]\n",
        &["1:38: listen[0].certificate: is not a key here; it belongs into [listen.tls]"],
    );
    refused(
        "listen = [{ tls = {} }]\n",
        &[
            "1:11: listen[0].address: is missing: IP address and port, such as `\"0.0.0.0:5000\"`.",
            "1:19: listen[0].tls.certificate: is missing: The certificate that clients see, followed by its intermediate \
         authorities.",
            "1:19: listen[0].tls.key: is missing: The certificate's private key.",
        ],
    );
}

#[test]
fn names_hosts_and_urls() {
    refused(
        "[[upstream]]\nname = \"Team\"\nurl = \"https://a.example\"\n",
        &[
            "2:8: upstream[0].name: \"Team\" is not a repository name: components of lower-case letters and digits, joined \
         inside by '.', '_', '__' or dashes, separated by '/'",
        ],
    );
    refused(
        "[[upstream]]\nname = \"a.example:5000\"\nurl = \"https://a.example:5000\"\n",
        &[
            "2:8: upstream[0].name: \"a.example:5000\" cannot be a path prefix because of the colon: choose a name without, \
         and put the host with its port into `ns`",
        ],
    );
    refused(
        "[[upstream]]\nurl = [\"a.example\", \"ftp://a\", \"https://a/v2/\", \"https://a?b\"]\n",
        &[
            "1:1: upstream[0].name: is missing: The path prefix: `docker.io` is found at `/v2/docker.io/…`. A free name made \
         of repository name components; where one name is the beginning of another, the longest wins.",
            "2:8: upstream[0].url: \"a.example\" is not a URL: write the scheme too, such as \"https://a.example\"",
            "2:21: upstream[0].url: \"ftp://a\" is neither https nor http",
            "2:32: upstream[0].url: \"https://a/v2/\" ends in /v2: leave that out, it is added to every request",
            "2:49: upstream[0].url: the URL has a query or a fragment: write only scheme, host and path",
        ],
    );
    upstream_refused(
        "ns = [\"https://b\", \"b/c\"]\nrealms = [\"a b\"]\nlibrary = \"a/b\"",
        &[
            "4:7: upstream[0].ns: \"https://b\" is a URL where only a host is meant: leave out the scheme and the path",
            "4:20: upstream[0].ns: \"b/c\" has a path where only a host is meant, such as \"ghcr.io\"",
            "5:11: upstream[0].realms: \"a b\" is not a host: write for instance \"ghcr.io\" or \"registry.example:5000\"",
            "6:11: upstream[0].library: \"a/b\" has more than one component",
        ],
    );
}

#[test]
fn what_only_one_upstream_may_have() {
    upstream_refused(
        "default = true\n[[upstream]]\nname = \"b\"\nurl = \"https://b\"\nns = [\"A\", \"b\", \"b\"]\ndefault = true",
        &[
            "8:7: upstream[1].ns: \"a\" names an upstream already (line 2)",
            "8:17: upstream[1].ns: \"b\" names an upstream already (line 8)",
            "9:1: upstream[1].default: is set for another upstream, too (line 4)",
        ],
    );
}

#[test]
fn roles() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("trust.json"), "{}").unwrap();
    let file = folder.path().join("trust.json");
    let missing = folder.path().join("none.json");
    for (text, told) in [
        ("name = \"a\"".to_owned(), "role[0].trust: is missing"),
        (format!("name = \"a\"\ntrust = {missing:?}"), "role[0].trust: "),
        (format!("name = \"a/b\"\ntrust = {file:?}"), "role[0].name: "),
        (format!("name = \"a\"\naccount = \"1\"\ntrust = {file:?}"), "role[0].account: an account is named by twelve"),
        (format!("name = \"a\"\ntrust = {file:?}\npolicies = [{missing:?}]"), "role[0].policies: "),
        (
            format!("name = \"a\"\ntrust = {file:?}\n[[role]]\nname = \"a\"\ntrust = {file:?}"),
            "is the name of another role",
        ),
        // The account that is meant where none stands.
        (
            format!(
                "name = \"a\"\ntrust = {file:?}\n[[role]]\nname = \"a\"\naccount = \"000000000000\"\ntrust = {file:?}"
            ),
            "is the name of another role",
        ),
        (
            format!(
                "name = \"a\"\ntrust = {file:?}\n[[user]]\nname = \"b\"\n[[user]]\nname = \"b\"\naccount = \"000000000000\""
            ),
            "is the name of another user",
        ),
    ] {
        let errors = parse(&format!("[[role]]\n{text}\n")).unwrap_err().to_string();
        assert!(errors.contains(told), "{text}: {errors}");
    }
    let good =
        format!("[[role]]\nname = \"a\"\naccount = \"123456789012\"\ntrust = {file:?}\npolicies = [\"PullOnly\"]\n");
    let settings = parse(&good).unwrap();
    assert_eq!((settings.roles[0].trust.as_str(), settings.auth.required), ("{}", true));
    assert_eq!(parse(&settings.to_toml().unwrap()).unwrap().roles, settings.roles, "it can be shown and read again");
}

#[test]
fn credentials() {
    upstream_refused(
        "username = \"me\"",
        &["4:1: upstream[0].username: has no password: add `password_file`, `password_env` or `password`"],
    );
    upstream_refused("password = \"hunter2\"", &["4:1: upstream[0].password: has no `username` beside it"]);
    upstream_refused(
        "username = \"me\"\npassword = \"hunter2\"\npassword_env = \"HUB\"",
        &["6:1: upstream[0].password_env: is a second password: keep one of password, password_env"],
    );
    upstream_refused(
        "username = \"me\"\npassword_env = \"HUB\"",
        &["5:1: upstream[0].password_env: names the environment variable HUB, which is not set"],
    );
    upstream_refused("username = \"me\"\npassword = \"\"", &["5:12: upstream[0].password: is empty"]);
    upstream_refused(
        "username = \"m:e\"\npassword = \"hunter2\"",
        &["4:1: upstream[0].username: has a colon, which HTTP's Basic scheme cannot carry"],
    );
    upstream_refused(
        "username = \"me\"\npassword = \"hunter2\"\ndocker_config = \"config.json\"",
        &["6:1: upstream[0].docker_config: is a second credential: keep one of `username` with a password, \
         `docker_config` and `credential_helper`"],
    );
    upstream_refused(
        "credential_helper = { command = [], lifetime = \"0s\", usr = 1 }",
        &[
            "4:1: upstream[0].credential_helper.command: is missing: name the program to run",
            "4:48: upstream[0].credential_helper.lifetime: must be more than zero",
            "4:54: upstream[0].credential_helper.usr: is not a key; the keys here are command, lifetime",
        ],
    );
}

#[test]
fn no_message_repeats_a_password() {
    let errors = parse("[[upstream]]\nname = \"a\"\nurl = \"https://me:hunter2@a b\"\npassword = \"hunter2\"\n");
    assert!(!errors.unwrap_err().to_string().contains("hunter2"));
}

/// `config show` prints URLs as they are written.
#[test]
fn a08_urls_that_are_printed_hold_no_password() {
    let url = "https://me:hunter2@registry.example";
    for text in [
        format!("[auth]\nurl = \"{url}\"\n"),
        format!("[storage]\nkind = \"s3\"\nbucket = \"b\"\nendpoint = \"{url}\"\n"),
        format!("[[oidc]]\nissuer = \"{url}\"\naudience = \"x\"\nrole = \"ci\"\n"),
        format!("[[oidc]]\nissuer = \"https://i\"\njwks_url = \"{url}\"\naudience = \"x\"\nrole = \"ci\"\n"),
    ] {
        let error = parse(&text).unwrap_err().to_string();
        assert!(error.contains("carries credentials") && !error.contains("hunter2"), "{error}");
    }
}

#[test]
fn files_that_cannot_be_used() {
    let folder = tempfile::tempdir().unwrap();
    let (pem, key) = certificate();
    for (name, text) in [("cert.pem", pem.as_str()), ("key.pem", &key), ("two.txt", "a\nb\n"), ("empty.txt", "\n")] {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    let text = r#"
listen = [{ address = "127.0.0.1:0", tls = { certificate = "none.pem", key = "cert.pem", client_ca = "key.pem" } }]
data = "cert.pem"

[[upstream]]
name = "a"
url = "https://a"
ca = "."
client_certificate = "key.pem"
client_key = "none.pem"
username = "me"
password_file = "two.txt"

[[upstream]]
name = "b"
url = "https://b"
client_key = "key.pem"
username = "me"
password_file = "empty.txt"

[[upstream]]
name = "c"
url = "https://c"
docker_config = "none.json"

[[upstream]]
name = "d"
url = "https://d"
docker_config = "key.pem"

[[upstream]]
name = "e"
url = "https://e"
credential_helper = { command = ["./none"] }
"#;
    let told = load_in(folder.path(), text, &[]).unwrap_err().to_string();
    let base = format!("{}/", folder.path().display());
    let told: Vec<_> = told.lines().map(|line| line.replace(&base, "").replace("entrepot.toml:", "")).collect();
    assert_eq!(
        told,
        [
            "2:46: listen[0].tls.certificate: none.pem cannot be read: there is no such file",
            "2:72: listen[0].tls.key: cert.pem holds no private key; a PEM file without a passphrase is needed",
            "2:90: listen[0].tls.client_ca: key.pem holds no certificate; a PEM file is needed",
            "3:1: data: cert.pem is not a folder",
            "8:1: upstream[0].ca: . cannot be read: it is a folder",
            "9:1: upstream[0].client_certificate: key.pem holds no certificate; a PEM file is needed",
            "10:1: upstream[0].client_key: none.pem cannot be read: there is no such file",
            "12:1: upstream[0].password_file: two.txt must hold the password in one line",
            "17:1: upstream[1].client_key: has no `client_certificate` beside it",
            "19:1: upstream[1].password_file: empty.txt must hold the password in one line",
            "24:1: upstream[2].docker_config: none.json cannot be read: there is no such file",
            "29:1: upstream[3].docker_config: key.pem is not a JSON object (line 1)",
            "34:23: upstream[4].credential_helper.command: ./none is not a program: there is no such file",
        ]
    );
}

#[test]
fn the_file_itself() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("none.toml");
    let errors = super::super::load(Some(&missing), std::iter::empty()).unwrap_err();
    assert_eq!(errors.to_string(), format!("{}: cannot be read: there is no such file", missing.display()));
    std::fs::write(&missing, b"data = \"\xff\"").unwrap();
    let errors = super::super::load(Some(&missing), std::iter::empty()).unwrap_err();
    assert_eq!(errors.to_string(), format!("{}: is not UTF-8 text", missing.display()));
}

/// Two upstreams that would send the same requests would serve each other's images; a prefix or a namespace tells them apart.
#[test]
fn nh0_two_upstreams_at_one_url() {
    let two = |first: &str, second: &str| {
        format!(
            "[[upstream]]\nname = \"{first}\nurl = \"http://central:5000\"\n[[upstream]]\nname = \"{second}\nurl = \"http://central:5000\"\n"
        )
    };
    refused(
        &two("a\"", "b\""),
        &[
            "6:1: upstream[1].url: http://central:5000/ is asked for a, too, and is not told which of the two is meant: give each its \
           `prefix` there, or the host of its registry in `ns`",
        ],
    );
    refused(
        &two("ghcr.io\"\nprefix = \"x\"", "quay.io\"\nprefix = \"x\""),
        &[
            "8:1: upstream[1].url: http://central:5000/ is asked for ghcr.io, too, and is not told which of the two is meant: give \
           each its `prefix` there, or the host of its registry in `ns`",
        ],
    );
    for (first, second) in [
        ("ghcr.io\"", "docker.io\""),
        ("a\"\nns = \"a.example\"", "b\"\nns = \"b.example\""),
        ("a\"\nprefix = \"x\"", "b\"\nprefix = \"y\""),
        ("a\"", "ghcr.io\""),
        ("a\"", "b\"\nusername = \"u\"\npassword = \"p\""),
    ] {
        assert!(parse(&two(first, second)).is_ok(), "{first} {second}");
    }
}

#[test]
fn nm16_t16_proxies_and_networks() {
    upstream_refused(
        "proxy = \"proxy.example:3128\"\nprivate_redirects = [\"10.0.0.0/8\", \"ten\"]\nprefix = \"A\"",
        &[
            "4:9: upstream[0].proxy: \"proxy.example:3128\" is not a URL: write the scheme too, such as \
             \"https://proxy.example:3128\"",
            "5:36: upstream[0].private_redirects: \"ten\" is no network: write for instance \"10.0.0.0/8\"",
            "6:10: upstream[0].prefix: \"A\" is not a repository name: components of lower-case letters and digits, joined inside \
             by '.', '_', '__' or dashes, separated by '/'",
        ],
    );
}

#[test]
fn words_of_proxies() {
    refused(
        "[http]\ntrusted_proxies = [\"10.0.0.0/8\", \"10.0.0.0/33\", \"proxy\", \"\"]\n",
        &[
            r#"2:34: http.trusted_proxies: "10.0.0.0/33" is no network: write an address and the length of its prefix, such as "10.0.0.0/8", or an address"#,
            r#"2:49: http.trusted_proxies: "proxy" is no network: write an address and the length of its prefix, such as "10.0.0.0/8", or an address"#,
            "2:58: http.trusted_proxies: is empty",
        ],
    );
    let listen = "listen = [{ address = \"0.0.0.0:443\", proxy_protocol = true }]\n";
    let problems = problems(listen);
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert!(problems[0].contains("http.trusted_proxies: is empty, and the listener 0.0.0.0:443"), "{problems:?}");
    let good = parse(&format!("{listen}[http]\ntrusted_proxies = [\"192.0.2.7\", \"10.1.2.3/8\"]\n")).unwrap();
    let networks: Vec<_> = good.http.trusted_proxies.iter().map(ToString::to_string).collect();
    assert_eq!(networks, ["192.0.2.7/32", "10.0.0.0/8"]);
    assert!(good.listen[0].proxy_protocol);
}

#[test]
fn accounts_of_upstreams() {
    upstream_refused(
        "accounts = [\"111111111111\", \"team\"]",
        &[r#"4:29: upstream[0].accounts: "team" is no account: write twelve digits, or "*" for every account"#],
    );
}

/// A password of few characters is guessed.
#[test]
fn s08_short_passwords() {
    let user = "[[user]]\nname = \"ann\"\npassword = \"1234567\"\n";
    let message = "is too short: a password has at least 8 characters (`auth.password_min_length`)";
    refused(user, &[&format!("3:1: user[0].password: {message}")]);
    assert!(parse(&user.replace("1234567", "12345678")).is_ok());
    // Characters, not bytes.
    assert!(parse(&user.replace("1234567", "äääääää")).is_err());
    assert!(parse(&format!("{user}[auth]\npassword_min_length = 7\n")).is_ok());
}

/// A key that is declared and that no field is read from would be taken, and mean nothing. No key takes a date.
#[test]
fn every_key_is_read() {
    for section in SECTIONS {
        for key in section.keys.iter().filter(|key| !matches!(key.shape, Shape::Table(_) | Shape::Tables(_))) {
            let line = format!("{} = 1979-05-27", key.name);
            let text = match section.name {
                "" => line,
                "listen.tls" => format!("[[listen]]\n[listen.tls]\n{line}\n"),
                "credential_helper" => format!("[[upstream]]\n[upstream.credential_helper]\n{line}\n"),
                "storage" if key.name != "kind" => format!("[storage]\nkind = \"s3\"\n{line}\n"),
                _ => format!("{}\n{line}\n", section.header()),
            };
            let found = problems(&text);
            let is_told = |problem: &String| problem.contains(key.name) && problem.contains(": is a date where ");
            assert!(found.iter().any(is_told), "{text}: {found:#?}");
        }
    }
}
