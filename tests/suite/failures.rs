//! What clients see when upstream fails: the table of the documentation, row by row.

use futures_util::future::join_all;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::bound::within;
use crate::client::Answer;
use crate::proxy::{HUB, Proxy, Setup, blob, manifest};
use crate::upstream::{Behaviour, FakeUpstream, Gate, Image, TokenRules, TokenService, noise};

const REPO: &str = "team/app";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Failure {
    Refused,
    Hanging,
    Dropping,
    Status(u16),
    Limited,
    /// The token service is refused, limited or broken.
    Login(u16),
}

impl Failure {
    fn begin(self, upstream: &FakeUpstream, tokens: &TokenService) {
        let behaviour = match self {
            Self::Refused => return upstream.refuse(),
            Self::Hanging => Behaviour::hang(),
            Self::Dropping => Behaviour::drop_connection(),
            Self::Status(status) => Behaviour::status(status),
            Self::Limited => Behaviour::limited(17),
            Self::Login(status) => {
                tokens.expire_all();
                let answer = if status == 429 { Behaviour::limited(17) } else { Behaviour::status(status) };
                upstream.on("*", "/token", answer);
                return;
            }
        };
        upstream.on("*", "/v2/", behaviour);
    }

    /// The status of what cannot be had.
    fn expected(self) -> u16 {
        match self {
            Self::Refused | Self::Dropping => 502,
            Self::Hanging => 504,
            Self::Status(401) => 401,
            Self::Status(403) => 403,
            Self::Status(404) => 404,
            Self::Status(_) => 502,
            Self::Limited => 429,
            // The token service does not like our password, which is upstream's own word.
            Self::Login(401) => 401,
            Self::Login(_) => 503,
        }
    }

    /// Upstream has said no, as opposed to nothing.
    fn is_answer(self) -> bool {
        matches!(self, Self::Status(401 | 403 | 404) | Self::Login(401))
    }
}

/// A process that has pulled `latest` of the upstream.
struct Pulled {
    upstream: FakeUpstream,
    tokens: TokenService,
    image: Image,
    proxy: Proxy,
}

impl Pulled {
    async fn new(login: bool) -> Self {
        let upstream = FakeUpstream::start().await;
        let tokens = TokenService::new(TokenRules::default());
        if login {
            upstream.require_tokens(&tokens, upstream.realm());
            upstream.host_tokens(&tokens);
        }
        let image = upstream.image(REPO, "latest", 1, &[300_000]);
        upstream.image(REPO, "cold", 2, &[10]);
        let mut setup = Setup::of(&upstream).impatient().fresh_tags();
        setup.cache.set("fill_attempts", 2);
        let proxy = setup.start().await;
        proxy.get(&manifest(REPO, "latest")).await.assert_body(&image.manifest.bytes);
        proxy.get(&blob(REPO, &image.layer().digest)).await.assert_body(&image.layer().bytes);
        proxy.get(&blob(REPO, &image.config.digest)).await.assert_body(&image.config.bytes);
        Self { upstream, tokens, image, proxy }
    }

    async fn check(&self, failure: Failure, when: &str) {
        println!("{failure:?}, {when}");
        let expected = failure.expected();
        for method in ["GET", "HEAD"] {
            let cached = self.proxy.client().request(method, &manifest(REPO, "latest"), &[]).await;
            if failure.is_answer() {
                cached.assert_status(expected);
            } else {
                cached.assert_status(200);
                assert_stale(&cached);
                assert!(method == "HEAD" || cached.body == self.image.manifest.bytes);
            }
            let cold = self.proxy.client().request(method, &manifest(REPO, "cold"), &[]).await;
            cold.assert_status(expected);
            if failure == Failure::Limited {
                assert!(cold.header("retry-after").is_some_and(|seconds| seconds.parse::<u32>().is_ok()));
            }
        }
        let cold = self.proxy.get(&blob(REPO, &crate::upstream::sha256(b"cold"))).await;
        cold.assert_status(expected);
        assert!(cold.json()["errors"][0]["message"].is_string());
        assert!(cold.header("x-request-id").is_some());
        // A digest never changes: what is kept is served whatever upstream says.
        let by_digest = self.proxy.get(&manifest(REPO, &self.image.manifest.digest)).await;
        by_digest.assert_body(&self.image.manifest.bytes);
        assert_eq!(by_digest.header("warning"), None);
        for part in [self.image.layer(), &self.image.config] {
            self.proxy.get(&blob(REPO, &part.digest)).await.assert_body(&part.bytes);
        }
        self.proxy.admin().get("/readyz").await.assert_status(200);
    }
}

