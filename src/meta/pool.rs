//! Connections to the database. Each statement of the program passes here, and [`Availability`] decides whether it is sent.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::stream::{BoxStream, TryStreamExt, iter, once};
use sqlx::any::{AnyQueryResult, AnyRow, AnyStatement, AnyTypeInfo};
use sqlx::pool::PoolConnection;
use sqlx::{Any, AnyConnection, AnyPool, Either, Error, Execute, Executor, SqlSafeStr, SqlStr, Transaction};

use super::availability::{Availability, Hold, Purpose};

/// The driver waits for a new connection even when an old one has become free: that is looked for again and again.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Hung connections are not waited for when they are closed.
const CLOSING: Duration = Duration::from_secs(5);

/// Connections of one purpose. Cheap to clone.
#[derive(Clone)]
pub(super) struct Pool(Arc<Inner>);

struct Inner {
    purpose: Purpose,
    availability: Availability,
    /// Those in use, and under which state of the database they were made.
    current: Mutex<(u64, AnyPool)>,
    make: Box<dyn Fn() -> AnyPool + Send + Sync>,
}

/// The connection of a transaction, for one statement.
pub(super) struct Statement<'c> {
    pub(super) availability: &'c Availability,
    pub(super) connection: &'c mut AnyConnection,
}

impl Pool {
    /// `make` makes connections when they are first used.
    pub(super) fn new(
        purpose: Purpose,
        availability: Availability,
        first: AnyPool,
        make: impl Fn() -> AnyPool + Send + Sync + 'static,
    ) -> Self {
        let current = Mutex::new((availability.era(), first));
        let pool = Self(Arc::new(Inner { purpose, availability, current, make: Box::new(make) }));
        let held = Arc::downgrade(&pool.0);
        pool.0.availability.tells(move |hold| match (held.upgrade().map(Self), hold) {
            (Some(pool), Hold::LetGoOfIdle) => pool.let_go_of_idle(),
            (Some(pool), Hold::MakeAnew) => drop(pool.current()),
            (None, _) => {}
        });
        pool
    }

    pub(super) async fn begin_with(&self, statement: String) -> Result<Transaction<'static, Any>, Error> {
        let begun = async {
            let connection = self.acquire().await?;
            let statement = sqlx::AssertSqlSafe(statement).into_sql_str();
            // Left in the middle, the driver would not know of the transaction that it had begun, and the next one would be in it.
            let begin = tokio::spawn(Transaction::begin(connection, Some(statement)));
            begin.await.unwrap_or(Err(Error::WorkerCrashed))
        };
        self.0.availability.asked(self.0.purpose, begun).await
    }

    pub(super) async fn close(&self) {
        self.current().close().await;
    }

    /// The URL of the database.
    pub(super) fn url(&self) -> reqwest::Url {
        self.current().connect_options().database_url.clone()
    }

    /// Connections that were made before the database was lost, or before it took writes again, are not used any more: they may hang, or
    /// be of a server that is none any more.
    fn current(&self) -> AnyPool {
        let mut current = self.lock();
        let era = self.0.availability.era();
        if current.0 != era {
            let old = std::mem::replace(&mut *current, (era, (self.0.make)())).1;
            tokio::spawn(async move { tokio::time::timeout(CLOSING, old.close()).await });
        }
        current.1.clone()
    }

    fn let_go_of_idle(&self) {
        let pool = self.current();
        while let Some(mut idle) = pool.try_acquire() {
            idle.close_on_drop();
        }
    }

    async fn acquire(&self) -> Result<PoolConnection<Any>, Error> {
        let pool = self.current();
        let waiting = pool.acquire();
        tokio::pin!(waiting);
        loop {
            tokio::select! {
                biased;
                acquired = &mut waiting => return acquired,
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
            if let Some(free) = pool.try_acquire() {
                return Ok(free);
            }
        }
    }

    /// What a panic under the lock leaves is whole: it is held to replace one pool by another.
    fn lock(&self) -> MutexGuard<'_, (u64, AnyPool)> {
        self.0.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Pool").field(&self.0.purpose).finish()
    }
}

impl fmt::Debug for Statement<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Statement")
    }
}

type Step = Either<AnyQueryResult, AnyRow>;

/// All rows at once: no statement of this room has more than fit into memory, and none is left half read.
fn all<'e>(steps: impl Future<Output = Result<Vec<Step>, Error>> + Send + 'e) -> BoxStream<'e, Result<Step, Error>> {
    Box::pin(once(steps).map_ok(|steps| iter(steps.into_iter().map(Ok))).try_flatten())
}

impl<'p> Executor<'p> for &'p Pool {
    type Database = Any;

    fn fetch_many<'e, 'q: 'e, E>(self, query: E) -> BoxStream<'e, Result<Step, Error>>
    where
        'p: 'e,
        E: 'q + Execute<'q, Any>,
    {
        all(self.0.availability.asked(self.0.purpose, async move {
            let mut connection = self.acquire().await?;
            connection.fetch_many(query).try_collect().await
        }))
    }

    fn fetch_optional<'e, 'q: 'e, E>(self, query: E) -> BoxFuture<'e, Result<Option<AnyRow>, Error>>
    where
        'p: 'e,
        E: 'q + Execute<'q, Any>,
    {
        Box::pin(self.0.availability.asked(self.0.purpose, async move {
            let mut connection = self.acquire().await?;
            connection.fetch_optional(query).await
        }))
    }

    fn prepare_with<'e>(self, sql: SqlStr, parameters: &'e [AnyTypeInfo]) -> BoxFuture<'e, Result<AnyStatement, Error>>
    where
        'p: 'e,
    {
        Box::pin(self.0.availability.asked(self.0.purpose, async move {
            let mut connection = self.acquire().await?;
            connection.prepare_with(sql, parameters).await
        }))
    }
}

impl<'c> Executor<'c> for Statement<'c> {
    type Database = Any;

    fn fetch_many<'e, 'q: 'e, E>(self, query: E) -> BoxStream<'e, Result<Step, Error>>
    where
        'c: 'e,
        E: 'q + Execute<'q, Any>,
    {
        let Self { availability, connection } = self;
        all(availability.asked(Purpose::Write, connection.fetch_many(query).try_collect()))
    }

    fn fetch_optional<'e, 'q: 'e, E>(self, query: E) -> BoxFuture<'e, Result<Option<AnyRow>, Error>>
    where
        'c: 'e,
        E: 'q + Execute<'q, Any>,
    {
        let Self { availability, connection } = self;
        Box::pin(availability.asked(Purpose::Write, connection.fetch_optional(query)))
    }

    fn prepare_with<'e>(self, sql: SqlStr, parameters: &'e [AnyTypeInfo]) -> BoxFuture<'e, Result<AnyStatement, Error>>
    where
        'c: 'e,
    {
        let Self { availability, connection } = self;
        Box::pin(availability.asked(Purpose::Write, connection.prepare_with(sql, parameters)))
    }
}
