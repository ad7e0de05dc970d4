//! When a job that has failed is tried again.

use std::time::Duration;

/// Pauses between tries, and how many tries there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retry {
    /// The last one holds for all further tries.
    pub pauses: &'static [Duration],
    pub attempts: u32,
}

impl Retry {
    /// Some three days: a server that is away over a weekend finds its jobs.
    pub const USUAL: Self = Self {
        pauses: &[
            Duration::from_secs(5),
            Duration::from_secs(30),
            Duration::from_secs(2 * 60),
            Duration::from_secs(10 * 60),
            Duration::from_secs(60 * 60),
        ],
        attempts: 76,
    };

    /// About a day: what the schedule asks for again is worth a look when it has failed for so long.
    pub const SCHEDULED: Self = Self { attempts: 30, ..Self::USUAL };

    /// After the failure of this try, which are counted from 1. `random` is from 0 to 1: jobs that failed together do not come back together.
    pub(super) fn pause(&self, attempt: u32, random: f64) -> Duration {
        let at = usize::try_from(attempt.saturating_sub(1)).unwrap_or(usize::MAX);
        let pause = self.pauses.get(at).or(self.pauses.last()).copied().unwrap_or_default();
        pause.mul_f64(0.8 + 0.4 * random)
    }

    pub(super) const fn is_last(&self, attempt: u32) -> bool {
        attempt >= self.attempts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_days_with_jitter() {
        let all: Duration = (1..Retry::USUAL.attempts).map(|attempt| Retry::USUAL.pause(attempt, 0.5)).sum();
        let hours = all.as_secs() / 3_600;
        assert!((71..=72).contains(&hours), "{hours} h");
        assert_eq!(Retry::USUAL.pause(1, 0.0), Duration::from_secs(4));
        assert_eq!(Retry::USUAL.pause(1, 1.0), Duration::from_secs(6));
        assert_eq!(Retry::USUAL.pause(1_000_000, 0.5), Duration::from_secs(3_600));
        assert!(Retry::USUAL.is_last(76) && !Retry::USUAL.is_last(75));
        let none = Retry { pauses: &[], attempts: 1 };
        assert_eq!(none.pause(1, 0.5), Duration::ZERO);
    }
}
