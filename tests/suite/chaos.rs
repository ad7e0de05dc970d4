//! Many clients and an upstream that fails in every way at once: whatever is answered as complete is right.

use futures_util::future::join_all;

use crate::proxy::{Proxy, Setup, blob, manifest};
use crate::upstream::{Behaviour, FakeUpstream, Image};

const REPO: &str = "team/app";
const CLIENTS: u64 = 12;
const REQUESTS: u64 = 40;

/// A failure, its length and place left to chance.
fn trouble(random: &mut fastrand::Rng, len: u64) -> Behaviour {
    let at = random.u64(0..len);
    let usual = Behaviour::usual();
    match random.u8(0..14) {
        0 => usual.cut_after(at),
        1 => usual.chunked().cut_after(at),
        2 => usual.flip(at),
        3 => usual.shorten(at),
        4 => usual.chunked().shorten(at),
        5 => usual.append("too long"),
        6 => usual.ignore_range(),
        7 => usual.header("content-range", format!("bytes {at}-{}/{len}", len - 1)),
        8 => Behaviour::status(500),
        9 => Behaviour::limited(0),
        10 => Behaviour::drop_connection(),
        11 => Behaviour::answer(200, "text/html", "<html>captive</html>"),
        12 => usual.chunked(),
        _ => usual.gzip_always(),
    }
}

/// One client: pulls, ranges and departures. Returns how many answers were complete.
async fn client(proxy: &Proxy, images: &[Image], seed: u64) -> usize {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut complete = 0;
    for _ in 0..REQUESTS {
        let image = &images[random.usize(..images.len())];
        let part = match random.u8(0..4) {
            0 => &image.manifest,
            1 => &image.config,
            _ => image.layer(),
        };
        let path = match part.digest == image.manifest.digest {
            true => manifest(REPO, &part.digest),
            false => blob(REPO, &part.digest),
        };
        let len = part.bytes.len();
        let start = random.usize(..len);
        let end = (start + random.usize(1..200_000)).min(len);
        match random.u8(0..6) {
            0 => {
                let mut leaving = proxy.client().open("GET", &path, &[]).await;
                leaving.read(start).await;
                leaving.reset();
            }
            1 | 2 => {
                let range = format!("bytes={start}-{}", end - 1);
                let answer = proxy.client().get_range(&path, &range).await;
                // A direct range cannot be verified here; only the client that puts the whole together can. The part of
                // the answer that came from the fill is right if the blob is.
                if answer.status == 206 && answer.complete {
                    assert_eq!(answer.body.len(), end - start, "{path} {range}");
                    complete += 1;
                }
            }
            _ => {
                let answer = proxy.get(&path).await;
                if answer.status == 200 && answer.complete {
                    answer.assert_body(&part.bytes);
                    complete += 1;
                }
            }
        }
    }
    complete
}

#[tokio::test]
async fn whatever_is_complete_is_right() {
    for round in 0..3 {
        let upstream = FakeUpstream::start().await;
        let images: Vec<_> = (0..8).map(|seed| upstream.image(REPO, &format!("t{seed}"), seed, &[400_000])).collect();
        let mut setup = Setup::of(&upstream).impatient().fresh_tags();
        // Four of the eight layers fit.
        setup.cache.text("disk", "2MiB").text("range_window", "64KiB").set("fill_attempts", 3);
        let mut proxy = setup.start().await;
        let mut random = fastrand::Rng::with_seed(round);
        for image in &images {
            for part in [image.layer(), &image.config, &image.manifest] {
                let len = part.bytes.len() as u64;
                for _ in 0..4 {
                    let behaviour = trouble(&mut random, len).skip(random.u32(0..3)).times(random.u32(1..3));
                    upstream.on("GET", &part.digest, behaviour);
                }
            }
        }
        let complete: usize =
            join_all((0..CLIENTS).map(|seed| client(&proxy, &images, round * 100 + seed))).await.iter().sum();
        println!("round {round}: {complete} complete answers");
        assert!(complete > 100, "hardly anything was served: {complete}");
        assert!(proxy.kept_bytes() <= 2 << 20, "{}", proxy.kept_bytes());
        // What is kept is right on disk, and all is well when upstream is.
        upstream.forget_all();
        for restart in [false, true] {
            if restart {
                proxy.restart().await;
            }
            for part in images.iter().flat_map(|image| [image.layer(), &image.config, &image.manifest]) {
                if let Ok(kept) = std::fs::read(proxy.blob_path(&part.digest)) {
                    assert!(kept == *part.bytes, "a wrong {} is kept", part.digest);
                }
            }
            crate::bound::until_async("everything can be had", async || {
                let mut all = true;
                for image in &images {
                    let (layer, config) = (image.layer(), &image.config);
                    all &= proxy.get(&manifest(REPO, &image.manifest.digest)).await.body == image.manifest.bytes;
                    all &= proxy.get(&blob(REPO, &layer.digest)).await.body == layer.bytes;
                    all &= proxy.get(&blob(REPO, &config.digest)).await.body == config.bytes;
                }
                all
            })
            .await;
        }
    }
}
