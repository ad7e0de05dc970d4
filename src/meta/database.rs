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
use sqlx::{Any, AnyConnection, AnyPool, Connection, Executor, SqlSafeStr, Transaction};

use super::changes::{Announcements, Change, Changes};
use super::error::Error;
use super::scope::{Scope, Scopes};
use crate::turns::{Asker, Turn, Turns};

/// Cheap to clone.
#[derive(Clone)]
pub struct Meta {
    /// For reading.
    pub(super) pool: AnyPool,
    writes: AnyPool,
    pub(super) dialect: Dialect,
    /// As many as may write at once: whoever waits does so without a connection, and askers take turns.
    writers: Turns,
    scopes: Arc<Scopes>,
    /// On whose behalf this handle writes.
    asker: Asker,
    announcements: Announcements,
}

/// How many connections a process may have to PostgreSQL, beside the one on which it listens. SQLite's are in the process: it has as
/// many for reading, and one to write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Connections {
    pub reads: u32,
    pub writes: u32,
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

/// How long a statement waits for another's write, and how long one waits for a connection.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

/// Where PostgreSQL carries announcements. Registries in two schemas of one database share it, and forget more than they must.
pub(super) const CHANNEL: &str = "entrepot";

/// What is acknowledged is on the disk: `FULL` syncs the log at each commit.
const SQLITE_SET_UP: &str =
    "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; PRAGMA busy_timeout = 10000;";
const SQLITE_READS_ONLY: &str = "PRAGMA query_only = ON;";

/// Whoever waits for another's lock gives up as soon as with SQLite.
const POSTGRES_BEGIN: &str = "BEGIN; SET LOCAL lock_timeout = 10000";
const POSTGRES_READS_ONLY: &str = "SET default_transaction_read_only = on";

impl Default for Connections {
    fn default() -> Self {
        Self { reads: 5, writes: 4 }
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
        let writers = if dialect == Dialect::Sqlite { 1 } else { connections.writes };
        let writes = pool(writers, dialect, false).connect_with(options.clone()).await.map_err(Error::Open)?;
        if new == New::Refused && !has_schema(&writes, dialect).await? {
            return Err(Error::Empty);
        }
        migrator(dialect).run(&writes).await.map_err(Error::Migrate)?;
        let reads = pool(connections.reads, dialect, true).connect_with(options).await.map_err(Error::Open)?;
        Ok(Self::on(reads, (writes, writers), dialect))
    }

    fn on(reads: AnyPool, (writes, writers): (AnyPool, u32), dialect: Dialect) -> Self {
        Self {
            pool: reads,
            writes,
            dialect,
            writers: Turns::new(usize::try_from(writers).unwrap_or(usize::MAX)),
            scopes: Arc::new(Scopes::new()),
            asker: Asker::work("the process"),
            announcements: Announcements::new(),
        }
    }

    /// The same database, written to in the turns of `asker`.
    #[must_use]
    pub fn on_behalf_of(&self, asker: Asker) -> Self {
        Self { asker, ..self.clone() }
    }

    /// A server, without a schema.
    #[cfg(test)]
    pub(super) async fn connect_for_tests(url: &str) -> Self {
        sqlx::any::install_default_drivers();
        let pool = AnyPool::connect(url).await.expect("PostgreSQL can be reached");
        Self::on(pool.clone(), (pool, 10), Dialect::Postgres)
    }

    #[cfg(test)]
    pub(crate) fn url_for_tests(&self) -> reqwest::Url {
        self.pool.connect_options().database_url.clone()
    }

    #[cfg(test)]
    pub(crate) async fn execute(&self, statement: String) -> Result<(), Error> {
        self.writes.execute(sqlx::AssertSqlSafe(statement)).await.map(|_| ()).map_err(Error::Query)
    }

    /// Whether other processes may write to this database, so that nothing of it may be remembered in memory.
    pub fn is_shared(&self) -> bool {
        self.dialect == Dialect::Postgres
    }

    /// What changes from now on, here or, as far as it is heard (see [`Self::listen`]), elsewhere.
    pub fn changes(&self) -> Changes {
        self.announcements.subscribe()
    }

    pub(super) fn announcements(&self) -> &Announcements {
        &self.announcements
    }

    pub async fn close(&self) {
        self.pool.close().await;
        self.writes.close().await;
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
        let turns = tokio::time::timeout(PATIENCE, turns).await.map_err(|_| Error::Busy)?;
        let begin = match self.dialect {
            // A read that turns into a write may find that it came too late; this one is a write from the start.
            Dialect::Sqlite => "BEGIN IMMEDIATE",
            Dialect::Postgres => POSTGRES_BEGIN,
        };
        let mut transaction = self.writes.begin_with(begin).await.map_err(Error::Query)?;
        if self.dialect == Dialect::Postgres {
            for key in keys {
                let lock = sqlx::query("SELECT pg_advisory_xact_lock($1)").bind(key);
                lock.execute(&mut *transaction).await.map_err(Error::waiting)?;
            }
        }
        let announcements = self.announcements.clone();
        Ok(Writing { transaction, dialect: self.dialect, announcements, announced: Vec::new(), _turns: turns })
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
}

/// Runs a transaction, and once more where the database gave it up because it and others waited for each other in a circle.
pub(super) async fn twice<T, F: Future<Output = Result<T, Error>>>(work: impl Fn() -> F) -> Result<T, Error> {
    match work().await {
        Err(error) if error.is_deadlock() => work().await,
        done => done,
    }
}

fn pool(connections: u32, dialect: Dialect, reads_only: bool) -> AnyPoolOptions {
    AnyPoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(PATIENCE)
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
                Ok(())
            })
        })
        // Where the disk is full, SQLite ends a transaction by itself, and the driver takes the connection for one that is still in
        // it: nothing could ever be written by it again. It is closed, and another one made.
        .before_acquire(|connection, _| Box::pin(async move { Ok(!connection.is_in_transaction()) }))
}

impl Writing {
    pub(super) fn connection(&mut self) -> &mut AnyConnection {
        &mut self.transaction
    }

    /// Tells everyone who remembers such things that they are others as soon as this is committed.
    pub(super) async fn announce(&mut self, change: Change) -> Result<(), Error> {
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
        self.transaction.commit().await.map_err(Error::Query)?;
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
