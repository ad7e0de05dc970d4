//! Four ways to name an upstream, in a closed world.

use crate::proxy::{HUB, Proxy, Setup};
use crate::upstream::{FakeUpstream, OCI_MANIFEST};

/// Docker Hub as the configuration has it, and a second registry.
async fn docker_hub() -> (FakeUpstream, FakeUpstream, Proxy) {
    let (hub, other) = (FakeUpstream::start().await, FakeUpstream::start().await);
    let mut setup = Setup::new();
    setup
        .add("docker.io", &hub.url())
        .texts("ns", &["docker.io", "index.docker.io", "registry-1.docker.io"])
        .text("library", "library")
        .set("default", true);
    setup.add("other", &other.url()).texts("ns", &["other.test:5000", "[::1]:5000", "registry.other.test"]);
    (hub, other, setup.start().await)
}

#[tokio::test]
async fn c64_an_unknown_namespace_is_never_dialled() {
    let (hub, _, proxy) = docker_hub().await;
    let internal = FakeUpstream::start().await;
    let image = internal.image("library/app", "latest", 1, &[10]);
    hub.image("library/app", "latest", 2, &[10]);
    for ns in [
        internal.host(),
        internal.url(),
        "unknown.test".to_owned(),
        "169.254.169.254".to_owned(),
        "localhost".to_owned(),
        format!("user@{}", internal.host()),
        format!("docker.io@{}", internal.host()),
        "../docker.io".to_owned(),
        "docker.io.".to_owned(),
        "%64ocker.io%2f".to_owned(),
    ] {
        for path in ["manifests/latest".to_owned(), format!("blobs/{}", image.config.digest), "tags/list".to_owned()] {
            let answer = proxy.get(&format!("/v2/library/app/{path}?ns={ns}")).await;
            assert_eq!(answer.status, 404, "ns={ns}");
            assert!(answer.json()["errors"][0]["code"].is_string());
        }
    }
    assert_eq!(internal.connections(), 0);
    assert_eq!(hub.count("*", "/v2/"), 0, "an unknown namespace is not the default's");
}

#[tokio::test]
async fn c64_forms_of_a_known_namespace() {
    let (hub, other, proxy) = docker_hub().await;
    let image = other.image("team/app", "latest", 1, &[10]);
    for ns in ["other.test:5000", "OTHER.test:5000", "other.test%3A5000", "[::1]:5000", "%5B::1%5D:5000"] {
        let answer = proxy.get(&format!("/v2/team/app/manifests/latest?ns={ns}")).await;
        answer.assert_body(&image.manifest.bytes);
        assert_eq!(answer.header("oci-namespace"), Some("other.test:5000"), "the first of its namespaces");
    }
    for ns in ["other.test", "other.test:5001", "::1", "[::1]"] {
        proxy.get(&format!("/v2/team/app/manifests/latest?ns={ns}")).await.assert_status(404);
    }
    assert_eq!(hub.count("*", "/v2/"), 0);
}

#[tokio::test]
async fn c64_the_namespace_in_a_header() {
    let (_, other, proxy) = docker_hub().await;
    let image = other.image("team/app", "latest", 1, &[10]);
    let ask =
        async |ns: &str| proxy.client().request("GET", "/v2/team/app/manifests/latest", &[("OCI-Namespace", ns)]).await;
    ask("other.test:5000").await.assert_body(&image.manifest.bytes);
    ask("unknown.test").await.assert_status(404);
}

#[tokio::test]
async fn c64_virtual_hosts() {
    let (_, other, proxy) = docker_hub().await;
    let image = other.image("team/app", "latest", 1, &[10]);
    let client = proxy.client().as_host("Registry.Other.test");
    client.get("/v2/team/app/manifests/latest").await.assert_body(&image.manifest.bytes);
    // A Host that names no upstream is an address of ours.
    let client = proxy.client().as_host("cache.internal:5000");
    client.get("/v2/other/team/app/manifests/latest").await.assert_body(&image.manifest.bytes);
}

#[tokio::test]
async fn c66_docker_hub_has_many_names() {
    let (hub, _, proxy) = docker_hub().await;
    let image = hub.image("library/nginx", "latest", 1, &[300_000]);
    let layer = image.layer();
    for (prefix, query) in [
        ("docker.io/library/nginx", ""),
        ("docker.io/nginx", ""),
        ("library/nginx", "?ns=docker.io"),
        ("library/nginx", "?ns=index.docker.io"),
        ("library/nginx", "?ns=registry-1.docker.io"),
        ("nginx", "?ns=docker.io"),
        // The default upstream, as dockerd asks its mirrors.
        ("library/nginx", ""),
        ("nginx", ""),
    ] {
        let answer = proxy.get(&format!("/v2/{prefix}/manifests/latest{query}")).await;
        answer.assert_body(&image.manifest.bytes);
        assert_eq!(answer.header("oci-namespace"), Some("docker.io"));
        proxy.get(&format!("/v2/{prefix}/blobs/{}{query}", layer.digest)).await.assert_body(&layer.bytes);
    }
    // They are one: nothing was fetched twice.
    assert_eq!(hub.count("GET", "/manifests/latest"), 1);
    assert_eq!(hub.count("GET", &layer.digest), 1);
}

