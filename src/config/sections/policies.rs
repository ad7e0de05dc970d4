//! `policies`: what a user or role may do.

use std::ops::Deref;
use std::path::Path;

use serde::ser::SerializeMap;

use crate::config::reading::{Declaration, List, Part, Reader, TEXTS, Written};

/// The key `policies`. Each is a name and its document, which is empty for those that come with the program: the policy
/// room knows them.
pub struct Policies {
    names: List<String>,
}

/// The names of policies that come with the program.
pub const PRESETS: [&str; 5] = ["Administrator", "FullAccess", "PowerUser", "ReadOnly", "PullOnly"];

/// Bytes of a policy's file.
const MAX_POLICY_BYTES: usize = 64 << 10;

impl Policies {
    pub const fn new(meaning: &'static str) -> Self {
        Self { names: List::new("policies", TEXTS, meaning) }
    }

    pub const fn declared(&self) -> &Declaration {
        self.names.declared()
    }
}

impl Deref for Policies {
    type Target = Declaration;

    fn deref(&self) -> &Declaration {
        &self.names
    }
}

impl Part<Vec<(String, String)>> for Policies {
    fn read(&self, reader: &Reader<'_>) -> Option<Vec<(String, String)>> {
        let mut policies = Vec::new();
        for name in reader.get(&self.names)? {
            if PRESETS.contains(&name.as_str()) {
                policies.push((name, String::new()));
                continue;
            }
            let path = reader.context().folder.join(&name);
            if !path.exists() {
                reader.report(self, no_policy(&name, &path));
                return None;
            }
            let text = read_policy(reader, self, &path)?;
            policies.push((name, text));
        }
        Some(policies)
    }

    fn write<M: SerializeMap>(&self, policies: &Vec<(String, String)>, map: &mut M) -> Result<(), M::Error> {
        written(policies).add(self.name, map)
    }
}

/// Names without their documents.
pub fn written(policies: &[(String, String)]) -> Written {
    Written::List(policies.iter().map(|(name, _)| Written::text(name)).collect())
}

/// A name that is neither a policy of the program nor a file.
fn no_policy(name: &str, path: &Path) -> String {
    let close =
        PRESETS.iter().find(|preset| strsim::damerau_levenshtein(&preset.to_lowercase(), &name.to_lowercase()) <= 2);
    let hint = close.map(|preset| format!("; did you mean {preset}?")).unwrap_or_default();
    format!("{name} is none of {}, and there is no file {}{hint}", PRESETS.join(", "), path.display())
}

/// The text of a file with a policy.
pub fn read_policy(reader: &Reader<'_>, key: &Declaration, path: &Path) -> Option<String> {
    match String::from_utf8(reader.contents(key, path)?) {
        Ok(text) if text.len() <= MAX_POLICY_BYTES => Some(text),
        Ok(_) => {
            reader.report(key, format!("{} has more than {MAX_POLICY_BYTES} bytes", path.display()));
            None
        }
        Err(_) => {
            reader.report(key, format!("{} is not text", path.display()));
            None
        }
    }
}
