//! PostgreSQL that is away, hangs, is read-only or has no connections left: what was pulled is pulled, whatever else waits for nobody.
//!
//! `meta.timeout` is an hour here: whoever waits for the database waits until the test fails.

use std::net::SocketAddr;

use serde_json::json;
use sqlx::AnyPool;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::bound::until_async;
use crate::bucket::{a_database, server};
use crate::client::Answer;
use crate::edge::{USERS, api, as_user, basic, bearer, push_as, token};
use crate::proxy::{HUB, Proxy, Setup};
use crate::push::{an_image, assert_image, begin, path, push_image, push_manifest, tags};
use crate::upstream::{FakeUpstream, Image, OCI_MANIFEST};

const REPO: &str = "team/app";

#[derive(Clone, Copy, Debug, PartialEq)]
enum Mode {
    Carries,
    /// Nothing listens, and what was connected is cut off.
    Refuses,
    /// Connections are taken, and what is sent is swallowed; those that were there stay and carry nothing, for ever.
    Hangs,
}

/// A wire to the database server.
struct Wire {
    address: SocketAddr,
    mode: watch::Sender<Mode>,
}

impl Wire {
    async fn to(server: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mode = watch::Sender::new(Mode::Carries);
        let mut seen = mode.subscribe();
        tokio::spawn(async move {
            let mut listener = Some(listener);
            loop {
                let now = *seen.borrow_and_update();
                if now == Mode::Refuses {
                    listener = None;
                    if seen.changed().await.is_err() {
                        return;
                    }
                    continue;
                }
                let Some(listening) = &listener else {
                    listener = TcpListener::bind(address).await.ok();
                    continue;
                };
                tokio::select! {
                    changed = seen.changed() => if changed.is_err() { return },
                    Ok((client, _)) = listening.accept() => {
                        tokio::spawn(carry(client, server.clone(), seen.clone()));
                    }
                }
            }
        });
        Self { address, mode }
    }

    fn set(&self, mode: Mode) {
        self.mode.send_replace(mode);
    }
}

async fn carry(mut client: TcpStream, server: String, mut mode: watch::Receiver<Mode>) {
    if *mode.borrow_and_update() == Mode::Carries {
        let Ok(mut server) = TcpStream::connect(server).await else { return };
        tokio::select! {
            _ = tokio::io::copy_bidirectional(&mut client, &mut server) => return,
            _ = mode.changed() => {}
        }
        // The server is told; the client is not.
        drop(server);
    }
    let _ = mode.wait_for(|mode| *mode == Mode::Refuses).await;
}

/// The same database behind a wire.
async fn behind_a_wire(database: &str) -> (Wire, String) {
    let mut url = reqwest::Url::parse(database).unwrap();
    let wire = Wire::to(format!("{}:{}", url.host_str().unwrap(), url.port().unwrap_or(5432))).await;
    url.set_ip_host(wire.address.ip()).unwrap();
    url.set_port(Some(wire.address.port())).unwrap();
    (wire, url.into())
}

fn on_database(upstream: &FakeUpstream, url: &str) -> Setup {
    let mut setup = Setup::of(upstream);
    setup.meta.text("url", url).text("timeout", "1h");
    setup
}

/// A registry on a database behind a wire; `None` where there is no PostgreSQL.
async fn wired(change: impl FnOnce(&mut Setup)) -> Option<(Proxy, Wire, FakeUpstream, String)> {
    let database = a_database(&server("TEST_POSTGRES_URL")?).await;
    let (wire, url) = behind_a_wire(&database).await;
    let upstream = FakeUpstream::start().await;
    let mut setup = on_database(&upstream, &url);
    change(&mut setup);
    Some((setup.start().await, wire, upstream, database))
}

async fn sql(database: &str, statements: &[&str]) {
    sqlx::any::install_default_drivers();
    let pool = AnyPool::connect(database).await.unwrap();
    for statement in statements {
        sqlx::query(sqlx::AssertSqlSafe((*statement).to_owned())).execute(&pool).await.unwrap();
    }
    pool.close().await;
}

/// Cuts off all others.
const CUT: &str = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()";

async fn until_unavailable(proxy: &Proxy, cause: &str) {
    until_async(cause, async || {
        // Somebody has to notice.
        proxy.get(&path("nobody/asked", "manifests/x")).await;
        let metrics = proxy.metrics().await;
        metrics.with("entrepot_database_unavailable", &[("cause", cause)]) > 0.0
    })
    .await;
}

