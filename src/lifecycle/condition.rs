//! Conditions of rules: a rank or an age past which an image or a tag is due.

/// 24 hours, whatever the calendar says.
const DAY_MS: i64 = 86_400_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Condition {
    /// Past the newest so many.
    MoreThan(u64),
    PushedBefore(Days),
    PulledBefore(Days),
    TransitionedBefore(Days),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Days(pub u64);

/// Facts about an image or a tag that conditions are held against.
#[derive(Clone, Copy, Debug)]
pub(super) struct Standing {
    /// Push or, for an image, its last restore.
    pushed_ms: i64,
    pulled_ms: i64,
    archived_ms: Option<i64>,
    /// 1 for the newest.
    rank: u64,
}

impl Standing {
    /// A pull counts from when it was, and not before the push: an image that was never pulled counts as pulled when it
    /// was pushed.
    pub fn new(pushed_ms: i64, pulled_ms: Option<i64>, archived_ms: Option<i64>, rank: u64) -> Self {
        let pulled_ms = pulled_ms.map_or(pushed_ms, |pulled_ms| pulled_ms.max(pushed_ms));
        Self { pushed_ms, pulled_ms, archived_ms, rank }
    }
}

impl Condition {
    pub fn is_past(self, standing: Standing, now_ms: i64) -> bool {
        match self {
            Self::MoreThan(count) => standing.rank > count,
            Self::PushedBefore(days) => days.are_over(standing.pushed_ms, now_ms),
            Self::PulledBefore(days) => days.are_over(standing.pulled_ms, now_ms),
            Self::TransitionedBefore(days) => {
                standing.archived_ms.is_some_and(|archived_ms| days.are_over(archived_ms, now_ms))
            }
        }
    }
}

impl Days {
    /// Strictly more than so many days, to the millisecond. A time to come is no age.
    fn are_over(self, since_ms: i64, now_ms: i64) -> bool {
        let limit = i64::try_from(self.0).unwrap_or(i64::MAX).saturating_mul(DAY_MS);
        now_ms.saturating_sub(since_ms) > limit
    }
}
