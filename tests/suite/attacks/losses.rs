//! Losses: who is blamed for wrong bytes, and whether what is gone is said to be there.

use crate::bound::{until, until_async};
use crate::bucket::{a_database, in_bucket, prefix, server};
use crate::proxy::{Proxy, Setup};
use crate::push::{path, push_blob, push_manifest};
use crate::upstream::{Behaviour, FakeUpstream, OCI_MANIFEST, noise, sha256};

const REPO: &str = "team/app";
/// Larger than what is kept in memory.
const LEN: usize = 2_000_000;

fn to(repository: &str, digest: &str) -> String {
    path(repository, &format!("blobs/{digest}"))
}

/// A manifest whose config and layer are these bytes.
fn manifest_of(bytes: &[u8]) -> String {
    let descriptor = format!(r#"{{"mediaType":"application/x","digest":"{}","size":{}}}"#, sha256(bytes), bytes.len());
    format!(
        r#"{{"schemaVersion":2,"mediaType":"{OCI_MANIFEST}","config":{descriptor},"layers":[{descriptor}],"annotations":{{"n":"{}"}}}}"#,
        fastrand::u64(..)
    )
}

/// Whether it is known that a blob of an upstream is in the bucket, and who has sent it.
async fn is_shared(database: &str) -> bool {
    let pool = sqlx::AnyPool::connect(database).await.unwrap();
    let statement = "SELECT (SELECT COUNT(*) FROM pulled_blob) * (SELECT COUNT(*) FROM upstream_sent)";
    let count: i64 = sqlx::query_scalar(statement).fetch_one(&pool).await.unwrap();
    pool.close().await;
    count > 0
}

/// An upstream sends a wrong half of a blob that others have pushed, and breaks off. That the rest comes from the bucket does not make
/// the object there a bad one.
#[tokio::test]
async fn h01_what_an_upstream_left_is_not_the_buckets() {
    let (Some(endpoint), Some(database)) = (server("TEST_S3_URL"), server("TEST_POSTGRES_URL")) else { return };
    let evil = FakeUpstream::start().await;
    let (prefix, database) = (prefix(), a_database(&database).await);
    let start = async || {
        let mut setup = Setup::new();
        setup.add("evil", &evil.url());
        in_bucket(&mut setup, &endpoint, &prefix);
        setup.meta.text("url", &database);
        setup.cache.set("fill_attempts", 1);
        setup.start().await
    };
    let (one, two) = (start().await, start().await);
    let bytes = noise(1, LEN);
    let digest = evil.blob("any/app", bytes.clone());
    push_blob(&one, REPO, &bytes).await.assert_status(201);
    let pulling = format!("/v2/evil/any/app/blobs/{digest}");
    let wrong = evil.on("GET", &digest, Behaviour::usual().flip(1000).cut_after(1_000_000));
    assert!(!two.get(&pulling).await.complete);
    until("what came is left", || !two.staging().is_empty()).await;
    evil.forget(wrong);
    one.get(&pulling).await.assert_body(&bytes);
    until_async("it is in the bucket for all", async || is_shared(&database).await).await;
    two.get(&pulling).await.assert_body(&bytes);
    for proxy in [&one, &two] {
        proxy.head(&to(REPO, &digest)).await.assert_status(200);
        proxy.get(&to(REPO, &digest)).await.assert_body(&bytes);
    }
}

/// A copy from the bucket that was broken off by a power loss holds other bytes than came: that is no loss of the bucket.
#[tokio::test]
async fn h01_what_a_crash_left_is_not_the_buckets() {
    let Some(endpoint) = server("TEST_S3_URL") else { return };
    let upstream = FakeUpstream::start().await;
    let mut setup = Setup::of(&upstream);
    in_bucket(&mut setup, &endpoint, &prefix());
    let mut proxy = setup.start().await;
    let bucket = sha256(b"the bucket");
    for (seed, left) in [(1, LEN / 2), (2, LEN)] {
        let bytes = noise(seed, LEN);
        let digest = sha256(&bytes);
        push_blob(&proxy, REPO, &bytes).await.assert_status(201);
        proxy.kept(&digest).await;
        proxy.kill().await;
        std::fs::remove_file(proxy.blob_path(&digest)).unwrap();
        let (hex, owner) = (&digest[7..], &bucket[7..39]);
        let name = proxy.data_path().join("staging").join(format!("sha256-{hex}-{owner}-0123456789abcdef"));
        std::fs::write(name, vec![0; left]).unwrap();
        proxy.start().await;
        // Whether the first reader gets it, or the left-over has to go first, the next one does.
        let first = proxy.get(&to(REPO, &digest)).await;
        assert!(!first.complete || first.body == bytes, "wrong bytes are never a whole answer");
        until_async("it is there", async || {
            let next = proxy.get(&to(REPO, &digest)).await;
            next.status == 200 && next.complete && next.body == bytes
        })
        .await;
        proxy.head(&to(REPO, &digest)).await.assert_status(200);
    }
}

/// A push that fails brings nothing back: what was lost before is lost.
#[tokio::test]
async fn h02_a_push_that_fails_finds_nothing() {
    let upstream = FakeUpstream::start().await;
    let proxy = Proxy::of(&upstream).await;
    let bytes = noise(3, LEN);
    let digest = sha256(&bytes);
    push_blob(&proxy, REPO, &bytes).await.assert_status(201);
    let shard = proxy.data_path().join("hosted/blobs/sha256").join(&digest[7..9]);
    std::fs::remove_dir_all(&shard).unwrap();
    assert!(!proxy.get(&to(REPO, &digest)).await.complete || proxy.get(&to(REPO, &digest)).await.status != 200);
    let is_lost = async || {
        proxy.head(&to(REPO, &digest)).await.assert_status(404);
        let text = manifest_of(&bytes);
        let refused = push_manifest(&proxy, REPO, "v1", OCI_MANIFEST, text.as_bytes()).await;
        assert!((400..500).contains(&refused.status), "{}", refused.status);
        let mount = path("team/other", &format!("blobs/uploads/?mount={digest}&from={REPO}"));
        proxy.client().send("POST", &mount, &[], b"").await.assert_status(202);
    };
    is_lost().await;
    // Its folder cannot be made.
    std::fs::write(&shard, b"in the way").unwrap();
    assert!(push_blob(&proxy, REPO, &bytes).await.status >= 500);
    is_lost().await;
    std::fs::remove_file(&shard).unwrap();
    push_blob(&proxy, REPO, &bytes).await.assert_status(201);
    proxy.get(&to(REPO, &digest)).await.assert_body(&bytes);
    push_manifest(&proxy, REPO, "v1", OCI_MANIFEST, manifest_of(&bytes).as_bytes()).await.assert_status(201);
}
