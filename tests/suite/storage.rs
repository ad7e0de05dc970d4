//! What is kept, what goes, and what a folder that was tampered with does.

use std::fs;
use std::time::Duration;

use crate::bound::{until, until_async};
use crate::proxy::{Proxy, Setup, blob, manifest};
use crate::upstream::{Behaviour, FakeUpstream, Gate, noise, sha256};

const REPO: &str = "team/app";
const LEN: usize = 400_000;

/// Fetches so many blobs that nothing else was asked for, each until it is kept or has passed through.
async fn flood(upstream: &FakeUpstream, proxy: &Proxy, seeds: std::ops::Range<u64>) {
    for seed in seeds {
        let bytes = noise(seed, LEN);
        let digest = upstream.blob("flood/app", bytes.clone());
        proxy.get(&blob("flood/app", &digest)).await.assert_body(&bytes);
        until("the fill has ended", || !proxy.staging().iter().any(|(path, _)| is_of(path, &digest))).await;
    }
}

fn is_of(path: &std::path::Path, digest: &str) -> bool {
    digest.split_once(':').is_some_and(|(_, hex)| path.to_string_lossy().contains(hex))
}

#[tokio::test]
async fn c69_one_of_two_repositories_loses_the_blob() {
    let upstream = FakeUpstream::start().await;
    let one = upstream.image("one/app", "latest", 1, &[LEN]);
    upstream.image("two/app", "latest", 1, &[LEN]);
    let layer = one.layer();
    let mut proxy = Setup::of(&upstream).fresh_tags().start().await;
    for repository in ["one/app", "two/app"] {
        proxy.get(&manifest(repository, "latest")).await.assert_body(&one.manifest.bytes);
        proxy.get(&blob(repository, &layer.digest)).await.assert_body(&layer.bytes);
    }
    assert_eq!(upstream.count("GET", &layer.digest), 1, "one download for both");
    upstream.remove_repository("one/app");
    proxy.get(&manifest("one/app", "latest")).await.assert_status(404);
    proxy.get(&blob("two/app", &layer.digest)).await.assert_body(&layer.bytes);
    proxy.restart().await;
    proxy.get(&blob("two/app", &layer.digest)).await.assert_body(&layer.bytes);
    proxy.get(&manifest("two/app", "latest")).await.assert_body(&one.manifest.bytes);
}

#[tokio::test]
async fn c62_a_kept_blob_is_served_only_where_it_belongs() {
    let upstream = FakeUpstream::start().await;
    let image = upstream.image("private/app", "latest", 1, &[LEN]);
    upstream.image("public/app", "latest", 2, &[10]);
    let proxy = Setup::of(&upstream).fresh_tags().start().await;
    let layer = image.layer();
    proxy.get(&manifest("private/app", "latest")).await.assert_status(200);
    proxy.get(&blob("private/app", &layer.digest)).await.assert_body(&layer.bytes);
    for method in ["GET", "HEAD"] {
        for path in [blob("public/app", &layer.digest), manifest("public/app", &image.manifest.digest)] {
            proxy.client().request(method, &path, &[]).await.assert_status(404);
        }
    }
    // Upstream is asked, and not for the bytes.
    upstream.blob("public/app", layer.bytes.clone());
    proxy.get(&blob("public/app", &layer.digest)).await.assert_body(&layer.bytes);
    assert_eq!(upstream.count("GET", &layer.digest), 1);
}

#[tokio::test]
async fn c70_the_bytes_are_gone() {
    for len in [1000, LEN] {
        for damage in ["removed", "emptied", "shortened"] {
            for restarted in [false, true] {
                let upstream = FakeUpstream::start().await;
                let image = upstream.image(REPO, "latest", 1, &[len]);
                let layer = image.layer();
                let mut setup = Setup::of(&upstream);
                setup.cache.set("memory", 0);
                let mut proxy = setup.start().await;
                proxy.get(&manifest(REPO, "latest")).await.assert_status(200);
                proxy.get(&blob(REPO, &layer.digest)).await.assert_body(&layer.bytes);
                proxy.kept(&layer.digest).await;
                until_async("the fill has ended", async || {
                    proxy.metrics().await.sum("entrepot_cache_fills_in_flight") == 0.0
                })
                .await;
                let path = proxy.blob_path(&layer.digest);
                if restarted {
                    proxy.kill().await;
                }
                // Never in place: a file that is being read keeps its bytes.
                fs::remove_file(&path).unwrap();
                match damage {
                    "removed" => {}
                    "emptied" => fs::write(&path, "").unwrap(),
                    _ => fs::write(&path, &layer.bytes[..len / 2]).unwrap(),
                }
                if restarted {
                    proxy.start().await;
                }
                let answer = proxy.get(&blob(REPO, &layer.digest)).await;
                println!("{len} bytes, {damage}, restarted {restarted}: {}", answer.status);
                answer.assert_body(&layer.bytes);
                let head = proxy.head(&blob(REPO, &layer.digest)).await;
                assert_eq!(head.header("content-length"), Some(len.to_string().as_str()));
            }
        }
    }
}

