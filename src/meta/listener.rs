//! Hearing what is announced in PostgreSQL: one connection of its own, made anew when it is lost.

use std::io;
use std::time::Duration;

use sqlx::Executor;
use sqlx::postgres::PgListener;
use tokio::time::timeout;

use super::changes::Change;
use super::database::{CHANNEL, Meta, PATIENCE};

/// A connection that was silent for so long is asked whether it is still there; in tests all the time.
const SILENCE: Duration = Duration::from_millis(if cfg!(test) { 5 } else { 30_000 });

/// Between two attempts to connect; doubled after each that fails.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(8);

impl Meta {
    /// Hears what is announced in the database, for ever. With SQLite there is nothing to hear and it ends at once.
    ///
    /// What was announced while there was no connection is lost: with each new one, everything counts as changed.
    pub async fn listen(&self) {
        if !self.is_shared() {
            return;
        }
        let mut pause = FIRST_PAUSE;
        let mut was_lost = false;
        loop {
            let error = match self.listener().await {
                Ok(listener) => {
                    if was_lost {
                        tracing::info!("announcements of changes are heard again");
                    }
                    (pause, was_lost) = (FIRST_PAUSE, false);
                    self.heard(&Change::ALL);
                    self.hear(listener).await
                }
                Err(error) => error,
            };
            if !was_lost {
                tracing::warn!(
                    %error,
                    "announcements of changes are not heard, and what other replicas change is seen after some seconds: \
                     look whether the database can be reached"
                );
                was_lost = true;
            }
            tokio::time::sleep(pause.mul_f64(0.5 + fastrand::f64() / 2.0)).await;
            pause = LONGEST_PAUSE.min(pause * 2);
        }
    }

    async fn listener(&self) -> Result<PgListener, sqlx::Error> {
        let connect = async {
            let mut listener = PgListener::connect(self.pool.url().as_str()).await?;
            // Only with a connection of which it is known that it is new can be said what was missed.
            listener.eager_reconnect(false);
            listener.listen(CHANNEL).await?;
            Ok(listener)
        };
        timeout(PATIENCE, connect).await.unwrap_or_else(|_| Err(no_answer()))
    }

    /// Until the connection fails, and why it did.
    async fn hear(&self, mut listener: PgListener) -> sqlx::Error {
        loop {
            let heard = tokio::select! {
                () = self.lost() => return no_answer(),
                heard = timeout(SILENCE, listener.try_recv()) => heard,
            };
            match heard {
                Ok(Ok(Some(notification))) => {
                    self.heard(&Change::announced(notification.payload()));
                }
                Ok(Ok(None)) => return io::Error::from(io::ErrorKind::ConnectionAborted).into(),
                Ok(Err(error)) => return error,
                Err(_) => match timeout(PATIENCE, listener.execute("SELECT 1")).await {
                    Ok(Ok(_)) => {}
                    Ok(Err(error)) => return error,
                    Err(_) => return no_answer(),
                },
            }
        }
    }
}

