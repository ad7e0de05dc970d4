//! The tables of a configuration, one file each: its keys, and the settings that they become.

pub mod account;
pub mod admin;
pub mod auth;
pub mod cache;
pub mod certificate;
pub mod hosted;
pub mod http;
pub mod listener;
pub mod meta;
pub mod metering;
pub mod oidc;
pub mod repository;
pub mod role;
pub mod rules;
pub mod storage;
pub mod telemetry;
pub mod upstream;
pub mod user;

pub mod names;
pub mod policies;
pub mod secrets;
