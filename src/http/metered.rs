//! What a request uses, known bit by bit and counted when its record ends.
//!
//! An answer counts with all that was sent of it, also when the client left before its end. A request that was refused counts nothing
//! but what it brought: else anyone could fill the table of counts with names that mean nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use http::StatusCode;

use crate::action::{Action, Want};
use crate::auth::Identity;
use crate::ecr::{Output, Resource};
use crate::meta::UsageCounts;
use crate::metering::{Meter, Whose};
use crate::oci::QualifiedName;
use crate::policy::EcrRequest;
use crate::registry::{Answer, Body, Located};

/// A request's use. Nothing counts before it is known whose it is.
pub struct Metered {
    meter: Meter,
    identity: Option<Identity>,
    repository: Option<QualifiedName>,
    received: Option<Received>,
    /// Of a repository of an upstream.
    relayed: bool,
    /// Manifests that are read and put, if it succeeds.
    pulls: usize,
    pushes: usize,
    /// What the client fetches from elsewhere. Nobody here sees how much it takes.
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
    pub fn new(meter: Meter) -> Self {
        Self {
            meter,
            identity: None,
            repository: None,
            received: None,
            relayed: false,
            pulls: 0,
            pushes: 0,
            elsewhere_bytes: 0,
        }
    }

    /// A request of the OCI API that is permitted.
    pub fn is_permitted(&mut self, located: &Located, identity: &Identity) {
        if !self.meter.is_on() {
            return;
        }
        // A client that asks only what a manifest is does not pull it.
        self.pulls = usize::from(matches!(located.action(), Action::ReadManifest { want: Want::Body, .. }));
        self.pushes = usize::from(matches!(located.action(), Action::PushManifest { .. }));
        self.repository = located.about().map(|about| about.repository.clone());
        self.identity = Some(identity.clone());
    }

    pub fn is_answered(&mut self, answer: &Answer) {
        self.relayed = answer.upstream.is_some();
        if let Body::Elsewhere { size, .. } = answer.body {
            self.elsewhere_bytes = size;
        }
    }

    /// An operation of ECR's API that is permitted.
    pub fn operates(&mut self, asked: &EcrRequest, identity: &Identity) {
        let (Resource::Repository(_), [about]) = (asked.operation.resource(), asked.repositories.as_slice()) else {
            return;
        };
        if self.meter.is_on() {
            (self.repository, self.relayed) = (Some(about.repository.clone()), about.upstream.is_some());
            self.identity = Some(identity.clone());
        }
    }

    /// What came of the operation; `None` when it was refused: then it may have named any repository.
    pub fn operated(&mut self, output: Option<&Output>) {
        match output {
            Some(Output::BatchGetImage(output)) => self.pulls = output.images.len(),
            Some(Output::PutImage(_)) => self.pushes = 1,
            Some(Output::GetDownloadUrlForLayer(output)) => self.elsewhere_bytes = output.elsewhere_bytes,
            Some(_) => {}
            None => self.repository = None,
        }
    }

    /// What the request's body is counted into.
    pub fn receives(&mut self) -> Received {
        self.received.get_or_insert_default().clone()
    }

    /// Counts it. `status` is what was answered, if anything was; `sent_bytes` of the answer's body have left.
    pub fn ended(&self, status: Option<StatusCode>, sent_bytes: u64) {
        let (Some(identity), Some(repository)) = (&self.identity, &self.repository) else { return };
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
            let QualifiedName { account, name } = repository;
            let whose = Whose { account: *account, repository: name.as_str(), principal: identity.name() };
            self.meter.count(whose, counts, SystemTime::now());
        }
    }
}
