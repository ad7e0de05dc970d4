//! Asking again.

use std::time::Duration;

use crate::cli::transfer::error::Error;

const TRIES: u32 = 5;
const FIRST_PAUSE: Duration = Duration::from_millis(250);
/// Who asks for a longer pause is not waited for.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Does it until it succeeds, fails for good, or has failed too often.
pub(in crate::cli::transfer) async fn persist<T>(
    mut attempt: impl AsyncFnMut() -> Result<T, Error>,
) -> Result<T, Error> {
    let mut tries = 0;
    loop {
        let error = match attempt().await {
            Ok(value) => return Ok(value),
            Err(error) => error,
        };
        tries += 1;
        match pause_after(&error, tries, fastrand::f64()) {
            Some(pause) => tokio::time::sleep(pause).await,
            None => return Err(error),
        }
    }
}

/// How long to wait before the next try, if there is to be one. `jitter` is in 0..1.
fn pause_after(error: &Error, tries: u32, jitter: f64) -> Option<Duration> {
    if tries >= TRIES {
        return None;
    }
    let backoff = (FIRST_PAUSE * (1 << tries.saturating_sub(1).min(8))).mul_f64(0.75 + jitter / 2.0);
    match error {
        Error::Broken { .. } => Some(backoff),
        Error::Refused { answer, .. } if matches!(answer.status, 408 | 429 | 500..) => match answer.retry_after {
            Some(asked) if asked > LONGEST_PAUSE => None,
            asked => Some(backoff.max(asked.unwrap_or_default())),
        },
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::transfer::error::Answer;

    #[test]
    fn table() {
        let refused = |status, seconds: Option<u64>| {
            let retry_after = seconds.map(Duration::from_secs);
            let answer = Answer { status, code: String::new(), message: String::new(), retry_after, had_login: false };
            Error::Refused { object: "x".to_owned(), answer: Box::new(answer) }
        };
        let millis = Duration::from_millis;
        for (error, tries, expected) in [
            (Error::broken("x", "y"), 1, Some(millis(250))),
            (Error::broken("x", "y"), 4, Some(millis(2000))),
            (Error::broken("x", "y"), 5, None),
            (refused(503, None), 1, Some(millis(250))),
            (refused(429, Some(2)), 1, Some(millis(2000))),
            (refused(429, Some(3600)), 1, None),
            (refused(404, None), 1, None),
            (Error::wrong("x", "y"), 1, None),
        ] {
            assert_eq!(pause_after(&error, tries, 0.5), expected, "{error}");
        }
    }
}
