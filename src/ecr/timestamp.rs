//! A moment as this protocol writes it: a JSON number of seconds since 1970 with a fraction of milliseconds.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Serialize, Serializer};

/// Milliseconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Timestamp(u64);

impl Timestamp {
    pub const fn from_unix_millis(millis: u64) -> Self {
        Self(millis)
    }

    pub const fn unix_millis(self) -> u64 {
        self.0
    }
}

impl From<SystemTime> for Timestamp {
    /// A moment before 1970 becomes 1970.
    fn from(time: SystemTime) -> Self {
        let since = time.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        Self(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(self.0 as f64 / 1000.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_with_milliseconds() {
        let text = |millis| serde_json::to_string(&Timestamp::from_unix_millis(millis)).unwrap();
        assert_eq!(text(1_448_875_853_241), "1448875853.241");
        assert_eq!(text(1_565_128_275_000), "1565128275.0");
        assert_eq!(text(0), "0.0");
        assert_eq!(Timestamp::from(UNIX_EPOCH + Duration::from_micros(1999)).unix_millis(), 1);
        assert_eq!(Timestamp::from(UNIX_EPOCH - Duration::from_secs(1)).unix_millis(), 0);
    }
}
