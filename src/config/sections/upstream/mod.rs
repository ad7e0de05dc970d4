//! `[[upstream]]`: the registries that are asked.

mod accounts;
mod all;
mod credential;
mod default_for;
mod name;
mod proxy;
mod settings;
mod well_known;

pub use all::{MAX_UPSTREAMS, read};
pub use credential::{Credential, HELPER};
pub use default_for::DefaultFor;
pub use name::UpstreamName;
pub use proxy::ProxySetting;
pub use settings::{OnNotFound, SECTION, UpstreamSettings};
pub use well_known::{complete, name_of, names, upstream_for_rule};
