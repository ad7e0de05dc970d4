//! The keys of an identity provider, as they are kept and asked for anew.
//!
//! A question to the provider belongs to a task: whoever needs its answer waits for it, and everybody else goes on with the keys that
//! are there. So a provider that is slow, or tokens that name keys which it does not have, keep no other login waiting.

use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::proof::Jwks;

pub(super) struct IssuerKeys {
    timing: Timing,
    state: Mutex<State>,
}

#[derive(Clone, Copy)]
pub(super) struct Timing {
    /// Keys that are older are asked for anew, beside.
    pub(super) fresh: Duration,
    /// Keys that are older are not used, though the provider cannot be asked.
    pub(super) longest: Duration,
    /// Between two questions: whoever sends tokens cannot make us ask more often.
    pub(super) pause: Duration,
}

#[derive(Default)]
struct State {
    /// With the time of the answer.
    kept: Option<(Arc<Jwks>, Instant)>,
    /// The end of the last question, and why there was no answer.
    asked: Option<(Instant, Result<(), String>)>,
    under_way: Option<watch::Receiver<()>>,
}

impl IssuerKeys {
    pub(super) fn new(timing: Timing) -> Arc<Self> {
        Arc::new(Self { timing, state: Mutex::default() })
    }

    /// Those that are kept, while they are not too old; else those that `fetch` brings.
    pub(super) async fn usual<F>(self: &Arc<Self>, fetch: impl FnOnce() -> F) -> Result<Arc<Jwks>, String>
    where
        F: Future<Output = Result<Jwks, String>> + Send + 'static,
    {
        let waits = {
            let mut state = self.lock();
            let kept = state.kept.as_ref().map(|(keys, at)| (keys.clone(), at.elapsed()));
            match kept {
                Some((keys, age)) if age < self.timing.fresh => return Ok(keys),
                Some((keys, age)) if age < self.timing.longest => {
                    self.ask(&mut state, fetch);
                    return Ok(keys);
                }
                _ => self.ask(&mut state, fetch),
            }
        };
        match waits {
            Some(waits) => ended(waits).await,
            None => return Err("it failed a moment ago".to_owned()),
        }
        let state = self.lock();
        match (&state.kept, &state.asked) {
            (Some((keys, at)), _) if at.elapsed() < self.timing.longest => Ok(keys.clone()),
            (_, Some((_, Err(reason)))) => Err(reason.clone()),
            _ => Err("the question ended without an answer".to_owned()),
        }
    }

    /// For a token whose key is not among the usual ones: those of a new answer, unless there was one moments ago.
    pub(super) async fn newest<F>(self: &Arc<Self>, fetch: impl FnOnce() -> F) -> Option<Arc<Jwks>>
    where
        F: Future<Output = Result<Jwks, String>> + Send + 'static,
    {
        let waits = self.ask(&mut self.lock(), fetch);
        if let Some(waits) = waits {
            ended(waits).await;
        }
        self.lock().kept.as_ref().map(|(keys, _)| keys.clone())
    }