/// The database is all there again.
async fn until_well(proxy: &Proxy) {
    until_async("the database is well", async || proxy.admin().get("/healthz").await.status == 200).await;
}

fn assert_unavailable(answer: &Answer) {
    answer.assert_error(503, "UNAVAILABLE");
    assert!(answer.header("retry-after").is_some());
}

async fn assert_pulled_through(proxy: &Proxy, image: &Image) {
    for reference in ["latest", &image.manifest.digest] {
        let manifest = format!("/v2/{HUB}/library/app/manifests/{reference}");
        proxy.get(&manifest).await.assert_body(&image.manifest.bytes);
        proxy.head(&manifest).await.assert_status(200);
    }
    for part in image.layers.iter().chain([&image.config]) {
        proxy.get(&format!("/v2/{HUB}/library/app/blobs/{}", part.digest)).await.assert_body(&part.bytes);
    }
}

/// F10, 2-D22: own images and those of upstreams, from memory and disk; pushes hear at once that they cannot be.
#[tokio::test]
async fn f10_what_was_pulled_is_pulled_while_the_database_is_gone() {
    let Some((proxy, wire, upstream, _)) = wired(|_| {}).await else { return };
    let theirs = upstream.image("library/app", "latest", 1, &[1000, 500_000]);
    let (ours, unread) = (an_image(2, &[1000, 500_000]).await, an_image(3, &[10]).await);
    push_image(&proxy, REPO, "latest", &ours).await;
    push_image(&proxy, REPO, "unread", &unread).await;
    for (mode, cause) in [(Mode::Refuses, "away"), (Mode::Hangs, "hanging"), (Mode::Refuses, "away")] {
        assert_image(&proxy, REPO, "latest", &ours).await;
        assert_pulled_through(&proxy, &theirs).await;
        wire.set(mode);
        if mode == Mode::Refuses {
            // The first one hears it as the others do.
            assert_image(&proxy, REPO, "latest", &ours).await;
        }
        until_unavailable(&proxy, cause).await;
        for _ in 0..3 {
            assert_image(&proxy, REPO, "latest", &ours).await;
            assert_pulled_through(&proxy, &theirs).await;
        }
        // That something is not known is no reason to say that it is not there.
        for unknown in [path(REPO, "manifests/unread"), path("team/other", "manifests/x"), path(REPO, "tags/list")] {
            assert_unavailable(&proxy.get(&unknown).await);
        }
        for (method, path) in [
            ("POST", path(REPO, "blobs/uploads/")),
            ("PUT", path(REPO, "manifests/latest")),
            ("DELETE", path(REPO, "manifests/latest")),
        ] {
            assert_unavailable(&proxy.client().send(method, &path, &[], &[]).await);
        }
        let ready = proxy.admin().get("/readyz").await;
        ready.assert_status(200);
        assert!(ready.text().contains(cause), "{}", ready.text());
        let health = proxy.admin().get("/healthz").await;
        health.assert_status(503);
        assert!(health.text().contains(cause), "{}", health.text());
        assert!(proxy.log().contains(&format!("cause={cause}")), "{}", proxy.log());
        assert!(proxy.metrics().await.sum("entrepot_database_last_known_total") > 0.0);
        wire.set(Mode::Carries);
        until_well(&proxy).await;
        proxy.admin().get("/readyz").await.assert_body(b"ok\n");
        push_image(&proxy, REPO, "other", &unread).await;
        proxy.get(&path("team/other", "manifests/x")).await.assert_status(404);
        assert_image(&proxy, REPO, "latest", &ours).await;
    }
}

/// What a cold image needs of the database is only where its bytes are noted.
#[tokio::test]
async fn f10_cold_images_come_while_the_database_is_gone() {
    let Some((proxy, wire, upstream, _)) = wired(|_| {}).await else { return };
    let theirs = upstream.image("library/app", "latest", 1, &[1000, 500_000]);
    wire.set(Mode::Hangs);
    until_unavailable(&proxy, "hanging").await;
    assert_pulled_through(&proxy, &theirs).await;
    wire.set(Mode::Carries);
    until_well(&proxy).await;
    assert_pulled_through(&proxy, &theirs).await;
}

/// A guarded registry, whose users are those of [`USERS`].
async fn guarded_and_wired() -> Option<(Proxy, Wire, FakeUpstream, String)> {
    wired(|setup| setup.more = format!("{USERS}\n[auth]\nfailed_logins = 1000\n")).await
}

