//! `[rules]`: what pull-through rules may name, which users make while the registry serves.

use crate::config::reading::{FLAG, Key, Section, section, settings};

settings! {
    #[derive(Default)]
    pub struct RulesSettings {
        /// The upstreams of rules may be at addresses that are not public.
        pub private_upstreams: bool = PRIVATE_UPSTREAMS,
    }
}

section! {
    pub static SECTION =
        Section::one("rules", "Pull-through rules, which users make through ECR's API while the registry serves.");

    static PRIVATE_UPSTREAMS: Key<bool> = Key::usual(
        "private_upstreams",
        FLAG,
        "false",
        "Whether the upstream of a rule may be at an address that is not public: loopback, private, link-local. \
         Whoever may make rules can then look around in the inner network.",
    );
}
