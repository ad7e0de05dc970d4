//! Failures of the database.

use super::availability::Unavailable;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It is not sent anything.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
    #[error("the database cannot be opened: {0}")]
    Open(#[source] sqlx::Error),
    #[error("the database is empty: no registry has served from it")]
    Empty,
    #[error("the database was made by a newer version of entrepot, or its schema was changed by hand: {0}")]
    Migrate(#[source] sqlx::migrate::MigrateError),
    #[error("{}", told(.0))]
    Query(#[from] sqlx::Error),
    #[error("the database is busy: what others write or list takes too long")]
    Busy,
    #[error("a {what} has {bytes} bytes; it may have {limit}")]
    TooLong { what: &'static str, bytes: usize, limit: usize },
    #[error("the database holds {what} that cannot be read: {text:?}")]
    Malformed { what: &'static str, text: String },
}

/// PostgreSQL's: it waited for a lock for too long.
const LOCK_NOT_AVAILABLE: &str = "55P03";

/// PostgreSQL's: transactions waited for each other in a circle, and this one was given up.
const DEADLOCK_DETECTED: &str = "40P01";

const SQLITE_BUSY: &str = "5";
const SQLITE_FULL: &str = "13";

/// PostgreSQL's.
const DISK_FULL: &str = "53100";

impl Error {
    /// Of a statement that waits for its turn.
    pub(super) fn waiting(error: sqlx::Error) -> Self {
        if has_code(&error, LOCK_NOT_AVAILABLE) { Self::Busy } else { Self::Query(error) }
    }

    /// Whether what others write or read took too long: it may go better in a moment.
    pub fn is_busy(&self) -> bool {
        match self {
            Self::Busy | Self::Query(sqlx::Error::PoolTimedOut) => true,
            Self::Query(error) => {
                [LOCK_NOT_AVAILABLE, DEADLOCK_DETECTED, SQLITE_BUSY].iter().any(|code| has_code(error, code))
            }
            _ => false,
        }
    }

    /// Why the database cannot be asked, where that is the reason.
    pub fn unavailable(&self) -> Option<&Unavailable> {
        match self {
            Self::Unavailable(why) => Some(why),
            Self::Query(error) => Unavailable::behind(error),
            _ => None,
        }
    }

    /// Whether there is no room left where the database lies.
    pub fn is_full(&self) -> bool {
        matches!(self, Self::Query(error) if has_code(error, SQLITE_FULL) || has_code(error, DISK_FULL))
    }

    pub(super) fn is_deadlock(&self) -> bool {
        matches!(self, Self::Query(error) if has_code(error, DEADLOCK_DETECTED))
    }
}

fn has_code(error: &sqlx::Error, code: &str) -> bool {
    error.as_database_error().and_then(|error| error.code()).is_some_and(|found| found == code)
}

fn told(error: &sqlx::Error) -> String {
    match Unavailable::behind(error) {
        Some(why) => why.to_string(),
        None => format!("the database failed: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a02_no_connection_in_time_is_busy() {
        assert!(Error::Query(sqlx::Error::PoolTimedOut).is_busy());
        assert!(!Error::Query(sqlx::Error::PoolClosed).is_busy());
    }
}
