//! Repositories whose upstream is not asked: of a site without a line to it, and of rules that are gone.

use serde_json::json;

use crate::edge::{USERS, api, as_user, assert_fault, basic};
use crate::proxy::{Proxy, Setup};
use crate::push::{an_image, assert_image, push_image};
use crate::upstream::{FakeUpstream, Image};

/// Docker Hub as a site has it that no line leads out of. The fake must not be reached by it.
fn site(hub: &FakeUpstream) -> Setup {
    let mut setup = Setup::new();
    setup
        .add("docker.io", &hub.url())
        .texts("ns", &["docker.io", "index.docker.io", "registry-1.docker.io"])
        .set("offline", true);
    setup
}

async fn assert_pulled(proxy: &Proxy, name: &str, query: &str, tag: &str, image: &Image) {
    for reference in [tag, &image.manifest.digest] {
        let to = format!("/v2/{name}/manifests/{reference}{query}");
        proxy.head(&to).await.assert_status(200);
        proxy.get(&to).await.assert_body(&image.manifest.bytes);
    }
    for part in image.layers.iter().chain([&image.config]) {
        proxy.get(&format!("/v2/{name}/blobs/{}{query}", part.digest)).await.assert_body(&part.bytes);
    }
}

#[tokio::test]
async fn nh2_imported_images_are_pulled_whichever_way_clients_name_them() {
    let hub = FakeUpstream::start().await;
    hub.image("library/nginx", "1", 9, &[10]);
    let proxy = site(&hub).start().await;
    let (official, tool) = (an_image(1, &[300_000]).await, an_image(2, &[10]).await);
    // As `entrepot import` pushes them.
    push_image(&proxy, "docker.io/library/nginx", "1", &official).await;
    push_image(&proxy, "docker.io/org/tool", "2", &tool).await;
    for (name, query) in [
        // podman, skopeo, crane; containerd, k3s, BuildKit; dockerd with a mirror.
        ("docker.io/library/nginx", ""),
        ("docker.io/nginx", ""),
        ("library/nginx", "?ns=docker.io"),
        ("library/nginx", "?ns=registry-1.docker.io"),
        ("nginx", "?ns=docker.io"),
        ("library/nginx", ""),
    ] {
        assert_pulled(&proxy, name, query, "1", &official).await;
    }
    for (name, query) in [("docker.io/org/tool", ""), ("org/tool", "?ns=docker.io"), ("org/tool", "")] {
        assert_pulled(&proxy, name, query, "2", &tool).await;
    }
    let tags = proxy.get("/v2/library/nginx/tags/list?ns=docker.io").await;
    assert_eq!(tags.json()["tags"], json!(["1"]));
    // What was not imported is not there, at once.
    for to in
        ["/v2/library/redis/manifests/1?ns=docker.io", "/v2/library/redis/manifests/1", "/v2/docker.io/a/b/manifests/1"]
    {
        proxy.get(to).await.assert_status(404);
    }
    let absent = format!("/v2/library/nginx/blobs/{}?ns=docker.io", tool.layer().digest);
    proxy.get(&absent).await.assert_error(404, "BLOB_UNKNOWN");
    assert_eq!(hub.connections(), 0, "{:?}", hub.log());
    // A repository of the registry's own name goes before Docker Hub's.
    let ours = an_image(3, &[10]).await;
    push_image(&proxy, "org/tool", "2", &ours).await;
    assert_pulled(&proxy, "org/tool", "", "2", &ours).await;
    assert_pulled(&proxy, "org/tool", "?ns=docker.io", "2", &tool).await;
}

/// A cache that was filled outside and carried in, and a line that was cut for good.
#[tokio::test]
async fn nh2_what_was_kept_is_served_offline_as_well() {
    let hub = FakeUpstream::start().await;
    let image = hub.image("library/nginx", "1", 1, &[300_000]);
    let mut setup = site(&hub);
    setup.hub().set("offline", false);
    let mut proxy = setup.start().await;
    assert_pulled(&proxy, "library/nginx", "?ns=docker.io", "1", &image).await;
    for part in image.layers.iter().chain([&image.config]) {
        proxy.kept(&part.digest).await;
    }
    proxy.setup.hub().set("offline", true);
    proxy.restart().await;
    hub.clear_log();
    for (name, query) in [("library/nginx", "?ns=docker.io"), ("docker.io/library/nginx", ""), ("library/nginx", "")] {
        assert_pulled(&proxy, name, query, "1", &image).await;
    }
    proxy.get("/v2/library/nginx/manifests/2?ns=docker.io").await.assert_error(404, "MANIFEST_UNKNOWN");
    assert_eq!(hub.log().len(), 0, "{:?}", hub.log());
    // Its name is taken, and the message says what to do.
    let refused = proxy.client().send("POST", "/v2/docker.io/library/nginx/blobs/uploads/", &[], b"").await;
    refused.assert_error(405, "UNSUPPORTED");
    assert!(refused.text().contains("delete the repository first"), "{}", refused.text());
    let other = an_image(2, &[10]).await;
    push_image(&proxy, "docker.io/library/redis", "1", &other).await;
    assert_image(&proxy, "docker.io/library/redis", "1", &other).await;
}

