//! When to ask again, when to ask elsewhere, and what to make of several answers. Pure.

use std::time::Duration;

use super::breaker::Health;
use super::error::ErrorKind;

/// Requests to one endpoint for one question.
const TRIES: u32 = 3;
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// An upstream that wants a longer pause than this is not asked again for this question.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// A try that was given less than this shows nothing of the endpoint's health.
const FAIR_WAIT: Duration = Duration::from_secs(1);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// The same endpoint, after this pause.
    Again(Duration),
    /// The next endpoint, if there is one.
    Elsewhere,
}

/// `tries` counts those that the endpoint has had, the failed one included; `jitter` is in 0..1.
///
/// What took its whole time already is not tried again: whoever asks has waited long enough.
pub(super) fn after(kind: &ErrorKind, tries: u32, jitter: f64) -> Next {
    if tries >= TRIES {
        return Next::Elsewhere;
    }
    let backoff = (FIRST_PAUSE * (1 << tries.saturating_sub(1).min(8))).mul_f64(0.75 + jitter / 2.0);
    match kind {
        ErrorKind::Unreachable { .. } | ErrorKind::BrokenBody { .. } => Next::Again(backoff),
        ErrorKind::Failed { status: 408 | 500.., retry_after } => match retry_after {
            Some(asked) if *asked > LONGEST_PAUSE => Next::Elsewhere,
            asked => Next::Again(backoff.max(asked.unwrap_or_default())),
        },
        ErrorKind::RateLimited { retry_after: Some(asked) } if *asked <= LONGEST_PAUSE => {
            Next::Again(backoff.max(*asked))
        }
        _ => Next::Elsewhere,
    }
}

/// What a failed try that took `elapsed` says of the endpoint.
pub(super) fn health(kind: &ErrorKind, elapsed: Duration) -> Health {
    match kind {
        ErrorKind::Unreachable { .. } => Health::unreachable(elapsed),
        ErrorKind::Failed { status: 408 | 500.., .. } => Health::Failing,
        ErrorKind::TimedOut if elapsed >= FAIR_WAIT => Health::Failing,
        ErrorKind::TimedOut
        | ErrorKind::BrokenBody { .. }
        | ErrorKind::LoginFailed { .. }
        | ErrorKind::LeftAlone { .. }
        | ErrorKind::Busy { .. }
        | ErrorKind::NoRoom => Health::Unknown,
        ErrorKind::NotFound
        | ErrorKind::Unauthorized
        | ErrorKind::Denied
        | ErrorKind::RateLimited { .. }
        | ErrorKind::Failed { .. }
        | ErrorKind::Misbehaved { .. } => Health::Alive,
    }
}

/// The endpoints' errors taken together.
#[derive(Debug, Default)]
pub(super) struct Verdict(Option<ErrorKind>);

impl Verdict {
    /// "Not here" is the answer only where everyone says so: the mirror that failed might have had it. A rate limit is told
    /// before other failures, because it says when to come back.
    pub(super) fn note(&mut self, kind: ErrorKind) {
        let rank = |kind: &ErrorKind| match kind {
            ErrorKind::NotFound => 0,
            ErrorKind::Unauthorized | ErrorKind::Denied => 1,
            ErrorKind::RateLimited { .. } => 3,
            _ => 2,
        };
        if self.0.as_ref().is_none_or(|noted| rank(noted) <= rank(&kind)) {
            self.0 = Some(kind);
        }
    }

    pub(super) fn conclude(self) -> ErrorKind {
        self.0.unwrap_or_else(|| ErrorKind::Unreachable { detail: "no endpoint is configured".to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed(status: u16, retry_after: Option<u64>) -> ErrorKind {
        ErrorKind::Failed { status, retry_after: retry_after.map(Duration::from_secs) }
    }

    fn limited(retry_after: Option<u64>) -> ErrorKind {
        ErrorKind::RateLimited { retry_after: retry_after.map(Duration::from_secs) }
    }

    fn unreachable() -> ErrorKind {
        ErrorKind::Unreachable { detail: String::new() }
    }

    #[test]
    fn table() {
        let millis = Duration::from_millis;
        for (kind, tries, expected) in [
            (unreachable(), 1, Next::Again(millis(100))),
            (unreachable(), 2, Next::Again(millis(200))),
            (unreachable(), 3, Next::Elsewhere),
            (failed(500, None), 1, Next::Again(millis(100))),
            (failed(503, Some(1)), 1, Next::Again(millis(1000))),
            (failed(503, Some(3)), 1, Next::Elsewhere),
            (failed(408, None), 1, Next::Again(millis(100))),
            (failed(400, None), 1, Next::Elsewhere),
            (limited(None), 1, Next::Elsewhere),
            (limited(Some(2)), 1, Next::Again(millis(2000))),
            (limited(Some(60)), 1, Next::Elsewhere),
            (limited(Some(0)), 2, Next::Again(millis(200))),
            (ErrorKind::TimedOut, 1, Next::Elsewhere),
            (ErrorKind::NotFound, 1, Next::Elsewhere),
            (ErrorKind::Denied, 1, Next::Elsewhere),
            (ErrorKind::Misbehaved { detail: String::new() }, 1, Next::Elsewhere),
        ] {
            assert_eq!(after(&kind, tries, 0.5), expected, "{kind:?} after {tries}");
        }
    }

    #[test]
    fn jitter_spreads_the_pauses() {
        assert_eq!(after(&unreachable(), 1, 0.0), Next::Again(Duration::from_millis(75)));
        assert!(matches!(after(&unreachable(), 1, 0.999), Next::Again(pause) if pause > Duration::from_millis(124)));
    }

    #[test]
    fn health_table() {
        let second = Duration::from_secs(1);
        for (kind, elapsed, expected) in [
            (unreachable(), Duration::ZERO, Health::Refusing),
            (unreachable(), second, Health::Failing),
            (failed(502, None), Duration::ZERO, Health::Failing),
            (failed(400, None), Duration::ZERO, Health::Alive),
            (ErrorKind::TimedOut, second, Health::Failing),
            (ErrorKind::TimedOut, second / 2, Health::Unknown),
            (ErrorKind::NotFound, second, Health::Alive),
            (limited(None), second, Health::Alive),
        ] {
            assert_eq!(health(&kind, elapsed), expected, "{kind:?}");
        }
    }

    #[test]
    fn verdicts() {
        let conclude = |kinds: Vec<ErrorKind>| {
            let mut verdict = Verdict::default();
            kinds.into_iter().for_each(|kind| verdict.note(kind));
            verdict.conclude()
        };
        use ErrorKind::{Denied, NotFound, TimedOut};
        assert!(matches!(conclude(vec![NotFound, NotFound]), NotFound));
        assert!(matches!(conclude(vec![NotFound, TimedOut]), TimedOut));
        assert!(matches!(conclude(vec![TimedOut, NotFound]), TimedOut));
        assert!(matches!(conclude(vec![Denied, NotFound]), Denied));
        assert!(matches!(conclude(vec![Denied, TimedOut]), TimedOut));
        assert!(matches!(conclude(vec![limited(Some(9)), unreachable()]), ErrorKind::RateLimited { .. }));
        assert!(matches!(conclude(vec![unreachable(), failed(500, None)]), ErrorKind::Failed { .. }));
    }
}
