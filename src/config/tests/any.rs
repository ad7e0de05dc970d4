//! Whatever is written, reading ends with settings or problems, soon.

use proptest::prelude::*;

use super::super::starter_file;
use super::{parse, variables};

/// Lines that are nearly right.
fn line() -> impl Strategy<Value = String> {
    let key = prop::sample::select(vec![
        "listen",
        "data",
        "memory",
        "disk",
        "name",
        "ns",
        "url",
        "default",
        "library",
        "tag_ttl",
        "username",
        "password",
        "credential_helper",
        "realms",
        "tls",
        "well_known_upstreams",
        "level",
        "",
    ]);
    let value = prop_oneof![
        "[ -~]{0,12}".prop_map(|text| format!("{text:?}")),
        any::<i64>().prop_map(|number| number.to_string()),
        any::<bool>().prop_map(|flag| flag.to_string()),
        prop::sample::select(vec![
            "[]",
            "{}",
            "[1, [2]]",
            "{ a = { b = [] } }",
            "\"1GiB\"",
            "\"60s\"",
            "1.5",
            "1979-05-27",
            "\"https://a\"",
            "\"docker.io\"",
            "{ command = [\"x\"] }",
            "[",
            "\"",
            "",
        ])
        .prop_map(str::to_owned),
    ];
    let header =
        prop::sample::select(vec!["[cache]", "[[upstream]]", "[upstream]", "[http]", "[[listen]]", "[a.b]", "["]);
    prop_oneof![3 => (key, value).prop_map(|(key, value)| format!("{key} = {value}")), 1 => header.prop_map(str::to_owned)]
}

proptest! {
    #[test]
    fn any_text(text in "\\PC{0,200}") {
        let _ = parse(&text);
    }

    #[test]
    fn nearly_right_files(lines in prop::collection::vec(line(), 0..12)) {
        let text = lines.join("\n");
        match parse(&text) {
            Ok(settings) => {
                let shown = settings.to_toml().unwrap();
                let again = parse(&shown).unwrap_or_else(|errors| panic!("{errors}
{shown}"));
                prop_assert_eq!(again.to_toml().unwrap(), shown);
            }
            Err(errors) => prop_assert!(!errors.problems.is_empty() && errors.problems.len() <= 101),
        }
    }

    #[test]
    fn any_variable(name in "[A-Z_0-9]{0,30}", upstream in "[A-Z_0-9]{0,10}", text in "\\PC{0,20}") {
        for name in [format!("ENTREPOT_{name}"), format!("ENTREPOT_UPSTREAM__{upstream}__{name}")] {
            let _ = super::super::load(None, variables(&[(&name, &text)]));
        }
    }
}

#[test]
fn a_huge_file_is_read_soon() {
    let numbers: String = (0..100_000).map(|number| format!("{number},")).collect();
    for text in [
        format!("listen = [{numbers}]"),
        format!("[[upstream]]\nurl = [{numbers}]"),
        "x = 1\n".repeat(50_000),
        (0..20_000).map(|number| format!("key{number} = 1\n")).collect(),
        starter_file().repeat(20),
        "[".repeat(100_000),
        "a = ".to_owned() + &"[".repeat(100_000),
    ] {
        let started = std::time::Instant::now();
        assert!(parse(&text).is_err());
        assert!(started.elapsed().as_secs() < 20, "{:?} for {:.40}", started.elapsed(), text);
    }
}