#[tokio::test]
async fn c66_only_docker_hub_has_a_library() {
    let (_, other, proxy) = docker_hub().await;
    let image = other.image("nginx", "latest", 1, &[10]);
    proxy.get("/v2/other/nginx/manifests/latest").await.assert_body(&image.manifest.bytes);
}

#[tokio::test]
async fn c66_without_a_default_a_bare_name_is_unknown() {
    let upstream = FakeUpstream::start().await;
    upstream.image("library/nginx", "latest", 1, &[10]);
    let proxy = Proxy::of(&upstream).await;
    proxy.get("/v2/library/nginx/manifests/latest").await.assert_error(404, "NAME_UNKNOWN");
    proxy.get(&format!("/v2/{HUB}/manifests/latest")).await.assert_status(404);
    assert_eq!(upstream.connections(), 0);
}

#[tokio::test]
async fn c66_prefixes_with_several_components() {
    let (short, long) = (FakeUpstream::start().await, FakeUpstream::start().await);
    let mut setup = Setup::new();
    setup.add("team", &short.url());
    setup.add("team/mirror", &long.url());
    let proxy = setup.start().await;
    let one = short.image("app", "latest", 1, &[10]);
    let two = long.image("app", "latest", 2, &[10]);
    proxy.get("/v2/team/app/manifests/latest").await.assert_body(&one.manifest.bytes);
    proxy.get("/v2/team/mirror/app/manifests/latest").await.assert_body(&two.manifest.bytes);
}

#[tokio::test]
async fn c67_names_that_look_like_paths() {
    let upstream = FakeUpstream::start().await;
    let proxy = Proxy::of(&upstream).await;
    for (seed, name) in [
        "a/b/c/d/e/f/g",
        "blobs",
        "manifests",
        "tags",
        "referrers",
        "team/blobs",
        "blobs/manifests/tags/list",
        "manifests/blobs",
        "team/tags/list",
        "tags/list",
        "v2/v2",
        "a.b_c__d---e/0",
    ]
    .into_iter()
    .enumerate()
    {
        let image = upstream.image(name, "latest", seed as u64, &[10]);
        let path = format!("/v2/{HUB}/{name}");
        proxy.get(&format!("{path}/manifests/latest")).await.assert_body(&image.manifest.bytes);
        proxy.get(&format!("{path}/manifests/{}", image.manifest.digest)).await.assert_body(&image.manifest.bytes);
        proxy.get(&format!("{path}/blobs/{}", image.layer().digest)).await.assert_body(&image.layer().bytes);
        let tags = proxy.get(&format!("{path}/tags/list")).await;
        assert_eq!(tags.json()["tags"], serde_json::json!(["latest"]), "{name}");
        proxy.get(&format!("{path}/referrers/{}", image.manifest.digest)).await.assert_status(200);
    }
}

#[tokio::test]
async fn c67_the_longest_name() {
    let upstream = FakeUpstream::start().await;
    let name = |len: usize| {
        let mut name = "abcdefgh/".repeat(len / 9);
        name += &"x".repeat(len - name.len());
        name
    };
    let longest = name(256);
    let mut setup = Setup::of(&upstream);
    setup.hub().set("default", true);
    let mut proxy = setup.start().await;
    let image = upstream.image(&longest, "latest", 1, &[10]);
    for query in ["", "?ns=hub.test"] {
        proxy.get(&format!("/v2/{longest}/manifests/latest{query}")).await.assert_body(&image.manifest.bytes);
        let layer = image.layer();
        proxy.get(&format!("/v2/{longest}/blobs/{}{query}", layer.digest)).await.assert_body(&layer.bytes);
    }
    proxy.restart().await;
    proxy.get(&format!("/v2/{longest}/manifests/latest")).await.assert_body(&image.manifest.bytes);
    // The prefix does not count: what upstream can hold can be had through it.
    let fits = name(256 - HUB.len() - 1);
    let image = upstream.image(&fits, "latest", 2, &[10]);
    proxy.get(&format!("/v2/{HUB}/{fits}/manifests/latest")).await.assert_body(&image.manifest.bytes);
    let too_long = format!("/v2/{}/manifests/latest", name(257));
    proxy.get(&too_long).await.assert_error(400, "NAME_INVALID");
}

