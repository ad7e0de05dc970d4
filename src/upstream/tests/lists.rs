//! Tags and referrers, page by page.

use super::fake::{Answer, Fake, Seen, answer};
use super::{digest, repository};
use crate::oci::MediaType;
use crate::upstream::{Error, ErrorKind};

async fn tags(handler: fn(&Seen) -> Answer) -> Result<Vec<String>, Error> {
    Fake::new(handler)
        .await
        .upstream()
        .tags(&repository())
        .await
        .map(|tags| tags.value.lines().map(str::to_owned).collect())
}

async fn referrers(handler: fn(&Seen) -> Answer) -> Result<Option<String>, Error> {
    let found = Fake::new(handler).await.upstream().referrers(&repository(), &digest()).await?;
    Ok(found.map(|found| String::from_utf8(found.value.to_vec()).unwrap()))
}

fn json(text: &str) -> Answer {
    answer(200).header("content-type", "application/json").body(text)
}

fn index(text: &str) -> Answer {
    answer(200).header("content-type", MediaType::oci_index()).body(text)
}

/// C43: relative links, absolute ones, and cursors of any name.
#[tokio::test]
async fn c43_pages_of_tags() {
    let found = tags(|seen| match seen.query.as_str() {
        "n=1000" => json(r#"{"tags":["c","a"]}"#).header("link", "</v2/team/app/tags/list?last=a&n=2>; rel=\"next\""),
        "last=a&n=2" => {
            let next = format!("<http://{}/v2/team/app/tags/list?cursor=x%3D>; rel=\"next\"", seen.header("host"));
            json(r#"{"tags":["b"]}"#).header("link", next)
        }
        "cursor=x%3D" => json(r#"{"tags":null}"#),
        query => panic!("{query}"),
    });
    assert_eq!(found.await.unwrap(), ["c", "a", "b"]);
}

#[tokio::test]
async fn links_to_elsewhere_and_in_circles() {
    let elsewhere = tags(|_| json(r#"{"tags":[]}"#).header("link", "<http://localhost/x?n=1>; rel=\"next\"")).await;
    assert!(matches!(elsewhere, Err(Error { kind: ErrorKind::Misbehaved { .. }, .. })));
    let circle = tags(|_| json(r#"{"tags":["a"]}"#).header("link", "<?n=7>; rel=\"next\"")).await;
    assert_eq!(circle.unwrap(), ["a", "a"]);
}

#[tokio::test]
async fn a_registry_that_refuses_our_page_length_chooses_its_own() {
    let found = tags(|seen| match seen.query.as_str() {
        "" => json(r#"{"tags":["a"]}"#),
        _ => answer(400).body(r#"{"errors":[{"code":"PAGINATION_NUMBER_INVALID"}]}"#),
    });
    assert_eq!(found.await.unwrap(), ["a"]);
}

#[tokio::test]
async fn no_list() {
    assert!(tags(|_| answer(404)).await.unwrap_err().is_not_found());
    let error = tags(|_| json(r#"{"errors":[]}"#)).await.unwrap_err();
    assert!(matches!(error.kind, ErrorKind::Misbehaved { .. }), "{error}");
}

#[tokio::test]
async fn referrers_in_one_page_stay_as_they_are() {
    let text = r#"{ "schemaVersion":2, "mediaType":"application/vnd.oci.image.index.v1+json", "manifests":[] }"#;
    let fake = Fake::new(move |_| index(text)).await;
    let found = fake.upstream().referrers(&repository(), &digest()).await.unwrap();
    assert_eq!(found.unwrap().value, text);
    assert_eq!(fake.seen()[0].path, format!("/v2/team/app/referrers/{}", digest()));
}

#[tokio::test]
async fn referrers_of_several_pages_are_one_index() {
    let found = referrers(|seen| match seen.query.as_str() {
        "" => index(r#"{"schemaVersion":2,"manifests":[{"size":1}]}"#).header("link", "<?p=2>; rel=\"next\""),
        _ => index(r#"{"schemaVersion":2,"manifests":[{"size":2}]}"#),
    });
    let found: serde_json::Value = serde_json::from_str(&found.await.unwrap().unwrap()).unwrap();
    assert_eq!(found["manifests"], serde_json::json!([{"size":1},{"size":2}]));
}

/// Pages that go on for ever, and one that is longer than a list may be.
#[tokio::test]
async fn lists_have_an_end() {
    let endless = tags(|seen| {
        let page: u32 = seen.query.strip_prefix("p=").map_or(0, |page| page.parse().unwrap());
        json(&format!(r#"{{"tags":["v{page}"]}}"#)).header("link", format!("<?p={}>; rel=\"next\"", page + 1))
    });
    let error = endless.await.unwrap_err();
    assert!(matches!(&error.kind, ErrorKind::Misbehaved { detail } if detail.contains("1000 pages")), "{error}");
    let pad = |mib: usize| format!(r#"{{"manifests":[],"pad":"{}"}}"#, "x".repeat(mib << 20));
    let error = Fake::new(move |_| index(&pad(16))).await.upstream().referrers(&repository(), &digest()).await;
    let error = error.err().unwrap();
    assert!(matches!(&error.kind, ErrorKind::Misbehaved { detail } if detail.contains("longer than")), "{error}");
}

#[tokio::test]
async fn registries_without_referrers() {
    let handlers: [fn(&Seen) -> Answer; 5] = [
        |_| answer(404).header("content-type", "text/plain").body("404 page not found"),
        |_| answer(405),
        |_| answer(400).body(r#"{"errors":[{"code":"UNSUPPORTED"}]}"#),
        |_| answer(200).header("content-type", "text/html").body("<html>"),
        |_| json(r#"{"errors":[]}"#),
    ];
    for handler in handlers {
        assert_eq!(referrers(handler).await.unwrap(), None);
    }
    let failed = referrers(|_| answer(503).header("retry-after", 60)).await;
    assert!(matches!(failed, Err(Error { kind: ErrorKind::Failed { status: 503, .. }, .. })));
}
