//! Failures of the database.

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the database cannot be opened: {0}")]
    Open(#[source] sqlx::Error),
    #[error("the database is empty: no registry has served from it")]
    Empty,
    #[error("the database was made by a newer version of entrepot, or its schema was changed by hand: {0}")]
    Migrate(#[source] sqlx::migrate::MigrateError),
    #[error("the database failed: {0}")]
    Query(#[source] sqlx::Error),
    #[error("the database is busy: another write takes too long")]
    Busy,
    #[error("the database holds {what} that cannot be read: {text:?}")]
    Malformed { what: &'static str, text: String },
}