#[tokio::test]
async fn c70_the_bytes_cannot_be_read() {
    let upstream = FakeUpstream::start().await;
    let image = upstream.image(REPO, "latest", 1, &[LEN]);
    let layer = image.layer();
    let proxy = Proxy::of(&upstream).await;
    proxy.get(&manifest(REPO, "latest")).await.assert_status(200);
    proxy.get(&blob(REPO, &layer.digest)).await.assert_body(&layer.bytes);
    proxy.kept(&layer.digest).await;
    // A folder in its place can neither be read nor replaced: whoever may do anything meets an error here, too.
    fs::remove_file(proxy.blob_path(&layer.digest)).unwrap();
    fs::create_dir(proxy.blob_path(&layer.digest)).unwrap();
    for _ in 0..2 {
        proxy.get(&blob(REPO, &layer.digest)).await.assert_body(&layer.bytes);
    }
}

#[tokio::test]
async fn c70_the_bytes_of_a_manifest_are_gone() {
    for damage in ["removed", "emptied", "garbage"] {
        let upstream = FakeUpstream::start().await;
        let image = upstream.image(REPO, "latest", 1, &[10]);
        let mut proxy = Proxy::of(&upstream).await;
        proxy.get(&manifest(REPO, "latest")).await.assert_status(200);
        proxy.kill().await;
        let path = proxy.blob_path(&image.manifest.digest);
        match damage {
            "removed" => fs::remove_file(&path).unwrap(),
            "emptied" => fs::write(&path, "").unwrap(),
            _ => fs::write(&path, "x".repeat(image.manifest.bytes.len())).unwrap(),
        }
        proxy.start().await;
        for reference in ["latest", &image.manifest.digest] {
            proxy.get(&manifest(REPO, reference)).await.assert_body(&image.manifest.bytes);
        }
    }
}

#[tokio::test]
async fn c70_the_database_is_gone() {
    let upstream = FakeUpstream::start().await;
    let image = upstream.image(REPO, "latest", 1, &[LEN]);
    let layer = image.layer();
    let mut proxy = Proxy::of(&upstream).await;
    proxy.get(&manifest(REPO, "latest")).await.assert_status(200);
    proxy.get(&blob(REPO, &layer.digest)).await.assert_body(&layer.bytes);
    proxy.kept(&layer.digest).await;
    proxy.kill().await;
    for entry in fs::read_dir(proxy.data_path()).unwrap().flatten() {
        if entry.file_name().to_string_lossy().starts_with("entrepot.db") {
            fs::remove_file(entry.path()).unwrap();
        }
    }
    proxy.start().await;
    proxy.get(&manifest(REPO, "latest")).await.assert_body(&image.manifest.bytes);
    proxy.get(&blob(REPO, &layer.digest)).await.assert_body(&layer.bytes);
    assert_eq!(upstream.count("GET", &layer.digest), 2, "it is no longer known who had sent them");
}

#[tokio::test]
async fn c71_eviction_while_a_client_reads() {
    let upstream = FakeUpstream::start().await;
    // Larger than what the sockets between take in.
    let bytes = noise(1, 12 << 20);
    let digest = upstream.blob(REPO, bytes.clone());
    let mut setup = Setup::of(&upstream);
    setup.cache.text("disk", "16MiB").text("disk_object", "16MiB");
    let proxy = setup.start().await;
    proxy.get(&blob(REPO, &digest)).await.assert_body(&bytes);
    proxy.kept(&digest).await;
    let mut reader = proxy.client().slow().open("GET", &blob(REPO, &digest), &[]).await;
    reader.read(100_000).await;
    flood(&upstream, &proxy, 100..160).await;
    assert!(proxy.kept_bytes() <= 16 << 20);
    reader.rest().await.assert_body(&bytes);
}

