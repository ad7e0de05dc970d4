//! Opening the database, bringing its schema up to date, and taking turns to write.
//!
//! SQLite and PostgreSQL understand the same statements here; what differs is in this file and in `table.rs`. Reads and writes have
//! connections of their own, so that nobody waits for a push to read; the connections for reading refuse to write.

use std::borrow::Cow;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use sqlx::any::{AnyConnectOptions, AnyPoolOptions};
use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::{Any, AnyPool, Connection, Executor, SqlSafeStr, Transaction};

use super::availability::{Availability, Purpose, Unavailable};
use super::changes::{Announcements, Change, Changes};
use super::error::Error;
use super::last_known::{Fact, Forgets, LastKnown, Question, Topic};
use super::list_turn::ListTurn;
use super::pool::{Pool, Statement};
use super::scope::{Scope, Scopes};
use crate::telemetry::Metrics;
use crate::turns::{Asker, Turn, Turns};

/// Cheap to clone.
#[derive(Clone)]
pub struct Meta {
    /// For reading.
    pub(super) pool: Pool,
    writes: Pool,
    availability: Availability,
    last_known: LastKnown,
    pub(super) dialect: Dialect,
    /// As many as may write at once: whoever waits does so without a connection, and askers take turns.
    writers: Turns,
    lists: Turns,
    scopes: Arc<Scopes>,
    /// On whose behalf this handle writes and reads lists.
    asker: Asker,
    patience: Duration,
    announcements: Announcements,
}

/// How many connections a process may have to PostgreSQL, beside the one on which it listens. SQLite's are in the process: it has as
/// many for reading, and one to write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Connections {
    pub reads: u32,
    pub writes: u32,
    /// How long a request waits for a connection, for its turn to write, and for another's lock.
    pub patience: Duration,
    /// How long PostgreSQL may take for a probe.
    pub probe: Duration,
    /// How long what PostgreSQL said is used while it cannot be asked.
    pub last_known: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dialect {
    Sqlite,
    Postgres,
}

/// Treatment of a database without a schema.
#[derive(Clone, Copy, PartialEq, Eq)]
enum New {
    Made,
    Refused,
}

/// Statements that take effect together, or not at all if it is dropped before [`Writing::commit`].
pub(super) struct Writing {
    transaction: Transaction<'static, Any>,
    pub(super) dialect: Dialect,
    announcements: Announcements,
    /// To be passed on when it is committed.
    announced: Vec<Change>,
    availability: Availability,
    /// What was known before, whether it is committed or not.
    forgets: Forgets,
    _turns: Vec<Turn>,
}

/// In order, and never changed once released.
const MIGRATIONS: [(i64, &str, &str); 10] = [
    (1, "pull through", include_str!("migrations/0001_pull_through.sql")),
    (2, "hosted", include_str!("migrations/0002_hosted.sql")),
    (3, "identities", include_str!("migrations/0003_identities.sql")),
    (4, "metering", include_str!("migrations/0004_metering.sql")),
    (5, "rights", include_str!("migrations/0005_rights.sql")),
    (6, "uploads", include_str!("migrations/0006_uploads.sql")),
    (7, "noted", include_str!("migrations/0007_noted.sql")),
    (8, "key status", include_str!("migrations/0008_key_status.sql")),
    (10, "origins", include_str!("migrations/0010_origins.sql")),
    (11, "jobs", include_str!("migrations/0011_jobs.sql")),
];

/// Lists that are read at once, of which one asker reads three.
const LISTS_AT_ONCE: usize = 4;

/// How long the connection that listens waits, and commands.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

/// Where PostgreSQL carries announcements. Registries in two schemas of one database share it, and forget more than they must.
pub(super) const CHANNEL: &str = "entrepot";

/// What is acknowledged is on the disk: `FULL` syncs the log at each commit.
const SQLITE_SET_UP: &str = "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;";
const SQLITE_READS_ONLY: &str = "PRAGMA query_only = ON;";

const POSTGRES_READS_ONLY: &str = "SET default_transaction_read_only = on";

impl Default for Connections {
    fn default() -> Self {
        let (probe, last_known) = (Duration::from_secs(2), Duration::from_secs(4 * 60 * 60));
        Self { reads: 5, writes: 4, patience: PATIENCE, probe, last_known }
    }
}

impl Meta {
    /// Opens the database file, made if it is missing, and migrates it.
    pub async fn open(path: &Path) -> Result<Self, Error> {
        Self::open_with(path, Connections::default()).await
    }

    pub async fn open_with(path: &Path, connections: Connections) -> Result<Self, Error> {
        let path = path.to_string_lossy();
        let url = format!("sqlite:{}?mode=rwc", utf8_percent_encode(&path, NON_ALPHANUMERIC));
        Self::connect(&url, Dialect::Sqlite, New::Made, connections).await
    }

