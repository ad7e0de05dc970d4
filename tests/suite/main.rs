//! The program from outside: the real binary, a fake upstream that misbehaves, and clients that look closely.
//!
//! A test whose name begins with `c` and two digits is that row of docs/cases.md. Nothing here asserts a duration: what must
//! come before what is said with gates and events, and every wait ends after [`bound::BOUND`].

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod addresses;
mod bound;
mod client;
mod proxy;
mod upstream;

mod attacks;
mod audit;
mod auth;
mod bucket;
mod certificates;
mod chain;
mod chaos;
mod ecr;
mod edge;
mod enrolment;
mod facts;
mod failures;
mod faults;
mod fill;
mod iam;
mod jobs;
mod kills;
mod lifecycle;
mod manifests;
mod metering;
mod model;
mod names;
mod offline;
mod operators;
mod push;
mod range;
mod reading;
mod registries;
mod replicas;
mod rights;
mod storage;
mod tokens;
mod traces;
mod transfer;
mod wire;
