//! Whether PostgreSQL can be asked: the only place that decides.
//!
//! A question that is not answered soon, or whose connection is lost, raises a doubt; a probe on a connection of its own decides. From
//! then on nobody waits: whatever is asked, or waits for an answer, is refused with the cause by name, until a probe behind finds that
//! the database is well again. SQLite is in the process and is never doubted.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use sqlx::any::AnyConnectOptions;
use sqlx::{ConnectOptions, Connection};
use tokio::sync::watch;
use tokio::time::{interval_at, timeout};

use super::changes::{Announcements, Change};
use crate::telemetry::Metrics;

/// A question that takes longer is reason to look whether the database is well, unless others are answered meanwhile.
const DOUBT: Duration = Duration::from_millis(100);

/// Time in which connections that were let go of are closed.
const CLOSED: Duration = Duration::from_millis(100);

/// Between two probes while the database is well but slow.
const CALM: Duration = Duration::from_secs(1);

/// Between two probes while it is not; doubled after each.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// When whoever is refused may come again.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// PostgreSQL's codes.
const READ_ONLY: &str = "25006";
const TOO_MANY_CONNECTIONS: &str = "53300";
const SHUTTING_DOWN: [&str; 3] = ["57P01", "57P02", "57P03"];

/// Why the database cannot be asked, or not be written to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// Nobody listens there, or it closes connections.
    Away,
    /// Connections are made, and nothing is answered.
    Hanging,
    OutOfConnections,
    /// It answers and takes no writes.
    ReadOnly,
    /// It does not let this registry in.
    Refusing,
}

/// The database cannot do what is asked of it now.
#[derive(Clone, Debug)]
pub struct Unavailable {
    pub cause: Cause,
    detail: String,
}

/// Kinds of questions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    Read,
    Write,
}

#[derive(Clone, Debug)]
enum State {
    Well,
    ReadOnly(Unavailable),
    Away(Unavailable),
}

/// Cheap to clone. `None` is a database that is always there.
#[derive(Clone)]
pub(super) struct Availability(Option<Arc<Inner>>);

struct Inner {
    options: AnyConnectOptions,
    /// Of a probe.
    patience: Duration,
    state: watch::Sender<State>,
    since: Mutex<Instant>,
    /// Counts verdicts of probes.
    verdicts: watch::Sender<u64>,
    is_probing: AtomicBool,
    calm_until: Mutex<Option<Instant>>,
    /// No new connection can be had, and that was told.
    is_short: AtomicBool,
    /// Counts answers of the database: as long as there are any it is not away, however slow it is.
    answers: AtomicU64,
    /// Counts changes of the state. Connections of an earlier one are not used any more.
    era: AtomicU64,
    announcements: Announcements,
    /// Those who hold connections.
    holders: Mutex<Vec<Holder>>,
    metrics: OnceLock<Metrics>,
}

/// Whoever holds connections is told what becomes of them.
type Holder = Box<dyn Fn(Hold) + Send + Sync>;

/// What becomes of the connections that are held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hold {
    /// Others need them more than who does nothing with them.
    LetGoOfIdle,
    /// They may hang, or be of a server that is none any more.
    MakeAnew,
}

impl Cause {
    pub const ALL: [Self; 5] = [Self::Away, Self::Hanging, Self::OutOfConnections, Self::ReadOnly, Self::Refusing];

    /// As metrics and logs have it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Away => "away",
            Self::Hanging => "hanging",
            Self::OutOfConnections => "out_of_connections",
            Self::ReadOnly => "read_only",
            Self::Refusing => "refusing",
        }
    }

    /// For clients.
    pub const fn in_words(self) -> &'static str {
        match self {
            Self::Away => "the database cannot be reached",
            Self::Hanging => "the database does not answer",
            Self::OutOfConnections => "the database takes no more connections",
            Self::ReadOnly => "the database is read-only",
            Self::Refusing => "the database does not let this registry in",
        }
    }

    /// `None` where the database answers, and says that a statement is wrong.
    fn of(error: &sqlx::Error) -> Option<Self> {
        match error {
            sqlx::Error::Io(_)
            | sqlx::Error::Tls(_)
            | sqlx::Error::Protocol(_)
            | sqlx::Error::PoolClosed
            | sqlx::Error::WorkerCrashed => Some(Self::Away),
            sqlx::Error::Database(error) => {
                let code = error.code()?;
                match &*code {
                    READ_ONLY => Some(Self::ReadOnly),
                    TOO_MANY_CONNECTIONS => Some(Self::OutOfConnections),
                    code if SHUTTING_DOWN.contains(&code) || code.starts_with("08") => Some(Self::Away),
                    // No such user or database, or a wrong password.
                    code if code.starts_with("28") || code == "3D000" => Some(Self::Refusing),
                    _ => None,
                }
            }
            _ => None,
        }
    }
}

