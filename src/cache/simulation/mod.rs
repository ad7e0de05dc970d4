//! Many clients of many origins, of which some are wrong, on one disk: each client sees what it would have seen alone.
//!
//! A [`Plan`] is made from a number, the seed: origins with a script for each of their blobs ([`script`]), clients, faults and
//! restarts ([`plan`]). It runs on a clock that stands still while there is work and jumps while all wait ([`world`]), so that a
//! body of an hour takes no time. The model ([`judge`]) knows one origin at a time. At rest the ledger is compared with the disk.
//!
//! `SIMULATION_SEEDS` is how many seeds run, from 0 on; `SIMULATION_SEED` is one to run alone.
//!
//! *Never* here: sockets, or waiting for real time.

mod client;
mod disk_usage;
mod front;
mod judge;
mod plan;
mod script;
mod world;

pub use script::{Scripted, ScriptedStream};

use std::sync::atomic::{AtomicUsize, Ordering};

use plan::Plan;

const SEEDS: usize = 100;

/// Prints what was run when a world fails.
struct Script<'a>(&'a Plan);

impl Drop for Script<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{:#?}\nagain with SIMULATION_SEED={}", self.0, self.0.seed);
        }
    }
}

#[test]
fn every_client_sees_what_its_origin_alone_would_show() {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().expect(name));
    let seeds: Vec<u64> = match number("SIMULATION_SEED") {
        Some(seed) => vec![seed],
        None => {
            let count = number("SIMULATION_SEEDS").map_or(SEEDS, |count| usize::try_from(count).unwrap());
            (0..count).map(|at| at as u64).collect()
        }
    };
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                while let Some(seed) = seeds.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let plan = Plan::of(*seed);
                    let _script = Script(&plan);
                    world::run(&plan);
                }
            });
        }
    });
}
