//! What a status and its headers mean. Pure.

use std::time::{Duration, SystemTime};

use reqwest::StatusCode;
use reqwest::header::{DATE, HeaderMap, RETRY_AFTER};

use super::error::ErrorKind;

/// Nobody is told to come back later than this.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(3600);

/// The error that a status other than success stands for.
pub(super) fn kind(status: StatusCode, headers: &HeaderMap, now: SystemTime) -> ErrorKind {
    match status.as_u16() {
        404 | 410 => ErrorKind::NotFound,
        401 => ErrorKind::Unauthorized,
        403 | 451 => ErrorKind::Denied,
        429 => ErrorKind::RateLimited { retry_after: retry_after(headers, now) },
        status => ErrorKind::Failed { status, retry_after: retry_after(headers, now) },
    }
}

/// `Retry-After` in seconds or as a date (RFC 9110 section 10.2.3), at most an hour. A date is read against the sender's own
/// clock where it tells it.
pub(super) fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let wait = if !value.is_empty() && value.bytes().all(|c| c.is_ascii_digit()) {
        Duration::from_secs(value.parse().unwrap_or(u64::MAX))
    } else {
        let then = httpdate::parse_http_date(value).ok()?;
        let sent = headers.get(DATE).and_then(|date| httpdate::parse_http_date(date.to_str().ok()?).ok());
        then.duration_since(sent.unwrap_or(now)).unwrap_or_default()
    };
    Some(wait.min(LONGEST_RETRY_AFTER))
}

/// Docker Hub's count of pulls: `100;w=21600` is 100 in six hours.
pub(super) fn pulls(headers: &HeaderMap, name: &str) -> Option<i64> {
    let value = headers.get(name)?.to_str().ok()?;
    value.split([';', ',']).next()?.trim().parse().ok().filter(|pulls| *pulls >= 0)
}

/// Statuses that are worth a label each; the rest go by their class, so that an upstream cannot make up many.
pub(super) fn label(code: StatusCode) -> &'static str {
    match code.as_u16() {
        200 => "200",
        206 => "206",
        301 => "301",
        302 => "302",
        303 => "303",
        307 => "307",
        308 => "308",
        400 => "400",
        401 => "401",
        403 => "403",
        404 => "404",
        405 => "405",
        416 => "416",
        429 => "429",
        500 => "500",
        502 => "502",
        503 => "503",
        504 => "504",
        100..=199 => "1xx",
        201..=299 => "2xx",
        304..=399 => "3xx",
        402..=499 => "4xx",
        _ => "5xx",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }

    #[test]
    fn retry_after_in_every_form() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
        for (value, expected) in [
            ("0", Some(0)),
            ("120", Some(120)),
            (" 7 ", Some(7)),
            ("99999999999999999999999", Some(3600)),
            ("Sun, 06 Nov 1994 08:50:37 GMT", Some(60)),
            ("Sunday, 06-Nov-94 08:50:37 GMT", Some(60)),
            ("Sun Nov  6 08:50:37 1994", Some(60)),
            ("Sun, 06 Nov 1994 08:00:00 GMT", Some(0)),
            ("Sat, 06 Nov 2094 08:00:00 GMT", Some(3600)),
            ("", None),
            ("-1", None),
            ("1.5", None),
            ("soon", None),
        ] {
            let found = retry_after(&headers(&[("retry-after", value)]), now);
            assert_eq!(found, expected.map(Duration::from_secs), "{value}");
        }
        assert_eq!(retry_after(&HeaderMap::new(), now), None);
    }

    #[test]
    fn a_date_is_read_against_the_senders_clock() {
        let skewed =
            headers(&[("retry-after", "Sun, 06 Nov 1994 08:50:37 GMT"), ("date", "Sun, 06 Nov 1994 08:50:07 GMT")]);
        assert_eq!(retry_after(&skewed, SystemTime::now()), Some(Duration::from_secs(30)));
    }

    #[test]
    fn pulls_of_docker_hub() {
        let known =
            headers(&[("ratelimit-limit", "100;w=21600"), ("ratelimit-remaining", "7"), ("x", "-1"), ("y", "a")]);
        assert_eq!(pulls(&known, "ratelimit-limit"), Some(100));
        assert_eq!(pulls(&known, "ratelimit-remaining"), Some(7));
        for name in ["x", "y", "absent"] {
            assert_eq!(pulls(&known, name), None);
        }
    }
}