impl fmt::Display for Unavailable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.cause.in_words(), self.detail)
    }
}

impl std::error::Error for Unavailable {}

impl Unavailable {
    pub const fn retry_after(&self) -> Duration {
        RETRY_AFTER
    }

    /// The one that stands behind an error of a question.
    pub(super) fn behind(error: &sqlx::Error) -> Option<&Self> {
        match error {
            sqlx::Error::AnyDriverError(inner) => inner.downcast_ref(),
            _ => None,
        }
    }

    fn into_error(self) -> sqlx::Error {
        sqlx::Error::AnyDriverError(Box::new(self))
    }
}

impl State {
    fn refusal(&self, purpose: Purpose) -> Option<&Unavailable> {
        match (self, purpose) {
            (Self::Away(why), _) | (Self::ReadOnly(why), Purpose::Write) => Some(why),
            (Self::ReadOnly(_), Purpose::Read) | (Self::Well, _) => None,
        }
    }

    const fn cause(&self) -> Option<Cause> {
        match self {
            Self::Well => None,
            Self::ReadOnly(why) | Self::Away(why) => Some(why.cause),
        }
    }
}

impl Availability {
    pub(super) const fn always() -> Self {
        Self(None)
    }

    pub(super) fn of(options: AnyConnectOptions, patience: Duration, announcements: Announcements) -> Self {
        Self(Some(Arc::new(Inner {
            options,
            patience,
            state: watch::Sender::new(State::Well),
            since: Mutex::new(Instant::now()),
            verdicts: watch::Sender::new(0),
            is_probing: AtomicBool::new(false),
            calm_until: Mutex::default(),
            is_short: AtomicBool::new(false),
            answers: AtomicU64::new(0),
            era: AtomicU64::new(0),
            announcements,
            holders: Mutex::default(),
            metrics: OnceLock::new(),
        })))
    }

    pub(super) fn told_to(&self, metrics: Metrics) {
        if let Some(inner) = &self.0 {
            for cause in Cause::ALL {
                metrics.database_unavailable.with_label_values(&[cause.name()]).set(0);
            }
            let _ = inner.metrics.set(metrics);
        }
    }

    pub(super) fn counts_last_known(&self) {
        if let Some(metrics) = self.0.as_ref().and_then(|inner| inner.metrics.get()) {
            metrics.database_last_known.inc();
        }
    }

    /// `holder` is told what becomes of its connections.
    pub(super) fn tells(&self, holder: impl Fn(Hold) + Send + Sync + 'static) {
        if let Some(inner) = &self.0 {
            lock(&inner.holders).push(Box::new(holder));
        }
    }

    /// Changes with the state.
    pub(super) fn era(&self) -> u64 {
        self.0.as_ref().map_or(0, |inner| inner.era.load(Ordering::Acquire))
    }

    /// Why such questions are refused now, and for how long they have been.
    pub(super) fn refusal(&self, purpose: Purpose) -> Option<(Unavailable, Duration)> {
        let inner = self.0.as_ref()?;
        let refusal = inner.state.borrow().refusal(purpose).cloned()?;
        Some((refusal, lock(&inner.since).elapsed()))
    }

    /// Asks, unless the database is known not to answer, and for as long as it is not.
    pub(super) async fn asked<T>(
        &self,
        purpose: Purpose,
        question: impl Future<Output = Result<T, sqlx::Error>>,
    ) -> Result<T, sqlx::Error> {
        let Some(inner) = &self.0 else { return question.await };
        let mut states = inner.state.subscribe();
        let refused = async {
            let state = states.wait_for(|state| state.refusal(purpose).is_some()).await;
            state.ok().and_then(|state| state.refusal(purpose).cloned())
        };
        let mut answers = inner.answers.load(Ordering::Relaxed);
        let mut doubts = interval_at(tokio::time::Instant::now() + DOUBT, DOUBT);
        tokio::pin!(question, refused);
        loop {
            tokio::select! {
                biased;
                Some(why) = &mut refused => return Err(why.into_error()),
                answer = &mut question => return inner.judge(purpose, answer).await,
                _ = doubts.tick() => {
                    let before = std::mem::replace(&mut answers, inner.answers.load(Ordering::Relaxed));
                    if answers == before {
                        inner.doubt(false);
                    }
                }
            }
        }
    }

