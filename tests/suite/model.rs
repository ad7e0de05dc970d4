//! Random pushes, tags, mounts, deletes, removals and kills, against a model in memory that could not be simpler.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;
use serde_json::json;

use crate::proxy::{Proxy, Setup};
use crate::push::{may_be_forgotten, path, push_blob, push_manifest, tags};
use crate::upstream::{FakeUpstream, OCI_MANIFEST, noise, sha256};

const REPOSITORIES: [&str; 3] = ["team/a", "team/b", "other"];
const TAGS: [&str; 4] = ["1", "2", "latest", "x"];
const SEEDS: u64 = 6;
const STEPS: usize = 70;

#[derive(Default)]
struct Repository {
    tags: BTreeMap<&'static str, String>,
    /// By digest: its bytes, and the blobs that it needs.
    manifests: BTreeMap<String, (String, BTreeSet<String>)>,
}

impl Repository {
    fn needs(&self, blob: &str) -> bool {
        self.manifests.values().any(|(_, blobs)| blobs.contains(blob))
    }
}

struct World {
    random: fastrand::Rng,
    proxy: Proxy,
    repositories: BTreeMap<&'static str, Repository>,
    blobs: Vec<(String, Bytes)>,
}

#[tokio::test]
async fn what_was_acknowledged_is_what_is_there() {
    let seeds = match std::env::var("MODEL_SEED") {
        Ok(seed) => vec![seed.parse().expect("a number")],
        Err(_) => (0..SEEDS).map(|_| fastrand::u64(..)).collect(),
    };
    for seed in seeds {
        eprintln!("again with MODEL_SEED={seed}");
        one_life(seed).await;
    }
}

async fn one_life(seed: u64) {
    let upstream = FakeUpstream::start().await;
    let mut setup = Setup::of(&upstream);
    // What nobody needs goes fast, so that the two meet.
    setup.hosted.text("grace", "50ms").text("reclaim_every", "20ms");
    let mut world = World {
        random: fastrand::Rng::with_seed(seed),
        proxy: setup.start().await,
        repositories: REPOSITORIES.iter().map(|name| (*name, Repository::default())).collect(),
        blobs: (0..6)
            .map(|n| noise(seed ^ n, 1000 + n as usize * 40_000))
            .map(|bytes| (sha256(&bytes), bytes))
            .collect(),
    };
    for step in 0..STEPS {
        match world.random.u32(0..100) {
            0..40 => world.push_image().await,
            40..50 => world.move_tag().await,
            50..60 => world.mount().await,
            60..70 => world.delete_tag().await,
            70..80 => world.delete_manifest().await,
            80..87 => world.delete_blob().await,
            87..93 => tokio::time::sleep(Duration::from_millis(world.random.u64(0..120))).await,
            93..97 => world.look().await,
            _ => {
                world.proxy.kill().await;
                world.proxy.start().await;
            }
        }
        if step % 20 == 19 {
            world.look().await;
        }
    }
    world.look().await;
}

