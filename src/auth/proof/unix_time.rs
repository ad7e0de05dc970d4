//! A moment in whole seconds since 1970, as tokens and signatures carry it.
//!
//! Every decision of this room is given `now` as one of these, so no test has to wait and no two checks of one request see
//! two clocks.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use time::{Date, Month, OffsetDateTime, PrimitiveDateTime, Time};

/// Seconds since the epoch, UTC. Shown as RFC 3339.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UnixTime(i64);

impl UnixTime {
    pub const fn from_seconds(seconds: i64) -> Self {
        Self(seconds)
    }

    pub const fn seconds(self) -> i64 {
        self.0
    }

    /// `20150830T123600Z`, the only form that SigV4 knows.
    pub fn parse_basic(text: &str) -> Option<Self> {
        let (date, time) = text.strip_suffix('Z')?.split_once('T')?;
        if date.len() != 8 || time.len() != 6 {
            return None;
        }
        let month = Month::try_from(number::<u8>(date.get(4..6)?)?).ok()?;
        let date = Date::from_calendar_date(number(date.get(..4)?)?, month, number(date.get(6..)?)?).ok()?;
        let time = Time::from_hms(number(time.get(..2)?)?, number(time.get(2..4)?)?, number(time.get(4..)?)?).ok()?;
        Some(Self(PrimitiveDateTime::new(date, time).assume_utc().unix_timestamp()))
    }

    /// The inverse of [`Self::parse_basic`].
    pub fn basic(self) -> String {
        let at = self.calendar();
        let (hour, minute, second) = at.to_hms();
        format!("{}T{hour:02}{minute:02}{second:02}Z", self.day())
    }

    /// `20150830`: the day of a credential's scope.
    pub fn day(self) -> String {
        let at = self.calendar();
        format!("{:04}{:02}{:02}", at.year(), u8::from(at.month()), at.day())
    }

    #[must_use]
    pub fn plus(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(whole_seconds(duration)))
    }

    #[must_use]
    pub fn minus(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(whole_seconds(duration)))
    }

    /// How long from `earlier` to here, or nothing where that lies behind.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_secs(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or_default())
    }

    /// What lies outside of the years that a calendar can show is shown as the epoch.
    fn calendar(self) -> OffsetDateTime {
        OffsetDateTime::from_unix_timestamp(self.0).unwrap_or(OffsetDateTime::UNIX_EPOCH)
    }
}

impl From<SystemTime> for UnixTime {
    fn from(time: SystemTime) -> Self {
        match time.duration_since(UNIX_EPOCH) {
            Ok(since) => Self(whole_seconds(since)),
            Err(before) => Self(whole_seconds(before.duration()).saturating_neg()),
        }
    }
}

impl fmt::Display for UnixTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = self.calendar();
        let (hour, minute, second) = at.to_hms();
        let (year, month, day) = (at.year(), u8::from(at.month()), at.day());
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
    }
}

fn whole_seconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_secs()).unwrap_or(i64::MAX)
}

/// Digits only: `parse` alone would also take a sign.
fn number<T: std::str::FromStr>(text: &str) -> Option<T> {
    if text.bytes().all(|c| c.is_ascii_digit()) { text.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms() {
        let at = UnixTime::parse_basic("20150830T123600Z").unwrap();
        assert_eq!(at, UnixTime::from_seconds(1_440_938_160));
        assert_eq!(
            (at.basic(), at.day(), at.to_string()),
            ("20150830T123600Z".into(), "20150830".into(), "2015-08-30T12:36:00Z".into())
        );
        assert!(UnixTime::parse_basic("20240229T000000Z").is_some());
    }

    #[test]
    fn nonsense() {
        for text in [
            "",
            "Z",
            "T",
            "TZ",
            "20150830",
            "20150830T123600",
            "20150830T123600z",
            "20150230T123600Z",
            "20150830T243600Z",
            "2015-08-30T12:36:00Z",
            "+0150830T123600Z",
            "20150830T+23600Z",
            "201508300T12360Z",
            "2015083\u{e4}T123600Z",
            " 20150830T123600Z",
        ] {
            assert_eq!(UnixTime::parse_basic(text), None, "{text}");
        }
    }

    #[test]
    fn ends_of_time() {
        let last = UnixTime::from_seconds(i64::MAX);
        assert_eq!(last.plus(Duration::MAX), last);
        assert_eq!(UnixTime::from_seconds(i64::MIN).minus(Duration::MAX), UnixTime::from_seconds(i64::MIN));
        assert_eq!(last.since(UnixTime::from_seconds(i64::MIN)), Duration::from_secs(i64::MAX.unsigned_abs()));
        assert_eq!(UnixTime::from_seconds(0).since(last), Duration::ZERO);
        assert_eq!(last.to_string(), "1970-01-01T00:00:00Z");
        assert_eq!(UnixTime::from(UNIX_EPOCH - Duration::from_secs(5)), UnixTime::from_seconds(-5));
    }

    proptest::proptest! {
        #[test]
        fn never_panics(text in ".{0,20}") {
            UnixTime::parse_basic(&text);
        }

        #[test]
        fn round_trip(seconds in 0_i64..200_000_000_000) {
            let at = UnixTime::from_seconds(seconds);
            proptest::prop_assert_eq!(UnixTime::parse_basic(&at.basic()), Some(at));
        }
    }
}
