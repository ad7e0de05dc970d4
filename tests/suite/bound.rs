//! Nothing in this suite may hang for ever: every wait goes through here.

use std::future::Future;
use std::time::Duration;

/// Far more than anything here takes; a wait that reaches it is a hang.
pub const BOUND: Duration = Duration::from_secs(60);

/// Waits for `future`, and fails the test when it hangs.
#[track_caller]
pub fn within<F: Future>(what: &str, future: F) -> impl Future<Output = F::Output> {
    let place = std::panic::Location::caller();
    async move {
        match tokio::time::timeout(BOUND, future).await {
            Ok(value) => value,
            Err(_) => panic!("hangs: {what} ({place})"),
        }
    }
}

/// Asks again and again until `condition` holds.
#[track_caller]
pub fn until(what: &str, mut condition: impl FnMut() -> bool) -> impl Future<Output = ()> {
    let place = std::panic::Location::caller();
    async move {
        let start = tokio::time::Instant::now();
        while !condition() {
            assert!(start.elapsed() < BOUND, "never came true: {what} ({place})");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

/// Asks again and again until the asynchronous `condition` holds.
pub async fn until_async(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let start = tokio::time::Instant::now();
    while !condition().await {
        assert!(start.elapsed() < BOUND, "never came true: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
