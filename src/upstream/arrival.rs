//! How long upstream was waited for, and whether it keeps the least pace.
//!
//! Only time counts in which upstream had sent nothing: a reader that does not ask, or asks late for what has come, is not
//! upstream's fault. All bodies of one fetch are judged together, so that one that drips and breaks off again and again is
//! found out like one that only drips.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use tokio::time::Instant;

/// So many bodies that break off make a window.
const BREAKS_IN_A_WINDOW: u32 = 8;

/// The pace of a fetch, over all bodies that are opened for it.
pub(super) struct Pace {
    /// Bytes a second; 0 for none.
    least: u64,
    window: Duration,
    /// Windows in a row in which upstream may be too slow; each breaks off a body.
    chances: u32,
    now: Mutex<Window>,
}

#[derive(Clone, Copy, Default)]
struct Window {
    waited: Duration,
    bytes: u64,
    /// Windows that were too slow, in a row.
    slow: u32,
}

/// Waiting for one body.
pub(super) struct Waits {
    /// Since the last byte.
    silent: Duration,
    /// Of that, what was not told yet.
    untold: Duration,
    /// Since the last wait began that brought nothing yet, and when it was over.
    pending: Option<(Instant, Arc<Notice>)>,
}

/// Notes when a task is woken, and wakes it.
struct Notice {
    waker: Waker,
    at: Mutex<Option<Instant>>,
}

impl Pace {
    pub(super) fn new(least: u64, window: Duration, chances: u32) -> Self {
        Self { least, window, chances, now: Mutex::default() }
    }

    /// Bytes that came, or 0, after upstream was waited for so long. The error says how slow it is.
    pub(super) fn note(&self, waited: Duration, bytes: u64) -> Result<(), String> {
        let mut now = self.lock();
        now.waited += waited;
        now.bytes += bytes;
        if self.least == 0 || now.waited < self.window {
            return Ok(());
        }
        let (found, least) = (now.bytes as f64 / now.waited.as_secs_f64(), self.least);
        let is_slow = found < least as f64;
        *now = Window { slow: if is_slow { now.slow + 1 } else { 0 }, ..Window::default() };
        if !is_slow {
            return Ok(());
        }
        let over = self.window.as_secs_f64();
        Err(format!("only {found:.0} bytes a second came over {over} s, where `min_rate` is {least}"))
    }

    /// A body broke off. It counts as some waiting, so that bodies that end after a byte are slow however soon they end.
    pub(super) fn broke_off(&self) {
        let _ = self.note(self.window / BREAKS_IN_A_WINDOW, 0);
    }

    /// Whether another body may be opened. The error says why not.
    pub(super) fn check(&self) -> Result<(), String> {
        match self.lock().slow {
            slow if slow >= self.chances => Err(format!("it was slower than `min_rate` {slow} times in a row")),
            _ => Ok(()),
        }
    }

    /// A panic under the lock leaves a window that is at worst a little off.
    fn lock(&self) -> MutexGuard<'_, Window> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waits {
    pub(super) fn new() -> Self {
        Self { silent: Duration::ZERO, untold: Duration::ZERO, pending: None }
    }

    /// Waits for `work`, and tells for how long upstream had nothing since it was told last. `None` when that was `stall` in all
    /// without a byte. May be dropped while it waits, and asked again: the time counts on.
    pub(super) async fn wait<T>(&mut self, stall: Duration, work: impl Future<Output = T>) -> (Option<T>, Duration) {
        let mut work = pin!(work);
        let mut timer = pin!(tokio::time::sleep(stall));
        let done = poll_fn(|context| {
            self.settle(Instant::now());
            let notice = Arc::new(Notice { waker: context.waker().clone(), at: Mutex::new(None) });
            let waker = Waker::from(notice.clone());
            if let Poll::Ready(done) = work.as_mut().poll(&mut Context::from_waker(&waker)) {
                return Poll::Ready(Some(done));
            }
            let now = Instant::now();
            self.pending = Some((now, notice));
            let Some(left) = stall.checked_sub(self.silent).filter(|left| !left.is_zero()) else {
                return Poll::Ready(None);
            };
            timer.as_mut().reset(now + left);
            if timer.as_mut().poll(context).is_ready() {
                context.waker().wake_by_ref();
            }
            Poll::Pending
        })
        .await;
        if done.is_some() {
            self.silent = Duration::ZERO;
        }
        (done, std::mem::take(&mut self.untold))
    }

