//! The file that `config init` writes: every default, as a comment, ready to be changed.
//!
//! Explanations begin with `# `, settings with `#` alone, so that taking away one character makes a setting hold.

use crate::config::reading::{Declaration, Fallback, Section};
use crate::config::sections::{admin, cache, http, telemetry};
use crate::config::settings::SECTION;

/// Width of the explanations, in characters.
const WIDTH: usize = 100;

const BEGINNING: &str = "\
# Configuration of entrepot, a pull-through container registry.
#
# Lines that begin with \"#\" and a key are the defaults: take away the \"#\" to change one. Sizes have a unit (\"50GiB\"),
# durations, too (\"60s\", \"7d\"). `entrepot config check` tells what is wrong, `entrepot config show` what holds in the
# end. Every key can be set by a variable as well: ENTREPOT_CACHE__DISK=10GiB. See docs/configuration.md.
";

const UPSTREAMS: &str = "
# The registries that are asked. Without any [[upstream]], the well-known ones are there: docker.io, ghcr.io, quay.io,
# registry.k8s.io, public.ecr.aws, gcr.io, mcr.microsoft.com and registry.gitlab.com. An upstream with one of these names
# only needs to say what is different about it.
#
#[[upstream]]
#name = \"docker.io\"
# How long a tag is served without asking; how long after that the old answer goes out while upstream is asked; how long
# it stands in for an upstream that fails.
#tag_ttl = \"60s\"
#stale_while_revalidate = \"5m\"
#stale_if_error = \"7d\"
# With an account, Docker Hub allows more pulls. The password may stand in a file (`password_file`) or in the environment
# (`password_env`).
# username = \"example\"
# password_file = \"docker-hub-password\"
#
# A registry of one's own: its images are named localhost:5000/team/... here, and registry.example.com/... by clients that
# know mirrors.
#[[upstream]]
#name = \"team\"
#ns = [\"registry.example.com\"]
#url = [\"https://registry.example.com\"]
# ca = \"ca.pem\"
";

/// A file that loads as it is and means the defaults.
pub fn starter_file() -> String {
    let mut file = BEGINNING.to_owned();
    add_keys(&SECTION, &mut file);
    for section in [&cache::SECTION, &http::SECTION, &admin::SECTION, &telemetry::SECTION] {
        file.push('\n');
        explain(section.meaning, &mut file);
        file.push_str(&format!("[{}]\n", section.name));
        add_keys(section, &mut file);
    }
    file.push_str(UPSTREAMS);
    file
}

fn add_keys(section: &Section, file: &mut String) {
    for key in section.keys {
        let Declaration { name, fallback, meaning, .. } = key;
        match fallback {
            Fallback::Value(_) => {
                file.push('\n');
                explain(meaning, file);
                file.push_str(&format!("#{name} = {}\n", key.usual().unwrap_or_default()));
            }
            Fallback::Follows(words) => {
                file.push('\n');
                explain(&format!("{name}: {meaning} Default: {words}."), file);
            }
            Fallback::Required | Fallback::Unset => {}
        }
    }
}

fn explain(text: &str, file: &mut String) {
    let mut line = String::new();
    for word in text.replace('`', "").split_whitespace() {
        if !line.is_empty() && line.chars().count() + 1 + word.chars().count() > WIDTH {
            file.push_str(&format!("#{line}\n"));
            line.clear();
        }
        line.push(' ');
        line.push_str(word);
    }
    file.push_str(&format!("#{line}\n"));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::parse;

    #[test]
    fn it_means_the_defaults() {
        assert_eq!(parse(&starter_file()), parse(""));
    }

    #[test]
    fn every_setting_in_it_holds_when_uncommented() {
        let uncommented: Vec<_> = starter_file()
            .lines()
            .map(|line| match line.strip_prefix('#') {
                Some(setting) if !setting.is_empty() && !setting.starts_with(' ') => setting.to_owned(),
                _ => line.to_owned(),
            })
            .collect();
        let settings = parse(&uncommented.join("\n")).unwrap_or_else(|errors| panic!("{errors}"));
        let defaults = parse("").unwrap();
        assert_eq!((&settings.http, &settings.cache), (&defaults.http, &defaults.cache));
        assert_eq!((&settings.admin, &settings.telemetry), (&defaults.admin, &defaults.telemetry));
        assert_eq!(settings.upstreams[0], defaults.upstreams[0]);
        assert_eq!(settings.upstreams[1].name.as_str(), "team");
    }
}
