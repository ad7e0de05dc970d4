//! What is asked about usage: as it was typed or sent, and as it is meant.

use std::time::{Duration, SystemTime};

use time::{Date, Month, OffsetDateTime, PrimitiveDateTime, Time};

use super::hour::Hour;
use crate::config::parse_duration;
use crate::meta::{UsageBy, UsageRange};
use crate::oci::AccountId;

/// What was typed after `entrepot usage`, or sent to `/usage`. What is not said has a default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// A time ago (`7d`) or a time in UTC (`2026-01-31`, `2026-01-31T10:00Z`); default a day ago.
    pub since: Option<String>,
    /// The same; default now.
    pub until: Option<String>,
    /// `repository` (the default), `principal` or `hour`.
    pub by: Option<String>,
    /// A name, in which `*` stands for anything; default all.
    pub repository: Option<String>,
    /// The account of the registry; default the home registry.
    pub registry: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    pub(super) range: UsageRange,
    pub(super) by: UsageBy,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QuestionError {
    #[error(
        "{0:?} is no time: write how long ago, such as 7d or 12h, or a time in UTC, such as 2026-01-31 or 2026-01-31T10:00Z"
    )]
    Time(String),
    #[error("{0:?} is nothing to sum up by: write repository, principal or hour")]
    By(String),
    #[error("{0:?} is no name of a repository: write one, with * for anything, such as team/*")]
    Repository(String),
    #[error("{0:?} is no account of a registry: write its twelve digits")]
    Registry(String),
    #[error("{0:?} is not known here: there are since, until, by, repository and registry")]
    Parameter(String),
    #[error("nothing lies between since and until: since must be the earlier one")]
    Backwards,
}

const DAY: Duration = Duration::from_secs(86_400);

/// Longer than any name under an upstream's.
const MAX_PATTERN_CHARS: usize = 600;

impl Wanted {
    /// The query of a URL. Of a parameter that is there twice the last one holds.
    pub fn of_query(query: &str) -> Result<Self, QuestionError> {
        let mut wanted = Self::default();
        for (key, value) in form_urlencoded::parse(query.as_bytes()) {
            let field = match &*key {
                "since" => &mut wanted.since,
                "until" => &mut wanted.until,
                "by" => &mut wanted.by,
                "repository" => &mut wanted.repository,
                "registry" => &mut wanted.registry,
                _ => return Err(QuestionError::Parameter(cut(&key))),
            };
            *field = Some(value.into_owned());
        }
        Ok(wanted)
    }

    /// Hours are whole: the one that `since` lies in is the first.
    pub fn question(&self, home: AccountId, now: SystemTime) -> Result<Question, QuestionError> {
        let by = match self.by.as_deref() {
            None | Some("repository") => UsageBy::Repository,
            Some("principal") => UsageBy::Principal,
            Some("hour") => UsageBy::Hour,
            Some(other) => return Err(QuestionError::By(cut(other))),
        };
        let now_ms = milliseconds(now);
        let since = self.since.as_deref().map_or(Ok(before(now_ms, DAY)), |text| point(text, now_ms))?;
        let since_ms = Hour::of_ms(since).ms();
        // The hour that is going on is in.
        let until_ms = self.until.as_deref().map_or(Ok(now_ms.saturating_add(1)), |text| point(text, now_ms))?;
        if since_ms >= until_ms {
            return Err(QuestionError::Backwards);
        }
        let account = match &self.registry {
            None => home,
            Some(text) => text.parse().map_err(|_| QuestionError::Registry(cut(text)))?,
        };
        let repository = self.repository.as_deref().unwrap_or("*");
        let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "._-/*".contains(c);
        if repository.is_empty() || repository.len() > MAX_PATTERN_CHARS || !repository.chars().all(is_plain) {
            return Err(QuestionError::Repository(cut(repository)));
        }
        Ok(Question { range: UsageRange { account, since_ms, until_ms, repository: repository.to_owned() }, by })
    }
}

/// What is repeated in a message is not too long.
fn cut(text: &str) -> String {
    text.chars().take(100).collect()
}

fn milliseconds(time: SystemTime) -> i64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

fn before(now_ms: i64, ago: Duration) -> i64 {
    now_ms.saturating_sub(i64::try_from(ago.as_millis()).unwrap_or(i64::MAX)).max(0)
}

fn point(text: &str, now_ms: i64) -> Result<i64, QuestionError> {
    match parse_duration(text) {
        Ok(ago) => Ok(before(now_ms, ago)),
        Err(_) => at(text).ok_or_else(|| QuestionError::Time(cut(text))),
    }
}

