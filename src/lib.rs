//! entrepot: a container registry that streams, verifies and keeps what passes through it.
//!
//! The modules are rooms in an order: a room names only rooms above it in this list. `ARCHITECTURE.md` is the map,
//! `tests/architecture.rs` checks the order.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing))]

pub mod oci;

pub mod ecr;

pub mod iam;

pub mod lifecycle;

pub mod action;

pub mod turns;

pub mod config;

pub mod telemetry;

pub mod memory;

pub mod storage;

pub mod meta;

pub mod metering;

pub mod upstream;

pub mod cache;

pub mod auth;

pub mod policy;

pub mod accounts;

pub mod registry;

pub mod jobs;

pub mod http;

pub mod app;

pub mod cli;
