//! Upstreams that move while they are asked: what the old place says is nothing that the new one has said.

use crate::bound::{until, within};
use crate::proxy::Setup;
use crate::upstream::{Behaviour, FakeUpstream, Gate};

const REPO: &str = "team/app";

#[tokio::test]
async fn h05_what_is_asked_before_a_move_is_no_answer_after_it() {
    let (old, new) = (FakeUpstream::start().await, FakeUpstream::start().await);
    old.image(REPO, "latest", 1, &[10]);
    old.image(REPO, "only-there", 1, &[10]);
    let image = new.image(REPO, "latest", 2, &[10]);
    let mut setup = Setup::new();
    setup.add("up", &old.url()).text("header_timeout", "50s");
    let mut proxy = setup.start().await;
    let (latest, tags) = (format!("/v2/up/{REPO}/manifests/latest"), format!("/v2/up/{REPO}/tags/list"));
    let gate = Gate::new();
    old.on("*", "manifests/latest", Behaviour::usual().gate_head(&gate));
    old.on("*", "tags/list", Behaviour::usual().gate_head(&gate));
    let early: Vec<_> = [("HEAD", latest.clone()), ("GET", tags.clone())]
        .into_iter()
        .map(|(method, path)| {
            let client = proxy.client();
            tokio::spawn(async move { client.request(method, &path, &[]).await.status })
        })
        .collect();
    let is_asked = || old.count("HEAD", "manifests/latest") > 0 && old.count("GET", "tags/list") > 0;
    until("the old place is asked", is_asked).await;
    proxy.setup.upstreams.clear();
    proxy.setup.add("up", &new.url());
    proxy.reload().await;
    let digest = image.manifest.digest.as_str();
    assert_eq!(proxy.head(&latest).await.header("docker-content-digest"), Some(digest));
    assert!(!proxy.get(&tags).await.text().contains("only-there"));
    gate.open();
    for asked in early {
        within("whoever asked before", asked).await.unwrap();
    }
    for _ in 0..2 {
        assert_eq!(proxy.head(&latest).await.header("docker-content-digest"), Some(digest));
        proxy.get(&latest).await.assert_body(&image.manifest.bytes);
        assert!(!proxy.get(&tags).await.text().contains("only-there"));
        proxy.restart().await;
    }
}
