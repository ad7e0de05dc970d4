//! SIGKILL at any moment of a fill, again and again on the same data.

use std::time::Duration;

use crate::bound::{until, within};
use crate::proxy::{Setup, blob, manifest};
use crate::upstream::{Behaviour, FakeUpstream, noise};

const REPO: &str = "team/app";
const KILLS: u64 = 200;
/// At the rate below, a fill takes about as long as the longest wait before a kill.
const LEN: usize = 600_000;
const BYTES_PER_SECOND: u64 = 10 << 20;
const LONGEST_WAIT_MS: u64 = 60;

#[tokio::test]
async fn c18_killed_two_hundred_times() {
    let upstream = FakeUpstream::start().await;
    upstream.on("GET", "/blobs/", Behaviour::usual().trickle(BYTES_PER_SECOND));
    let image = upstream.image(REPO, "latest", 1, &[10]);
    let mut proxy = Setup::of(&upstream).fresh_tags().start().await;
    let mut random = fastrand::Rng::with_seed(18);
    let mut current = (String::new(), bytes::Bytes::new());
    let mut completed = 0;
    let mut cut = 0;
    for kill in 0..KILLS {
        // Now and then a fresh blob, else the one that was being fetched when the process died.
        if kill % 4 == 0 {
            let bytes = noise(kill + 1, LEN);
            current = (upstream.blob(REPO, bytes.clone()), bytes);
        }
        let (digest, bytes) = &current;
        let clients: Vec<_> = {
            let mut clients = Vec::new();
            for path in [blob(REPO, digest), blob(REPO, digest), manifest(REPO, "latest")] {
                clients.push(proxy.client().open("GET", &path, &[]).await);
            }
            clients
        };
        tokio::time::sleep(Duration::from_millis(random.u64(0..LONGEST_WAIT_MS))).await;
        proxy.kill().await;
        for (client, expected) in clients.into_iter().zip([bytes, bytes, &image.manifest.bytes]) {
            let answer = within("a client of a killed process", client.rest()).await;
            assert!(expected.starts_with(&answer.body), "wrong bytes in round {kill}");
            if answer.complete {
                answer.assert_body(expected);
                completed += 1;
            } else {
                cut += 1;
            }
        }
        if proxy.is_kept(digest) {
            let kept = std::fs::read(proxy.blob_path(digest)).unwrap();
            assert!(kept == **bytes, "a wrong blob is kept in round {kill}");
        }
        for (path, size) in proxy.staging() {
            assert!(size <= LEN as u64, "{path:?} has {size} bytes");
        }
        proxy.start().await;
        if kill % 4 == 3 {
            proxy.get(&blob(REPO, digest)).await.assert_body(bytes);
            until("nothing is left in staging", || proxy.staging().is_empty()).await;
            proxy.kept(digest).await;
        }
    }
    proxy.get(&manifest(REPO, "latest")).await.assert_body(&image.manifest.bytes);
    assert!(cut > 100, "kills came too late: {cut} answers were cut, {completed} complete");
    let resumed = upstream.asked("GET", "/blobs/").iter().filter(|asked| asked.range_start() > Some(0)).count();
    assert!(resumed > 20, "only {resumed} fetches began where the last process had ended");
}
