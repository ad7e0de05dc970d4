//! One question at a time for each key, answered to everyone who waits.

use std::collections::HashMap;
use std::future::Future;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::future::BoxFuture;
use tokio::sync::watch;

use super::error::ErrorKind;

type Answer<V> = Result<V, ErrorKind>;
type Waiting<K, V> = HashMap<K, watch::Receiver<Option<Answer<V>>>>;

/// A flight runs in a task of its own, so it survives the asker who started it; its work must be bounded in time. The answer
/// is not kept here.
pub(super) struct Flights<K, V> {
    under_way: Arc<Mutex<Waiting<K, V>>>,
}

/// Takes the flight off the list, however its task ends.
struct Landing<K: Eq + Hash, V> {
    under_way: Arc<Mutex<Waiting<K, V>>>,
    key: K,
}

impl<K, V> Flights<K, V>
where
    K: Clone + Eq + Hash + Send + 'static,
    V: Clone + Send + Sync + 'static,
{
    pub(super) fn new() -> Self {
        Self { under_way: Arc::default() }
    }

    /// Starts the flight unless it is under way. Waiting for its answer is up to the caller.
    ///
    /// `work` must have stored what it brings when it returns: whoever asks after that starts anew.
    pub(super) fn join<F>(&self, key: &K, work: impl FnOnce() -> F) -> BoxFuture<'static, Answer<V>>
    where
        F: Future<Output = Answer<V>> + Send + 'static,
    {
        let mut answer = self.board(key, work);
        Box::pin(async move {
            match answer.wait_for(Option::is_some).await {
                Ok(answered) => answered.clone().unwrap_or_else(|| Err(abandoned())),
                Err(_) => Err(abandoned()),
            }
        })
    }

    fn board<F>(&self, key: &K, work: impl FnOnce() -> F) -> watch::Receiver<Option<Answer<V>>>
    where
        F: Future<Output = Answer<V>> + Send + 'static,
    {
        let mut under_way = lock(&self.under_way);
        if let Some(answer) = under_way.get(key) {
            return answer.clone();
        }
        let (sender, receiver) = watch::channel(None);
        under_way.insert(key.clone(), receiver.clone());
        let landing = Landing { under_way: self.under_way.clone(), key: key.clone() };
        let work = work();
        drop(under_way);
        tokio::spawn(async move {
            let answer = work.await;
            drop(landing);
            sender.send_replace(Some(answer));
        });
        receiver
    }
}

impl<K: Eq + Hash, V> Drop for Landing<K, V> {
    fn drop(&mut self) {
        lock(&self.under_way).remove(&self.key);
    }
}

fn lock<K, V>(under_way: &Mutex<Waiting<K, V>>) -> MutexGuard<'_, Waiting<K, V>> {
    under_way.lock().unwrap_or_else(PoisonError::into_inner)
}

fn abandoned() -> ErrorKind {
    ErrorKind::LoginFailed { detail: "the login was abandoned; ask again".to_owned(), retry_after: None }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn a_flight_survives_its_first_asker() {
        let flights: Flights<u8, usize> = Flights::new();
        let flown = Arc::new(AtomicUsize::new(0));
        let join = || {
            let flown = flown.clone();
            flights.join(&1, || async move {
                tokio::time::sleep(Duration::from_millis(200)).await;
                Ok(flown.fetch_add(1, Ordering::Relaxed))
            })
        };
        assert!(tokio::time::timeout(Duration::from_millis(50), join()).await.is_err());
        let (one, two) = tokio::join!(join(), join());
        assert!(matches!((one, two), (Ok(0), Ok(0))));
        assert!(matches!(join().await, Ok(1)));
    }

    #[tokio::test]
    async fn everyone_gets_the_error_even_of_a_panic() {
        let flights: Flights<u8, ()> = Flights::new();
        let (one, two) =
            tokio::join!(flights.join(&1, || async { Err(ErrorKind::Denied) }), flights.join(&1, || async { Ok(()) }));
        assert!(matches!((one, two), (Err(ErrorKind::Denied), Err(ErrorKind::Denied))));
        let panicked = flights.join(&2, || async { panic!("on purpose") }).await;
        assert!(matches!(panicked, Err(ErrorKind::LoginFailed { .. })));
        assert!(matches!(flights.join(&2, || async { Ok(()) }).await, Ok(())));
    }
}
