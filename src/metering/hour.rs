//! A whole hour of the clock, in UTC.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::telemetry::rfc_3339;

/// The milliseconds since 1970 of its beginning.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hour(i64);

const HOUR_MS: i64 = 3_600_000;

impl Hour {
    /// The one that the time lies in.
    pub fn of(time: SystemTime) -> Self {
        let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        Self::of_ms(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    }

    pub fn of_ms(ms: i64) -> Self {
        Self(ms - ms.rem_euclid(HOUR_MS))
    }

    pub fn ms(self) -> i64 {
        self.0
    }

    /// The one that lies so far before this.
    #[must_use]
    pub fn minus(self, duration: Duration) -> Self {
        let ms = i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
        Self::of_ms(self.0.saturating_sub(ms))
    }
}

/// RFC 3339, such as `2026-01-31T10:00:00Z`.
impl fmt::Display for Hour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let since = Duration::from_millis(u64::try_from(self.0).unwrap_or_default());
        let text = rfc_3339(UNIX_EPOCH + since);
        write!(f, "{}Z", text.split_once('.').map_or(text.as_str(), |(seconds, _)| seconds))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hours() {
        for (seconds, expected) in [
            (0, "1970-01-01T00:00:00Z"),
            (3599, "1970-01-01T00:00:00Z"),
            (3600, "1970-01-01T01:00:00Z"),
            (1_769_855_999, "2026-01-31T10:00:00Z"),
        ] {
            assert_eq!(Hour::of(UNIX_EPOCH + Duration::from_secs(seconds)).to_string(), expected, "{seconds}");
        }
        let hour = Hour::of_ms(10 * HOUR_MS + 1);
        assert_eq!(hour.ms(), 10 * HOUR_MS);
        assert_eq!(hour.minus(Duration::from_secs(7200)).ms(), 8 * HOUR_MS);
        assert_eq!(hour.minus(Duration::from_secs(1)).ms(), 9 * HOUR_MS);
    }
}
