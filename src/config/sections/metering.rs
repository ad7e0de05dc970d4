//! `[metering]`: who uses how much.

use std::time::Duration;

use serde::Serialize;

use crate::config::printing::document as show;
use crate::config::reading::key::{Fallback, Key, Kind, Section};
use crate::config::reading::reader::Reader;
use crate::config::reading::value;

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MeteringSettings {
    /// Whether anything is counted. Default yes.
    pub enabled: bool,
    /// Hours are kept this long; zero is for ever. Default 90 days.
    #[serde(serialize_with = "show::duration")]
    pub keep: Duration,
    /// Pairs of a repository and a principal that are told apart between two writes. Default 10,000.
    pub max_keys: usize,
}

pub static SECTION: Section = Section {
    name: "metering",
    meaning: "Who uses how much: requests and bytes by repository, principal and hour, which `entrepot usage` tells.",
    keys: &[
        Key {
            name: "enabled",
            kind: Kind::Flag,
            fallback: Fallback::Value("true"),
            meaning: "Whether anything is counted.",
        },
        Key {
            name: "keep",
            kind: Kind::Window,
            fallback: Fallback::Value(r#""90d""#),
            meaning: "How long an hour's counts are kept; `\"0s\"` for ever.",
        },
        Key {
            name: "max_keys",
            kind: Kind::Count { min: 1, max: 1_000_000 },
            fallback: Fallback::Value("10000"),
            meaning: "Pairs of a repository and a principal that are told apart in memory between two writes, which come every 30 s; \
                      each takes about 250 bytes. What others use then counts for repository `*` and principal `*`.",
        },
    ],
};

pub fn read(reader: &Reader<'_>) -> Option<MeteringSettings> {
    let enabled = reader.get("enabled", value::flag);
    let keep = reader.get("keep", value::duration);
    let max_keys = reader.get("max_keys", value::count);
    Some(MeteringSettings { enabled: enabled?, keep: keep?, max_keys: usize::try_from(max_keys?).ok()? })
}
