//! The body of a request, as the registry takes it.

use std::time::Duration;

use http_body_util::BodyExt;
use tokio::time::Instant;

use super::metered::Received;
use crate::config::HttpSettings;
use crate::registry::{BrokenOff, Incoming};
use crate::turns::Asker;

/// How slowly a body may come.
#[derive(Clone, Copy)]
pub struct LeastPace {
    stall_timeout: Duration,
    /// Bytes a second; 0 for none.
    rate: u64,
    window: Duration,
}

/// What a body brought while its client was waited for.
#[derive(Default)]
struct Window {
    waited: Duration,
    bytes: u64,
}

impl LeastPace {
    pub fn new(settings: &HttpSettings) -> Self {
        Self { stall_timeout: settings.stall_timeout, rate: settings.min_rate, window: settings.min_rate_window }
    }

    /// Adds bytes that came after so long a wait. The error says how slow the client is.
    fn note(&self, now: &mut Window, waited: Duration, bytes: usize) -> Result<(), String> {
        now.waited += waited;
        now.bytes = now.bytes.saturating_add(bytes as u64);
        if self.rate == 0 || now.waited < self.window {
            return Ok(());
        }
        let Window { waited, bytes } = std::mem::take(now);
        let found = bytes as f64 / waited.as_secs_f64();
        if found >= self.rate as f64 {
            return Ok(());
        }
        let over = waited.as_secs_f64();
        Err(format!("only {found:.0} bytes a second came over {over:.0} s, where `http.min_rate` is {}", self.rate))
    }
}

/// Ends with an error when it comes too slowly. What comes is counted into `received`; read whole, it takes room of `client`.
pub(super) fn incoming(body: hyper::body::Incoming, pace: LeastPace, received: Received, client: Asker) -> Incoming {
    let state = Some((body, received, Window::default()));
    let stream = futures_util::stream::unfold(state, move |state| async move {
        let (mut body, received, mut window) = state?;
        loop {
            let since = Instant::now();
            let frame = tokio::time::timeout(pace.stall_timeout, body.frame()).await;
            let given_up = |why| Some((Err(BrokenOff::Client(why)), None));
            let bytes = match frame {
                Ok(None) => return None,
                // Trailers say nothing here.
                Ok(Some(Ok(frame))) => frame.into_data().unwrap_or_default(),
                Ok(Some(Err(error))) => return given_up(error.to_string()),
                Err(_) => return given_up(format!("nothing came for {} s", pace.stall_timeout.as_secs())),
            };
            if let Err(slow) = pace.note(&mut window, since.elapsed(), bytes.len()) {
                return given_up(slow);
            }
            if !bytes.is_empty() {
                received.add(bytes.len());
                return Some((Ok(bytes), Some((body, received, window))));
            }
        }
    });
    Incoming::new(stream).sent_by(client)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn t31_a_body_that_drips_is_given_up_and_one_that_waits_for_us_is_not() {
        let second = Duration::from_secs(1);
        let pace = LeastPace { stall_timeout: 300 * second, rate: 1024, window: 60 * second };
        let mut window = Window::default();
        for _ in 0..59 {
            assert_eq!(pace.note(&mut window, second, 1), Ok(()));
        }
        assert!(pace.note(&mut window, second, 1).unwrap_err().contains("only 1 bytes a second"));
        // A byte in five minutes.
        assert!(pace.note(&mut Window::default(), 299 * second, 1).is_err());
        assert_eq!(pace.note(&mut window, 60 * second, 60 << 10), Ok(()));
        for _ in 0..1000 {
            assert_eq!(pace.note(&mut window, Duration::ZERO, 1), Ok(()));
        }
        assert_eq!(LeastPace { rate: 0, ..pace }.note(&mut window, 1000 * second, 0), Ok(()));
    }
}