impl World {
    fn any_repository(&mut self) -> &'static str {
        REPOSITORIES[self.random.usize(0..REPOSITORIES.len())]
    }

    fn any_tag(&mut self) -> &'static str {
        TAGS[self.random.usize(0..TAGS.len())]
    }

    fn any_manifest(&mut self, repository: &str) -> Option<String> {
        let digests: Vec<String> = self.repositories[repository].manifests.keys().cloned().collect();
        if digests.is_empty() { None } else { Some(digests[self.random.usize(0..digests.len())].clone()) }
    }

    async fn push_image(&mut self) {
        let (repository, tag) = (self.any_repository(), self.any_tag());
        let count = self.random.usize(1..4);
        let blobs: Vec<(String, Bytes)> =
            (0..count).map(|_| self.blobs[self.random.usize(0..self.blobs.len())].clone()).collect();
        let layers: Vec<_> = blobs
            .iter()
            .map(|(digest, bytes)| json!({ "mediaType": "application/octet-stream", "digest": digest, "size": bytes.len() }))
            .collect();
        let text = json!({ "mediaType": OCI_MANIFEST, "layers": layers, "annotations": { "n": self.random.u8(0..9) } })
            .to_string();
        let by_digest = self.random.bool();
        let reference = if by_digest { sha256(text.as_bytes()) } else { tag.to_owned() };
        for _ in 0..50 {
            for (_, bytes) in &blobs {
                may_be_forgotten(&push_blob(&self.proxy, repository, bytes).await);
            }
            let answer = push_manifest(&self.proxy, repository, &reference, OCI_MANIFEST, text.as_bytes()).await;
            if answer.status == 201 {
                let digest = sha256(text.as_bytes());
                let model = self.repositories.get_mut(repository).unwrap();
                let needs = blobs.iter().map(|(digest, _)| digest.clone()).collect();
                model.manifests.insert(digest.clone(), (text, needs));
                if !by_digest {
                    model.tags.insert(tag, digest);
                }
                return;
            }
            answer.assert_error(404, "MANIFEST_BLOB_UNKNOWN");
        }
        panic!("a push in vain, fifty times");
    }

    async fn move_tag(&mut self) {
        let (repository, tag) = (self.any_repository(), self.any_tag());
        let Some(digest) = self.any_manifest(repository) else { return };
        let text = self.repositories[repository].manifests[&digest].0.clone();
        let query = format!("{digest}?tag={tag}");
        push_manifest(&self.proxy, repository, &query, OCI_MANIFEST, text.as_bytes()).await.assert_status(201);
        self.repositories.get_mut(repository).unwrap().tags.insert(tag, digest);
    }

    async fn mount(&mut self) {
        let (repository, from) = (self.any_repository(), self.any_repository());
        let (digest, bytes) = self.blobs[self.random.usize(0..self.blobs.len())].clone();
        let must = self.repositories[from].needs(&digest);
        let query = format!("blobs/uploads/?mount={digest}&from={from}");
        let answer = self.proxy.client().send("POST", &path(repository, &query), &[], b"").await;
        match answer.status {
            201 => {
                let blob = self.proxy.get(&path(repository, &format!("blobs/{digest}"))).await;
                // Unless it was taken for forgotten meanwhile.
                if blob.status != 404 {
                    blob.assert_body(&bytes);
                }
            }
            _ => {
                assert!(!must, "{from} has {digest}, and it was not mounted");
                answer.assert_status(202);
            }
        }
    }

    async fn delete_tag(&mut self) {
        let (repository, tag) = (self.any_repository(), self.any_tag());
        let known = self.repositories.get_mut(repository).unwrap().tags.remove(tag).is_some();
        let path = path(repository, &format!("manifests/{tag}"));
        let answer = self.proxy.client().request("DELETE", &path, &[]).await;
        answer.assert_status(if known { 202 } else { 404 });
    }

    async fn delete_manifest(&mut self) {
        let repository = self.any_repository();
        let Some(digest) = self.any_manifest(repository) else { return };
        let model = self.repositories.get_mut(repository).unwrap();
        model.manifests.remove(&digest);
        model.tags.retain(|_, meaning| *meaning != digest);
        let path = path(repository, &format!("manifests/{digest}"));
        self.proxy.client().request("DELETE", &path, &[]).await.assert_status(202);
        self.proxy.get(&path).await.assert_status(404);
    }

    async fn delete_blob(&mut self) {
        let repository = self.any_repository();
        let (digest, _) = self.blobs[self.random.usize(0..self.blobs.len())].clone();
        let needed = self.repositories[repository].needs(&digest);
        let path = path(repository, &format!("blobs/{digest}"));
        let answer = self.proxy.client().request("DELETE", &path, &[]).await;
        if needed {
            answer.assert_error(405, "UNSUPPORTED");
        } else {
            assert!(matches!(answer.status, 202 | 404), "{}", answer.status);
        }
    }

    /// Everything that the model has is there, and of manifests and tags nothing else.
    async fn look(&self) {
        for (name, model) in &self.repositories {
            let list = self.proxy.get(&path(name, "tags/list")).await;
            if list.status == 404 {
                assert!(model.manifests.is_empty() && model.tags.is_empty(), "{name} is gone");
                continue;
            }
            assert_eq!(tags(&self.proxy, name).await, json!(model.tags.keys().collect::<Vec<_>>()), "{name}");
            for (tag, digest) in &model.tags {
                let answer = self.proxy.get(&path(name, &format!("manifests/{tag}"))).await;
                answer.assert_body(model.manifests[digest].0.as_bytes());
            }
            for (digest, (text, needs)) in &model.manifests {
                self.proxy.get(&path(name, &format!("manifests/{digest}"))).await.assert_body(text.as_bytes());
                for blob in needs {
                    let bytes = &self.blobs.iter().find(|(digest, _)| digest == blob).unwrap().1;
                    self.proxy.get(&path(name, &format!("blobs/{blob}"))).await.assert_body(bytes);
                }
            }
        }
    }
}
