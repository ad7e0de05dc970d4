//! A circuit breaker: an endpoint that fails again and again is left alone for a while, then probed.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use prometheus::IntGauge;
use tokio::time::Instant;

/// Failures in a row that open the circuit.
const FAILURES: u32 = 5;
const FIRST_PAUSE: Duration = Duration::from_secs(5);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// A failure that took less cost nobody anything, such as a connection that is refused: it is tried again after the first pause.
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
    /// The try says nothing of it, such as one that was given up.
    Unknown,
}

/// Whether a request may go out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Admission {
    Go,
    /// The one request that finds out whether it works again.
    Probe,
    /// Not for this long.
    Wait(Duration),
}

/// The decisions, with time and chance passed in.
#[derive(Debug)]
enum Circuit {
    Closed { failures: u32 },
    Open { until: Instant, pause: Duration },
    Probing { since: Instant, pause: Duration },
}

pub(super) struct Breaker {
    circuit: Mutex<Circuit>,
    available: IntGauge,
}

/// One try. Dropped without a word, it counts as given up.
pub(super) struct Try<'a> {
    breaker: &'a Breaker,
    health: Health,
    probe: bool,
}

impl Health {
    /// Of an endpoint to which no connection came about.
    pub(super) fn unreachable(elapsed: Duration) -> Self {
        if elapsed < CHEAP { Self::Refusing } else { Self::Failing }
    }
}

impl Circuit {
    fn admit(&mut self, now: Instant) -> Admission {
        match *self {
            Self::Closed { .. } => Admission::Go,
            Self::Open { until, .. } if now < until => Admission::Wait(until - now),
            Self::Open { pause, .. } => {
                *self = Self::Probing { since: now, pause };
                Admission::Probe
            }
            // Everyone else waits for the probe; how long it takes can only be guessed.
            Self::Probing { since, pause } => Admission::Wait((since + pause).saturating_duration_since(now)),
        }
    }

    /// `jitter` is in 0..1; it spreads the probes of many processes, and never makes a pause longer.
    fn settle(&mut self, health: Health, probe: bool, now: Instant, jitter: f64) {
        let open = |pause: Duration| Self::Open { until: now + pause.mul_f64(1.0 - jitter / 4.0), pause };
        let fails = matches!(health, Health::Failing | Health::Refusing);
        match (health, &*self) {
            (Health::Alive, _) => *self = Self::Closed { failures: 0 },
            (_, Self::Closed { failures }) if fails && failures + 1 >= FAILURES => *self = open(FIRST_PAUSE),
            (_, Self::Closed { failures }) if fails => *self = Self::Closed { failures: failures + 1 },
            (Health::Refusing, Self::Probing { .. }) if probe => *self = open(FIRST_PAUSE),
            (Health::Failing, Self::Probing { pause, .. }) if probe => *self = open((*pause * 2).min(LONGEST_PAUSE)),
            (Health::Unknown, Self::Probing { pause, .. }) if probe => *self = Self::Open { until: now, pause: *pause },
            _ => {}
        }
    }
}

impl Breaker {
    pub(super) fn new(available: IntGauge) -> Self {
        available.set(1);
        Self { circuit: Mutex::new(Circuit::Closed { failures: 0 }), available }
    }

    /// The error is how long the endpoint is left alone.
    pub(super) fn admit(&self) -> Result<Try<'_>, Duration> {
        let probe = match self.circuit().admit(Instant::now()) {
            Admission::Go => false,
            Admission::Probe => true,
            Admission::Wait(pause) => return Err(pause),
        };
        Ok(Try { breaker: self, health: Health::Unknown, probe })
    }

    /// Whether the pause of an open circuit is over, and nobody has probed yet.
    pub(super) fn is_due(&self) -> bool {
        matches!(*self.circuit(), Circuit::Open { until, .. } if until <= Instant::now())
    }

    fn circuit(&self) -> MutexGuard<'_, Circuit> {
        self.circuit.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Try<'_> {
    pub(super) fn settle(mut self, health: Health) {
        self.health = health;
    }
}