    /// The end of a question that is under way, or is put now. `None` when one ended moments ago.
    fn ask<F>(self: &Arc<Self>, state: &mut State, fetch: impl FnOnce() -> F) -> Option<watch::Receiver<()>>
    where
        F: Future<Output = Result<Jwks, String>> + Send + 'static,
    {
        // A sender that is gone belonged to a task that has ended.
        if let Some(waits) = state.under_way.as_ref().filter(|waits| waits.has_changed().is_ok()) {
            return Some(waits.clone());
        }
        if state.asked.as_ref().is_some_and(|(at, _)| at.elapsed() < self.timing.pause) {
            return None;
        }
        let (end, waits) = watch::channel(());
        state.under_way = Some(waits.clone());
        let (this, fetch) = (self.clone(), fetch());
        tokio::spawn(async move {
            let fetched = fetch.await;
            let mut state = this.lock();
            let now = Instant::now();
            state.asked = Some((now, fetched.as_ref().map(drop).map_err(Clone::clone)));
            // Old keys are better than none.
            if let Ok(keys) = fetched {
                state.kept = Some((Arc::new(keys), now));
            }
            state.under_way = None;
            drop(state);
            drop(end);
        });
        Some(waits)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The sender says nothing: it is dropped at the end.
async fn ended(mut waits: watch::Receiver<()>) {
    let _ = waits.changed().await;
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Poll;

    use futures_util::poll;
    use tokio::sync::oneshot;

    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    fn keys() -> Jwks {
        // RFC 8037, appendix A.2.
        let key = r#"{"kty":"OKP","crv":"Ed25519","kid":"a","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;
        Jwks::parse(format!(r#"{{"keys":[{key}]}}"#).as_bytes()).unwrap()
    }

    fn timing(fresh: Duration, longest: Duration, pause: Duration) -> Arc<IssuerKeys> {
        IssuerKeys::new(Timing { fresh, longest, pause })
    }

    async fn answer(kept: &Arc<IssuerKeys>) -> Arc<Jwks> {
        kept.usual(async || Ok(keys())).await.unwrap()
    }

    /// Whoever shows a token with a key that nobody knows waits for the provider, and nobody else does.
    #[tokio::test]
    async fn t32_a_slow_provider_keeps_no_other_login_waiting() {
        let kept = timing(HOUR, HOUR, Duration::ZERO);
        let first = answer(&kept).await;
        let (bring, brought) = oneshot::channel::<()>();
        let slow = || async {
            let _ = brought.await;
            Ok(keys())
        };
        let mut unknown = Box::pin(kept.newest(slow));
        assert!(poll!(&mut unknown).is_pending());
        let other = || async { panic!("one question at a time") };
        let mut second = Box::pin(kept.newest(other));
        assert!(poll!(&mut second).is_pending());
        let mut usual = Box::pin(kept.usual(other));
        let Poll::Ready(Ok(now)) = poll!(&mut usual) else { panic!("the kept keys are there") };
        assert!(Arc::ptr_eq(&now, &first));
        bring.send(()).unwrap();
        let (new, same) = (unknown.await.unwrap(), second.await.unwrap());
        assert!(Arc::ptr_eq(&new, &same) && !Arc::ptr_eq(&new, &first));
    }

    /// Old keys serve while they are asked for anew, and when that fails.
    #[tokio::test]
    async fn t32_old_keys_serve_meanwhile() {
        let kept = timing(Duration::ZERO, HOUR, Duration::ZERO);
        let first = answer(&kept).await;
        let asked = Arc::new(AtomicUsize::new(0));
        let never = || {
            asked.fetch_add(1, Ordering::Relaxed);
            std::future::pending()
        };
        for _ in 0..3 {
            assert!(Arc::ptr_eq(&kept.usual(never).await.unwrap(), &first));
        }
        assert_eq!(asked.load(Ordering::Relaxed), 1);
        let kept = timing(Duration::ZERO, HOUR, Duration::ZERO);
        let first = answer(&kept).await;
        let after = kept.newest(async || Err("away".to_owned())).await.unwrap();
        assert!(Arc::ptr_eq(&after, &first));
    }

    #[tokio::test]
    async fn questions_have_a_pause_and_keys_an_end() {
        let kept = timing(HOUR, HOUR, HOUR);
        assert_eq!(kept.usual(async || Err("away".to_owned())).await.err().as_deref(), Some("away"));
        let again = kept.usual(async || Ok(keys())).await;
        assert!(again.is_err_and(|why| why.contains("a moment ago")));
        assert!(kept.newest(async || Ok(keys())).await.is_none());
        let kept = timing(Duration::ZERO, Duration::ZERO, Duration::ZERO);
        let _ = kept.newest(async || Ok(keys())).await;
        assert_eq!(kept.usual(async || Err("away".to_owned())).await.err().as_deref(), Some("away"));
    }

    /// A question whose task ended without a word is put again.
    #[tokio::test]
    async fn a_question_that_fails_badly_is_put_again() {
        let kept = timing(HOUR, HOUR, Duration::ZERO);
        let failed = kept.usual(|| async { panic!("a bug") }).await;
        assert!(failed.is_err());
        answer(&kept).await;
    }
}