#[track_caller]
fn assert_stale(answer: &Answer) {
    let warning = answer.header("warning").expect("a Warning on a stale answer");
    assert!(warning.starts_with("110 ") || warning.starts_with("111 "), "{warning}");
    assert!(answer.header("age").is_some_and(|age| age.parse::<u64>().is_ok()), "{:?}", answer.headers);
}

async fn table(failures: &[Failure]) {
    for failure in failures {
        let mut pulled = Pulled::new(matches!(failure, Failure::Login(_))).await;
        failure.begin(&pulled.upstream, &pulled.tokens);
        pulled.check(*failure, "in the same process").await;
        pulled.proxy.restart().await;
        pulled.check(*failure, "after a restart").await;
    }
}

#[tokio::test]
async fn table_unreachable() {
    table(&[Failure::Refused, Failure::Dropping]).await;
}

#[tokio::test]
async fn table_hanging() {
    table(&[Failure::Hanging]).await;
}

#[tokio::test]
async fn table_server_errors() {
    table(&[Failure::Status(500), Failure::Status(502), Failure::Status(503)]).await;
}

#[tokio::test]
async fn c46_c47_table_limited() {
    table(&[Failure::Limited]).await;
}

#[tokio::test]
async fn c50_table_answers() {
    table(&[Failure::Status(401), Failure::Status(403), Failure::Status(404)]).await;
}

#[tokio::test]
async fn c48_table_login_failures() {
    table(&[Failure::Login(429), Failure::Login(500), Failure::Login(503), Failure::Login(401)]).await;
}

#[tokio::test]
async fn c46_limited_with_a_local_copy() {
    let pulled = Pulled::new(false).await;
    pulled.upstream.on("*", "/v2/", Behaviour::limited(60));
    let answer = pulled.proxy.get(&manifest(REPO, "latest")).await;
    answer.assert_body(&pulled.image.manifest.bytes);
    assert_stale(&answer);
    let metrics = pulled.proxy.metrics().await;
    assert!(metrics.with("entrepot_cache_requests_total", &[("outcome", "stale")]) >= 1.0);
    // When the limit is lifted, so is the mark.
    pulled.upstream.forget_all();
    crate::bound::until_async("fresh again", async || {
        let answer = pulled.proxy.get(&manifest(REPO, "latest")).await;
        answer.assert_body(&pulled.image.manifest.bytes);
        answer.header("warning").is_none()
    })
    .await;
}

#[tokio::test]
async fn c47_limited_without_a_local_copy() {
    let upstream = FakeUpstream::start().await;
    upstream.image(REPO, "latest", 1, &[10]);
    upstream.on("*", "/v2/", Behaviour::limited(17));
    let proxy = Setup::of(&upstream).fresh_tags().start().await;
    let answer = proxy.get(&manifest(REPO, "latest")).await;
    answer.assert_error(429, "TOOMANYREQUESTS");
    let seconds: u32 = answer.header("retry-after").expect("Retry-After").parse().expect("seconds");
    assert!((1..=17).contains(&seconds), "{seconds}");
}

#[tokio::test]
async fn c49_a_hanging_upstream_is_not_waited_for() {
    let pulled = Pulled::new(false).await;
    pulled.upstream.on("*", "/v2/", Behaviour::hang());
    let ask = async || pulled.proxy.get(&manifest(REPO, "latest")).await;
    for answer in join_all((0..5).map(|_| ask())).await {
        answer.assert_body(&pulled.image.manifest.bytes);
        assert_stale(&answer);
    }
}

#[tokio::test]
async fn c49_too_stale_is_not_served() {
    let upstream = FakeUpstream::start().await;
    upstream.image(REPO, "latest", 1, &[10]);
    let mut setup = Setup::of(&upstream).impatient().fresh_tags();
    setup.hub().text("stale_if_error", "0s");
    let proxy = setup.start().await;
    proxy.get(&manifest(REPO, "latest")).await.assert_status(200);
    upstream.refuse();
    proxy.get(&manifest(REPO, "latest")).await.assert_status(502);
}

