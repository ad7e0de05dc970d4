//! The JSON Schema takes what reading takes, and refuses what it can tell.
//!
//! Every good text of these tests is held against it, by [`super::parse`] and [`super::load_in`].

use std::path::Path;
use std::sync::LazyLock;

use boon::{Compiler, SchemaIndex, Schemas};

use super::super::{schema, starter_file};

static SCHEMA: LazyLock<(Schemas, SchemaIndex)> = LazyLock::new(|| {
    let (mut schemas, mut compiler) = (Schemas::new(), Compiler::new());
    compiler.add_resource("schema.json", serde_json::from_str(&schema()).unwrap()).unwrap();
    // This holds it against the schema of schemas.
    let index = compiler.compile("schema.json", &mut schemas).unwrap_or_else(|error| panic!("{error:#}"));
    (schemas, index)
});

/// The complaint about a text, if there is one.
pub(super) fn complaint(text: &str) -> Option<String> {
    let table: toml::Table = text.parse().unwrap();
    let (schemas, index) = &*SCHEMA;
    schemas.validate(&serde_json::to_value(table).unwrap(), *index).err().map(|error| format!("{error:#}"))
}

#[track_caller]
pub(super) fn assert_takes(text: &str) {
    assert_eq!(complaint(text), None, "{text}");
}

#[test]
fn every_example_is_good() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("config");
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let examples: Vec<_> = files.filter(|path| path.extension().is_some_and(|extension| extension == "toml")).collect();
    assert!(examples.len() >= 3, "{examples:?}");
    for path in examples {
        assert_takes(&std::fs::read_to_string(path).unwrap());
    }
    assert_takes(&starter_file());
}

#[test]
fn wrong_files_are_refused() {
    for text in [
        "colour = \"blue\"",
        "data = \"\"",
        "listen = []",
        "listen = [\"127.0.0.1\"]",
        "listen = [{ push = true }]",
        "listen = [{ address = \"127.0.0.1:0\", certificate = \"c\" }]",
        "cache = 5",
        "[kache]\ndisk = \"1GiB\"",
        "[cache]\ndsik = \"1GiB\"",
        "[cache]\ndisk = true",
        "[cache]\ndisk = 10.5",
        "[cache]\ndisk = 0",
        "[cache]\nmemory = -1",
        "[cache]\nmemory = \"64 megs\"",
        "[cache]\nmemory = \"1 Gib\"",
        "[cache]\nstaging_ttl = 60",
        "[cache]\nstaging_ttl = \"60\"",
        "[cache]\nstaging_ttl = \"1 day\"",
        "[cache]\nstaging_ttl = \"5 m\"",
        "[cache]\nfill_attempts = 0",
        "[cache]\nfill_attempts = \"5\"",
        "[http]\nidle_timeout = \"0s\"",
        "[http]\nmax_header_bytes = 4096",
        "[http]\ntrusted_proxies = [\"proxy\"]",
        "[admin]\nlisten = [1]",
        "[log]\nlevel = \"loud\"",
        "[log]\naccess = \"yes\"",
        "[meta]\nurl = \"postgres://(secret)\"",
        "[[user]]\nname = \"ci\"\npassword = \"(secret)\"",
        "[[user]]\npassword = \"long-enough\"",
        "[user]\nname = \"ci\"",
        "upstream = [3]",
        "[[upstream]]\nurl = \"https://a\"",
        "[[upstream]]\nname = \"a\"\nurl = [\"a.example\"]",
        "[[upstream]]\nname = \"a\"\nurl = \"https://a\"\nns = \"https://a\"",
        "[[upstream]]\nname = \"a\"\nurl = \"https://a\"\ndefault = \"some\"",
        "[[upstream]]\nname = \"a\"\nurl = \"https://a\"\ncredential_helper = { lifetime = \"1h\" }",
    ] {
        assert!(complaint(text).is_some(), "{text}");
        assert!(super::super::parse(text).is_err(), "{text}");
    }
}

#[test]
fn every_key_has_its_meaning_and_default() {
    let schema: serde_json::Value = serde_json::from_str(&schema()).unwrap();
    let disk = &schema["$defs"]["cache"]["properties"]["disk"];
    assert_eq!(disk["default"], "50GiB");
    assert_eq!(disk["description"], "Hard limit of blobs on disk, fills in flight included.");
    let share = &schema["$defs"]["http"]["properties"]["max_connections_per_client"];
    assert!(share["description"].as_str().unwrap().ends_with(" Default: half of `max_connections`."), "{share}");
    assert_eq!(schema["properties"]["listen"]["default"], serde_json::json!(["127.0.0.1:5000"]));
    assert_eq!(schema["$defs"]["metering"]["properties"]["max_keys"]["default"], 10_000);
}
