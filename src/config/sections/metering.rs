//! `[metering]`: who uses how much.

use std::time::Duration;

use crate::config::reading::{FLAG, Key, Section, WINDOW, count, section, settings};

settings! {
    pub struct MeteringSettings {
        pub enabled: bool = ENABLED,
        /// Hours are kept this long; zero is for ever.
        pub keep: Duration = KEEP,
        /// Pairs of a repository and a principal that are told apart between two writes.
        pub max_keys: usize = MAX_KEYS,
    }
}

section! {
    pub static SECTION = Section::one(
        "metering",
        "Who uses how much: requests and bytes by repository, principal and hour, which `entrepot usage` tells.",
    );

    static ENABLED: Key<bool> = Key::usual("enabled", FLAG, "true", "Whether anything is counted.");
    static KEEP: Key<Duration> =
        Key::usual("keep", WINDOW, "90d", "How long an hour's counts are kept; `\"0s\"` for ever.");
    static MAX_KEYS: Key<usize> = Key::usual(
        "max_keys",
        count(1, 1_000_000),
        "10000",
        "Pairs of a repository and a principal that are told apart in memory between two writes, which come every 30 \
         s; each takes about 250 bytes. What others use then counts for repository `*` and principal `*`.",
    );
}
