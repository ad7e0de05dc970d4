//! Gives memory that a flood has used back to the system.
//!
//! glibc's allocator keeps what was freed for the next flood: a process that had a gigabyte of buffers keeps most of it, since a few
//! living objects lie between them. `malloc_trim(3)` gives back the free pages in between. Another allocator (jemalloc) would do so by
//! itself, at the price of a C library that has to be built for each target; a call every now and then is enough.
#![allow(unsafe_code)]

use std::time::Duration;

use tokio_util::sync::CancellationToken;

const LOOK_EVERY: Duration = Duration::from_secs(5);

/// Time between two calls: the first while memory comes back or grows, longer and longer while it does neither.
const SHORTEST_PAUSE: Duration = Duration::from_secs(15);
const LONGEST_PAUSE: Duration = Duration::from_secs(240);

/// Growth, or memory that came back, that is worth a call.
const WORTH_BYTES: u64 = 8 << 20;

/// Larger allocations have pages of their own, which go back at once. glibc begins with 128 KiB and raises this to 32 MiB as such are freed:
/// then a list of 15 MB lies among small objects, and its room stays.
const LARGE_BYTES: i32 = 1 << 20;

/// Heaps of threads: glibc has eight for each core, each of which keeps what its threads had at the worst moment.
const HEAPS: i32 = 4;

/// Called at the start, before much was allocated.
pub(super) fn set_up() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: takes no pointers; the settings hold from the next allocation on (mallopt(3): MT-Safe after the first call of malloc).
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, LARGE_BYTES);
        libc::mallopt(libc::M_ARENA_MAX, HEAPS);
    }
}

/// Gives back what is free, until `stop`.
pub(super) async fn give_back(stop: CancellationToken) {
    let mut memory = Memory::new(resident_bytes());
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
        let before = resident_bytes();
        if memory.is_time(before, LOOK_EVERY) {
            // Walks through all free memory, with the lock of one arena at a time.
            let _ = tokio::task::spawn_blocking(trim).await;
            memory.trimmed(before, resident_bytes());
        }
    }
}

/// When to call.
struct Memory {
    /// At the start: there is no need to go below.
    least: u64,
    /// After the last call.
    left: u64,
    pause: Duration,
    since_last: Duration,
}

impl Memory {
    fn new(resident: u64) -> Self {
        Self { least: resident, left: resident, pause: SHORTEST_PAUSE, since_last: Duration::ZERO }
    }

    fn is_time(&mut self, resident: u64, passed: Duration) -> bool {
        self.since_last += passed;
        if resident > self.left.saturating_add(WORTH_BYTES) {
            self.pause = SHORTEST_PAUSE;
        }
        self.since_last >= self.pause && resident > self.least.saturating_add(WORTH_BYTES)
    }

    fn trimmed(&mut self, before: u64, after: u64) {
        let was_worth_it =
            before.saturating_sub(after) >= WORTH_BYTES || before > self.left.saturating_add(WORTH_BYTES);
        self.pause = if was_worth_it { SHORTEST_PAUSE } else { LONGEST_PAUSE.min(self.pause * 2) };
        (self.left, self.since_last) = (after, Duration::ZERO);
    }
}

/// Memory without files.
fn resident_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"));
    let kilobytes = line.and_then(|line| line.trim().strip_suffix(" kB")?.trim().parse().ok());
    kilobytes.map_or(0, |kilobytes: u64| kilobytes << 10)
}

#[cfg(all(target_os = "linux", target_env = "gnu"))]
fn trim() {
    // SAFETY: takes no pointers, may be called at any time from any thread (malloc_trim(3): MT-Safe).
    unsafe { libc::malloc_trim(0) };
}

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
fn trim() {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn t07_calls_follow_a_flood_and_become_rare() {
        const MIB: u64 = 1 << 20;
        let mut memory = Memory::new(20 * MIB);
        let mut calls = Vec::new();
        // In MiB: what is resident at each look, and after a call.
        let looks = [(20, 20); 4].into_iter().chain([(400, 400); 3]).chain([(400, 60)]).chain([(60, 60); 200]);
        for (at, (before, after)) in looks.enumerate() {
            if memory.is_time(before * MIB, LOOK_EVERY) {
                memory.trimmed(before * MIB, after * MIB);
                calls.push(at);
            }
        }
        assert_eq!(calls[..3], [4, 7, 10], "at once, and as long as it helps");
        let pauses: Vec<_> = calls.windows(2).map(|pair| pair[1] - pair[0]).collect();
        assert_eq!(pauses[2..6], [6, 12, 24, 48], "then rarely");
        assert_eq!(pauses.last(), Some(&48));
    }
}
