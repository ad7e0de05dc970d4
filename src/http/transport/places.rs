//! Places of one listener: connections and HTTP/2 requests at once, in all and for each client.
//!
//! Each listener has places of its own, so that a flood of one listener leaves the others, and health checks, reachable.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::turns::Asker;

/// Cheap to clone.
#[derive(Clone)]
pub(super) struct Places {
    connections: Arc<Semaphore>,
    requests: Arc<Semaphore>,
    clients: Clients,
}

/// Given back when it is dropped.
pub(super) struct ConnectionPlace {
    _place: OwnedSemaphorePermit,
}

/// A client's share of the connections. Cheap to clone; given back when the last clone is dropped.
#[derive(Clone)]
pub(super) struct ClientPlace {
    /// `None` for a proxy, which brings many clients.
    shared: Option<Arc<Share>>,
    requests: Arc<Semaphore>,
}

/// Given back when it is dropped.
pub(super) struct RequestPlace {
    _place: OwnedSemaphorePermit,
    _share: Option<Share>,
}

#[derive(Clone)]
struct Clients {
    max_each: usize,
    counts: Arc<Mutex<HashMap<(Counted, Asker), usize>>>,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Counted {
    Connection,
    Request,
}

struct Share {
    clients: Clients,
    key: (Counted, Asker),
}

impl Places {
    pub(super) fn new(max: usize, max_of_client: usize) -> Self {
        let max = max.min(Semaphore::MAX_PERMITS);
        let clients = Clients { max_each: max_of_client, counts: Arc::default() };
        Self { connections: Arc::new(Semaphore::new(max)), requests: Arc::new(Semaphore::new(max)), clients }
    }

    /// Waits for a place of the listener.
    pub(super) async fn connection(&self) -> Option<ConnectionPlace> {
        let place = self.connections.clone().acquire_owned().await.ok()?;
        Some(ConnectionPlace { _place: place })
    }

    /// `None` when the client has as many connections as it may.
    pub(super) fn client(&self, address: IpAddr) -> Option<ClientPlace> {
        let share = self.clients.take((Counted::Connection, Asker::address(address)))?;
        Some(ClientPlace { shared: Some(Arc::new(share)), requests: self.requests.clone() })
    }

    /// For a proxy, which is bound by the listener's places only.
    pub(super) fn proxy(&self) -> ClientPlace {
        ClientPlace { shared: None, requests: self.requests.clone() }
    }
}

impl ClientPlace {
    /// The client at the other end; `None` for a proxy.
    pub(super) fn asker(&self) -> Option<Asker> {
        self.shared.as_ref().map(|share| share.key.1)
    }

    /// For a request over HTTP/2. `None` when the listener or the client has as many as it may.
    pub(super) fn request(&self) -> Option<RequestPlace> {
        let share = match &self.shared {
            Some(shared) => Some(shared.clients.take((Counted::Request, shared.key.1))?),
            None => None,
        };
        let place = self.requests.clone().try_acquire_owned().ok()?;
        Some(RequestPlace { _place: place, _share: share })
    }
}

impl Clients {
    fn take(&self, key: (Counted, Asker)) -> Option<Share> {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(key).or_default();
        if *count >= self.max_each {
            return None;
        }
        *count += 1;
        drop(counts);
        Some(Share { clients: self.clone(), key })
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut counts = self.clients.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(&self.key) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn t07_each_client_has_a_share() {
        let places = Places::new(10, 2);
        let client = |text: &str| places.client(text.parse().unwrap());
        let held = (client("192.0.2.1").unwrap(), client("192.0.2.1").unwrap());
        assert!(client("192.0.2.1").is_none());
        assert!(client("::ffff:192.0.2.1").is_none(), "the same client");
        assert!(client("192.0.2.2").is_some());
        let networks = (client("2001:db8::1").unwrap(), client("2001:db8::ffff:2").unwrap());
        assert!(client("2001:db8::3").is_none(), "the same network");
        assert!(client("2001:db8:0:1::1").is_some());
        drop((held.0, networks));
        assert!(client("192.0.2.1").is_some());
        drop(held.1);
        assert!(places.clients.counts.lock().unwrap().is_empty(), "clients that left are forgotten");
    }

    #[test]
    fn t07_requests_over_http2_are_counted_for_the_client_and_the_listener() {
        let places = Places::new(3, 2);
        let (one, other) =
            (places.client([192, 0, 2, 1].into()).unwrap(), places.client([192, 0, 2, 2].into()).unwrap());
        let held = (one.request().unwrap(), one.request().unwrap());
        assert!(one.request().is_none(), "the client's share");
        let last = other.request().unwrap();
        assert!(other.request().is_none(), "the listener's places");
        drop(held);
        assert!(one.request().is_some() && other.request().is_some());
        drop(last);
    }
}
