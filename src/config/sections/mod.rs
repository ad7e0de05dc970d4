//! The tables of a configuration, each with its keys and the settings that they become.

pub mod account;
pub mod admin;
pub mod auth;
pub mod cache;
pub mod certificate;
pub mod credential;
pub mod default_for;
pub mod hosted;
pub mod http;
pub mod meta;
pub mod metering;
pub mod oidc;
pub mod repository;
pub mod role;
pub mod rules;
pub mod storage;
pub mod telemetry;
pub mod upstream;
pub mod well_known;
