//! Opening the database, bringing its schema up to date, and taking turns to write.
//!
//! SQLite and PostgreSQL understand the same statements here; what differs is in this file.

use std::borrow::Cow;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use sqlx::any::{AnyConnectOptions, AnyPoolOptions};
use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::{Any, AnyConnection, AnyPool, Executor, SqlSafeStr, Transaction};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::changes::{Announcements, Change, Changes};
use super::error::Error;

/// Cheap to clone.
#[derive(Clone)]
pub struct Meta {
    pub(super) pool: AnyPool,
    dialect: Dialect,
    /// SQLite lets one write at a time; those who wait do so in order of arrival.
    writers: Arc<Semaphore>,
    announcements: Announcements,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Dialect {
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
    dialect: Dialect,
    announcements: Announcements,
    /// To be passed on when it is committed.
    announced: Vec<Change>,
    _turn: Option<OwnedSemaphorePermit>,
}

/// In order, and never changed once released.
const MIGRATIONS: [(i64, &str, &str); 5] = [
    (1, "pull through", include_str!("migrations/0001_pull_through.sql")),
    (2, "hosted", include_str!("migrations/0002_hosted.sql")),
    (3, "identities", include_str!("migrations/0003_identities.sql")),
    (4, "metering", include_str!("migrations/0004_metering.sql")),
    (5, "rights", include_str!("migrations/0005_rights.sql")),
];

/// Connections at once.
const MAX_CONNECTIONS: u32 = 8;

/// How long a statement waits for another's write, and how long one waits for a connection.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

/// Where PostgreSQL carries announcements. Registries in two schemas of one database share it, and forget more than they must.
pub(super) const CHANNEL: &str = "entrepot";

/// What is acknowledged is on the disk: `FULL` syncs the log at each commit.
const SQLITE_SET_UP: &str =
    "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; PRAGMA busy_timeout = 10000;";

impl Meta {
    /// Opens the database file, made if it is missing, and migrates it.
    pub async fn open(path: &Path) -> Result<Self, Error> {
        let path = path.to_string_lossy();
        Self::connect(
            &format!("sqlite:{}?mode=rwc", utf8_percent_encode(&path, NON_ALPHANUMERIC)),
            Dialect::Sqlite,
            New::Made,
        )
        .await
    }

    /// Opens the database file of a registry that has served before, and migrates it; makes none.
    pub async fn open_existing(path: &Path) -> Result<Self, Error> {
        let path = path.to_string_lossy();
        let url = format!("sqlite:{}?mode=rw", utf8_percent_encode(&path, NON_ALPHANUMERIC));
        Self::connect(&url, Dialect::Sqlite, New::Refused).await
    }

    /// Connects to PostgreSQL by `postgres://…`, and migrates it.
    pub async fn open_postgres(url: &str) -> Result<Self, Error> {
        Self::connect(url, Dialect::Postgres, New::Made).await
    }

    /// Connects to the PostgreSQL of a registry that has served before, and migrates it; makes no schema.
    pub async fn open_existing_postgres(url: &str) -> Result<Self, Error> {
        Self::connect(url, Dialect::Postgres, New::Refused).await
    }

    async fn connect(url: &str, dialect: Dialect, new: New) -> Result<Self, Error> {
        sqlx::any::install_default_drivers();
        let options: AnyConnectOptions = url.parse().map_err(Error::Open)?;
        let pool = AnyPoolOptions::new()
            .max_connections(MAX_CONNECTIONS)
            .acquire_timeout(PATIENCE)
            .after_connect(move |connection, _| {
                Box::pin(async move {
                    if dialect == Dialect::Sqlite {
                        connection.execute(SQLITE_SET_UP).await?;
                    }
                    Ok(())
                })
            })
            .connect_with(options)
            .await
            .map_err(Error::Open)?;
        if new == New::Refused && !has_schema(&pool, dialect).await? {
            return Err(Error::Empty);
        }
        migrator(dialect).run(&pool).await.map_err(Error::Migrate)?;
        Ok(Self::on(pool, dialect))
    }

    fn on(pool: AnyPool, dialect: Dialect) -> Self {
        Self { pool, dialect, writers: Arc::new(Semaphore::new(1)), announcements: Announcements::new() }
    }

    /// A server, without a schema.
    #[cfg(test)]
    pub(super) async fn connect_for_tests(url: &str) -> Self {
        sqlx::any::install_default_drivers();
        let pool = AnyPool::connect(url).await.expect("PostgreSQL can be reached");
        Self::on(pool, Dialect::Postgres)
    }

    #[cfg(test)]
    pub(super) async fn execute(&self, statement: String) -> Result<(), Error> {
        self.pool.execute(sqlx::AssertSqlSafe(statement)).await.map(|_| ()).map_err(Error::Query)
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
    }

    pub(super) async fn write(&self) -> Result<Writing, Error> {
        let (turn, begin) = match self.dialect {
            // A read that turns into a write may find that it came too late; this one is a write from the start.
            Dialect::Sqlite => {
                let turn = tokio::time::timeout(PATIENCE, self.writers.clone().acquire_owned()).await;
                (turn.map_err(|_| Error::Busy)?.ok(), "BEGIN IMMEDIATE")
            }
            Dialect::Postgres => (None, "BEGIN"),
        };
        let transaction = self.pool.begin_with(begin).await.map_err(Error::Query)?;
        let announcements = self.announcements.clone();
        Ok(Writing { transaction, dialect: self.dialect, announcements, announced: Vec::new(), _turn: turn })
    }

    /// What makes others wait who would change the same row (PostgreSQL; SQLite's writers wait anyway).
    pub(super) fn for_update(&self) -> &'static str {
        match self.dialect {
            Dialect::Sqlite => "",
            Dialect::Postgres => " FOR UPDATE",
        }
    }
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
