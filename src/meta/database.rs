//! Opening the database and bringing its schema up to date.

use std::borrow::Cow;
use std::path::Path;
use std::time::Duration;

use sqlx::SqlitePool;
use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};

use super::error::Error;
use crate::oci::RepositoryName;

/// Cheap to clone.
#[derive(Clone)]
pub struct Meta {
    pub(super) pool: SqlitePool,
}

/// In order, and never changed once released.
const MIGRATIONS: [(i64, &str, &str); 1] = [(1, "pull through", include_str!("migrations/0001_pull_through.sql"))];

/// Connections at once. Reads run side by side; SQLite lets one write at a time and the others wait.
const MAX_CONNECTIONS: u32 = 4;

/// How long a statement waits for another's write.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);

impl Meta {
    /// Opens the database file, made if it is missing, and migrates it.
    pub async fn open(path: &Path) -> Result<Self, Error> {
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Normal)
            .foreign_keys(true)
            .busy_timeout(BUSY_TIMEOUT);
        let pool = SqlitePoolOptions::new()
            .max_connections(MAX_CONNECTIONS)
            .acquire_timeout(BUSY_TIMEOUT)
            .connect_with(options)
            .await
            .map_err(Error::Open)?;
        migrator().run(&pool).await.map_err(Error::Migrate)?;
        Ok(Self { pool })
    }

    /// Names of repositories that hold something, in order, after `last`.
    pub async fn repositories(&self, last: Option<&str>, limit: u32) -> Result<Vec<String>, Error> {
        sqlx::query_scalar("SELECT name FROM repository WHERE name > $1 ORDER BY name LIMIT $2")
            .bind(last.unwrap_or_default())
            .bind(limit)
            .fetch_all(&self.pool)
            .await
            .map_err(Error::Query)
    }

    pub async fn close(&self) {
        self.pool.close().await;
    }
}

/// The repository's row, made if it is missing.
pub(super) async fn repository_id(
    connection: &mut sqlx::SqliteConnection,
    name: &RepositoryName,
) -> Result<i64, Error> {
    sqlx::query_scalar(
        "INSERT INTO repository (name) VALUES ($1) ON CONFLICT (name) DO UPDATE SET name = excluded.name RETURNING id",
    )
    .bind(name.as_str())
    .fetch_one(connection)
    .await
    .map_err(Error::Query)
}

fn migrator() -> Migrator {
    let migrations = MIGRATIONS
        .iter()
        .map(|(version, description, sql)| {
            Migration::new(
                *version,
                Cow::Borrowed(*description),
                MigrationType::Simple,
                sqlx::SqlStr::from_static(sql),
                false,
            )
        })
        .collect::<Vec<_>>();
    Migrator { migrations: Cow::Owned(migrations), ..Migrator::DEFAULT }
}