/// `2026-01-31`, `2026-01-31T10:00Z` or `2026-01-31T10:00:00Z`, as milliseconds since 1970.
fn at(text: &str) -> Option<i64> {
    let (date, time) = match text.split_once('T') {
        Some((date, time)) => (date, time.strip_suffix('Z')?),
        None => (text, "00:00"),
    };
    let mut parts = date.split('-');
    let (year, month, day) = (number(parts.next()?, 4)?, number(parts.next()?, 2)?, number(parts.next()?, 2)?);
    let mut clock = time.split(':');
    let (hour, minute) = (number(clock.next()?, 2)?, number(clock.next()?, 2)?);
    let second = clock.next().map_or(Some(0), |text| number(text, 2))?;
    if parts.next().is_some() || clock.next().is_some() {
        return None;
    }
    let part = |number: u16| u8::try_from(number).ok();
    let month = Month::try_from(part(month)?).ok()?;
    let date = Date::from_calendar_date(i32::from(year), month, part(day)?).ok()?;
    let time = Time::from_hms(part(hour)?, part(minute)?, part(second)?).ok()?;
    let moment: OffsetDateTime = PrimitiveDateTime::new(date, time).assume_utc();
    moment.unix_timestamp().checked_mul(1000).filter(|ms| *ms >= 0)
}

fn number(text: &str, digits: usize) -> Option<u16> {
    let is_plain = text.len() == digits && text.bytes().all(|c| c.is_ascii_digit());
    text.parse().ok().filter(|_| is_plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-01-31T10:20:30Z
    const NOW_MS: i64 = 1_769_854_830_000;

    fn ask(query: &str) -> Result<Question, QuestionError> {
        let now = SystemTime::UNIX_EPOCH + Duration::from_millis(NOW_MS.unsigned_abs());
        Wanted::of_query(query)?.question("000000000000".parse().unwrap(), now)
    }

    #[test]
    fn what_can_be_asked() {
        let hour = |text| at(text).unwrap();
        for (query, since, until, by, repository) in [
            ("", "2026-01-30T10:00Z", NOW_MS + 1, UsageBy::Repository, "*"),
            ("since=7d&by=hour", "2026-01-24T10:00Z", NOW_MS + 1, UsageBy::Hour, "*"),
            ("since=2026-01-01&until=2026-01-02T00:00:00Z", "2026-01-01", hour("2026-01-02"), UsageBy::Repository, "*"),
            ("since=2026-01-31T09:59Z&until=1h", "2026-01-31T09:00Z", NOW_MS - 3_600_000, UsageBy::Repository, "*"),
            ("by=principal&repository=team%2F*", "2026-01-30T10:00Z", NOW_MS + 1, UsageBy::Principal, "team/*"),
            ("since=3650d&repository=a", "2016-02-03T10:00Z", NOW_MS + 1, UsageBy::Repository, "a"),
        ] {
            let question = ask(query).unwrap();
            let range = UsageRange {
                account: "000000000000".parse().unwrap(),
                since_ms: hour(since),
                until_ms: until,
                repository: repository.to_owned(),
            };
            assert_eq!(question, Question { range, by }, "{query}");
        }
    }

    #[test]
    fn what_cannot() {
        let text = |text: &str| text.to_owned();
        for (query, expected) in [
            ("since=yesterday", QuestionError::Time(text("yesterday"))),
            ("since=", QuestionError::Time(text(""))),
            ("since=2026-02-30", QuestionError::Time(text("2026-02-30"))),
            ("since=2026-01-01T10:00", QuestionError::Time(text("2026-01-01T10:00"))),
            ("until=1969-12-31", QuestionError::Time(text("1969-12-31"))),
            ("since=2026-1-1", QuestionError::Time(text("2026-1-1"))),
            ("since=2026-01-01T25:00Z", QuestionError::Time(text("2026-01-01T25:00Z"))),
            ("by=day", QuestionError::By(text("day"))),
            ("repository=A", QuestionError::Repository(text("A"))),
            ("repository=a%00", QuestionError::Repository(text("a\0"))),
            ("repository=", QuestionError::Repository(text(""))),
            ("tag=a", QuestionError::Parameter(text("tag"))),
            ("since=1h&until=3h", QuestionError::Backwards),
            ("until=2d", QuestionError::Backwards),
        ] {
            assert_eq!(ask(query), Err(expected), "{query}");
        }
    }
}