    /// Opens the database file of a registry that has served before, and migrates it; makes none.
    pub async fn open_existing(path: &Path, connections: Connections) -> Result<Self, Error> {
        let path = path.to_string_lossy();
        let url = format!("sqlite:{}?mode=rw", utf8_percent_encode(&path, NON_ALPHANUMERIC));
        Self::connect(&url, Dialect::Sqlite, New::Refused, connections).await
    }

    /// Connects to PostgreSQL by `postgres://…`, and migrates it.
    pub async fn open_postgres(url: &str, connections: Connections) -> Result<Self, Error> {
        Self::connect(url, Dialect::Postgres, New::Made, connections).await
    }

    /// Connects to the PostgreSQL of a registry that has served before, and migrates it; makes no schema.
    pub async fn open_existing_postgres(url: &str, connections: Connections) -> Result<Self, Error> {
        Self::connect(url, Dialect::Postgres, New::Refused, connections).await
    }

    async fn connect(url: &str, dialect: Dialect, new: New, connections: Connections) -> Result<Self, Error> {
        sqlx::any::install_default_drivers();
        let options: AnyConnectOptions = url.parse().map_err(Error::Open)?;
        let announcements = Announcements::new();
        let (availability, last_known) = match dialect {
            Dialect::Sqlite => (Availability::always(), LastKnown::nothing()),
            Dialect::Postgres => (
                Availability::of(options.clone(), connections.probe, announcements.clone()),
                LastKnown::within(connections.last_known),
            ),
        };
        availability.first_answer(connections.patience).await?;
        let writers = if dialect == Dialect::Sqlite { 1 } else { connections.writes };
        let opener = |count, reads_only| {
            let (options, patience) = (options.clone(), connections.patience);
            move || pool(count, dialect, patience, reads_only).connect_lazy_with(options.clone())
        };
        let opened = pool(writers, dialect, connections.patience, false).connect_with(options.clone()).await;
        let writes = opened.map_err(Error::Open)?;
        if new == New::Refused && !has_schema(&writes, dialect).await? {
            return Err(Error::Empty);
        }
        migrator(dialect).run(&writes).await.map_err(Error::Migrate)?;
        let reads = pool(connections.reads, dialect, connections.patience, true).connect_with(options.clone()).await;
        let reads = Pool::new(
            Purpose::Read,
            availability.clone(),
            reads.map_err(Error::Open)?,
            opener(connections.reads, true),
        );
        let writes = Pool::new(Purpose::Write, availability.clone(), writes, opener(writers, false));
        Ok(Self {
            pool: reads,
            writes,
            dialect,
            writers: Turns::new(usize::try_from(writers).unwrap_or(usize::MAX)),
            lists: Turns::new(LISTS_AT_ONCE),
            scopes: Arc::new(Scopes::new()),
            asker: Asker::work("the process"),
            patience: connections.patience,
            announcements,
            availability,
            last_known,
        })
    }

    /// The same database, written to, and its lists read, in the turns of `asker`.
    #[must_use]
    pub fn on_behalf_of(&self, asker: Asker) -> Self {
        Self { asker, ..self.clone() }
    }

    /// A server, without a schema.
    #[cfg(test)]
    pub(super) async fn connect_for_tests(url: &str) -> AnyPool {
        sqlx::any::install_default_drivers();
        AnyPool::connect(url).await.expect("PostgreSQL can be reached")
    }

    #[cfg(test)]
    pub(crate) fn url_for_tests(&self) -> reqwest::Url {
        self.pool.url()
    }

    #[cfg(test)]
    pub(crate) async fn execute(&self, statement: String) -> Result<(), Error> {
        self.writes.execute(sqlx::AssertSqlSafe(statement)).await.map(|_| ()).map_err(Error::Query)
    }

    /// Counts and tells what becomes of the database from here on.
    pub fn told_to(&self, metrics: Metrics) {
        self.availability.told_to(metrics);
    }

    /// Why PostgreSQL cannot be asked now, and since when: pulls are answered by what it said last.
    pub fn is_away(&self) -> Option<(Unavailable, Duration)> {
        self.availability.refusal(Purpose::Read)
    }

    /// Why it takes no writes.
    pub fn is_not_writable(&self) -> Option<(Unavailable, Duration)> {
        self.availability.refusal(Purpose::Write)
    }

    /// Refuses what would change something while nothing can be written: before anything is decided or brought for it.
    pub fn takes_writes(&self) -> Result<(), Error> {
        match self.availability.refusal(Purpose::Write) {
            Some((why, _)) => Err(Error::Unavailable(why)),
            None => Ok(()),
        }
    }

