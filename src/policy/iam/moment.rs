//! Points in time, as policies write them: the profile of ISO 8601 in the W3C note "Date and Time Formats", or seconds since 1970.
//!
//! Four digits alone are a year, since no policy means the first three hours of 1970. A date without a time is its first instant in
//! UTC. Nothing finer than a nanosecond is kept, and leap seconds are not known here.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Nanoseconds since the start of 1970 in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(i128);

const NANOS: i128 = 1_000_000_000;
const DAY_SECONDS: i64 = 86_400;

impl Moment {
    pub fn from_epoch_seconds(seconds: i64) -> Self {
        Self(i128::from(seconds) * NANOS)
    }

    pub fn epoch_seconds(self) -> i128 {
        self.0.div_euclid(NANOS)
    }

    pub fn parse(text: &str) -> Option<Self> {
        if text.len() == 4 {
            return Self::at(digits(text)?, 1, 1, 0, 0);
        }
        if let Ok(seconds) = text.parse::<i64>() {
            return Some(Self::from_epoch_seconds(seconds));
        }
        let (date, time) = match text.split_once('T') {
            Some((date, time)) => (date, Some(time)),
            None => (text, None),
        };
        let mut parts = date.split('-');
        let year = fixed(parts.next()?, 4)?;
        let month = fixed(parts.next()?, 2)?;
        let day = parts.next().map(|day| fixed(day, 2));
        if parts.next().is_some() {
            return None;
        }
        match (day, time) {
            (None, None) => Self::at(year, month, 1, 0, 0),
            (Some(day), None) => Self::at(year, month, day?, 0, 0),
            (Some(day), Some(time)) => {
                let (seconds, nanos) = time_of_day(time)?;
                Self::at(year, month, day?, seconds, nanos)
            }
            (None, Some(_)) => None,
        }
    }

    fn at(year: i64, month: i64, day: i64, seconds: i64, nanos: i128) -> Option<Self> {
        if !(1..=12).contains(&month) || day < 1 || day > days_in(year, month) {
            return None;
        }
        let seconds = days_since_1970(year, month, day) * DAY_SECONDS + seconds;
        Some(Self(i128::from(seconds) * NANOS + nanos))
    }
}

impl From<SystemTime> for Moment {
    fn from(time: SystemTime) -> Self {
        let nanos = |span: Duration| i128::from(span.as_secs()) * NANOS + i128::from(span.subsec_nanos());
        match time.duration_since(UNIX_EPOCH) {
            Ok(after) => Self(nanos(after)),
            Err(before) => Self(-nanos(before.duration())),
        }
    }
}

/// `hh:mm[:ss[.s]]` and a zone, which the profile demands: seconds of the day in UTC, perhaps of the day before or after.
fn time_of_day(text: &str) -> Option<(i64, i128)> {
    let (clock, offset) = match text.strip_suffix('Z') {
        Some(clock) => (clock, 0),
        None => {
            let (clock, zone) = text.split_at_checked(text.len().checked_sub(6)?)?;
            let (hours, minutes) = zone.get(1..)?.split_once(':')?;
            let span = fixed(hours, 2).filter(|hours| *hours < 24)? * 3600 + sixtieth(minutes)? * 60;
            match zone.get(..1)? {
                "+" => (clock, span),
                "-" => (clock, -span),
                _ => return None,
            }
        }
    };
    let mut parts = clock.split(':');
    let hours = fixed(parts.next()?, 2).filter(|hours| *hours < 24)?;
    let minutes = sixtieth(parts.next()?)?;
    let (seconds, nanos) = match parts.next() {
        None => (0, 0),
        Some(seconds) => match seconds.split_once('.') {
            None => (sixtieth(seconds)?, 0),
            Some((whole, fraction)) => (sixtieth(whole)?, nanos(fraction)?),
        },
    };
    if parts.next().is_some() {
        return None;
    }
    Some((hours * 3600 + minutes * 60 + seconds - offset, nanos))
}

fn nanos(fraction: &str) -> Option<i128> {
    if fraction.is_empty() || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let nine: String = fraction.chars().chain("000000000".chars()).take(9).collect();
    nine.parse().ok()
}

fn sixtieth(text: &str) -> Option<i64> {
    fixed(text, 2).filter(|value| *value < 60)
}

fn fixed(text: &str, width: usize) -> Option<i64> {
    if text.len() == width { digits(text) } else { None }
}

fn digits(text: &str) -> Option<i64> {
    if text.bytes().all(|byte| byte.is_ascii_digit()) { text.parse().ok() } else { None }
}

fn days_in(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Counts years from March, so that the leap day is the last of its year. Years 0 to 9999.
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let leap_days = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    let before_month = (153 * month + 2) / 5;
    const MARCH_OF_YEAR_0_TO_1970: i64 = 719_468;
    year * 365 + leap_days + before_month + day - 1 - MARCH_OF_YEAR_0_TO_1970
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table() {
        for (text, seconds) in [
            ("1970-01-01T00:00:00Z", 0),
            ("1970-01-01", 0),
            ("1969-12-31T23:59:59Z", -1),
            ("2000-02-29", 951_782_400),
            ("2000-03-01T00:00Z", 951_868_800),
            ("2026", 1_767_225_600),
            ("2026-01", 1_767_225_600),
            ("2026-01-01T01:30:00+01:30", 1_767_225_600),
            ("2025-12-31T19:00:00-05:00", 1_767_225_600),
            ("2026-01-01T00:00:00.999Z", 1_767_225_600),
            ("1767225600", 1_767_225_600),
            ("-5", -5),
        ] {
            assert_eq!(Moment::parse(text).map(Moment::epoch_seconds), Some(seconds), "{text}");
        }
        for bad in [
            "",
            "abcd",
            "2026-13",
            "2026-02-29",
            "2026-00-01",
            "2026-01-00",
            "2026-1-1",
            "2026-01-01T00:00:00",
            "2026-01T00:00Z",
            "2026-01-01T24:00Z",
            "2026-01-01T00:60Z",
            "2026-01-01T00:00:00.Z",
            "2026-01-01T00Z",
            "2026-01-01T00:00:00:00Z",
            "2026-01-01T00:00é00:00",
            "2026-01-01-01",
            "1.5",
            "99999999999999999999",
            "2026-01-01T00:00*01:00",
        ] {
            assert_eq!(Moment::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn the_clock_and_the_text_agree() {
        let time = UNIX_EPOCH + Duration::new(1_767_225_600, 500_000_000);
        assert_eq!(Some(Moment::from(time)), Moment::parse("2026-01-01T00:00:00.5Z"));
        let time = UNIX_EPOCH - Duration::from_secs(5);
        assert_eq!(Moment::from(time), Moment::from_epoch_seconds(-5));
    }
}