#[tokio::test]
async fn c72_pressure_never_takes_a_fill() {
    let upstream = FakeUpstream::start().await;
    let bytes = noise(1, 2 << 20);
    let digest = upstream.blob(REPO, bytes.clone());
    let gate = Gate::new();
    upstream.on("GET", &digest, Behaviour::usual().gate_at(1 << 20, &gate));
    let mut setup = Setup::of(&upstream);
    setup.cache.text("disk", "4MiB");
    let proxy = setup.start().await;
    let mut exchange = proxy.client().open("GET", &blob(REPO, &digest), &[]).await;
    exchange.read(1 << 20).await;
    flood(&upstream, &proxy, 100..120).await;
    gate.open();
    exchange.rest().await.assert_body(&bytes);
    proxy.kept(&digest).await;
    assert_eq!(upstream.count("GET", &digest), 1);
}

#[tokio::test]
async fn c72_many_fills_beyond_the_limit() {
    // Fills that together are larger than the disk: the later ones pass through, everyone is served.
    let upstream = FakeUpstream::start().await;
    let gate = Gate::new();
    upstream.on("GET", "/blobs/", Behaviour::usual().gate_at(LEN as u64 / 2, &gate));
    let mut setup = Setup::of(&upstream);
    setup.cache.text("disk", "2MiB");
    let proxy = setup.start().await;
    let mut clients = Vec::new();
    for seed in 0..12 {
        let bytes = noise(seed, LEN);
        let digest = upstream.blob(REPO, bytes.clone());
        let mut client = proxy.client().open("GET", &blob(REPO, &digest), &[]).await;
        client.read(LEN / 4).await;
        clients.push((client, bytes));
    }
    assert!(proxy.kept_bytes() <= 2 << 20, "{}", proxy.kept_bytes());
    gate.open();
    for (client, bytes) in clients {
        client.rest().await.assert_body(&bytes);
    }
    assert!(proxy.kept_bytes() <= 2 << 20, "{}", proxy.kept_bytes());
}