impl Drop for Try<'_> {
    fn drop(&mut self) {
        let mut circuit = self.breaker.circuit();
        circuit.settle(self.health, self.probe, Instant::now(), fastrand::f64());
        self.breaker.available.set(i64::from(matches!(*circuit, Circuit::Closed { .. })));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open_circuit(now: Instant) -> Circuit {
        let mut circuit = Circuit::Closed { failures: 0 };
        for _ in 0..FAILURES {
            assert_eq!(circuit.admit(now), Admission::Go);
            circuit.settle(Health::Failing, false, now, 0.0);
        }
        circuit
    }

    #[test]
    fn only_failures_in_a_row_open_it() {
        let now = Instant::now();
        let mut circuit = Circuit::Closed { failures: 0 };
        for _ in 0..3 {
            for _ in 0..FAILURES - 1 {
                circuit.settle(Health::Failing, false, now, 0.0);
            }
            circuit.settle(Health::Unknown, false, now, 0.0);
            assert_eq!(circuit.admit(now), Admission::Go);
            circuit.settle(Health::Alive, false, now, 0.0);
        }
    }

    #[test]
    fn one_probe_at_a_time_and_longer_pauses() {
        let mut now = Instant::now();
        let mut circuit = open_circuit(now);
        let mut pause = FIRST_PAUSE;
        for _ in 0..6 {
            assert_eq!(circuit.admit(now), Admission::Wait(pause));
            now += pause;
            assert_eq!(circuit.admit(now), Admission::Probe);
            assert!(matches!(circuit.admit(now), Admission::Wait(_)));
            circuit.settle(Health::Failing, true, now, 0.0);
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
        now += pause;
        assert_eq!(circuit.admit(now), Admission::Probe);
        circuit.settle(Health::Alive, true, now, 0.0);
        assert_eq!(circuit.admit(now), Admission::Go);
    }

    /// Where connecting is refused, a probe costs nothing: it is never waited for longer than the first pause.
    #[test]
    fn p3_refused_connections_are_tried_again_soon() {
        let mut now = Instant::now();
        let mut circuit = open_circuit(now);
        for _ in 0..10 {
            assert_eq!(circuit.admit(now), Admission::Wait(FIRST_PAUSE));
            now += FIRST_PAUSE;
            assert_eq!(circuit.admit(now), Admission::Probe);
            circuit.settle(Health::unreachable(Duration::from_millis(1)), true, now, 0.0);
        }
        let mut circuit = open_circuit(now);
        circuit.settle(Health::Refusing, false, now, 0.999);
        assert!(matches!(circuit.admit(now), Admission::Wait(pause) if pause <= FIRST_PAUSE));
    }

    #[test]
    fn a_probe_that_was_given_up_lets_the_next_one_through() {
        let mut now = Instant::now();
        let mut circuit = open_circuit(now);
        now += FIRST_PAUSE;
        assert_eq!(circuit.admit(now), Admission::Probe);
        circuit.settle(Health::Unknown, true, now, 0.0);
        assert_eq!(circuit.admit(now), Admission::Probe);
    }

    #[test]
    fn late_failures_of_earlier_requests_do_not_prolong_it() {
        let now = Instant::now();
        let mut circuit = open_circuit(now);
        circuit.settle(Health::Failing, false, now + Duration::from_secs(4), 0.0);
        assert_eq!(circuit.admit(now), Admission::Wait(FIRST_PAUSE));
    }

    #[test]
    fn the_gauge_follows() {
        let gauge = IntGauge::new("a", "b").unwrap();
        let breaker = Breaker::new(gauge.clone());
        for _ in 0..FAILURES {
            assert_eq!(gauge.get(), 1);
            breaker.admit().map_err(|_| ()).unwrap().settle(Health::Failing);
        }
        assert_eq!(gauge.get(), 0);
        assert!(breaker.admit().is_err());
    }
}