fn no_answer() -> sqlx::Error {
    io::Error::new(io::ErrorKind::TimedOut, format!("no answer within {} s", PATIENCE.as_secs())).into()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use std::sync::{Arc, Mutex};

    use futures_util::FutureExt;
    use tokio::net::{TcpListener, TcpStream};
    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::meta::scope::Scope;
    use crate::meta::tests::on_each;
    use crate::meta::{
        AccessKeyRow, Changes, Connections, DocumentKind, Made, NewPrincipal, PasswordNow, PrincipalKind,
        RepositoryColumn, RepositorySettings, RoleColumns, TagsChange,
    };
    use crate::oci::{AccountId, QualifiedName};

    const BOUND: Duration = Duration::from_secs(60);

    /// A replica's view of the database, and what it hears; with PostgreSQL it is listening already.
    async fn listening(meta: &Meta) -> Changes {
        let mut changes = meta.changes();
        let listener = meta.clone();
        tokio::spawn(async move { listener.listen().await });
        if meta.is_shared() {
            assert_eq!(next(&mut changes).await, Change::ALL, "nobody knows what was before");
        }
        changes
    }

    async fn next(changes: &mut Changes) -> Vec<Change> {
        timeout(BOUND, changes.next()).await.expect("a change is heard of")
    }

    fn account() -> AccountId {
        "000000000000".parse().unwrap()
    }

    async fn put(meta: &Meta, kind: DocumentKind) {
        meta.put_document(account(), kind, "x", "{}", 1).await.unwrap();
    }

    /// Each write announces its kind and no other, and what nobody remembers is not announced.
    #[tokio::test]
    async fn writes_are_announced() {
        on_each(async |meta| {
            let mut changes = listening(&meta).await;
            let only = async |changes: &mut Changes, change| assert_eq!(next(changes).await, [change]);

            let (kind, name, tags) = (PrincipalKind::User, "me".to_owned(), BTreeMap::new());
            let new = NewPrincipal { account: account(), kind, name, declared: false, tags };
            let id = meta.put_principal(&new, 1).await.unwrap();
            only(&mut changes, Change::Principals).await;
            let key = AccessKeyRow {
                id: "A".to_owned(),
                principal: id,
                sealed: "s".to_owned(),
                created_at_ms: 1,
                is_active: true,
            };
            meta.put_access_key(&key).await.unwrap();
            only(&mut changes, Change::Principals).await;
            meta.put_password(id, None, PasswordNow::IsOrIsNot).await.unwrap();
            only(&mut changes, Change::Principals).await;
            meta.revoke_tokens(id).await.unwrap();
            only(&mut changes, Change::Principals).await;
            let policy = ("p".to_owned(), String::new());
            meta.put_principal_policy(id, &policy, 20).await.unwrap();
            only(&mut changes, Change::Principals).await;
            meta.replace_principal_policies(id, &[policy]).await.unwrap();
            only(&mut changes, Change::Principals).await;
            assert!(meta.remove_principal_policy(id, "p").await.unwrap());
            only(&mut changes, Change::Principals).await;
            assert!(meta.remove_access_key("A").await.unwrap());
            only(&mut changes, Change::Principals).await;
            meta.put_trust(id, None).await.unwrap();
            only(&mut changes, Change::Principals).await;
            let changed = meta.change_principal_tags(id, &BTreeMap::new(), &[], 1).await.unwrap();
            assert_eq!(changed, TagsChange::Done);
            only(&mut changes, Change::Principals).await;
            assert!(!meta.remove_access_key_of(id, "A").await.unwrap());
            only(&mut changes, Change::Principals).await;
            assert!(meta.remove_bare_principal(id).await.unwrap().is_ok());
            only(&mut changes, Change::Principals).await;
            let made = meta.make_principal(&new, &RoleColumns::default(), 1, 1).await.unwrap();
            let Made::New(id) = made else { panic!("{made:?}") };
            only(&mut changes, Change::Principals).await;
            assert!(meta.remove_principal(id).await.unwrap());
            only(&mut changes, Change::Principals).await;

            for (kind, change) in [
                (DocumentKind::RegistryPolicy, Change::Policies),
                (DocumentKind::Setting, Change::Policies),
                (DocumentKind::PullThroughRule, Change::Rules),
                (DocumentKind::PullTimeExclusion, Change::Exclusions),
            ] {
                assert!(meta.add_document(account(), kind, "x", "{}", 1).await.unwrap());
                only(&mut changes, change).await;
                put(&meta, kind).await;
                only(&mut changes, change).await;
                assert!(meta.remove_document(account(), kind, "x").await.unwrap().is_some());
                only(&mut changes, change).await;
            }

            let name = QualifiedName::new(account(), "a".parse().unwrap());
            let id = meta.add_repository(&name, None, &RepositorySettings::default(), 1).await.unwrap().unwrap();
            meta.change_repository(id, &RepositoryColumn::ScanOnPush(true)).await.unwrap();
            put(&meta, DocumentKind::Template).await;
            put(&meta, DocumentKind::PullTimeExclusion).await;
            only(&mut changes, Change::Exclusions).await;
            meta.change_repository(id, &RepositoryColumn::Policy(Some("{}".to_owned()))).await.unwrap();
            only(&mut changes, Change::Policies).await;
            meta.change_resource_tags(id, |_| Ok::<_, ()>(())).await.unwrap();
            only(&mut changes, Change::Policies).await;
            assert!(meta.remove_repository(id, false).await.unwrap());
            only(&mut changes, Change::Policies).await;
        })
        .await;
    }

    /// Nothing is announced before it is committed, nor if it never is.
    #[tokio::test]
    async fn announcements_come_with_the_commit() {
        on_each(async |meta| {
            let mut changes = listening(&meta).await;
            let mut given_up = meta.write(Scope::Rows).await.unwrap();
            given_up.announce(Change::Principals).await.unwrap();
            drop(given_up);
            let mut writing = meta.write(Scope::Rows).await.unwrap();
            writing.announce(Change::Policies).await.unwrap();
            if meta.is_shared() {
                // What comes later and is committed sooner is heard alone.
                put(&meta, DocumentKind::PullThroughRule).await;
                assert_eq!(next(&mut changes).await, [Change::Rules]);
            }
            assert_eq!(changes.next().now_or_never(), None);
            writing.commit().await.unwrap();
            assert_eq!(next(&mut changes).await, [Change::Policies]);
        })
        .await;
    }

    /// Replicas hear each other, and themselves; after a connection was lost everything counts as changed.
    #[tokio::test]
    async fn replicas_hear_each_other() {
        on_each(async |one| {
            if !one.is_shared() {
                return;
            }
            let two = Meta::open_postgres(one.pool.url().as_str(), Connections::default()).await.unwrap();
            let (mut at_one, mut at_two) = (listening(&one).await, listening(&two).await);
            for (writer, kind, change) in [
                (&one, DocumentKind::RegistryPolicy, Change::Policies),
                (&two, DocumentKind::PullThroughRule, Change::Rules),
            ] {
                put(writer, kind).await;
                assert_eq!(next(&mut at_one).await, [change]);
                assert_eq!(next(&mut at_two).await, [change]);
            }
            for round in 0..3 {
                // Listening connections have said so last, or were asked whether they are there.
                let cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                           WHERE datname = current_database() AND query IN ('LISTEN \"entrepot\"', 'SELECT 1')";
                one.execute(cut.to_owned()).await.unwrap();
                assert_eq!(next(&mut at_one).await, Change::ALL, "round {round}");
                assert_eq!(next(&mut at_two).await, Change::ALL, "round {round}");
                put(&one, DocumentKind::PullTimeExclusion).await;
                assert_eq!(next(&mut at_two).await, [Change::Exclusions]);
                assert_eq!(next(&mut at_one).await, [Change::Exclusions]);
            }
            two.close().await;
        })
        .await;
    }

    /// A wire to the server, for as long as nobody cuts it: from then on its connections stay open and carry nothing.
    async fn wire(server: String, cut: Arc<Mutex<CancellationToken>>) -> u16 {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                let (server, cut) = (server.clone(), cut.lock().unwrap().clone());
                tokio::spawn(async move {
                    let mut server = TcpStream::connect(server).await.unwrap();
                    let carried = tokio::io::copy_bidirectional(&mut client, &mut server);
                    if cut.run_until_cancelled(carried).await.is_none() {
                        std::future::pending::<()>().await;
                    }
                });
            }
        });
        port
    }

    /// A connection that carries nothing any more, and does not say so, is given up.
    #[tokio::test]
    async fn a_dead_connection_is_noticed() {
        on_each(async |one| {
            if !one.is_shared() {
                return;
            }
            let mut url = one.pool.url();
            let server = format!("{}:{}", url.host_str().unwrap(), url.port().unwrap_or(5432));
            let cut = Arc::new(Mutex::new(CancellationToken::new()));
            url.set_host(Some("127.0.0.1")).unwrap();
            url.set_port(Some(wire(server, cut.clone()).await)).unwrap();
            let two = Meta::open_postgres(url.as_str(), Connections::default()).await.unwrap();
            let mut changes = listening(&two).await;
            put(&one, DocumentKind::PullThroughRule).await;
            assert_eq!(next(&mut changes).await, [Change::Rules]);
            std::mem::take(&mut *cut.lock().unwrap()).cancel();
            put(&one, DocumentKind::PullThroughRule).await;
            assert_eq!(next(&mut changes).await, Change::ALL);
            put(&one, DocumentKind::PullThroughRule).await;
            assert_eq!(next(&mut changes).await, [Change::Rules]);
        })
        .await;
    }
}