#[tokio::test]
async fn the_disk_limit_holds_at_all_times() {
    const LIMIT: u64 = 5 << 20;
    let upstream = FakeUpstream::start().await;
    upstream.on("GET", "/blobs/", Behaviour::usual().trickle(20 << 20));
    let mut setup = Setup::of(&upstream);
    setup.cache.set("disk", LIMIT);
    let mut proxy = setup.start().await;
    let client = proxy.client();
    let requests = async {
        for round in 0..15 {
            let pulls = (0..4).map(async |at| {
                let bytes = noise(round * 4 + at, 200_000 + 150_000 * at as usize);
                let digest = upstream.blob(REPO, bytes.clone());
                client.get(&blob(REPO, &digest)).await.assert_body(&bytes);
            });
            futures_util::future::join_all(pulls).await;
        }
    };
    let mut most = 0;
    let sampling = async {
        loop {
            let size = proxy.kept_bytes();
            assert!(size <= LIMIT, "{size} bytes are kept");
            most = most.max(size);
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::select! { () = requests => {}, () = sampling => {} }
    assert!(most > LIMIT / 2, "the limit was put under pressure: {most}");
    let metrics = proxy.metrics().await;
    assert_eq!(metrics.with("entrepot_cache_limit_bytes", &[("tier", "disk")]), LIMIT as f64);
    assert!(metrics.with("entrepot_cache_bytes", &[("tier", "disk")]) <= LIMIT as f64);
    assert!(metrics.with("entrepot_cache_evictions_total", &[("tier", "disk")]) > 0.0);
    proxy.restart().await;
    assert!(proxy.kept_bytes() <= LIMIT);
    // What the gauge counts are whole pages.
    let counted = proxy.metrics().await.with("entrepot_cache_bytes", &[("tier", "disk")]);
    assert!((proxy.kept_bytes() as f64..=LIMIT as f64).contains(&counted), "{counted}");
}

#[tokio::test]
async fn the_memory_limit_holds() {
    let upstream = FakeUpstream::start().await;
    let mut setup = Setup::of(&upstream);
    setup.cache.text("memory", "1MiB").text("memory_object", "100KiB");
    let proxy = setup.start().await;
    for seed in 0..60 {
        let bytes = noise(seed, 50_000);
        let digest = upstream.blob(REPO, bytes.clone());
        for _ in 0..2 {
            proxy.get(&blob(REPO, &digest)).await.assert_body(&bytes);
        }
        let held = proxy.metrics().await.with("entrepot_cache_bytes", &[("tier", "memory")]);
        assert!(held <= 1_048_576.0, "{held}");
    }
}

#[tokio::test]
async fn a_scan_does_not_wash_out_what_is_used() {
    let upstream = FakeUpstream::start().await;
    let mut setup = Setup::of(&upstream);
    setup.cache.text("disk", "6MiB");
    let proxy = setup.start().await;
    let bytes = noise(1, LEN);
    let used = upstream.blob(REPO, bytes.clone());
    proxy.get(&blob(REPO, &used)).await.assert_body(&bytes);
    proxy.kept(&used).await;
    for _ in 0..5 {
        proxy.get(&blob(REPO, &used)).await.assert_body(&bytes);
    }
    // Thirteen of these fill the disk; each is read once, and together they pass many times through it.
    flood(&upstream, &proxy, 100..200).await;
    proxy.get(&blob(REPO, &used)).await.assert_body(&bytes);
    assert_eq!(upstream.count("GET", &used), 1);
}

#[tokio::test]
async fn c73_a_smaller_limit_holds_after_a_restart() {
    let upstream = FakeUpstream::start().await;
    let mut proxy = Proxy::of(&upstream).await;
    flood(&upstream, &proxy, 0..10).await;
    assert!(proxy.kept_bytes() >= 10 * LEN as u64);
    proxy.setup.cache.text("disk", "1MiB");
    proxy.restart().await;
    until("the limit holds", || proxy.kept_bytes() <= 1 << 20).await;
    flood(&upstream, &proxy, 20..22).await;
    assert!(proxy.kept_bytes() <= 1 << 20);
}

#[tokio::test]
async fn c73_a_shorter_ttl_holds_for_old_entries() {
    let upstream = FakeUpstream::start().await;
    let old = upstream.image(REPO, "latest", 1, &[10]);
    let mut setup = Setup::of(&upstream);
    setup.hub().text("tag_ttl", "24h").text("stale_while_revalidate", "0s");
    let mut proxy = setup.start().await;
    proxy.get(&manifest(REPO, "latest")).await.assert_body(&old.manifest.bytes);
    let new = upstream.image(REPO, "latest", 2, &[10]);
    proxy.restart().await;
    proxy.get(&manifest(REPO, "latest")).await.assert_body(&old.manifest.bytes);
    proxy.setup.hub().text("tag_ttl", "0s");
    proxy.restart().await;
    proxy.get(&manifest(REPO, "latest")).await.assert_body(&new.manifest.bytes);
    // And a longer one, too.
    proxy.setup.hub().text("tag_ttl", "24h");
    proxy.restart().await;
    upstream.refuse();
    let answer = proxy.get(&manifest(REPO, "latest")).await;
    answer.assert_body(&new.manifest.bytes);
    assert_eq!(answer.header("warning"), None);
}

#[tokio::test]
async fn c79_many_blobs_at_the_start() {
    // A million takes a minute to make; the variable says how many.
    let count = std::env::var("SUITE_BLOBS").ok().and_then(|text| text.parse().ok()).unwrap_or(50_000_u64);
    let upstream = FakeUpstream::start().await;
    let mut proxy = Setup::of(&upstream).prepare();
    let bytes = noise(1, 2000);
    let known = upstream.blob(REPO, bytes.clone());
    let blobs = proxy.data_path().join("blobs/sha256");
    for shard in 0..256 {
        fs::create_dir_all(blobs.join(format!("{shard:02x}"))).unwrap();
    }
    fs::write(proxy.blob_path(&known), &bytes).unwrap();
    // Links cost less than files, and to whoever reads the folder they are files.
    let (mut source, mut links) = (proxy.blob_path(&known), 0);
    for at in 0..count {
        let digest = sha256(&at.to_le_bytes());
        if links == 60_000 || at == 0 {
            source = proxy.blob_path(&digest);
            fs::write(&source, &bytes).unwrap();
            links = 0;
        } else {
            fs::hard_link(&source, proxy.blob_path(&digest)).unwrap();
            links += 1;
        }
    }
    proxy.start().await;
    println!("{}", proxy.log().lines().next().unwrap_or_default());
    let held = proxy.metrics().await.with("entrepot_cache_objects", &[("tier", "disk")]);
    assert_eq!(held, (count + 1) as f64);
    proxy.get(&blob(REPO, &known)).await.assert_body(&bytes);
    assert_eq!(upstream.count("GET", &known), 1, "who had sent it is not known");
}

#[tokio::test]
async fn a_second_process_is_kept_out_of_the_folder() {
    let upstream = FakeUpstream::start().await;
    let proxy = Proxy::of(&upstream).await;
    let mut second = Setup::of(&upstream);
    second.environment.insert("ENTREPOT_DATA".to_owned(), proxy.data_path().to_string_lossy().into_owned());
    let mut second = second.prepare();
    second.spawn();
    let status = second.wait().await;
    assert!(!status.success());
    assert!(second.log().contains("another process"), "{}", second.log());
    proxy.get("/v2/").await.assert_status(200);
}

#[tokio::test]
async fn c72_a_blob_of_unknown_length_outgrows_the_disk() {
    let upstream = FakeUpstream::start().await;
    let bytes = noise(1, 12 << 20);
    let digest = upstream.blob(REPO, bytes.clone());
    upstream.on("GET", &digest, Behaviour::usual().chunked());
    let mut setup = Setup::of(&upstream);
    setup.cache.text("disk", "4MiB");
    let proxy = setup.start().await;
    let mut exchange = proxy.client().open("GET", &blob(REPO, &digest), &[]).await;
    for at in 1..12 {
        exchange.read(at << 20).await;
        assert!(proxy.kept_bytes() <= 4 << 20, "{}", proxy.kept_bytes());
    }
    exchange.rest().await.assert_body(&bytes);
    assert!(proxy.kept_bytes() <= 4 << 20);
}

#[tokio::test]
async fn unfinished_fills_do_not_stay_for_ever() {
    let upstream = FakeUpstream::start().await;
    let bytes = noise(1, 4 << 20);
    let digest = upstream.blob(REPO, bytes.clone());
    upstream.on("GET", &digest, Behaviour::usual().gate_at(2 << 20, &Gate::new()).once());
    let mut setup = Setup::of(&upstream);
    setup.cache.text("staging_ttl", "1h");
    let mut proxy = setup.start().await;
    let mut exchange = proxy.client().open("GET", &blob(REPO, &digest), &[]).await;
    exchange.read(1 << 20).await;
    proxy.kill().await;
    let (left, _) = proxy.staging().into_iter().next().expect("the beginning of the blob");
    let old = std::time::SystemTime::now() - Duration::from_secs(2 * 3600);
    fs::File::options().write(true).open(&left).unwrap().set_modified(old).unwrap();
    proxy.start().await;
    until("it is gone", || proxy.staging().is_empty()).await;
    proxy.get(&blob(REPO, &digest)).await.assert_body(&bytes);
    assert_eq!(upstream.asked("GET", &digest).last().unwrap().range_start(), None);
}

#[tokio::test]
async fn unfinished_fills_count_below_the_limit() {
    let upstream = FakeUpstream::start().await;
    upstream.on("GET", "/blobs/", Behaviour::usual().gate_at(2 << 20, &Gate::new()));
    let mut proxy = Proxy::of(&upstream).await;
    for seed in 0..3 {
        let digest = upstream.blob(REPO, noise(seed, 4 << 20));
        let mut exchange = proxy.client().open("GET", &blob(REPO, &digest), &[]).await;
        exchange.read(1 << 20).await;
    }
    proxy.kill().await;
    assert!(proxy.kept_bytes() > 3 << 20);
    proxy.setup.cache.text("disk", "3MiB");
    upstream.forget_all();
    proxy.start().await;
    until("the limit holds", || proxy.kept_bytes() <= 3 << 20).await;
    flood(&upstream, &proxy, 100..110).await;
    assert!(proxy.kept_bytes() <= 3 << 20);
    assert!(proxy.blobs().len() > 2, "left-overs do not take the place of what is asked for");
}
