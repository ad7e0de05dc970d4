//! The reference of every key, `docs/configuration.md`, from the same tables that reading uses.

use crate::config::reading::{Declaration, Fallback, Section, Shape};
use crate::config::sections::upstream;
use crate::config::settings::SECTIONS;

const BEGINNING: &str = "\
<!-- Written by `entrepot config reference`; a test compares. Change the tables of keys in src/config/ instead. -->

# Configuration

`entrepot` runs without a file: it then listens on 127.0.0.1:5000, keeps its data in `./entrepot-data` and has the
well-known registries as upstreams. A file in TOML is named by `--config FILE` or by the variable `ENTREPOT_CONFIG`.

- `entrepot config init` prints a file with every default, to begin with; `config/` holds complete examples.
- `entrepot config check` tells everything that is wrong with a file at once, each with its line.
- `entrepot config show` prints what holds in the end: file, environment and defaults together, without secrets.

**Sizes** are whole bytes, or a whole number with a unit: `\"50GiB\"`, `\"10GB\"`, `\"4096\"`. The units are B, kB, MB, GB, TB and
KiB, MiB, GiB, TiB. **Durations** are whole numbers with ms, s, m, h or d: `\"250ms\"`, `\"60s\"`, `\"1h30m\"`, `\"7d\"`. **Lists** of
one element may be written without brackets. **Paths** in the file are relative to the file's folder; in variables, to
the working directory.

## Environment

Every key can be set by a variable, which goes before the file: `ENTREPOT_`, the table, two underscores, the key, in
capitals. Lists are separated by commas.

| variable | key |
|---|---|
| `ENTREPOT_DATA` | `data` |
| `ENTREPOT_CACHE__DISK=10GiB` | `cache.disk` |
| `ENTREPOT_LISTEN=127.0.0.1:5000,[::1]:5000` | `listen` |
| `ENTREPOT_LISTEN__0__TLS__KEY` | `tls.key` of the first listener |
| `ENTREPOT_UPSTREAM__0__URL` | `url` of the first upstream of the file; the next free number adds one |
| `ENTREPOT_UPSTREAM__DOCKER_IO__PASSWORD_FILE` | `password_file` of the upstream `docker.io`: other characters than letters and digits become `_` |
| `ENTREPOT_CONFIG` | the file itself |

A variable with a password takes the place of whatever credential the file has. A variable that begins with `ENTREPOT_` and
is no setting is refused, so that a slip of the pen is noticed; the variables that Kubernetes sets for services are left
alone.

## Changes while it runs

The file and the files that it names (certificates, authorities, passwords) are looked at every two seconds, and at once
on SIGHUP. A change of upstreams or of the cache's limits holds from then on. `listen`, `data`, `[http]`, `[admin]`, `[metering]`, `[rules]` and
`[log]` need a restart, which the log says. A file with a mistake is refused as a whole, and the old settings keep serving.
";

/// The page in Markdown.
pub fn reference() -> String {
    let mut page = BEGINNING.to_owned();
    for section in SECTIONS {
        add_section(section, &mut page);
    }
    page
}

fn add_section(section: &Section, page: &mut String) {
    let heading = match section.name {
        "" => "Keys outside every table".to_owned(),
        "listen" => "`[[listen]]`".to_owned(),
        "listen.tls" => "`tls` of a listener".to_owned(),
        "credential_helper" => "`credential_helper` of an upstream".to_owned(),
        _ => format!("`{}`", section.header()),
    };
    page.push_str(&format!("\n## {heading}\n\n{}\n", section.meaning));
    if section.name == "upstream" {
        let names: Vec<_> = upstream::names().map(|name| format!("`{name}`")).collect();
        page.push_str(&format!(
            "The well-known ones are {}. A `[[upstream]]` with one of these names takes from the well-known one what it \
             does not say itself: `url`, `ns`, `realms`, `library`.\n",
            names.join(", ")
        ));
    }
    page.push_str("\n| key | type | default | meaning |\n|---|---|---|---|\n");
    for key in section.keys.iter().copied().filter(|key| is_described_here(key)) {
        let cells = [format!("`{}`", key.name), key.shape.words(), default_words(key), key.meaning.to_owned()];
        page.push_str(&format!("| {} |\n", cells.map(|cell| cell.replace('|', "\\|")).join(" | ")));
    }
}

/// The tables of the file have a heading of their own.
fn is_described_here(key: &Declaration) -> bool {
    match key.shape {
        Shape::Table(section) => section.name.contains('.') || section.name == upstream::HELPER.name,
        Shape::Tables(_) => false,
        _ => true,
    }
}

fn default_words(key: &Declaration) -> String {
    match key.fallback {
        Fallback::Required => "required".to_owned(),
        Fallback::Unset => "none".to_owned(),
        Fallback::Value(_) => format!("`{}`", key.usual().unwrap_or_default()),
        Fallback::Follows(words) => words.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_in_the_documentation_is_true() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/configuration.md");
        let page = std::fs::read_to_string(path).unwrap_or_default();
        assert!(page == reference(), "run: cargo run -- config reference > docs/configuration.md");
    }

    #[test]
    fn every_key_is_in_the_page() {
        let page = reference();
        for section in SECTIONS {
            for key in section.keys.iter().filter(|key| is_described_here(key)) {
                assert!(page.contains(&format!("| `{}` |", key.name)), "{}.{}", section.name, key.name);
            }
        }
    }
}
