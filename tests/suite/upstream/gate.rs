//! A gate: the upstream stops at it until the test opens it, and the test can wait for the upstream to be there. Order in
//! time is made of these, never of sleeps.

use std::sync::Arc;

use tokio::sync::watch;

use crate::bound::within;

#[derive(Clone)]
pub struct Gate(Arc<State>);

struct State {
    open: watch::Sender<bool>,
    arrived: watch::Sender<u32>,
}

impl Gate {
    pub fn new() -> Self {
        Self(Arc::new(State { open: watch::Sender::new(false), arrived: watch::Sender::new(0) }))
    }

    /// Lets everyone through who waits and who will come.
    pub fn open(&self) {
        self.0.open.send_replace(true);
    }

    pub fn close(&self) {
        self.0.open.send_replace(false);
    }

    /// Waits until the upstream has come to the gate.
    pub async fn reached(&self) {
        self.reached_by(1).await;
    }

    /// Waits until the upstream has come to the gate with this many requests.
    pub async fn reached_by(&self, count: u32) {
        let mut arrived = self.0.arrived.subscribe();
        let _ = within("the upstream comes to the gate", arrived.wait_for(|seen| *seen >= count)).await;
    }

    pub async fn pass(&self) {
        self.0.arrived.send_modify(|count| *count += 1);
        let mut open = self.0.open.subscribe();
        let _ = open.wait_for(|open| *open).await;
    }
}
