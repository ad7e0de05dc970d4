//! Finding out by ourselves whether an endpoint works, where there is a doubt or when it did not: no client has to be refused for
//! it, and no client's question decides about it.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use reqwest::Method;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::breaker::Health;
use super::client::Channel;
use super::endpoint::Endpoint;
use super::error::ErrorKind;
use super::proofs::Proof;
use super::remote::{Turn, Upstream};
use super::request::Ask;
use super::retry;

/// Circuits are looked at this often.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Probes the endpoints of `upstreams` that are in doubt, or whose circuits have been open for their pause, for ever. Dropped, it
/// gives up what is under way.
pub async fn probe(upstreams: impl Fn() -> Vec<Arc<Upstream>>) {
    let mut probes: JoinSet<(usize, usize)> = JoinSet::new();
    let mut under_way: HashSet<(usize, usize)> = HashSet::new();
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        while let Some(ended) = probes.try_join_next() {
            match ended {
                Ok(ended) => drop(under_way.remove(&ended)),
                // A probe that panicked does not say which it was.
                Err(_) => under_way.clear(),
            }
        }
        for upstream in upstreams() {
            for index in upstream.due() {
                let key = (Arc::as_ptr(&upstream).addr(), index);
                if under_way.insert(key) {
                    let upstream = upstream.clone();
                    probes.spawn(async move {
                        upstream.probe_one(index).await;
                        key
                    });
                }
            }
        }
    }
}

impl Upstream {
    /// The endpoints that are to be probed, by their index.
    fn due(&self) -> Vec<usize> {
        let endpoints = self.endpoints().iter().enumerate();
        endpoints.filter(|(_, endpoint)| endpoint.breaker.is_due()).map(|(index, _)| index).collect()
    }

    /// `GET /v2/`: any answer will do, also that we must log in. Where that is all that is broken, a question that was answered before
    /// shows that the endpoint works: what is asked is chosen here, and not by a client.
    async fn probe_one(&self, index: usize) {
        let Some(endpoint) = self.endpoints().get(index) else { return };
        let ask = Ask::new(Method::GET, Channel::Api, String::new());
        let began = Instant::now();
        let health = match self.ask_unsigned(endpoint, &ask).await {
            Ok(_) => Health::Alive,
            Err(kind) => match retry::health(&kind, began.elapsed()) {
                Health::Failing if matches!(kind, ErrorKind::Failed { .. }) => self.proven(endpoint, index).await,
                health => health,
            },
        };
        tracing::debug!(upstream = %self.name(), endpoint = endpoint.host(), ?health, "probed");
        endpoint.breaker.decide(health);
    }

    /// The health of an endpoint that answers, if only with errors at `/v2/`.
    async fn proven(&self, endpoint: &Endpoint, index: usize) -> Health {
        let proofs = endpoint.proofs.all();
        if proofs.is_empty() {
            return Health::Unproven;
        }
        for Proof { repository, path, accept } in proofs {
            let ask = Ask { accept, ..Ask::new(Method::HEAD, Channel::Api, path) };
            let until = Instant::now() + self.settings().header_timeout;
            let turn = Turn::new(endpoint, index, Some(until));
            let asked = tokio::time::timeout_at(until, self.send(turn, &repository, &ask)).await;
            let health = match asked.unwrap_or(Err(ErrorKind::TimedOut)) {
                Ok(_) => Health::Alive,
                Err(kind) => retry::health(&kind, self.settings().header_timeout),
            };
            if health == Health::Alive {
                return health;
            }
        }
        Health::Failing
    }
}
