//! Images: what there is, getting, putting and deleting some.
//!
//! One file for each operation. Named images are found in `named.rs`, lists are cut into pages in `paging.rs`; what is read,
//! put or deleted goes through `hosted/` as on the data plane, and what is brought from upstream through `pull_through/`.
//!
//! *Never* here: reading a manifest's meaning beyond what an answer tells of it.

mod named;
mod paging;

mod delete;
mod describe;
mod get;
mod list;
mod pull;
mod put;
mod referrers;
