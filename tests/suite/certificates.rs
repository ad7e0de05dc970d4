//! Certificates of clients: whose they are, and what is refused in the handshake already.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine;
use rcgen::{BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyPair, SanType};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use serde_json::Value;

use crate::bound::until_async;
use crate::proxy::{Proxy, Setup, manifest};
use crate::push::path;
use crate::upstream::{FakeUpstream, Image};

const REPO: &str = "team/app";

const RULES: &str = r#"
[[certificate]]
name = "dns:*.nodes.example"
role = "nodes"
policies = ["PullOnly"]

[[certificate]]
name = "uri:spiffe://cluster.example/ns/ci/*"
role = "ci"
policies = ["FullAccess"]

[[certificate]]
name = "email:ann@example.org"
user = "ann"

[[certificate]]
name = "cn:ghost"
user = "ghost"

[[certificate]]
name = "cn:odd*"
role = "odd"
"#;

const USERS: &str = r#"
[[user]]
name = "ann"
password = "ann-open-sesame"
policies = ["PullOnly"]

[[user]]
name = "nobody"
password = "nobody-open-sesame"
"#;

const HTTP_1: &str = "http/1.1";
const HTTP_2: &str = "h2";

struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: rcgen::Certificate,
}

impl Authority {
    fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name = common_name(name);
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        Self { issuer: Issuer::new(params, key), certificate }
    }

    fn issue(&self, params: CertificateParams) -> Shown {
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        Shown { certificate, key }
    }

    fn of(&self, names: &[SanType]) -> Shown {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.subject_alt_names = names.to_vec();
        self.issue(params)
    }

    fn called(&self, name: &str) -> Shown {
        let mut params = CertificateParams::default();
        params.distinguished_name = common_name(name);
        self.issue(params)
    }
}

/// A certificate and its key.
struct Shown {
    certificate: rcgen::Certificate,
    key: KeyPair,
}

fn common_name(name: &str) -> DistinguishedName {
    let mut names = DistinguishedName::new();
    names.push(DnType::CommonName, name);
    names
}

fn dns(name: &str) -> SanType {
    SanType::DnsName(name.try_into().unwrap())
}

fn uri(name: &str) -> SanType {
    SanType::URI(name.try_into().unwrap())
}

fn email(name: &str) -> SanType {
    SanType::Rfc822Name(name.try_into().unwrap())
}

/// A registry that speaks TLS and knows an authority of clients.
struct Site {
    servers: Authority,
    clients: Authority,
    folder: tempfile::TempDir,
    image: Image,
    upstream: FakeUpstream,
    proxy: Proxy,
}

impl Site {
    async fn start(demand: &str, rules: &str) -> Self {
        let (servers, clients) = (Authority::new("servers"), Authority::new("clients"));
        let folder = tempfile::tempdir().unwrap();
        let server = servers.of(&[dns("localhost")]);
        let file = |name: &str| folder.path().join(name);
        std::fs::write(file("server.pem"), server.certificate.pem()).unwrap();
        std::fs::write(file("server.key"), server.key.serialize_pem()).unwrap();
        std::fs::write(file("clients.pem"), clients.certificate.pem()).unwrap();
        let upstream = FakeUpstream::start().await;
        let image = upstream.image(REPO, "latest", 1, &[5000]);
        let mut setup = Setup::of(&upstream);
        setup.tls = Some(format!(
            "{{ certificate = {:?}, key = {:?}, client_ca = {:?}, client_certificate = {demand:?} }}",
            file("server.pem"),
            file("server.key"),
            file("clients.pem")
        ));
        setup.log.text("audit", file("audit").to_str().unwrap()).text("level", "debug");
        setup.more = format!("{USERS}{rules}");
        let proxy = setup.start().await;
        Self { servers, clients, folder, image, upstream, proxy }
    }

    fn client(&self, shown: Option<&Shown>, protocol: &str) -> reqwest::Client {
        let builder = reqwest::Client::builder().tls_backend_preconfigured(self.tls(shown, protocol)).no_proxy();
        builder.resolve("localhost", self.address()).build().unwrap()
    }

    fn tls(&self, shown: Option<&Shown>, protocol: &str) -> rustls::ClientConfig {
        self.tls_of(rustls::DEFAULT_VERSIONS, shown, protocol)
    }

