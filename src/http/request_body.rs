//! The body of a request, as the registry takes it.

use std::time::Duration;

use http_body_util::BodyExt;

use super::metered::Received;
use crate::registry::{BrokenOff, Incoming};

/// Ends with an error when nothing comes for `stall_timeout`. What comes is counted into `received`.
pub(super) fn incoming(body: hyper::body::Incoming, stall_timeout: Duration, received: Received) -> Incoming {
    Incoming::new(futures_util::stream::unfold(Some((body, received)), move |state| async move {
        let (mut body, received) = state?;
        loop {
            return match tokio::time::timeout(stall_timeout, body.frame()).await {
                Ok(None) => None,
                Ok(Some(Ok(frame))) => match frame.into_data() {
                    Ok(bytes) => {
                        received.add(bytes.len());
                        Some((Ok(bytes), Some((body, received))))
                    }
                    // Trailers say nothing here.
                    Err(_) => continue,
                },
                Ok(Some(Err(error))) => Some((Err(BrokenOff::Client(error.to_string())), None)),
                Err(_) => {
                    Some((Err(BrokenOff::Client(format!("nothing came for {} s", stall_timeout.as_secs()))), None))
                }
            };
        }
    }))
}
