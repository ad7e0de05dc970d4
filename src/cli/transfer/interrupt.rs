//! Ctrl-C and SIGTERM: what is under way is given up, and what is whole stays for the next run.

use tokio::signal::unix::{SignalKind, signal};

use super::error::Error;

pub(in crate::cli) async fn interruptible(work: impl Future<Output = Result<(), Error>>) -> Result<(), Error> {
    let signals = signal(SignalKind::interrupt()).and_then(|one| Ok((one, signal(SignalKind::terminate())?)));
    let (mut interrupt, mut terminate) =
        signals.map_err(|error| Error::broken("signals", format!("they cannot be waited for: {error}")))?;
    tokio::select! {
        done = work => done,
        _ = interrupt.recv() => Err(stopped()),
        _ = terminate.recv() => Err(stopped()),
    }
}

fn stopped() -> Error {
    Error::broken("stopped", "by a signal; what has come by now stays, and the same command goes on with it")
}
