//! What a request uses, known bit by bit and counted when its record ends.
//!
//! An answer counts with all that was sent of it, also when the client left before its end. A request that was refused counts nothing
//! but what it brought: else anyone could fill the table of counts with names that mean nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use http::StatusCode;

use crate::auth::Identity;
use crate::meta::UsageCounts;
use crate::metering::{Meter, Whose};
use crate::oci::{AccountId, RepositoryName};

/// A request's use. Nothing counts before it is known whose it is.
pub struct Metered {
    meter: Meter,
    /// Of the registry that answers.
    account: AccountId,
    whose: Option<(Identity, RepositoryName)>,
    received: Option<Received>,
    /// Of a repository of an upstream.
    relayed: bool,
    pulls: usize,
    pushes: usize,
    elsewhere_bytes: u64,
}

/// Bytes of a request's body that have come. Cheap to clone.
#[derive(Clone, Default)]
pub struct Received(Arc<AtomicU64>);

impl Received {
    pub fn add(&self, bytes: usize) {
        self.0.fetch_add(bytes as u64, Ordering::Relaxed);
    }
}

impl Metered {
    pub fn new(meter: Meter, account: AccountId) -> Self {
        Self { meter, account, whose: None, received: None, relayed: false, pulls: 0, pushes: 0, elsewhere_bytes: 0 }
    }

    /// Whether anything is counted at all.
    pub fn is_on(&self) -> bool {
        self.meter.is_on()
    }

    /// What the request's body is counted into.
    pub fn receives(&mut self) -> Received {
        self.received.get_or_insert_default().clone()
    }

    pub fn belongs_to(&mut self, identity: Identity, repository: RepositoryName) {
        self.whose = Some((identity, repository));
    }

    /// It is answered from a repository of an upstream.
    pub fn relays(&mut self) {
        self.relayed = true;
    }

    /// Manifests that are read and put, if it succeeds.
    pub fn expects(&mut self, pulls: usize, pushes: usize) {
        (self.pulls, self.pushes) = (pulls, pushes);
    }

    /// The client fetches so many bytes from elsewhere. Nobody here sees how many it takes.
    pub fn sends_elsewhere(&mut self, bytes: u64) {
        self.elsewhere_bytes = bytes;
    }

    /// It was refused, whatever it brought.
    pub fn forget(&mut self) {
        self.whose = None;
    }

    /// Counts it. `status` is what was answered, if anything was; `sent_bytes` of the answer's body have left.
    pub fn ended(&self, status: Option<StatusCode>, sent_bytes: u64) {
        let Some((identity, repository)) = &self.whose else { return };
        let received_bytes = self.received.as_ref().map_or(0, |received| received.0.load(Ordering::Relaxed));
        let mut counts = UsageCounts { received_bytes, ..UsageCounts::default() };
        if status.is_some_and(|status| !status.is_client_error() && !status.is_server_error()) {
            counts.requests = 1;
            counts.pulls = self.pulls as u64;
            counts.pushes = self.pushes as u64;
            counts.sent_bytes = sent_bytes + self.elsewhere_bytes;
            counts.relayed_bytes = if self.relayed { counts.sent_bytes } else { 0 };
        }
        if counts != UsageCounts::default() {
            let whose = Whose { account: self.account, repository: repository.as_str(), principal: identity.name() };
            self.meter.count(whose, counts, SystemTime::now());
        }
    }
}
