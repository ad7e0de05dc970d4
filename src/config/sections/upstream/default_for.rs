//! `default` of an upstream: which requests that name no upstream it answers.

use crate::config::reading::{Choice as _, Given, Kind, Node, Shape, Value, Written, choice, read_choice};

choice! {
    #[derive(Default)]
    pub enum DefaultFor {
        #[default]
        None = "none",
        /// Names below the upstream's `library`, as dockerd asks its mirrors for official images. Nobody pushes such
        /// names here, and nobody but Docker pushes them there.
        Library = "library",
        /// All names, except for those that begin with a host.
        All = "all",
    }
}

/// `true` and `false` are older words for `all` and `none`.
pub const DEFAULT_FOR: Kind<DefaultFor> =
    Kind::of(Shape::ChoiceOrFlag(DefaultFor::WORDS), read, |default| Written::text(default.word()));

fn read(given: &Given<'_>) -> Result<DefaultFor, String> {
    match given.value() {
        Value::Flag(flag) => Ok(if *flag { DefaultFor::All } else { DefaultFor::None }),
        Value::Text(text) if text == "true" => Ok(DefaultFor::All),
        Value::Text(text) if text == "false" => Ok(DefaultFor::None),
        _ => read_choice(given),
    }
}

/// Claims to be the default for anything; what is no choice is told when it is read.
pub fn is_claimed(node: Option<&Node>) -> bool {
    match node.map(|node| &node.value) {
        Some(Value::Flag(flag)) => *flag,
        Some(Value::Text(text)) => matches!(text.as_str(), "true" | "library" | "all"),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::parse;

    fn hub(text: &str) -> DefaultFor {
        let settings = parse(text).unwrap_or_else(|errors| panic!("{text}: {errors}"));
        settings.upstreams.iter().find(|upstream| upstream.name.as_str() == "docker.io").unwrap().default
    }

    /// Docker Hub answers for the names of one's own nowhere that images are pushed to.
    #[test]
    fn nh6_docker_hub_is_the_whole_default_of_mirrors_only() {
        let open = "listen = [{ address = \"0.0.0.0:5000\" }]\n";
        let both =
            "listen = [{ address = \"0.0.0.0:5000\" }, { address = \"127.0.0.1:5001\" }]\n[admin]\nlisten = []\n";
        let upstream = "[[upstream]]\nname = \"docker.io\"\n";
        for (text, expected) in [
            (String::new(), DefaultFor::Library),
            (open.to_owned(), DefaultFor::All),
            ("listen = [{ address = \"127.0.0.1:5000\", push = false }]\n".to_owned(), DefaultFor::All),
            (both.to_owned(), DefaultFor::Library),
            (format!("{open}[auth]\nrequired = true\n"), DefaultFor::Library),
            (format!("{open}{upstream}"), DefaultFor::All),
            (upstream.to_owned(), DefaultFor::Library),
            (format!("{upstream}default = \"all\"\n"), DefaultFor::All),
            (format!("{upstream}default = true\n"), DefaultFor::All),
            (format!("{open}{upstream}default = \"library\"\n"), DefaultFor::Library),
            (format!("{open}{upstream}default = false\n"), DefaultFor::None),
            (format!("{upstream}default = \"none\"\n"), DefaultFor::None),
        ] {
            assert_eq!(hub(&text), expected, "{text}");
        }
    }

    #[test]
    fn words() {
        let refused = |value: &str| {
            parse(&format!("[[upstream]]\nname = \"a\"\nurl = \"https://a\"\ndefault = {value}\n"))
                .unwrap_err()
                .to_string()
        };
        assert!(refused("\"some\"").contains("is not one of none, library, all"), "{}", refused("\"some\""));
        assert!(refused("\"library\"").contains("needs `library`"), "{}", refused("\"library\""));
        let shown = parse("").unwrap().to_toml().unwrap();
        assert!(shown.contains("default = \"library\"") && shown.contains("default = \"none\""), "{shown}");
    }
}
