//! A circuit breaker: an endpoint that fails is left alone for a while.
//!
//! Questions only raise a doubt: one broken repository, or storage that a redirect led to, is not the registry, and whoever can name
//! it would decide about everybody else's. What decides the process asks by itself (`probe`) when there is a doubt and while the circuit
//! is open: `GET /v2/`, and where that is broken, what was answered before.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use prometheus::IntGauge;
use tokio::sync::watch;
use tokio::time::Instant;

/// Failures in a row that make a doubt.
const FAILURES: u32 = 5;
const FIRST_PAUSE: Duration = Duration::from_secs(5);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// Where connecting is refused, a probe costs nobody anything.
const PAUSE_WHERE_REFUSED: Duration = Duration::from_secs(1);

/// A failure that took less cost nobody anything, such as a connection that is refused.
const CHEAP: Duration = Duration::from_millis(500);

/// What a try showed of the endpoint's health.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Health {
    /// It answered, be it with 404.
    Alive,
    /// No connection, and it was told at once.
    Refusing,
    /// No connection, no answer in time, or a status that says that it is broken.
    Failing,
    /// It says at `/v2/` that it is broken, and has answered nothing before.
    Unproven,
    /// The try says nothing of it, such as one that was given up.
    Unknown,
}

/// The decisions, with time and chance passed in.
#[derive(Debug)]
enum Circuit {
    Closed { failures: u32 },
    Open { until: Instant, pause: Duration },
}

pub(super) struct Breaker {
    circuit: Mutex<Circuit>,
    is_closed: watch::Sender<bool>,
    available: IntGauge,
}

impl Health {
    /// Of an endpoint to which no connection came about.
    pub(super) fn unreachable(elapsed: Duration) -> Self {
        if elapsed < CHEAP { Self::Refusing } else { Self::Failing }
    }

    fn is_failure(self) -> bool {
        matches!(self, Self::Failing | Self::Refusing)
    }
}

impl Circuit {
    /// The error is how long the endpoint is left alone, as far as it is known.
    fn admit(&self, now: Instant) -> Result<(), Duration> {
        match *self {
            Self::Closed { .. } => Ok(()),
            Self::Open { until, .. } => Err(until.saturating_duration_since(now)),
        }
    }

    /// Notes what a question showed.
    fn note(&mut self, health: Health) {
        match self {
            // Also one that was under way when the circuit opened.
            _ if health == Health::Alive => *self = Self::Closed { failures: 0 },
            Self::Closed { failures } if health.is_failure() => *failures = failures.saturating_add(1),
            _ => {}
        }
    }

    /// Whether it is time to probe.
    fn is_due(&self, now: Instant) -> bool {
        match *self {
            Self::Closed { failures } => failures >= FAILURES,
            Self::Open { until, .. } => until <= now,
        }
    }

    /// Notes what a probe showed. `jitter` is in 0..1; it spreads the probes of many processes, and never makes a pause longer.
    fn decide(&mut self, health: Health, now: Instant, jitter: f64) {
        let pause = match (health, &*self) {
            (Health::Alive, _) => return *self = Self::Closed { failures: 0 },
            (Health::Unknown, _) => return,
            // Nothing but a question shows whether it is: the next one that fails raises the doubt again.
            (Health::Unproven, Self::Open { .. }) => return *self = Self::Closed { failures: FAILURES - 1 },
            (Health::Refusing, _) => PAUSE_WHERE_REFUSED,
            (Health::Failing | Health::Unproven, Self::Closed { .. }) => FIRST_PAUSE,
            (Health::Failing, Self::Open { pause, .. }) => (*pause * 2).clamp(FIRST_PAUSE, LONGEST_PAUSE),
        };
        *self = Self::Open { until: now + pause.mul_f64(1.0 - jitter / 4.0), pause };
    }
}

impl Breaker {
    pub(super) fn new(available: IntGauge) -> Self {
        available.set(1);
        Self { circuit: Mutex::new(Circuit::Closed { failures: 0 }), is_closed: watch::Sender::new(true), available }
    }

    /// The error is how long the endpoint is left alone.
    pub(super) fn admit(&self) -> Result<(), Duration> {
        self.lock().admit(Instant::now())
    }

    /// Notes what a question showed; one that was given up has shown nothing.
    pub(super) fn note(&self, health: Health) {
        self.change(|circuit| circuit.note(health));
    }

    /// Whether there is a doubt, or the pause of an open circuit is over.
    pub(super) fn is_due(&self) -> bool {
        self.lock().is_due(Instant::now())
    }

    /// Notes what a probe showed.
    pub(super) fn decide(&self, health: Health) {
        self.change(|circuit| circuit.decide(health, Instant::now(), fastrand::f64()));
    }

    /// Returns when the circuit is closed.
    pub(super) async fn closed(&self) {
        // The sender lives in `self`.
        let _ = self.is_closed.subscribe().wait_for(|is_closed| *is_closed).await;
    }