async fn until_unavailable_to_root(proxy: &Proxy, cause: &str) {
    until_async(cause, async || {
        as_user(proxy, "root", "GET", &path("nobody/asked", "manifests/x")).await;
        proxy.metrics().await.with("entrepot_database_unavailable", &[("cause", cause)]) > 0.0
    })
    .await;
}

async fn with_token(proxy: &Proxy, token: &str, method: &str, path: &str) -> Answer {
    proxy.client().request(method, path, &[("Authorization", token)]).await
}

/// Rights hold as they were last known; whoever is not known is neither let in nor told that a credential is wrong.
#[tokio::test]
async fn f10_rights_hold_while_the_database_is_gone() {
    let Some((proxy, wire, _upstream, _)) = guarded_and_wired().await else { return };
    let image = an_image(1, &[1000]).await;
    let manifest = path(REPO, "manifests/latest");
    push_as(&proxy.client(), "root", REPO, "latest", &image).await;
    for mode in [Mode::Refuses, Mode::Hangs] {
        let scope = format!("repository:{REPO}:pull");
        let carried = bearer(&token(&proxy, Some("reader"), &[&scope]).await);
        as_user(&proxy, "reader", "GET", &manifest).await.assert_body(&image.manifest.bytes);
        as_user(&proxy, "nobody", "GET", &manifest).await.assert_error(403, "DENIED");
        wire.set(mode);
        until_unavailable_to_root(&proxy, if mode == Mode::Refuses { "away" } else { "hanging" }).await;
        // The moments for which rights are remembered anyway are over.
        tokio::time::sleep(std::time::Duration::from_secs(4)).await;
        as_user(&proxy, "reader", "GET", &manifest).await.assert_body(&image.manifest.bytes);
        with_token(&proxy, &carried, "GET", &manifest).await.assert_body(&image.manifest.bytes);
        let fresh = bearer(&token(&proxy, Some("reader"), &[&scope]).await);
        with_token(&proxy, &fresh, "GET", &manifest).await.assert_body(&image.manifest.bytes);
        as_user(&proxy, "nobody", "GET", &manifest).await.assert_error(403, "DENIED");
        let wrong = [("Authorization", basic("reader").replace("Basic c", "Basic d"))];
        let wrong = wrong.iter().map(|(name, value)| (*name, value.as_str())).collect::<Vec<_>>();
        assert_ne!(proxy.client().request("GET", &manifest, &wrong).await.status, 200);
        // Of somebody who was never asked about, it is not known whether they are somebody.
        assert_unavailable(&as_user(&proxy, "stranger", "GET", &manifest).await);
        assert_unavailable(&token(&proxy, Some("stranger"), &[&scope]).await);
        // What changes something, and what gives lasting credentials.
        assert_unavailable(&as_user(&proxy, "root", "DELETE", &manifest).await);
        let lasting = format!("/token?service=x&offline_token=true&scope={scope}");
        let given = as_user(&proxy, "reader", "GET", &lasting).await;
        given.assert_status(200);
        assert!(given.json()["refresh_token"].is_null(), "{}", given.text());
        let asked = api(&proxy.client(), "reader", "GetAuthorizationToken", json!({})).await;
        assert!(asked.status >= 500 && !asked.text().contains("authorizationToken"), "{}", asked.text());
        wire.set(Mode::Carries);
        until_well(&proxy).await;
    }
}

/// What was taken away or changed at this replica a moment ago is not as it was, though the database is gone before it was asked again.
#[tokio::test]
async fn f10_what_was_changed_here_is_not_served_as_it_was() {
    let Some((proxy, wire, _upstream, _)) = guarded_and_wired().await else { return };
    let client = proxy.client();
    let images = [an_image(1, &[1000]).await, an_image(2, &[1000]).await];
    let manifest = |name: &str, reference: &str| path(name, &format!("manifests/{reference}"));
    for name in ["a/deleted", "a/moved", "a/denied", "a/gone", "a/other"] {
        push_as(&client, "root", name, "latest", &images[0]).await;
        as_user(&proxy, "reader", "GET", &manifest(name, "latest")).await.assert_body(&images[0].manifest.bytes);
        as_user(&proxy, "reader", "GET", &manifest(name, &images[0].manifest.digest)).await.assert_status(200);
    }
    as_user(&proxy, "root", "DELETE", &manifest("a/deleted", &images[0].manifest.digest)).await.assert_status(202);
    push_as(&client, "root", "a/moved", "latest", &images[1]).await;
    let deny = json!({ "Version": "2012-10-17", "Statement": [{
        "Effect": "Deny", "Principal": "*", "Action": ["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"] }] });
    let input = json!({ "repositoryName": "a/denied", "policyText": deny.to_string() });
    api(&client, "root", "SetRepositoryPolicy", input).await.assert_status(200);
    let input = json!({ "repositoryName": "a/gone", "force": true });
    api(&client, "root", "DeleteRepository", input).await.assert_status(200);
    wire.set(Mode::Refuses);
    for round in 0..3 {
        for name in ["a/deleted", "a/denied", "a/gone"] {
            for reference in ["latest", &images[0].manifest.digest] {
                let answer = as_user(&proxy, "reader", "GET", &manifest(name, reference)).await;
                assert!([403, 404, 503].contains(&answer.status), "{round} {name}: {}", answer.status);
            }
        }
        let moved = as_user(&proxy, "reader", "GET", &manifest("a/moved", "latest")).await;
        assert!(moved.status == 503 || moved.body == images[1].manifest.bytes, "{}", moved.text());
    }
}