#[tokio::test]
async fn c50_a_repository_that_is_hidden_by_a_401() {
    // Docker Hub and GHCR give a token for anything, and then answer 401 for what does not exist.
    let upstream = FakeUpstream::start().await;
    let tokens = TokenService::new(TokenRules::default());
    upstream.require_tokens(&tokens, upstream.realm());
    upstream.host_tokens(&tokens);
    let image = upstream.image(REPO, "latest", 1, &[10]);
    let proxy = Setup::of(&upstream).fresh_tags().start().await;
    proxy.get(&manifest(REPO, "latest")).await.assert_body(&image.manifest.bytes);
    upstream.on("*", "/v2/secret/", Behaviour::status(401));
    proxy.get(&manifest("secret/app", "latest")).await.assert_error(401, "UNAUTHORIZED");
    // What is kept for another repository is not found under this name.
    for path in [
        manifest("secret/app", &image.manifest.digest),
        blob("secret/app", &image.layer().digest),
        blob("secret/app", &image.config.digest),
    ] {
        proxy.get(&path).await.assert_status(401);
        proxy.head(&path).await.assert_status(401);
    }
    assert!(upstream.count("*", "/v2/secret/") < 20, "a refusal is not retried without end");
}

#[tokio::test]
async fn c51_upstream_is_down_at_the_start() {
    let mut pulled = Pulled::new(false).await;
    pulled.proxy.terminate().await;
    pulled.upstream.refuse();
    pulled.proxy.start().await;
    let answer = pulled.proxy.get(&manifest(REPO, "latest")).await;
    answer.assert_body(&pulled.image.manifest.bytes);
    assert_stale(&answer);
    pulled.proxy.get(&blob(REPO, &pulled.image.layer().digest)).await.assert_body(&pulled.image.layer().bytes);
    // And it comes back without a restart.
    let new = pulled.upstream.image(REPO, "latest", 5, &[10]);
    pulled.upstream.accept().await;
    crate::bound::until_async("the new image is seen", async || {
        pulled.proxy.get(&manifest(REPO, "latest")).await.body == new.manifest.bytes
    })
    .await;
}

#[tokio::test]
async fn c51_a_first_start_without_any_upstream() {
    let upstream = FakeUpstream::start().await;
    upstream.refuse();
    let proxy = Setup::of(&upstream).start().await;
    proxy.get("/v2/").await.assert_status(200);
    proxy.get(&manifest(REPO, "latest")).await.assert_status(502);
}

#[tokio::test]
async fn c52_one_hanging_upstream_blocks_no_other() {
    let (sick, healthy) = (FakeUpstream::start().await, FakeUpstream::start().await);
    let gate = Gate::new();
    sick.on("*", "/v2/", Behaviour::status(500).gate_head(&gate));
    let image = healthy.image(REPO, "latest", 1, &[300_000]);
    let mut setup = Setup::of(&sick);
    setup.add("healthy", &healthy.url());
    let proxy = setup.start().await;
    let mut waiting = Vec::new();
    for at in 0..40 {
        let digest = crate::upstream::sha256(&[at]);
        waiting.push(proxy.client().open("GET", &blob(REPO, &digest), &[]).await);
        waiting.push(proxy.client().open("GET", &manifest(REPO, &format!("t{at}")), &[]).await);
    }
    gate.reached_by(20).await;
    proxy.get(&format!("/v2/healthy/{REPO}/manifests/latest")).await.assert_body(&image.manifest.bytes);
    let layer = image.layer();
    proxy.get(&format!("/v2/healthy/{REPO}/blobs/{}", layer.digest)).await.assert_body(&layer.bytes);
    gate.open();
    for exchange in waiting {
        assert_eq!(exchange.rest().await.status, 502);
    }
}

#[tokio::test]
async fn c52_a_second_url_takes_over() {
    let (first, second) = (FakeUpstream::start().await, FakeUpstream::start().await);
    let image = second.image(REPO, "latest", 1, &[300_000]);
    first.refuse();
    let mut setup = Setup::of(&first).impatient();
    setup.hub().texts("url", &[&first.url(), &second.url()]);
    let proxy = setup.start().await;
    proxy.get(&manifest(REPO, "latest")).await.assert_body(&image.manifest.bytes);
    proxy.get(&blob(REPO, &image.layer().digest)).await.assert_body(&image.layer().bytes);
}