    /// Waits until the database is known not to answer.
    pub(super) async fn lost(&self) {
        match &self.0 {
            Some(inner) => {
                let mut states = inner.state.subscribe();
                let _ = states.wait_for(|state| matches!(state, State::Away(_))).await;
            }
            None => std::future::pending().await,
        }
    }

    /// Waits until the database answers a probe, for a start.
    pub(super) async fn first_answer(&self, patience: Duration) -> Result<(), Unavailable> {
        let Some(inner) = &self.0 else { return Ok(()) };
        let (started, mut pause) = (Instant::now(), FIRST_PAUSE);
        loop {
            match inner.probe().await {
                Ok(_) => return Ok(()),
                Err(why) if started.elapsed() >= patience => return Err(why),
                Err(why) if pause == FIRST_PAUSE => {
                    tracing::warn!(cause = why.cause.name(), error = %why, "waiting for the database");
                }
                Err(_) => {}
            }
            tokio::time::sleep(pause).await;
            pause = LONGEST_PAUSE.min(pause * 2);
        }
    }
}

impl Inner {
    async fn judge<T>(self: &Arc<Self>, purpose: Purpose, answer: Result<T, sqlx::Error>) -> Result<T, sqlx::Error> {
        let error = match answer {
            Ok(answer) => {
                self.answers.fetch_add(1, Ordering::Relaxed);
                return Ok(answer);
            }
            Err(error) => error,
        };
        let cause = match Cause::of(&error) {
            None => return Err(error),
            // Connections for reading refuse to write by themselves.
            Some(Cause::ReadOnly) if purpose == Purpose::Read => return Err(error),
            Some(cause) => cause,
        };
        let why = Unavailable { cause, detail: error.to_string() };
        if cause == Cause::ReadOnly {
            self.becomes(State::ReadOnly(why.clone()));
            self.doubt(true);
        } else {
            self.verdict().await;
        }
        let found = self.state.borrow().refusal(purpose).cloned();
        Err(found.unwrap_or(why).into_error())
    }

    /// Waits until a probe has decided.
    async fn verdict(self: &Arc<Self>) {
        let mut verdicts = self.verdicts.subscribe();
        self.doubt(true);
        // The probe itself has an end.
        let _ = timeout(self.patience * 2, verdicts.changed()).await;
    }

    /// Looks whether the database is well, unless that is being done. A doubt that is not strong waits for a while after the last look.
    fn doubt(self: &Arc<Self>, is_strong: bool) {
        if !is_strong && lock(&self.calm_until).is_some_and(|until| Instant::now() < until) {
            return;
        }
        if !self.is_probing.swap(true, Ordering::AcqRel) {
            let this = self.clone();
            tokio::spawn(async move { this.probe_until_well().await });
        }
    }

    async fn probe_until_well(self: Arc<Self>) {
        let mut pause = FIRST_PAUSE;
        loop {
            let answers = self.answers.load(Ordering::Relaxed);
            let mut found = self.probe().await;
            if found.as_ref().is_err_and(|why| why.cause == Cause::OutOfConnections) {
                self.tell(Hold::LetGoOfIdle);
                tokio::time::sleep(CLOSED).await;
                found = self.probe().await;
            }
            let is_answering = self.answers.load(Ordering::Relaxed) != answers;
            match found {
                Ok(false) => {
                    self.is_short.store(false, Ordering::Relaxed);
                    self.becomes(State::Well);
                }
                Ok(true) => {
                    let detail = "it is a standby, or default_transaction_read_only is on".to_owned();
                    self.becomes(State::ReadOnly(Unavailable { cause: Cause::ReadOnly, detail }));
                }
                // Connections that there are carry answers: who waits for another one waits for those.
                Err(why) if is_answering => {
                    if !self.is_short.swap(true, Ordering::Relaxed) {
                        tracing::warn!(
                            cause = why.cause.name(), error = %why,
                            "no new connection to the database can be had; requests wait for those that there are"
                        );
                    }
                }
                Err(why) => self.becomes(State::Away(why)),
            }
            self.verdicts.send_modify(|count| *count += 1);
            if matches!(*self.state.borrow(), State::Well) {
                *lock(&self.calm_until) = Some(Instant::now() + CALM);
                self.is_probing.store(false, Ordering::Release);
                return;
            }
            tokio::time::sleep(pause.mul_f64(0.75 + fastrand::f64() / 2.0)).await;
            pause = LONGEST_PAUSE.min(pause * 2);
        }
    }