/// What another replica changed, and announced, is not as it was either.
#[tokio::test]
async fn f10_what_another_replica_changed_is_not_served_as_it_was() {
    let Some((one, wire, upstream, database)) = guarded_and_wired().await else { return };
    let mut setup = on_database(&upstream, &database);
    setup.more = format!(
        "{USERS}\n[auth]\nfailed_logins = 1000\nkey_file = {:?}\n",
        one.data_path().join("keys").to_string_lossy()
    );
    let two = setup.start().await;
    let image = an_image(1, &[1000]).await;
    let manifest = path(REPO, "manifests/latest");
    push_as(&two.client(), "root", REPO, "latest", &image).await;
    as_user(&one, "reader", "GET", &manifest).await.assert_body(&image.manifest.bytes);
    let announced = async || one.metrics().await.with("entrepot_announced_changes_total", &[("kind", "policies")]);
    let before = announced().await;
    let deny = json!({ "Version": "2012-10-17", "Statement": [{
        "Effect": "Deny", "Principal": "*", "Action": ["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"] }] });
    let input = json!({ "repositoryName": REPO, "policyText": deny.to_string() });
    api(&two.client(), "root", "SetRepositoryPolicy", input).await.assert_status(200);
    until_async("one has heard of it", async || announced().await > before).await;
    wire.set(Mode::Refuses);
    for _ in 0..3 {
        assert_unavailable(&as_user(&one, "reader", "GET", &manifest).await);
    }
    as_user(&two, "reader", "GET", &manifest).await.assert_error(403, "DENIED");
}

/// What was said is used for a bounded time, and for none where that is configured.
#[tokio::test]
async fn f10_the_last_answers_have_an_end() {
    let image = an_image(1, &[1000]).await;
    for bound in ["0s", "3s"] {
        let Some((proxy, wire, _upstream, _)) = wired(|setup| {
            setup.meta.text("last_known", bound);
        })
        .await
        else {
            return;
        };
        push_image(&proxy, REPO, "latest", &image).await;
        assert_image(&proxy, REPO, "latest", &image).await;
        wire.set(Mode::Refuses);
        let manifest = path(REPO, "manifests/latest");
        until_async("what was said is not believed any more", async || proxy.get(&manifest).await.status == 503).await;
        assert_unavailable(&proxy.get(&manifest).await);
        wire.set(Mode::Carries);
        until_well(&proxy).await;
        assert_image(&proxy, REPO, "latest", &image).await;
    }
}

/// A standby, or a database that was made read-only: pulls go on, pushes are refused by name, and go on when it is over.
#[tokio::test]
async fn f10_a_read_only_database() {
    let Some((proxy, _wire, _upstream, database)) = wired(|_| {}).await else { return };
    let image = an_image(1, &[1000]).await;
    push_image(&proxy, REPO, "latest", &image).await;
    let name = database.rsplit_once('/').unwrap().1.to_owned();
    for _ in 0..2 {
        let set = format!("ALTER DATABASE {name} SET default_transaction_read_only = on");
        sql(&database, &[&set, CUT]).await;
        until_async("it is noticed", async || {
            proxy.client().send("POST", &path(REPO, "blobs/uploads/"), &[], &[]).await;
            proxy.metrics().await.with("entrepot_database_unavailable", &[("cause", "read_only")]) > 0.0
        })
        .await;
        let refused = proxy.client().send("POST", &path(REPO, "blobs/uploads/"), &[], &[]).await;
        assert_unavailable(&refused);
        assert!(refused.text().contains("read-only"), "{}", refused.text());
        assert_image(&proxy, REPO, "latest", &image).await;
        // It is asked: what is not there is told as that.
        proxy.get(&path(REPO, "manifests/none")).await.assert_error(404, "MANIFEST_UNKNOWN");
        proxy.admin().get("/readyz").await.assert_status(200);
        assert!(proxy.admin().get("/healthz").await.text().contains("read_only"));
        let reset = format!("ALTER DATABASE {name} RESET default_transaction_read_only");
        let session = "SET default_transaction_read_only = off";
        sql_in_one(&database, &[session, &reset]).await;
        until_well(&proxy).await;
        push_image(&proxy, REPO, "latest", &image).await;
    }
}

