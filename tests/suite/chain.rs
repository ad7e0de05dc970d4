//! Caches in a row: each says which registry it means, and believes no answer for another.

use crate::client::Answer;
use crate::proxy::{Proxy, Setup};
use crate::upstream::{Behaviour, FakeUpstream, Image, OCI_MANIFEST};

const REPO: &str = "org/tool";
const REGISTRIES: [&str; 2] = ["docker.io", "ghcr.io"];

/// Two registries with another image under the same name, and so many caches in a row before them; the first of these is asked.
struct Chain {
    registries: [FakeUpstream; 2],
    images: [Image; 2],
    caches: Vec<Proxy>,
}

impl Chain {
    async fn new(length: usize) -> Self {
        let registries = [FakeUpstream::start().await, FakeUpstream::start().await];
        let images = [registries[0].image(REPO, "9", 1, &[2000]), registries[1].image(REPO, "9", 2, &[2000])];
        let mut caches: Vec<Proxy> = Vec::new();
        for _ in 0..length {
            let mut setup = Setup::new();
            for (name, registry) in REGISTRIES.iter().zip(&registries) {
                let url = caches.last().map_or_else(|| registry.url(), Proxy::url);
                setup.add(name, &url);
            }
            caches.push(setup.start().await);
        }
        caches.reverse();
        Self { registries, images, caches }
    }

    async fn get(&self, registry: usize, path: &str) -> Answer {
        self.caches[0].get(&format!("/v2/{}/{REPO}/{path}", REGISTRIES[registry])).await
    }
}

/// Tag, digest, blob, list of tags and referrers come from the registry that was named, through every cache.
async fn check_chain(length: usize) {
    let chain = Chain::new(length).await;
    for (registry, upstream) in chain.registries.iter().enumerate() {
        let image = &chain.images[registry];
        upstream.image(REPO, &format!("only-{registry}"), 10 + registry as u64, &[10]);
        let signature = upstream.artifact(REPO, "application/vnd.sig", &image.manifest, OCI_MANIFEST);
        for reference in ["9", &image.manifest.digest] {
            let answer = chain.get(registry, &format!("manifests/{reference}")).await;
            answer.assert_body(&image.manifest.bytes);
            assert_eq!(answer.header("oci-namespace"), Some(REGISTRIES[registry]));
        }
        let layer = image.layer();
        chain.get(registry, &format!("blobs/{}", layer.digest)).await.assert_body(&layer.bytes);
        let tags = chain.get(registry, "tags/list").await.json();
        assert_eq!(tags["tags"], serde_json::json!(["9", format!("only-{registry}")]));
        let referrers = chain.get(registry, &format!("referrers/{}", image.manifest.digest)).await.json();
        assert_eq!(referrers["manifests"][0]["digest"], serde_json::json!(signature.digest));
        // And none is taken for the other's.
        let foreign = chain.get(1 - registry, &format!("manifests/{}", image.manifest.digest)).await;
        foreign.assert_error(404, "MANIFEST_UNKNOWN");
        assert!(
            upstream
                .asked("*", "/v2/")
                .iter()
                .all(|asked| asked.path.contains(&format!("ns={}", REGISTRIES[registry])))
        );
    }
}

#[tokio::test]
async fn nh0_two_caches_in_a_row() {
    check_chain(2).await;
}

#[tokio::test]
async fn nh0_three_caches_in_a_row() {
    check_chain(3).await;
}

/// Pages of a list are asked for with the namespace as well, once, whatever the link says.
#[tokio::test]
async fn nh0_pages_of_a_list() {
    let chain = Chain::new(2).await;
    for tag in ["a", "b", "c"] {
        chain.registries[1].image(REPO, tag, 3, &[10]);
    }
    chain.registries[1].page_size(2, true);
    let tags = chain.get(1, "tags/list").await.json();
    assert_eq!(tags["tags"], serde_json::json!(["9", "a", "b", "c"]));
    for asked in chain.registries[1].asked("GET", "/tags/list") {
        assert_eq!(asked.path.matches("ns=ghcr.io").count(), 1, "{}", asked.path);
    }
}

/// A mirror that does not know `?ns=` answers for its default, and says so: nothing of it is used.
#[tokio::test]
async fn nh0_an_answer_for_another_registry_is_not_used() {
    let mirror = FakeUpstream::start().await;
    let image = mirror.image(REPO, "9", 1, &[2000]);
    mirror.on("*", "/v2/", Behaviour::usual().header("OCI-Namespace", "docker.io"));
    let mut setup = Setup::new();
    setup.add("ghcr.io", &mirror.url());
    setup.add("docker.io", &mirror.url());
    let proxy = setup.start().await;
    let layer = image.layer();
    for path in ["manifests/9".to_owned(), format!("blobs/{}", layer.digest), "tags/list".to_owned()] {
        let answer = proxy.get(&format!("/v2/ghcr.io/{REPO}/{path}")).await;
        answer.assert_status(502);
        assert!(answer.text().contains("it answers for the registry"), "{}", answer.text());
        proxy.get(&format!("/v2/docker.io/{REPO}/{path}")).await.assert_status(200);
    }
    // Nor is its 404 one of ghcr.io's.
    proxy.get(&format!("/v2/ghcr.io/{REPO}/manifests/absent")).await.assert_status(502);
}

/// A mirror that has each registry under a prefix is not told a namespace, and its paths are not seen by clients.
#[tokio::test]
async fn nh0_a_mirror_with_prefixes() {
    let mirror = FakeUpstream::start().await;
    let image = mirror.image("ghcr-proxy/org/tool", "9", 1, &[2000]);
    mirror.image("hub-proxy/org/tool", "9", 2, &[2000]);
    let mut setup = Setup::new();
    setup.add("ghcr.io", &mirror.url()).text("prefix", "ghcr-proxy");
    setup.add("docker.io", &mirror.url()).text("prefix", "hub-proxy");
    let proxy = setup.start().await;
    let answer = proxy.get(&format!("/v2/ghcr.io/{REPO}/manifests/9")).await;
    answer.assert_body(&image.manifest.bytes);
    let layer = image.layer();
    proxy.get(&format!("/v2/ghcr.io/{REPO}/blobs/{}", layer.digest)).await.assert_body(&layer.bytes);
    let tags = proxy.get(&format!("/v2/ghcr.io/{REPO}/tags/list")).await.json();
    assert_eq!(tags, serde_json::json!({ "name": format!("ghcr.io/{REPO}"), "tags": ["9"] }));
    assert!(mirror.asked("*", "/v2/").iter().all(|asked| !asked.path.contains("ns=")), "{:?}", mirror.log());
}
