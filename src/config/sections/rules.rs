//! `[rules]`: what pull-through rules may name, which users make while the registry serves.

use serde::Serialize;

use crate::config::reading::key::{Fallback, Key, Kind, Section};
use crate::config::reading::reader::Reader;
use crate::config::reading::value;

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct RulesSettings {
    /// Whether the upstreams of rules may be at addresses that are not public. Default no.
    pub private_upstreams: bool,
}

pub static SECTION: Section = Section {
    name: "rules",
    meaning: "Pull-through rules, which users make through ECR's API while the registry serves.",
    keys: &[Key {
        name: "private_upstreams",
        kind: Kind::Flag,
        fallback: Fallback::Value("false"),
        meaning: "Whether the upstream of a rule may be at an address that is not public: loopback, private, link-local. Whoever may \
                  make rules can then look around in the inner network.",
    }],
};

pub fn read(reader: &Reader<'_>) -> Option<RulesSettings> {
    Some(RulesSettings { private_upstreams: reader.get("private_upstreams", value::flag)? })
}