/// Statements on one connection.
async fn sql_in_one(database: &str, statements: &[&str]) {
    use sqlx::{ConnectOptions, Connection, Executor};
    let options: sqlx::any::AnyConnectOptions = database.parse().unwrap();
    let mut connection = options.connect().await.unwrap();
    for statement in statements {
        connection.execute(sqlx::AssertSqlSafe((*statement).to_owned())).await.unwrap();
    }
    connection.close().await.unwrap();
}

/// A role that may have so many connections, and the URL by which it uses the database.
async fn limited_role(database: &str, connections: u32) -> (String, String) {
    let role = format!("entrepot_role_{:016x}", fastrand::u64(..));
    let name = database.rsplit_once('/').unwrap().1;
    sql(
        database,
        &[
            &format!("CREATE ROLE {role} LOGIN CONNECTION LIMIT {connections}"),
            &format!("ALTER DATABASE {name} OWNER TO {role}"),
            &format!("GRANT ALL ON SCHEMA public TO {role}"),
        ],
    )
    .await;
    let mut url = reqwest::Url::parse(database).unwrap();
    url.set_username(&role).unwrap();
    (role, url.into())
}

/// F14, row 16: fewer connections than it would like: whoever waits gets one, nobody gets 500, and a replica that gets none says so.
#[tokio::test]
async fn f14_a_database_that_is_out_of_connections() {
    let Some(server) = server("TEST_POSTGRES_URL") else { return };
    let database = a_database(&server).await;
    let (role, url) = limited_role(&database, 3).await;
    let upstream = FakeUpstream::start().await;
    let mut setup = on_database(&upstream, &url);
    setup.meta.text("timeout", "20s");
    let mut other = setup.clone().prepare();
    let proxy = setup.start().await;
    let image = an_image(1, &[1000]).await;
    push_image(&proxy, REPO, "latest", &image).await;
    assert_image(&proxy, REPO, "latest", &image).await;
    let work = async |n: u64| {
        let mine = an_image(n, &[1000]).await;
        let name = format!("team/app{n}");
        push_image(&proxy, &name, "latest", &mine).await;
        assert_image(&proxy, &name, "latest", &mine).await;
    };
    futures_util::future::join_all((10..30).map(work)).await;
    // None is left, neither for this replica nor for another.
    sql(&database, &[&format!("ALTER ROLE {role} CONNECTION LIMIT 0"), CUT]).await;
    until_unavailable(&proxy, "out_of_connections").await;
    assert_image(&proxy, REPO, "latest", &image).await;
    let refused = proxy.client().send("POST", &path(REPO, "blobs/uploads/"), &[], &[]).await;
    assert_unavailable(&refused);
    assert!(refused.text().contains("no more connections"), "{}", refused.text());
    other.setup = Setup::new();
    other.setup.meta.text("url", &url).text("timeout", "1s");
    other.spawn();
    assert!(!other.wait().await.success());
    assert!(other.log().contains("takes no more connections"), "{}", other.log());
    assert!(!other.log().contains("pool timed out"), "{}", other.log());
    sql(&database, &[&format!("ALTER ROLE {role} CONNECTION LIMIT 3")]).await;
    until_well(&proxy).await;
    begin(&proxy, REPO).await;
}

