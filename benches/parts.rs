//! What single parts cost: `cargo bench --bench parts`. The whole is measured by `benches/compare/run`.

use std::hint::black_box;
use std::time::SystemTime;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use entrepot::action::RequestedName;
use entrepot::meta::UsageCounts;
use entrepot::metering::{Meter, Whose};
use entrepot::oci::{AccountId, Algorithm, Digest, Hasher, Manifest, RangeRequest, Reference, RepositoryName};
use entrepot::policy::iam::{Context, Document, Kind, Policies, Principal, Question, decide};
use entrepot::registry::Names;
use entrepot::telemetry::Metrics;
use entrepot::upstream::{Upstream, parse_challenges};

// A private part of the cache. It names `crate::oci`, which here is the import below.
#[allow(dead_code)]
#[path = "../src/cache/eviction.rs"]
mod eviction;
mod oci {
    pub use entrepot::oci::Digest;
}

const FILE: eviction::Instance = eviction::Instance { id: 1, size: 1 << 20, verified: true };

const DIGEST: &str = "sha256:7b8bd9d6b1ba4a3a9a8b8b1b2f3b6c1f0e9d8c7b6a5948372615041302f1e0d9";
const CHALLENGE: &str =
    r#"Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:library/nginx:pull""#;
const HASHED_BYTES: usize = 512 << 10;
const KEPT_BLOBS: u64 = 10_000;

fn parsing(criterion: &mut Criterion) {
    let manifest = manifest();
    assert!(Manifest::parse(manifest.as_bytes()).is_ok());
    criterion.bench_function("parse a tag", |bencher| bencher.iter(|| black_box("1.29-alpine").parse::<Reference>()));
    criterion.bench_function("parse a digest", |bencher| bencher.iter(|| black_box(DIGEST).parse::<Reference>()));
    criterion.bench_function("parse a range", |bencher| {
        bencher.iter(|| RangeRequest::parse(black_box(Some("bytes=1048576-2097151")), 1 << 28));
    });
    criterion
        .bench_function("parse a challenge", |bencher| bencher.iter(|| parse_challenges(black_box(CHALLENGE)).len()));
    criterion.bench_function("parse a manifest of 12 layers", |bencher| {
        bencher.iter(|| Manifest::parse(black_box(manifest.as_bytes())));
    });
}

fn manifest() -> String {
    let layer =
        format!(r#"{{"mediaType":"application/vnd.oci.image.layer.v1.tar+gzip","digest":"{DIGEST}","size":31357624}}"#);
    format!(
        r#"{{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"{DIGEST}","size":7023}},"layers":[{}]}}"#,
        vec![layer; 12].join(",")
    )
}

fn hashing(criterion: &mut Criterion) {
    let bytes = vec![0x5a; HASHED_BYTES];
    let mut group = criterion.benchmark_group("hash 512 KiB");
    group.throughput(Throughput::Bytes(HASHED_BYTES as u64));
    for (name, algorithm) in [("sha256", Algorithm::Sha256), ("sha512", Algorithm::Sha512)] {
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                let mut hasher = Hasher::new(algorithm);
                hasher.update(black_box(&bytes));
                hasher.finish()
            });
        });
    }
    group.finish();
}

fn evicting(criterion: &mut Criterion) {
    let digests: Vec<Digest> = (0..KEPT_BLOBS).map(|number| Digest::of(&number.to_le_bytes())).collect();
    let full = || {
        let mut eviction = eviction::Eviction::new();
        digests.iter().for_each(|digest| eviction.insert(*digest, 1 << 20, FILE));
        eviction
    };
    let mut eviction = full();
    let mut digest = digests.iter().cycle();
    criterion.bench_function("pin and unpin a kept blob", |bencher| {
        bencher.iter(|| {
            let Some(digest) = digest.next() else { return };
            black_box(eviction.pin(digest));
            eviction.unpin(digest, FILE.id);
        });
    });
    let mut eviction = full();
    let mut number = KEPT_BLOBS;
    criterion.bench_function("insert a blob and evict one", |bencher| {
        bencher.iter(|| {
            number += 1;
            eviction.insert(Digest::of(&number.to_le_bytes()), 1 << 20, FILE);
            black_box(eviction.evict())
        });
    });
}

fn resolving(criterion: &mut Criterion) {
    let Some(names) = names() else { return };
    for (what, path, namespace) in [
        ("by prefix", "ghcr.io/team/project/image", None),
        ("by namespace", "library/nginx", Some("docker.io")),
        ("by default", "library/nginx", None),
    ] {
        let Ok(path) = path.parse::<RepositoryName>() else { return };
        let host = Some("127.0.0.1:5000".to_owned());
        let requested = RequestedName { path, namespace: namespace.map(str::to_owned), host, registry: None };
        assert!(names.resolve(&requested).is_ok());
        criterion.bench_function(&format!("resolve a name {what}"), |bencher| {
            bencher.iter(|| names.resolve(black_box(&requested)).is_ok());
        });
    }
}

