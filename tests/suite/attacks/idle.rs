//! Idle uploads: a request that still brings bytes is no sign that nobody goes on with its upload.

use crate::bound::{until, until_async};
use crate::bucket::{a_database, in_bucket, prefix, server};
use crate::client::{Answer, Exchange};
use crate::proxy::{Proxy, Setup};
use crate::push::{begin, path, push_blob};
use crate::upstream::{FakeUpstream, noise, sha256};

const REPO: &str = "team/app";
const LEN: usize = 1_000_000;

/// An upload of which one request brings the bytes, a few at a time.
struct Slow {
    location: String,
    bytes: Vec<u8>,
    exchange: Exchange,
    sent: usize,
}

impl Slow {
    async fn begin(proxy: &Proxy, method: &str, seed: u64) -> Self {
        let bytes = noise(seed, LEN).to_vec();
        let location = begin(proxy, REPO).await;
        let digest = if method == "PUT" { format!("?digest={}", sha256(&bytes)) } else { String::new() };
        let length = LEN.to_string();
        let target = format!("{location}{digest}");
        let exchange = proxy.client().open(method, &target, &[("Content-Length", &length)]).await;
        let mut slow = Self { location, bytes, exchange, sent: 0 };
        slow.drip().await;
        until_async("its bytes come", async || proxy.get(&slow.location).await.header("range").is_some()).await;
        slow
    }

    async fn drip(&mut self) {
        self.exchange.write(&self.bytes[self.sent..=self.sent]).await;
        self.sent += 1;
    }

    async fn rest(mut self) -> Answer {
        self.exchange.write(&self.bytes[self.sent..]).await;
        self.exchange.rest().await
    }
}

/// One with nobody behind it, begun after the others, is given up at last.
async fn drip_until_an_idle_one_is_given_up(proxy: &Proxy, slow: &mut [&mut Slow]) {
    let idle = begin(proxy, REPO).await;
    until_async("an idle upload is given up", async || {
        for one in slow.iter_mut() {
            one.drip().await;
        }
        proxy.get(&idle).await.status == 404
    })
    .await;
}

fn setup(upstream: &FakeUpstream) -> Setup {
    let mut setup = Setup::of(upstream);
    setup.hosted.text("upload_ttl", "4s").text("reclaim_every", "100ms");
    setup
}

#[tokio::test]
async fn h03_an_upload_is_not_given_up_under_its_request() {
    let upstream = FakeUpstream::start().await;
    let proxy = setup(&upstream).start().await;
    let (mut put, mut patch) = (Slow::begin(&proxy, "PUT", 1).await, Slow::begin(&proxy, "PATCH", 2).await);
    drip_until_an_idle_one_is_given_up(&proxy, &mut [&mut put, &mut patch]).await;
    let (bytes, location) = (patch.bytes.clone(), patch.location.clone());
    put.rest().await.assert_status(201);
    patch.rest().await.assert_status(202);
    let digest = sha256(&bytes);
    proxy.client().send("PUT", &format!("{location}?digest={digest}"), &[], b"").await.assert_status(201);
    proxy.get(&path(REPO, &format!("blobs/{digest}"))).await.assert_body(&bytes);
}

/// Another replica sees the row only.
#[tokio::test]
async fn h03_another_replica_gives_up_no_upload_under_its_request() {
    let (Some(endpoint), Some(database)) = (server("TEST_S3_URL"), server("TEST_POSTGRES_URL")) else { return };
    let upstream = FakeUpstream::start().await;
    let (prefix, database) = (prefix(), a_database(&database).await);
    let start = async |reclaim_every: &str| {
        let mut setup = setup(&upstream);
        in_bucket(&mut setup, &endpoint, &prefix);
        setup.meta.text("url", &database);
        setup.hosted.text("reclaim_every", reclaim_every);
        setup.start().await
    };
    let (one, _two) = (start("1h").await, start("100ms").await);
    let mut patch = Slow::begin(&one, "PATCH", 1).await;
    drip_until_an_idle_one_is_given_up(&one, &mut [&mut patch]).await;
    patch.rest().await.assert_status(202);
}

/// Others who begin uploads until there are too many take the place of idle ones, and of no other.
#[tokio::test]
async fn h03_a_stranger_ends_no_upload_under_its_request() {
    let upstream = FakeUpstream::start().await;
    let mut setup = Setup::of(&upstream);
    setup.hosted.set("max_uploads", 5);
    let proxy = setup.start().await;
    let put = Slow::begin(&proxy, "PUT", 1).await;
    let idle = begin(&proxy, REPO).await;
    // More than an hour goes by.
    sqlx::any::install_default_drivers();
    let database = format!("sqlite:{}", proxy.data_path().join("entrepot.db").display());
    let pool = sqlx::AnyPool::connect(&database).await.unwrap();
    sqlx::query("UPDATE upload SET touched_at_ms = touched_at_ms - 4000000").execute(&pool).await.unwrap();
    pool.close().await;
    let uploads = path(REPO, "blobs/uploads/");
    for status in [202, 202, 202, 202, 429] {
        proxy.client().send("POST", &uploads, &[], b"").await.assert_status(status);
    }
    proxy.get(&idle).await.assert_status(404);
    let bytes = put.bytes.clone();
    put.rest().await.assert_status(201);
    proxy.get(&path(REPO, &format!("blobs/{}", sha256(&bytes)))).await.assert_body(&bytes);
    push_blob(&proxy, REPO, b"others can push").await.assert_status(201);
    until("nothing is left of it", || crate::push::files(&proxy, "staging") == 0).await;
}