    /// Whether it is read-only.
    async fn probe(&self) -> Result<bool, Unavailable> {
        let asked = async {
            let mut connection = self.options.connect().await?;
            let said: String = sqlx::query_scalar("SELECT current_setting('transaction_read_only')")
                .fetch_one(&mut connection)
                .await?;
            let _ = connection.close().await;
            Ok::<_, sqlx::Error>(said == "on")
        };
        let found = match timeout(self.patience, asked).await {
            Ok(Ok(is_read_only)) => Ok(is_read_only),
            Ok(Err(error)) => {
                let cause = Cause::of(&error).unwrap_or(Cause::Refusing);
                Err(Unavailable { cause, detail: error.to_string() })
            }
            Err(_) => {
                let detail =
                    format!("no answer to a probe within {} s (`meta.probe_timeout`)", self.patience.as_secs_f64());
                Err(Unavailable { cause: Cause::Hanging, detail })
            }
        };
        if let Some(metrics) = self.metrics.get() {
            let result = match &found {
                Ok(false) => "well",
                Ok(true) => Cause::ReadOnly.name(),
                Err(why) => why.cause.name(),
            };
            metrics.database_probes.with_label_values(&[result]).inc();
        }
        found
    }

    fn becomes(&self, state: State) {
        let mut since = lock(&self.since);
        let before = self.state.borrow().cause();
        let now = state.cause();
        if before == now {
            return;
        }
        match &state {
            State::Well => tracing::info!(seconds = since.elapsed().as_secs(), "the database does all again"),
            State::ReadOnly(why) => tracing::error!(
                cause = why.cause.name(), error = %why,
                "the database takes no writes: what would change something gets 503, pulls go on"
            ),
            State::Away(why) => tracing::error!(
                cause = why.cause.name(), error = %why,
                "the database cannot be asked: pulls go on by what it said last (`meta.last_known`), what would change something gets 503"
            ),
        }
        if let Some(metrics) = self.metrics.get() {
            for (cause, value) in before.map(|cause| (cause, 0)).into_iter().chain(now.map(|cause| (cause, 1))) {
                metrics.database_unavailable.with_label_values(&[cause.name()]).set(value);
            }
        }
        if before.is_none() || now.is_none() {
            *since = Instant::now();
        }
        self.era.fetch_add(1, Ordering::AcqRel);
        if now.is_none() {
            // What was announced meanwhile was not heard. It is forgotten before anybody may write again.
            self.announcements.pass_on(&Change::ALL);
        }
        self.state.send_replace(state);
        self.tell(Hold::MakeAnew);
    }

    fn tell(&self, hold: Hold) {
        for holder in &*lock(&self.holders) {
            holder(hold);
        }
    }
}

/// What a panic under one of these locks leaves is whole: they are held to read or replace a time.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes_of_errors() {
        for (error, cause) in [
            (sqlx::Error::Io(std::io::ErrorKind::ConnectionRefused.into()), Some(Cause::Away)),
            (sqlx::Error::PoolClosed, Some(Cause::Away)),
            (sqlx::Error::PoolTimedOut, None),
            (sqlx::Error::RowNotFound, None),
        ] {
            assert_eq!(Cause::of(&error), cause, "{error}");
        }
        let why = Unavailable { cause: Cause::Hanging, detail: "x".to_owned() };
        assert_eq!(Unavailable::behind(&why.into_error()).map(|why| why.cause), Some(Cause::Hanging));
    }

    #[test]
    fn a_read_only_database_is_read() {
        let why = |cause| Unavailable { cause, detail: String::new() };
        let read_only = State::ReadOnly(why(Cause::ReadOnly));
        assert!(read_only.refusal(Purpose::Read).is_none() && read_only.refusal(Purpose::Write).is_some());
        let away = State::Away(why(Cause::Away));
        assert!(away.refusal(Purpose::Read).is_some() && away.refusal(Purpose::Write).is_some());
        assert!(State::Well.refusal(Purpose::Write).is_none());
    }
}