const KEEP: &str = "keep/base/python";

/// An upstream `keep` that an image was pulled from, which is then gone, as when its rule is deleted.
async fn left_over(upstream: &FakeUpstream, image: &Image) -> Proxy {
    let mut setup = Setup::new();
    setup.add("keep", &upstream.url());
    setup.more = format!("{USERS}\n[auth]\nfailed_logins = 1000\n[rules]\nprivate_upstreams = true\n");
    let mut proxy = setup.start().await;
    for to in paths(image) {
        as_user(&proxy, "root", "GET", &to).await.assert_status(200);
    }
    for part in image.layers.iter().chain([&image.config]) {
        proxy.kept(&part.digest).await;
    }
    proxy.setup.upstreams.clear();
    proxy.setup.more += "";
    proxy.restart().await;
    upstream.clear_log();
    proxy
}

fn paths(image: &Image) -> Vec<String> {
    let blobs = image.layers.iter().chain([&image.config]).map(|part| format!("/v2/{KEEP}/blobs/{}", part.digest));
    let manifests = ["3", &image.manifest.digest].map(|reference| format!("/v2/{KEEP}/manifests/{reference}"));
    manifests.into_iter().chain(blobs).collect()
}

/// As in ECR, a repository that was pulled through stays when its rule goes: what is listed can be pulled.
#[tokio::test]
async fn c4_repositories_of_a_deleted_rule_are_served() {
    let upstream = FakeUpstream::start().await;
    let image = upstream.image("base/python", "3", 1, &[300_000]);
    let proxy = left_over(&upstream, &image).await;
    for to in paths(&image) {
        as_user(&proxy, "root", "GET", &to).await.assert_status(200);
        as_user(&proxy, "root", "HEAD", &to).await.assert_status(200);
    }
    let tags = as_user(&proxy, "root", "GET", &format!("/v2/{KEEP}/tags/list")).await;
    assert_eq!(tags.json()["tags"], json!(["3"]));
    as_user(&proxy, "root", "GET", &format!("/v2/{KEEP}/manifests/4")).await.assert_error(404, "MANIFEST_UNKNOWN");
    as_user(&proxy, "root", "GET", "/v2/keep/base/ruby/manifests/3").await.assert_error(404, "NAME_UNKNOWN");
    // Rights are asked as before.
    as_user(&proxy, "nobody", "GET", &format!("/v2/{KEEP}/manifests/3")).await.assert_error(403, "DENIED");
    let refused = as_user(&proxy, "root", "POST", &format!("/v2/{KEEP}/blobs/uploads/")).await;
    refused.assert_error(405, "UNSUPPORTED");
    assert!(refused.text().contains("not asked any more"), "{}", refused.text());
    assert_eq!(upstream.log().len(), 0, "{:?}", upstream.log());
    // Deleted, its name is free, and what was kept is not served under it.
    let delete = json!({ "repositoryName": KEEP, "force": true });
    api(&proxy.client(), "root", "DeleteRepository", delete).await.assert_status(200);
    for to in paths(&image) {
        as_user(&proxy, "root", "GET", &to).await.assert_error(404, "NAME_UNKNOWN");
    }
    as_user(&proxy, "root", "POST", &format!("/v2/{KEEP}/blobs/uploads/")).await.assert_status(202);
    for to in paths(&image) {
        as_user(&proxy, "root", "GET", &to).await.assert_status(404);
    }
}

/// A rule of the same prefix for another registry: nothing of the old one is served as the new one's.
#[tokio::test]
async fn c5_another_upstream_of_a_prefix_is_asked_anew() {
    let (upstream, other) = (FakeUpstream::start().await, FakeUpstream::start().await);
    let image = upstream.image("base/python", "3", 1, &[300_000]);
    let proxy = left_over(&upstream, &image).await;
    let client = proxy.client();
    let rule = json!({ "ecrRepositoryPrefix": "keep", "upstreamRegistryUrl": other.host() });
    api(&client, "root", "CreatePullThroughCacheRule", rule.clone()).await.assert_status(200);
    // The other registry speaks HTTP, which no rule can say: an answer of its own is a failure here.
    for to in paths(&image) {
        let headers = [("Authorization", basic("root"))];
        let headers = headers.each_ref().map(|(name, value)| (*name, value.as_str()));
        for method in ["HEAD", "GET"] {
            let answer = client.request(method, &to, &headers).await;
            assert!(answer.status >= 500, "{method} {to}: {} {}", answer.status, answer.text());
        }
    }
    assert!(other.connections() > 0);
    assert_eq!(upstream.log().len(), 0, "{:?}", upstream.log());
    // Asking for a rule that is there forgets nothing.
    assert_fault(
        &api(&client, "root", "CreatePullThroughCacheRule", rule).await,
        "PullThroughCacheRuleAlreadyExistsException",
    );
}
