//! How much one decision may cost. Whoever writes policies decides what others' requests cost, and what they cost is paid by everybody's
//! process: comparing a pattern of many wildcards takes as long as pattern and text multiplied. What a decision compares is counted on its
//! thread, and beyond the bound nothing matches any more; the decision is then worth nothing.

use std::cell::Cell;

/// Bytes that patterns are compared with for one decision. All the policies that may apply, each read once, are a quarter of it.
const MAX_STEPS: u64 = 1_000_000;

thread_local! {
    /// Taken by all decisions so far.
    static TAKEN: Cell<u64> = const { Cell::new(0) };

    /// `None` outside of a decision: nothing is counted.
    static LEFT: Cell<Option<u64>> = const { Cell::new(None) };
}

/// What `decide` says; `None` where it would have cost too much.
pub(super) fn bounded<T>(decide: impl FnOnce() -> T) -> Option<T> {
    let before = LEFT.replace(Some(MAX_STEPS));
    let decided = decide();
    let left = LEFT.replace(before).unwrap_or_default();
    TAKEN.with(|taken| taken.set(taken.get().saturating_add(MAX_STEPS - left)));
    (left > 0).then_some(decided)
}

/// What `decide` says, and how many steps its decisions took.
pub fn counted<T>(decide: impl FnOnce() -> T) -> (T, u64) {
    let before = TAKEN.replace(0);
    let decided = decide();
    (decided, TAKEN.replace(before))
}

/// Takes a step; false when none is left.
pub(super) fn step() -> bool {
    LEFT.with(|left| match left.get() {
        None => true,
        Some(0) => false,
        Some(steps) => {
            left.set(Some(steps - 1));
            steps > 1
        }
    })
}