    /// Refuses where the answer is to be what is so, and not what was.
    pub fn is_asked(&self) -> Result<(), Error> {
        match self.availability.refusal(Purpose::Read) {
            Some((why, _)) => Err(Error::Unavailable(why)),
            None => Ok(()),
        }
    }

    /// Asks, and falls back to the last answer while the database cannot be asked. A connection that was lost alone is not a reason.
    pub(super) async fn known<T: Fact, F: Future<Output = Result<T, Error>>>(
        &self,
        question: Question,
        ask: impl Fn() -> F,
    ) -> Result<T, Error> {
        if !self.is_shared() {
            return ask().await;
        }
        let counts = self.last_known.counts(&question);
        let mut answer = ask().await;
        if answer.as_ref().is_err_and(|error| error.unavailable().is_some()) && self.is_away().is_none() {
            answer = ask().await;
        }
        match answer {
            Ok(fact) => {
                self.last_known.put(question, counts, &fact);
                Ok(fact)
            }
            Err(error) if error.unavailable().is_some() && self.is_away().is_some() => {
                let known = self.last_known.get(&question).ok_or(error);
                if known.is_ok() {
                    self.availability.counts_last_known();
                }
                known
            }
            Err(error) => Err(error),
        }
    }

    /// Waits until the database is known not to answer.
    pub(super) async fn lost(&self) {
        self.availability.lost().await;
    }

    /// What was announced changes what is known.
    pub(super) fn heard(&self, changes: &[Change]) {
        for topic in changes.iter().filter_map(|change| Topic::of_change(*change)) {
            self.last_known.forget(topic);
        }
        self.announcements.pass_on(changes);
    }

    /// Whether other processes may write to this database, so that nothing of it may be remembered in memory.
    pub fn is_shared(&self) -> bool {
        self.dialect == Dialect::Postgres
    }

    /// What changes from now on, here or, as far as it is heard (see [`Self::listen`]), elsewhere.
    pub fn changes(&self) -> Changes {
        self.announcements.subscribe()
    }

    pub async fn close(&self) {
        self.pool.close().await;
        self.writes.close().await;
    }

    /// [`Error::Busy`] when none comes in time.
    pub async fn list_turn(&self) -> Result<ListTurn, Error> {
        let taken = tokio::time::timeout(self.patience, self.lists.take(self.asker)).await;
        taken.map(ListTurn::new).map_err(|_| Error::Busy)
    }

    /// A transaction that has `scope` for itself until its end.
    pub(super) async fn write(&self, scope: Scope<'_>) -> Result<Writing, Error> {
        self.write_in(&[scope]).await
    }

    /// One that has several.
    pub(super) async fn write_in(&self, scopes: &[Scope<'_>]) -> Result<Writing, Error> {
        let mut keys: Vec<i64> = scopes.iter().filter_map(|scope| scope.key()).collect();
        // Whoever wants the same two takes them in the same order.
        keys.sort_unstable();
        keys.dedup();
        let turns = async {
            let mut turns = match self.dialect {
                // There is one writer.
                Dialect::Sqlite => Vec::new(),
                Dialect::Postgres => self.scopes.take(&keys, self.asker).await,
            };
            turns.push(self.writers.take(self.asker).await);
            turns
        };
        let turns = tokio::time::timeout(self.patience, turns).await.map_err(|_| Error::Busy)?;
        let begin = match self.dialect {
            // A read that turns into a write may find that it came too late; this one is a write from the start.
            Dialect::Sqlite => "BEGIN IMMEDIATE".to_owned(),
            // Whoever waits for another's lock gives up as soon as with SQLite.
            Dialect::Postgres => format!("BEGIN; SET LOCAL lock_timeout = {}", self.patience.as_millis()),
        };
        let transaction = self.writes.begin_with(begin).await.map_err(Error::Query)?;
        let topics = scopes.iter().filter_map(|scope| scope.topic()).collect();
        let mut writing = Writing {
            transaction,
            dialect: self.dialect,
            announcements: self.announcements.clone(),
            announced: Vec::new(),
            availability: self.availability.clone(),
            forgets: Forgets { last_known: self.last_known.clone(), topics },
            _turns: turns,
        };
        if self.dialect == Dialect::Postgres {
            for key in keys {
                let lock = sqlx::query("SELECT pg_advisory_xact_lock($1)").bind(key);
                lock.execute(writing.connection()).await.map_err(Error::waiting)?;
            }
        }
        Ok(writing)
    }

    /// Makes others wait who would change the same row, in a statement that reads it (PostgreSQL; SQLite's writers wait anyway).
    pub(super) fn for_update(&self) -> &'static str {
        self.dialect.for_update()
    }
}

impl Dialect {
    pub(super) const fn for_update(self) -> &'static str {
        match self {
            Self::Sqlite => "",
            Self::Postgres => " FOR UPDATE",
        }
    }

    pub(super) const fn for_share(self) -> &'static str {
        match self {
            Self::Sqlite => "",
            Self::Postgres => " FOR SHARE",
        }
    }
}

