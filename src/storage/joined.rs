//! What a task came to, for whoever waits for it.

use tokio::task::JoinError;

/// The task's value; its panic is passed on.
pub(crate) async fn joined<T>(ended: Result<T, JoinError>) -> T {
    match ended {
        Ok(value) => value,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // Cancelled: the runtime is going down, and whoever waits with it.
            Err(_) => std::future::pending().await,
        },
    }
}
