//! What is answered about usage.

use serde::Serialize;

use super::hour::Hour;
use super::question::Question;
use crate::meta::{Error, Meta, UsageBy, UsageSum};
use crate::oci::AccountId;

/// Lines of one report.
const MAX_LINES: u32 = 10_000;

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    pub account: AccountId,
    /// The first hour.
    pub since: String,
    /// Hours that begin before the end of this one.
    pub last_hour: String,
    /// Hours in their order; others by the bytes that went to and fro, most first.
    pub lines: Vec<Line>,
    /// More lines than are shown; the total is of all.
    pub more: bool,
    pub total: Line,
}

/// Bytes are those of bodies.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Line {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub repository: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub principal: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hour: Option<String>,
    pub requests: u64,
    pub pulls: u64,
    pub pushes: u64,
    pub received_bytes: u64,
    pub sent_bytes: u64,
    pub fetched_bytes: u64,
    /// What was sent of repositories of upstreams without being fetched: less than nothing where more was fetched than anybody wanted
    /// yet. Fetches belong to nobody in particular, so it is not told of principals.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub saved_bytes: Option<i64>,
    /// What repositories of one's own held when it was last looked at.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stored_bytes: Option<u64>,
}

/// Asks the database.
pub async fn report(meta: &Meta, question: &Question) -> Result<Report, Error> {
    let Question { range, by } = question;
    let mut sums = meta.usage(range, *by, MAX_LINES + 1).await?;
    let total = meta.usage_total(range).await?;
    let more = sums.len() > MAX_LINES as usize;
    sums.truncate(MAX_LINES as usize);
    let lines = sums.into_iter().map(|sum| line(Some(*by), sum)).collect();
    let (since, last_hour) = (Hour::of_ms(range.since_ms), Hour::of_ms(range.until_ms - 1));
    let (since, last_hour) = (since.to_string(), last_hour.to_string());
    Ok(Report { account: range.account, since, last_hour, lines, more, total: line(None, total) })
}

fn line(by: Option<UsageBy>, sum: UsageSum) -> Line {
    let UsageSum { of, counts, stored_bytes } = sum;
    let named = |wanted| (by == Some(wanted)).then(|| of.clone());
    let of_all = by != Some(UsageBy::Principal);
    Line {
        repository: named(UsageBy::Repository),
        principal: named(UsageBy::Principal),
        hour: named(UsageBy::Hour).map(|ms| Hour::of_ms(ms.parse().unwrap_or_default()).to_string()),
        requests: counts.requests,
        pulls: counts.pulls,
        pushes: counts.pushes,
        received_bytes: counts.received_bytes,
        sent_bytes: counts.sent_bytes,
        fetched_bytes: counts.fetched_bytes,
        saved_bytes: of_all.then(|| signed(counts.relayed_bytes).saturating_sub(signed(counts.fetched_bytes))),
        stored_bytes: of_all.then_some(stored_bytes),
    }
}

fn signed(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::meta::UsageCounts;

    #[test]
    fn what_was_saved() {
        let sum = |relayed_bytes, fetched_bytes| UsageSum {
            of: "3600000".to_owned(),
            counts: UsageCounts { sent_bytes: 100, relayed_bytes, fetched_bytes, ..UsageCounts::default() },
            stored_bytes: 5,
        };
        for (relayed, fetched, saved) in [(100, 30, 70), (0, 0, 0), (10, 30, -20)] {
            let line = line(Some(UsageBy::Hour), sum(relayed, fetched));
            assert_eq!((line.saved_bytes, line.stored_bytes), (Some(saved), Some(5)));
            assert_eq!(line.hour.as_deref(), Some("1970-01-01T01:00:00Z"));
        }
        let line = line(Some(UsageBy::Principal), sum(100, 30));
        assert_eq!((line.principal.as_deref(), line.saved_bytes, line.stored_bytes), (Some("3600000"), None, None));
        assert_eq!((line.hour, line.repository), (None, None));
    }
}