/// The well-known upstreams.
fn names() -> Option<Names> {
    let settings = entrepot::config::parse("").ok()?;
    let metrics = Metrics::new().ok()?;
    let upstreams = settings.upstreams.into_iter().map(|one| Upstream::new(one, metrics.clone()));
    Some(Names::new("000000000000".parse().ok()?, upstreams.collect::<Result<_, _>>().ok()?))
}

/// A hundred statements of the usual forms, of which only the last one matches.
fn deciding(criterion: &mut Criterion) {
    let Ok(account) = "111122223333".parse::<AccountId>() else { return };
    let Ok(principal) = Principal::session("arn:aws:iam::111122223333:role/ci", "run1") else { return };
    let Ok(document) = Document::parse(Kind::Repository, &repository_policy(99), 1 << 20) else { return };
    let policies = Policies { repository: Some(&document), ..Policies::default() };
    let mut context = Context::with_capacity(8);
    context.add("aws:SourceIp", std::net::IpAddr::from([192, 0, 2, 9]));
    context.add("aws:SecureTransport", true);
    context.add("aws:UserAgent", "docker/29.0.1 go/go1.25 git-commit/abcdef kernel/6.12 os/linux arch/amd64");
    context.add("aws:ResourceTag/team", "core");
    let resource = "arn:aws:ecr:eu-west-1:111122223333:repository/team/app";
    let question = Question::new(&principal, "ecr:PutImage", resource, account, &context);
    assert!(decide(&policies, &question).is_allowed());
    criterion.bench_function("decide by 100 statements", |bencher| {
        bencher.iter(|| decide(black_box(&policies), black_box(&question)).is_allowed());
    });
}

fn repository_policy(others: usize) -> String {
    let mut statements: Vec<String> = (0..others)
        .map(|at| match at % 4 {
            0 => format!(
                r#"{{"Effect":"Allow","Principal":{{"AWS":["arn:aws:iam::111122223333:role/node-{at}","222233334444"]}},
                    "Action":["ecr:BatchGetImage","ecr:GetDownloadUrlForLayer","ecr:PutImage"]}}"#
            ),
            1 => format!(
                r#"{{"Effect":"Allow","Principal":"*","Action":"ecr:*Image","Resource":"arn:aws:ecr:*:*:repository/other-{at}/*"}}"#
            ),
            2 => r#"{"Effect":"Deny","Principal":"*","Action":"ecr:*",
                    "Condition":{"NotIpAddress":{"aws:SourceIp":["192.0.2.0/24","198.51.100.0/24","2001:db8::/48"]}}}"#
                .to_owned(),
            _ => r#"{"Effect":"Deny","Principal":"*","Action":["ecr:Delete*","ecr:BatchDeleteImage","ecr:Put*"],
                    "Condition":{"StringLike":{"aws:UserAgent":["curl/*","*python*requests*"]}}}"#
                .to_owned(),
        })
        .collect();
    statements.push(
        r#"{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::111122223333:role/ci"},"Action":"ecr:*"}"#.to_owned(),
    );
    format!(r#"{{"Version":"2012-10-17","Statement":[{}]}}"#, statements.join(","))
}

/// Each request counts once: for a pair of names that others counted for just now, or for one of many.
fn metering(criterion: &mut Criterion) {
    let (Ok(settings), Ok(metrics), Ok(account)) =
        (entrepot::config::parse(""), Metrics::new(), "111122223333".parse::<AccountId>())
    else {
        return;
    };
    let principal = "arn:aws:iam::111122223333:role/ci";
    for (name, others) in [("count a use", 1), ("count a use among 10,000", 10_000)] {
        let meter = Meter::new(&settings.metering, account, metrics.clone());
        let names: Vec<String> = (0..others).map(|number| format!("docker.io/library/app-{number}")).collect();
        let mut next = names.iter().cycle();
        criterion.bench_function(name, |bencher| {
            bencher.iter(|| {
                let Some(repository) = next.next() else { return };
                let counts = UsageCounts { requests: 1, pulls: 1, sent_bytes: 1000, ..UsageCounts::default() };
                meter.count(black_box(Whose { account, repository, principal }), counts, SystemTime::now());
            });
        });
    }
}

criterion_group!(parts, parsing, hashing, evicting, resolving, deciding, metering);
criterion_main!(parts);