#[tokio::test]
async fn c52_a_broken_circuit_lets_a_probe_through() {
    let upstream = FakeUpstream::start().await;
    let image = upstream.image(REPO, "latest", 1, &[10]);
    let sick = upstream.on("*", "/v2/", Behaviour::status(500));
    let proxy = Setup::of(&upstream).impatient().fresh_tags().start().await;
    for at in 0..20 {
        proxy.get(&manifest(REPO, &format!("t{at}"))).await.assert_status(502);
    }
    crate::bound::until_async("the circuit opens", async || {
        proxy.metrics().await.with("entrepot_upstream_available", &[("upstream", HUB)]) == 0.0
    })
    .await;
    upstream.forget(sick);
    crate::bound::until_async("the circuit closes", async || {
        proxy.get(&manifest(REPO, "latest")).await.body == image.manifest.bytes
    })
    .await;
    assert_eq!(proxy.metrics().await.with("entrepot_upstream_available", &[("upstream", HUB)]), 1.0);
}

#[tokio::test]
async fn c53_no_head_for_a_digest() {
    let upstream = FakeUpstream::start().await;
    let image = upstream.image(REPO, "latest", 1, &[10]);
    let proxy = Setup::of(&upstream).fresh_tags().start().await;
    for _ in 0..3 {
        proxy.get(&manifest(REPO, &image.manifest.digest)).await.assert_body(&image.manifest.bytes);
        proxy.head(&manifest(REPO, &image.manifest.digest)).await.assert_status(200);
    }
    assert_eq!(upstream.count("HEAD", "/manifests/"), 0);
    assert_eq!(upstream.count("GET", "/manifests/"), 1);
}

#[tokio::test]
async fn c53_the_remaining_pulls_are_a_gauge() {
    let upstream = FakeUpstream::start().await;
    upstream.image(REPO, "latest", 1, &[10]);
    let limits =
        Behaviour::usual().header("ratelimit-limit", "100;w=21600").header("ratelimit-remaining", "76;w=21600");
    upstream.on("*", "/manifests/", limits);
    let proxy = Proxy::of(&upstream).await;
    proxy.get(&manifest(REPO, "latest")).await.assert_status(200);
    let metrics = proxy.metrics().await;
    assert_eq!(metrics.with("entrepot_upstream_rate_limit", &[("upstream", HUB)]), 100.0);
    assert_eq!(metrics.with("entrepot_upstream_rate_limit_remaining", &[("upstream", HUB)]), 76.0);
}

#[tokio::test]
async fn c54_a_dead_process_refuses_at_once() {
    let upstream = FakeUpstream::start().await;
    let mut proxy = Proxy::of(&upstream).await;
    proxy.terminate().await;
    let error = proxy.client().try_open("GET", "/v2/", &[]).await.err().expect("nobody listens");
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionRefused);
}

#[tokio::test]
async fn c54_tls_on_a_plaintext_port_is_closed_at_once() {
    let upstream = FakeUpstream::start().await;
    let proxy = Proxy::of(&upstream).await;
    let mut stream = proxy.client().connect().await.unwrap();
    // The beginning of a ClientHello; the rest is never sent, so only closing at once ends this.
    stream.write_all(&[0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3]).await.unwrap();
    let mut answer = Vec::new();
    let _ = within("the connection is closed", stream.read_to_end(&mut answer)).await;
    assert!(!answer.starts_with(b"HTTP/1.1 2"));
    proxy.get("/v2/").await.assert_status(200);
}

#[tokio::test]
async fn c54_silent_connections_take_no_place() {
    let upstream = FakeUpstream::start().await;
    let digest = upstream.blob(REPO, noise(1, 1000));
    let proxy = Proxy::of(&upstream).await;
    let silent = join_all((0..200).map(|_| async { proxy.client().connect().await.unwrap() })).await;
    proxy.get(&blob(REPO, &digest)).await.assert_status(200);
    drop(silent);
}

#[tokio::test]
async fn negative_answers_are_remembered_for_seconds() {
    let upstream = FakeUpstream::start().await;
    upstream.image(REPO, "latest", 1, &[10]);
    let mut setup = Setup::of(&upstream);
    setup.hub().text("negative_ttl", "2s");
    let proxy = setup.start().await;
    for _ in 0..10 {
        proxy.get(&manifest(REPO, "absent")).await.assert_error(404, "MANIFEST_UNKNOWN");
    }
    assert!(upstream.count("*", "/manifests/absent") <= 3, "{:?}", upstream.log());
    let image = upstream.image(REPO, "absent", 2, &[10]);
    crate::bound::until_async("the tag is seen", async || {
        proxy.get(&manifest(REPO, "absent")).await.body == image.manifest.bytes
    })
    .await;
}