/// Runs a transaction, and once more where the database gave it up because it and others waited for each other in a circle.
pub(super) async fn twice<T, F: Future<Output = Result<T, Error>>>(work: impl Fn() -> F) -> Result<T, Error> {
    match work().await {
        Err(error) if error.is_deadlock() => work().await,
        done => done,
    }
}

fn pool(connections: u32, dialect: Dialect, patience: Duration, reads_only: bool) -> AnyPoolOptions {
    AnyPoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(patience)
        .after_connect(move |connection, _| {
            Box::pin(async move {
                let statements = match (dialect, reads_only) {
                    (Dialect::Sqlite, false) => &[SQLITE_SET_UP][..],
                    (Dialect::Sqlite, true) => &[SQLITE_SET_UP, SQLITE_READS_ONLY],
                    (Dialect::Postgres, false) => &[],
                    (Dialect::Postgres, true) => &[POSTGRES_READS_ONLY],
                };
                for statement in statements {
                    connection.execute(*statement).await?;
                }
                if dialect == Dialect::Sqlite {
                    let busy = format!("PRAGMA busy_timeout = {}", patience.as_millis());
                    connection.execute(sqlx::AssertSqlSafe(busy)).await?;
                }
                Ok(())
            })
        })
        // Where the disk is full, SQLite ends a transaction by itself, and the driver takes the connection for one that is still in
        // it: nothing could ever be written by it again. It is closed, and another one made.
        .before_acquire(|connection, _| Box::pin(async move { Ok(!connection.is_in_transaction()) }))
}

impl Writing {
    /// For one statement.
    pub(super) fn connection(&mut self) -> Statement<'_> {
        Statement { availability: &self.availability, connection: &mut self.transaction }
    }

    /// What was known of the scope stays so: there is only more of it, but for these.
    pub(super) fn only_adds(&mut self, but: impl IntoIterator<Item = Topic>) {
        self.forgets.topics = but.into_iter().collect();
    }

    /// What was known of this may be otherwise.
    pub(super) fn changes(&mut self, topic: Topic) {
        self.forgets.topics.push(topic);
    }

    /// Tells everyone who remembers such things that they are others as soon as this is committed.
    pub(super) async fn announce(&mut self, change: Change) -> Result<(), Error> {
        // The announcement may be lost on its way back to this replica.
        self.forgets.topics.extend(Topic::of_change(change));
        match self.dialect {
            Dialect::Sqlite => self.announced.push(change),
            Dialect::Postgres => {
                sqlx::query("SELECT pg_notify($1, $2)")
                    .bind(CHANNEL)
                    .bind(change.name())
                    .execute(self.connection())
                    .await
                    .map_err(Error::Query)?;
            }
        }
        Ok(())
    }

    pub(super) async fn commit(self) -> Result<(), Error> {
        let commit = self.transaction.commit();
        self.availability.asked(Purpose::Write, commit).await.map_err(Error::Query)?;
        self.announcements.pass_on(&self.announced);
        Ok(())
    }
}

/// Whether migrations have run before.
async fn has_schema(pool: &AnyPool, dialect: Dialect) -> Result<bool, Error> {
    let query = match dialect {
        Dialect::Sqlite => "SELECT count(*) FROM sqlite_master WHERE name = '_sqlx_migrations'",
        Dialect::Postgres => "SELECT count(*) FROM pg_class WHERE oid = to_regclass('_sqlx_migrations')",
    };
    let count: i64 = sqlx::query_scalar(query).fetch_one(pool).await.map_err(Error::Query)?;
    Ok(count > 0)
}

fn migrator(dialect: Dialect) -> Migrator {
    let migrations = MIGRATIONS
        .iter()
        .map(|(version, description, sql)| {
            let sql = match dialect {
                Dialect::Sqlite => sqlx::SqlStr::from_static(sql),
                Dialect::Postgres => sqlx::AssertSqlSafe(in_postgres_words(sql)).into_sql_str(),
            };
            Migration::new(*version, Cow::Borrowed(*description), MigrationType::Simple, sql, false)
        })
        .collect::<Vec<_>>();
    Migrator { migrations: Cow::Owned(migrations), ..Migrator::DEFAULT }
}

/// The migrations are written for SQLite. PostgreSQL has other names for the same types, and compares text as bytes only
/// where it is told to.
fn in_postgres_words(sql: &str) -> String {
    sql.replace(" AUTOINCREMENT", "")
        .replace("INTEGER PRIMARY KEY", "BIGINT GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY")
        .replace("INTEGER", "BIGINT")
        .replace("BLOB", "BYTEA")
        .replace(" TEXT", " TEXT COLLATE \"C\"")
}