    fn change(&self, change: impl FnOnce(&mut Circuit)) {
        let mut circuit = self.lock();
        change(&mut circuit);
        let is_closed = matches!(*circuit, Circuit::Closed { .. });
        self.available.set(i64::from(is_closed));
        self.is_closed.send_if_modified(|told| std::mem::replace(told, is_closed) != is_closed);
    }

    fn lock(&self) -> MutexGuard<'_, Circuit> {
        self.circuit.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open_circuit(now: Instant, health: Health) -> Circuit {
        let mut circuit = Circuit::Closed { failures: 0 };
        for _ in 0..FAILURES {
            assert!(!circuit.is_due(now));
            circuit.note(health);
        }
        assert!(circuit.is_due(now));
        circuit.decide(health, now, 0.0);
        circuit
    }

    #[test]
    fn only_failures_in_a_row_make_a_doubt() {
        let now = Instant::now();
        let mut circuit = Circuit::Closed { failures: 0 };
        for _ in 0..3 {
            for _ in 0..FAILURES - 1 {
                circuit.note(Health::Failing);
            }
            circuit.note(Health::Unknown);
            assert!(!circuit.is_due(now));
            circuit.note(Health::Alive);
        }
    }

    /// Whatever questions come to, it is the probe that opens the circuit.
    #[test]
    fn d04_questions_never_open_it() {
        let now = Instant::now();
        let mut circuit = Circuit::Closed { failures: 0 };
        for _ in 0..10 * FAILURES {
            circuit.note(Health::Failing);
            assert_eq!(circuit.admit(now), Ok(()));
        }
        assert!(circuit.is_due(now));
        circuit.decide(Health::Alive, now, 0.0);
        assert!(!circuit.is_due(now) && circuit.admit(now).is_ok());
    }

    #[test]
    fn d04_questions_are_no_probes_and_pauses_grow() {
        let mut now = Instant::now();
        let mut circuit = open_circuit(now, Health::Failing);
        let mut pause = FIRST_PAUSE;
        for _ in 0..6 {
            assert_eq!(circuit.admit(now), Err(pause));
            assert!(!circuit.is_due(now));
            now += pause;
            assert_eq!(circuit.admit(now), Err(Duration::ZERO));
            assert!(circuit.is_due(now));
            circuit.decide(Health::Failing, now, 0.0);
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
        now += pause;
        circuit.decide(Health::Alive, now, 0.0);
        assert_eq!(circuit.admit(now), Ok(()));
    }

    /// Where connecting is refused, a probe costs nothing: it is never waited for long.
    #[test]
    fn p3_refused_connections_are_tried_again_soon() {
        let mut now = Instant::now();
        let refused = Health::unreachable(Duration::from_millis(1));
        let mut circuit = open_circuit(now, refused);
        for _ in 0..10 {
            assert_eq!(circuit.admit(now), Err(PAUSE_WHERE_REFUSED));
            now += PAUSE_WHERE_REFUSED;
            circuit.decide(refused, now, 0.0);
        }
        circuit.decide(Health::Failing, now, 0.999);
        assert!(circuit.admit(now).is_err_and(|pause| pause <= FIRST_PAUSE));
    }

    /// One that has answered nothing yet is tried by a question after each pause, whatever it says at `/v2/`.
    #[test]
    fn what_nothing_proves_is_tried() {
        let mut now = Instant::now();
        let mut circuit = open_circuit(now, Health::Failing);
        for _ in 0..3 {
            now += LONGEST_PAUSE;
            circuit.decide(Health::Unproven, now, 0.0);
            assert!(circuit.admit(now).is_ok() && !circuit.is_due(now));
            circuit.note(Health::Failing);
            assert!(circuit.is_due(now));
            circuit.decide(Health::Unproven, now, 0.0);
            assert_eq!(circuit.admit(now), Err(FIRST_PAUSE));
        }
    }

    #[test]
    fn a_probe_that_was_given_up_changes_nothing() {
        let mut now = Instant::now();
        let mut circuit = open_circuit(now, Health::Failing);
        now += FIRST_PAUSE;
        circuit.decide(Health::Unknown, now, 0.0);
        assert!(circuit.is_due(now) && circuit.admit(now).is_err());
    }

    #[test]
    fn late_failures_of_earlier_requests_do_not_prolong_it() {
        let now = Instant::now();
        let mut circuit = open_circuit(now, Health::Failing);
        circuit.note(Health::Failing);
        assert_eq!(circuit.admit(now), Err(FIRST_PAUSE));
    }

    #[tokio::test]
    async fn the_gauge_follows() {
        let gauge = IntGauge::new("a", "b").unwrap();
        let breaker = Breaker::new(gauge.clone());
        for _ in 0..FAILURES {
            breaker.note(Health::Failing);
        }
        breaker.closed().await;
        assert!(gauge.get() == 1 && breaker.is_due());
        breaker.decide(Health::Failing);
        assert!(gauge.get() == 0 && breaker.admit().is_err());
        breaker.note(Health::Alive);
        breaker.closed().await;
        assert_eq!(gauge.get(), 1);
    }
}