/// Nobody asks, and yet it is seen when upstream works again.
#[tokio::test]
async fn nm3_an_open_circuit_is_probed() {
    let upstream = FakeUpstream::start().await;
    let image = upstream.image(REPO, "latest", 1, &[10]);
    let proxy = Setup::of(&upstream).impatient().fresh_tags().start().await;
    upstream.refuse();
    for at in 0..5 {
        proxy.get(&manifest(REPO, &format!("t{at}"))).await.assert_status(502);
    }
    let available = async || proxy.metrics().await.with("entrepot_upstream_available", &[("upstream", HUB)]);
    crate::bound::until_async("the circuit opens", async || available().await == 0.0).await;
    // A circuit that is open for refused connections is never left alone for longer than five seconds.
    let refused = proxy.get(&manifest(REPO, "latest")).await;
    refused.assert_status(502);
    let told: u64 = refused.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=5).contains(&told), "{told}");
    upstream.accept().await;
    crate::bound::until_async("the circuit closes by itself", async || available().await == 1.0).await;
    assert_eq!(upstream.count("*", "/manifests/latest"), 0);
    proxy.get(&manifest(REPO, "latest")).await.assert_body(&image.manifest.bytes);
}

/// A password that upstream does not take is told to the operator, and forgotten once it is mended.
#[tokio::test]
async fn nm2_a_wrong_password_is_told_and_forgotten() {
    for by_token in [false, true] {
        let upstream = FakeUpstream::start().await;
        let image = upstream.image(REPO, "latest", 1, &[10]);
        if by_token {
            let tokens =
                TokenService::new(TokenRules { credential: Some(("robot", "right")), ..TokenRules::default() });
            upstream.require_tokens(&tokens, upstream.realm());
            upstream.host_tokens(&tokens);
        } else {
            upstream.require_basic("robot", "right");
        }
        let mut setup = Setup::of(&upstream);
        setup.hub().text("username", "robot").text("password", "wrong").text("negative_ttl", "1h");
        let mut proxy = setup.start().await;
        for _ in 0..3 {
            proxy.get(&manifest(REPO, "latest")).await.assert_status(401);
        }
        assert!(proxy.metrics().await.with("entrepot_upstream_login_failures_total", &[("upstream", HUB)]) >= 1.0);
        // The log is written beside the requests.
        crate::bound::until("it is told", || proxy.log().contains("the login at an upstream fails")).await;
        let log = proxy.log();
        assert_eq!(log.matches("the login at an upstream fails").count(), 1, "once a minute: {log}");
        proxy.setup.hub().text("password", "right");
        proxy.reload().await;
        proxy.get(&manifest(REPO, "latest")).await.assert_body(&image.manifest.bytes);
    }
}

/// A proxy from the environment is told at the start and in errors, by its address and without its login.
#[tokio::test]
async fn nm16_a_proxy_from_the_environment_is_told() {
    let upstream = FakeUpstream::start().await;
    upstream.image(REPO, "latest", 1, &[10]);
    let dead = FakeUpstream::start().await;
    dead.refuse();
    let mut setup = Setup::of(&upstream);
    setup.environment.insert("HTTP_PROXY".to_owned(), format!("http://user:secret@{}", dead.host()));
    let proxy = setup.start().await;
    let answer = proxy.get(&manifest(REPO, "latest")).await;
    answer.assert_status(502);
    for part in [upstream.host(), format!("http://{}", dead.host()), "from the environment".to_owned()] {
        assert!(answer.text().contains(&part), "{part}: {}", answer.text());
    }
    crate::bound::until("it is told", || proxy.log().contains("this upstream is asked through a proxy")).await;
    assert!(!proxy.log().contains("secret") && !answer.text().contains("secret"));
}

/// The key goes before the environment.
#[tokio::test]
async fn nm16_a_proxy_for_each_upstream() {
    let (upstream, dead) = (FakeUpstream::start().await, FakeUpstream::start().await);
    let image = upstream.image(REPO, "latest", 1, &[10]);
    dead.refuse();
    let mut setup = Setup::of(&upstream);
    setup.hub().text("proxy", "none");
    setup.add("beyond", "http://registry.example").text("proxy", upstream.url());
    setup.environment.insert("HTTP_PROXY".to_owned(), dead.url());
    let proxy = setup.start().await;
    proxy.get(&manifest(REPO, "latest")).await.assert_body(&image.manifest.bytes);
    let beyond = proxy.get(&format!("/v2/beyond/{REPO}/manifests/latest")).await;
    beyond.assert_body(&image.manifest.bytes);
    let asked = upstream.asked("*", "/manifests/latest");
    assert_eq!(asked.last().unwrap().header("host"), Some("registry.example"));
}