    /// Counts a wait that has ended, or goes on.
    fn settle(&mut self, now: Instant) {
        if let Some((since, notice)) = self.pending.take() {
            let until = notice.lock().unwrap_or(now);
            let spent = until.saturating_duration_since(since);
            self.silent += spent;
            self.untold += spent;
        }
    }
}

impl Notice {
    fn lock(&self) -> MutexGuard<'_, Option<Instant>> {
        self.at.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Wake for Notice {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.lock().get_or_insert_with(Instant::now);
        self.waker.wake_by_ref();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn t28_a_slow_window_is_an_error_and_a_good_one_forgives() {
        let pace = Pace::new(1024, 60 * SECOND, 2);
        for _ in 0..59 {
            assert_eq!(pace.note(SECOND, 10), Ok(()));
        }
        assert!(pace.note(SECOND, 10).unwrap_err().contains("only 10 bytes a second"));
        assert_eq!(pace.check(), Ok(()));
        assert_eq!(pace.note(60 * SECOND, 1024 * 60), Ok(()));
        assert!(pace.note(60 * SECOND, 1024 * 60 - 1).is_err());
        assert_eq!(pace.check(), Ok(()));
        assert!(pace.note(600 * SECOND, 0).is_err());
        assert!(pace.check().unwrap_err().contains("2 times"));
    }

    /// Bodies that end after a byte, each within the least time, are found out; those that bring much are not.
    #[test]
    fn t28_breaking_off_again_and_again_is_slow() {
        let broken_off = |bytes| {
            let pace = Pace::new(1024, 60 * SECOND, 2);
            (0..100)
                .take_while(|_| {
                    let _ = pace.note(Duration::ZERO, bytes);
                    pace.broke_off();
                    pace.check().is_ok()
                })
                .count()
        };
        assert_eq!((broken_off(1), broken_off(1 << 20)), (15, 100));
    }

    #[test]
    fn t28_bytes_that_are_not_waited_for_are_never_slow() {
        let pace = Pace::new(u64::MAX, SECOND, 1);
        for _ in 0..1000 {
            assert_eq!(pace.note(Duration::ZERO, 1), Ok(()));
        }
        let off = Pace::new(0, SECOND, 1);
        assert_eq!(off.note(1000 * SECOND, 0), Ok(()));
    }

    #[tokio::test]
    async fn t28_only_waiting_counts() {
        let millis = Duration::from_millis;
        let mut waits = Waits::new();
        // What is there at once is not waited for.
        let (done, waited) = waits.wait(SECOND, async { 1 }).await;
        assert_eq!((done, waited), (Some(1), Duration::ZERO));
        // What comes while nobody asks ended the wait when it came.
        let (sender, mut receiver) = tokio::sync::mpsc::channel(1);
        {
            let mut wait = pin!(waits.wait(60 * SECOND, receiver.recv()));
            let mut context = Context::from_waker(Waker::noop());
            assert!(wait.as_mut().poll(&mut context).is_pending());
            sender.send(2).await.unwrap();
            tokio::time::sleep(millis(300)).await;
            let Poll::Ready((Some(Some(2)), waited)) = wait.as_mut().poll(&mut context) else { panic!() };
            assert!(waited < millis(300), "{waited:?}");
        }
        // Nothing at all, though the one who asks goes away and comes back.
        for _ in 0..3 {
            assert!(tokio::time::timeout(millis(20), waits.wait(60 * SECOND, receiver.recv())).await.is_err());
        }
        let (done, waited) = waits.wait(millis(60), receiver.recv()).await;
        assert!(done.is_none() && waited >= millis(60), "{waited:?}");
    }
}