/// A replica that cannot reach its database at the start says why, and waits for a while.
#[tokio::test]
async fn f04_a_start_without_the_database_says_why() {
    let Some((_proxy, wire, upstream, database)) = wired(|_| {}).await else { return };
    let mut url = reqwest::Url::parse(&database).unwrap();
    url.set_port(Some(wire.address.port())).unwrap();
    let _ = url.set_ip_host(wire.address.ip());
    for (mode, said) in [(Mode::Refuses, "cannot be reached"), (Mode::Hangs, "does not answer")] {
        wire.set(mode);
        let mut setup = Setup::of(&upstream);
        setup.meta.text("url", url.as_str()).text("timeout", "1s");
        let mut starting = setup.prepare();
        starting.spawn();
        assert!(!starting.wait().await.success());
        assert!(starting.log().contains(said), "{}", starting.log());
    }
    let mut setup = Setup::of(&upstream);
    setup.meta.text("url", url.as_str()).text("timeout", "1h");
    let mut starting = setup.prepare();
    starting.spawn();
    until_async("it says what it waits for", async || starting.log().contains("waiting for the database")).await;
    wire.set(Mode::Refuses);
    wire.set(Mode::Carries);
    until_async("it starts", async || match starting.admin().try_open("GET", "/readyz", &[]).await {
        Ok(mut asked) => asked.head().await.status == 200,
        Err(_) => false,
    })
    .await;
}

/// F4: whatever fails inside, the log has the reason under the request's id, also where requests are not logged.
#[tokio::test]
async fn f04_the_log_has_the_reason_of_each_failure() {
    let upstream = FakeUpstream::start().await;
    upstream.image("library/app", "latest", 1, &[1000]);
    for access in [true, false] {
        let mut setup = Setup::of(&upstream);
        setup.log.set("access", access);
        setup.more = format!("{USERS}\n[auth]\nrequired = false\n");
        setup.add("gone.test", "http://127.0.0.1:1");
        let proxy = setup.start().await;
        let image = an_image(2, &[1000]).await;
        push_image(&proxy, REPO, "latest", &image).await;
        // Somebody else had their hands in the database.
        let file = proxy.data_path().join("entrepot.db");
        let database = format!("sqlite:{}", file.display());
        sql_in_one(&database, &["ALTER TABLE manifest RENAME TO moved", "ALTER TABLE access_key RENAME TO moved_key"])
            .await;
        std::fs::remove_dir_all(proxy.data_path().join("hosted/staging")).unwrap();
        let manifest = |tag: &str| path(REPO, &format!("manifests/{tag}"));
        let upload = begin(&proxy, REPO).await;
        let failures = [
            (proxy.get(&manifest("other")).await, "no such table"),
            (proxy.client().send("PATCH", &upload, &[], b"y").await, "No such file"),
            (proxy.get("/v2/gone.test/a/manifests/latest").await, "gone.test"),
            (api(&proxy.client(), "root", "DescribeRepositories", json!({})).await, "no such table"),
        ];
        for (failed, reason) in failures {
            assert!(failed.status >= 500, "{} {}", failed.status, failed.text());
            let id = failed.header("x-request-id").unwrap().to_owned();
            until_async("the log has the reason", async || {
                proxy.log().lines().any(|line| line.contains(&id) && line.contains(reason))
            })
            .await;
            assert!(!failed.text().contains("no such table"), "{}", failed.text());
        }
    }
}

/// F1 by a real fault: a transaction that fails in the middle of its bytes leaves nothing, and the next one is written at once.
#[tokio::test]
async fn f01_a_write_that_fails_half_way_ends_no_connection_for_good() {
    let mut setup = Setup::new();
    setup.hosted.set("require_references", false);
    let proxy = setup.start().await;
    let manifest = |n: usize, bytes: usize| json!({ "annotations": { "n": n.to_string(), "x": "x".repeat(bytes) } });
    let push = async |tag: String, n: usize, bytes: usize| {
        push_manifest(&proxy, REPO, &tag, OCI_MANIFEST, manifest(n, bytes).to_string().as_bytes()).await.status
    };
    let mut kept = vec!["first".to_owned()];
    assert_eq!(push("first".to_owned(), 0, 10).await, 201);
    for round in 0..3 {
        // The log of SQLite takes the first part of a large manifest, and not the rest.
        proxy.limit_file_size(Some(2 << 20));
        for n in 0..3 {
            let status = push(format!("large-{round}-{n}"), 100 * round + n, 3 << 20).await;
            assert!(status >= 500, "{round} {n}: {status}");
        }
        proxy.limit_file_size(None);
        for n in 0..5 {
            let tag = format!("small-{round}-{n}");
            assert_eq!(push(tag.clone(), 100 * round + 10 + n, 10).await, 201, "{round} {n}");
            kept.push(tag);
        }
        assert_eq!(push("large".to_owned(), 100 * round + 50, 3 << 20).await, 201);
    }
    kept.push("large".to_owned());
    kept.sort();
    assert_eq!(tags(&proxy, REPO).await, json!(kept));
}