    fn tls_of(
        &self,
        versions: &[&'static rustls::SupportedProtocolVersion],
        shown: Option<&Shown>,
        protocol: &str,
    ) -> rustls::ClientConfig {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(self.servers.certificate.der().clone()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = rustls::ClientConfig::builder_with_provider(provider).with_protocol_versions(versions).unwrap();
        let builder = builder.with_root_certificates(roots);
        let mut config = match shown {
            None => builder.with_no_client_auth(),
            Some(Shown { certificate, key }) => {
                let chain: Vec<CertificateDer<'static>> = vec![certificate.der().clone()];
                let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
                builder.with_client_auth_cert(chain, key).unwrap()
            }
        };
        config.alpn_protocols = vec![protocol.as_bytes().to_vec()];
        config
    }

    fn address(&self) -> SocketAddr {
        self.proxy.client().host().parse().unwrap()
    }

    fn url(&self, path: &str) -> String {
        format!("https://localhost:{}{path}", self.address().port())
    }

    async fn pull(&self, client: &reqwest::Client, authorization: Option<&str>) -> reqwest::Result<reqwest::Response> {
        let request = client.get(self.url(&manifest(REPO, "latest")));
        authorization.into_iter().fold(request, |request, value| request.header("Authorization", value)).send().await
    }

    /// The status of a pull with this certificate over HTTP/1.1; `None` where the handshake fails.
    async fn pulls(&self, shown: Option<&Shown>, authorization: Option<&str>) -> Option<u16> {
        let answer = self.pull(&self.client(shown, HTTP_1), authorization).await;
        answer.ok().map(|answer| answer.status().as_u16())
    }

    async fn begins_a_push(&self, shown: &Shown) -> u16 {
        let to = self.url(&path("team/own", "blobs/uploads/"));
        self.client(Some(shown), HTTP_1).post(to).body("").send().await.unwrap().status().as_u16()
    }

    /// What was refused, as the audit log has it: who asked, and how it was proven.
    fn refused(&self) -> Vec<(String, String)> {
        let text = std::fs::read_to_string(self.file("audit")).unwrap_or_default();
        let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let lines = lines.filter(|line| line["decision"] == "denied");
        let word = |line: &Value, key: &str| line[key].as_str().unwrap_or_default().to_owned();
        lines.map(|line| (word(&line, "principal"), word(&line, "means"))).collect()
    }

    fn file(&self, name: &str) -> PathBuf {
        Path::new(self.folder.path()).join(name)
    }
}

fn basic(user: &str, password: &str) -> String {
    let pair = base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}"));
    format!("Basic {pair}")
}

#[tokio::test]
async fn a_certificate_names_a_principal_over_both_protocols() {
    let site = Site::start("required", RULES).await;
    let node = site.clients.of(&[dns("elsewhere.example"), dns("one.nodes.example")]);
    for (protocol, version) in [(HTTP_1, http::Version::HTTP_11), (HTTP_2, http::Version::HTTP_2)] {
        let client = site.client(Some(&node), protocol);
        assert_eq!(client.get(site.url("/v2/")).send().await.unwrap().status(), 200, "nobody has to log in");
        // Each request of the connection is of the same principal.
        for _ in 0..2 {
            let answer = site.pull(&client, None).await.unwrap();
            assert_eq!((answer.status().as_u16(), answer.version()), (200, version));
            assert_eq!(answer.bytes().await.unwrap(), *site.image.manifest.bytes);
        }
    }
    let ann = site.clients.of(&[email("ann@example.org")]);
    assert_eq!(site.pulls(Some(&ann), None).await, Some(200));
    let builder = site.clients.of(&[uri("spiffe://cluster.example/ns/ci/sa/builder")]);
    assert_eq!(site.begins_a_push(&builder).await, 202);
    // What it may not, a policy says.
    assert_eq!(site.begins_a_push(&node).await, 403);
    assert_eq!(site.begins_a_push(&ann).await, 403);
    let refused = [
        ("arn:aws:sts::000000000000:assumed-role/nodes/one.nodes.example", "certificate"),
        ("arn:aws:iam::000000000000:user/ann", "certificate"),
    ];
    let refused = refused.map(|(principal, means)| (principal.to_owned(), means.to_owned()));
    until_async("the refusals are written down", async || site.refused() == refused).await;
}

#[tokio::test]
async fn a_certificate_that_no_rule_knows_names_nobody() {
    let site = Site::start("required", RULES).await;
    for names in [
        vec![],
        vec![dns("nodes.example")],
        vec![dns("one.nodes.example.evil.example")],
        // A wildcard is of nobody in particular.
        vec![dns("*.nodes.example")],
        vec![uri("https://one.nodes.example"), email("one@x.nodes.example")],
        vec![SanType::IpAddress("127.0.0.1".parse().unwrap())],
    ] {
        assert_eq!(site.pulls(Some(&site.clients.of(&names)), None).await, Some(401), "{names:?}");
    }
    assert_eq!(site.pulls(Some(&site.clients.called("one.nodes.example")), None).await, Some(401));
    assert!(site.proxy.log().contains("a client's certificate matches no rule"));
    // A rule for somebody who is not there.
    let answer = site.pull(&site.client(Some(&site.clients.called("ghost")), HTTP_1), None).await.unwrap();
    assert_eq!(answer.status(), 401);
    assert!(answer.text().await.unwrap().contains("who is not there"));
    assert!(site.upstream.log().is_empty(), "upstream is not asked for who may not");
}

/// What stands in a name stays within the session's part of the ARN.
#[tokio::test]
async fn no_name_becomes_another_principal() {
    let site = Site::start("required", RULES).await;
    for name in ["odd/../../user/ann", "odd:user/ann", "odd", "odd*", "odd arn:aws:iam::000000000000:user/ann"] {
        assert_eq!(site.pulls(Some(&site.clients.called(name)), None).await, Some(403), "{name}");
    }
    until_async("the refusals are written down", async || site.refused().len() == 5).await;
    let mut seen = std::collections::BTreeSet::new();
    for (principal, _) in site.refused() {
        let session = principal.strip_prefix("arn:aws:sts::000000000000:assumed-role/odd/").unwrap();
        let right = |c: char| c.is_ascii_alphanumeric() || "_+=,.@-".contains(c);
        assert!(session.starts_with("odd") && session.chars().all(right), "{principal}");
        assert!(seen.insert(session.to_owned()), "two names are two sessions: {principal}");
    }
}

#[tokio::test]
async fn another_credential_goes_before() {
    let site = Site::start("required", RULES).await;
    let node = site.clients.of(&[dns("one.nodes.example")]);
    let nobody = basic("nobody", "nobody-open-sesame");
    assert_eq!(site.pulls(Some(&node), Some(&nobody)).await, Some(403), "the certificate's rights do not help nobody");
    for wrong in [&basic("ann", "wrong"), "Bearer x.y.z", "Basic !", "Negotiate x", ""] {
        assert_eq!(site.pulls(Some(&node), Some(wrong)).await, Some(401), "{wrong}");
    }
    let stranger = site.clients.of(&[]);
    assert_eq!(site.pulls(Some(&stranger), Some(&basic("ann", "ann-open-sesame"))).await, Some(200));
}

#[tokio::test]
async fn what_the_handshake_refuses() {
    let names = [dns("one.nodes.example")];
    let others = Authority::new("clients");
    for demand in ["required", "optional"] {
        let site = Site::start(demand, RULES).await;
        let mut ended = CertificateParams::new(["one.nodes.example".to_owned()]).unwrap();
        ended.not_after = rcgen::date_time_ymd(2020, 1, 1);
        assert_eq!(site.pulls(Some(&others.of(&names)), None).await, None, "another authority, {demand}");
        assert_eq!(site.pulls(Some(&site.clients.issue(ended)), None).await, None, "expired, {demand}");
        assert_eq!(site.pulls(Some(&site.clients.of(&names)), None).await, Some(200), "{demand}");
        let without = if demand == "optional" { [Some(401), Some(200)] } else { [None, None] };
        let ann = basic("ann", "ann-open-sesame");
        assert_eq!([site.pulls(None, None).await, site.pulls(None, Some(&ann)).await], without, "{demand}");
    }
}

#[tokio::test]
async fn a_token_for_a_certificate() {
    let mut site = Site::start("optional", RULES).await;
    let node = site.clients.of(&[dns("one.nodes.example")]);
    let to = format!("/token?service=x&offline_token=true&scope=repository:{}/{REPO}:pull,push", crate::proxy::HUB);
    let token = async |shown: Option<&Shown>| {
        let answer = site.client(shown, HTTP_2).get(site.url(&to)).send().await.unwrap();
        assert_eq!(answer.status(), 200);
        serde_json::from_slice::<Value>(&answer.bytes().await.unwrap()).unwrap()
    };
    let bearer = |token: &Value| format!("Bearer {}", token["token"].as_str().unwrap());
    let granted = token(Some(&node)).await;
    assert_eq!(granted.get("refresh_token"), None, "nothing that outlives the certificate");
    // It is as good where no certificate is shown.
    assert_eq!(site.pulls(None, Some(&bearer(&granted))).await, Some(200));
    let anonymous = token(None).await;
    assert_eq!(site.pulls(Some(&node), Some(&bearer(&anonymous))).await, Some(401), "it is a token for nobody");
    // A password goes before the certificate here, too, and a wrong one is wrong.
    let client = site.client(Some(&node), HTTP_1);
    let wrong = client.get(site.url(&to)).header("Authorization", basic("ann", "wrong")).send().await.unwrap();
    assert_eq!(wrong.status(), 401);
    // Without its rule the role is no more.
    drop(client);
    site.proxy.setup.more = format!("{USERS}[[certificate]]\nname = \"cn:x\"\nuser = \"ann\"\n");
    site.proxy.restart().await;
    assert_eq!(site.pulls(None, Some(&bearer(&granted))).await, Some(401));
    assert_eq!(site.pulls(Some(&node), None).await, Some(401));
}

#[tokio::test]
async fn a_changed_authority_holds_from_the_next_connection_on() {
    let mut site = Site::start("required", RULES).await;
    let old = site.clients.of(&[dns("one.nodes.example")]);
    let others = Authority::new("others");
    let new = others.of(&[dns("one.nodes.example")]);
    assert_eq!([site.pulls(Some(&old), None).await, site.pulls(Some(&new), None).await], [Some(200), None]);
    std::fs::write(site.file("clients.pem"), others.certificate.pem()).unwrap();
    site.proxy.reload().await;
    assert_eq!([site.pulls(Some(&old), None).await, site.pulls(Some(&new), None).await], [None, Some(200)]);
}

/// A resumed session would go on with a certificate that was verified long ago.
#[tokio::test]
async fn every_connection_shows_its_certificate_anew() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let site = Site::start("optional", RULES).await;
    let node = site.clients.of(&[dns("one.nodes.example")]);
    for version in [&rustls::version::TLS13, &rustls::version::TLS12] {
        let config = site.tls_of(&[version], Some(&node), HTTP_1);
        let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
        for _ in 0..2 {
            let stream = tokio::net::TcpStream::connect(site.address()).await.unwrap();
            let mut stream = connector.connect("localhost".try_into().unwrap(), stream).await.unwrap();
            let request = format!("GET {} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", manifest(REPO, "latest"));
            stream.write_all(request.as_bytes()).await.unwrap();
            let mut answer = Vec::new();
            stream.read_to_end(&mut answer).await.unwrap();
            assert!(answer.starts_with(b"HTTP/1.1 200 "), "{}", answer.escape_ascii());
            assert_eq!(stream.get_ref().1.handshake_kind(), Some(rustls::HandshakeKind::Full), "{version:?}");
        }
    }
}

#[tokio::test]
async fn a_connection_that_outlives_its_certificate_is_refused() {
    let site = Site::start("required", RULES).await;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs().cast_signed();
    let mut short = CertificateParams::new(["one.nodes.example".to_owned()]).unwrap();
    short.not_after = time::OffsetDateTime::from_unix_timestamp(now + 5).unwrap();
    let client = site.client(Some(&site.clients.issue(short)), HTTP_2);
    assert_eq!(site.pull(&client, None).await.unwrap().status(), 200);
    until_async("the certificate ends", async || site.pull(&client, None).await.unwrap().status() == 401).await;
    let answer = site.pull(&client, None).await.unwrap();
    assert!(answer.text().await.unwrap().contains("connect with a new one"));
}