#[tokio::test]
async fn c67_names_and_tags_that_are_none() {
    let upstream = FakeUpstream::start().await;
    upstream.manifest("team/app", Some("latest"), OCI_MANIFEST, "{}");
    let proxy = Proxy::of(&upstream).await;
    for name in ["Team/app", "team//app", "team/app-", "-team/app", "team/%61pp%2f", "team/..", "team/a___b"] {
        let answer = proxy.get(&format!("/v2/{HUB}/{name}/manifests/latest")).await;
        assert!(matches!(answer.status, 400 | 404), "{name}: {}", answer.status);
        assert!(answer.json()["errors"][0]["code"].is_string());
    }
    let long = "t".repeat(129);
    for tag in ["-tag", ".tag", "t%C3%A4g", "a:b", long.as_str()] {
        let answer = proxy.get(&format!("/v2/{HUB}/team/app/manifests/{tag}")).await;
        assert!(matches!(answer.status, 400 | 404), "{tag}: {}", answer.status);
    }
    assert_eq!(upstream.log().len(), 0, "{:?}", upstream.log());
}

/// Docker Hub without a word about `default`, as it is where the file says nothing.
fn of_hub(hub: &FakeUpstream) -> Setup {
    let mut setup = Setup::new();
    setup.add("docker.io", &hub.url()).texts("ns", &["docker.io", "index.docker.io", "registry-1.docker.io"]);
    setup
}

/// Dependency confusion: whoever has a name at Docker Hub must not decide what is pulled under a name of one's own.
#[tokio::test]
async fn nh6_nothing_of_ones_own_is_asked_of_docker_hub() {
    let hub = FakeUpstream::start().await;
    let theirs = hub.image("org/tool", "9", 1, &[10]);
    for name in ["tool", "library/tool", "quay.io/org/tool", "localhost/tool"] {
        hub.image(name, "9", 1, &[10]);
    }
    let official = hub.image("library/nginx", "9", 2, &[10]);
    let proxy = of_hub(&hub).start().await;
    for name in ["org/tool", "tool", "quay.io/org/tool", "localhost/tool", "team/mirror/library/nginx"] {
        for rest in [
            "manifests/9".to_owned(),
            format!("manifests/{}", theirs.manifest.digest),
            format!("blobs/{}", theirs.layer().digest),
            "tags/list".to_owned(),
        ] {
            let to = format!("/v2/{name}/{rest}");
            proxy.get(&to).await.assert_error(404, "NAME_UNKNOWN");
            proxy.head(&to).await.assert_status(404);
        }
        let referrers = proxy.get(&format!("/v2/{name}/referrers/{}", theirs.manifest.digest)).await;
        assert_eq!(referrers.json()["manifests"], serde_json::json!([]), "{name}");
    }
    assert_eq!(hub.connections(), 0, "{:?}", hub.log());
    // Names that say whose they are, and what dockerd asks its mirrors for.
    for to in ["/v2/docker.io/org/tool/manifests/9", "/v2/org/tool/manifests/9?ns=docker.io"] {
        proxy.get(to).await.assert_body(&theirs.manifest.bytes);
    }
    proxy.get("/v2/library/nginx/manifests/9").await.assert_body(&official.manifest.bytes);
    proxy.get(&format!("/v2/library/nginx/blobs/{}", official.layer().digest)).await.assert_status(200);
    let message = |answer: crate::client::Answer| answer.json()["errors"][0]["message"].as_str().unwrap().to_owned();
    let told = message(proxy.get("/v2/quay.io/org/tool/manifests/9").await);
    assert!(told.contains("quay.io is not a configured upstream; add [[upstream]] name = \"quay.io\""), "{told}");
    assert!(!told.contains("docker.io/quay.io"), "{told}");
    let told = message(proxy.get("/v2/org/tool/manifests/9").await);
    assert!(told.contains("named whole, as docker.io/org/tool"), "{told}");
}

/// A mirror that takes no pushes has no names of its own: dockerd gets all of Docker Hub from it.
#[tokio::test]
async fn nh6_a_mirror_that_takes_no_pushes_answers_for_docker_hub() {
    let hub = FakeUpstream::start().await;
    let image = hub.image("org/tool", "9", 1, &[10]);
    hub.image("quay.io/org/tool", "9", 1, &[10]);
    let mut setup = of_hub(&hub);
    setup.read_only();
    let proxy = setup.start().await;
    proxy.get("/v2/org/tool/manifests/9").await.assert_body(&image.manifest.bytes);
    proxy.get("/v2/quay.io/org/tool/manifests/9").await.assert_error(404, "NAME_UNKNOWN");
    assert_eq!(hub.count("*", "quay.io"), 0);
}

/// The key says so: dockerd's mirror on a listener that takes pushes.
#[tokio::test]
async fn nh6_all_of_docker_hub_by_a_key() {
    let hub = FakeUpstream::start().await;
    let image = hub.image("org/tool", "9", 1, &[10]);
    let mut setup = of_hub(&hub);
    setup.hub().text("default", "all");
    let proxy = setup.start().await;
    proxy.get("/v2/org/tool/manifests/9").await.assert_body(&image.manifest.bytes);
}
