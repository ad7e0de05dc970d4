//! What the rooms above rely on, on SQLite and on PostgreSQL alike.
//!
//! PostgreSQL takes part where `TEST_POSTGRES_URL` is the URL of one in which databases may be made; `.ci/run` sets it.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::*;
use crate::oci::{AcceptSet, AccountId, Digest, MediaType, QualifiedName, Reference as Named, RepositoryName, Tag};
use crate::storage::OriginId;

const URL_VARIABLE: &str = "TEST_POSTGRES_URL";

pub(crate) async fn on_each(test: impl AsyncFn(Meta)) {
    let folder = tempfile::tempdir().unwrap();
    let sqlite = Meta::open(&folder.path().join("with % and space.db")).await.unwrap();
    test(sqlite.clone()).await;
    sqlite.close().await;
    let Ok(url) = std::env::var(URL_VARIABLE) else {
        return eprintln!("PostgreSQL is left out: {URL_VARIABLE} is not set");
    };
    let name = format!("entrepot_test_{:016x}", fastrand::u64(..));
    let server = Meta::connect_for_tests(&url).await;
    sqlx::query(sqlx::AssertSqlSafe(format!("CREATE DATABASE {name}"))).execute(&server).await.unwrap();
    let (base, _) = url.rsplit_once('/').unwrap();
    let postgres = Meta::open_postgres(&format!("{base}/{name}"), Connections::default()).await.unwrap();
    test(postgres.clone()).await;
    postgres.close().await;
    let drop = format!("DROP DATABASE {name} WITH (FORCE)");
    sqlx::query(sqlx::AssertSqlSafe(drop)).execute(&server).await.unwrap();
    server.close().await;
}

pub(super) fn name(text: &str) -> RepositoryName {
    text.parse().unwrap()
}

pub(super) fn account() -> AccountId {
    "000000000000".parse().unwrap()
}

fn qualified(name: &RepositoryName) -> QualifiedName {
    QualifiedName::new(account(), name.clone())
}

/// A repository of one's own.
pub(super) async fn own(meta: &Meta, name: &RepositoryName, now_ms: i64) -> RepositoryId {
    let settings = RepositorySettings::default();
    meta.add_repository(&qualified(name), None, &settings, now_ms).await.unwrap().expect("it is new")
}

pub(super) fn tag(text: &str) -> Tag {
    text.parse().unwrap()
}

pub(super) fn manifest(content: &str, references: Vec<Reference>) -> NewManifest {
    NewManifest {
        digest: Digest::of(content.as_bytes()),
        media_type: MediaType::oci_manifest(),
        artifact_type: None,
        subject: None,
        annotations: BTreeMap::new(),
        content: Bytes::from(content.to_owned()),
        references,
    }
}

pub(super) fn blob(content: &str) -> Reference {
    Reference {
        digest: Digest::of(content.as_bytes()),
        size: content.len() as u64,
        kind: ReferenceKind::Blob,
        required: true,
    }
}

pub(super) fn tagged(names: &[&str], immutable: bool) -> TagWrites {
    let tags = names.iter().map(|name| tag(name)).collect();
    TagWrites { tags, is_immutable: std::sync::Arc::new(move |_, _| immutable) }
}

pub(super) fn untagged() -> TagWrites {
    tagged(&[], false)
}

pub(super) async fn bring(meta: &Meta, repository: RepositoryId, content: &str, now_ms: i64) {
    let digest = Digest::of(content.as_bytes());
    meta.claim_blob(&digest, content.len() as u64, now_ms).await.unwrap();
    assert!(meta.link_blob(repository, &digest, content.len() as u64, None, now_ms).await.unwrap());
}

/// D13: a manifest that is fetched again and again writes its links once a day.
#[tokio::test]
async fn d13_links_that_are_noted_are_not_written_again() {
    on_each(async |meta| {
        let repository = name("u/a");
        let day_ms = 24 * 60 * 60 * 1000;
        let link = |n: u32, media_type: &str| {
            let (digest, media_type) = (Digest::of(&n.to_le_bytes()), MediaType::new(media_type));
            Link { digest, kind: LinkKind::Blob, media_type, size: Some(1) }
        };
        let links: Vec<_> = (0..600).map(|n| link(n, "a/x")).collect();
        let gone = async |before_ms| {
            let limits = crate::meta::UpstreamLimits { before_ms, rows: 10_000, list_bytes: 0 };
            let mut gone = 0;
            loop {
                match meta.trim_upstreams(limits).await.unwrap().iter().find(|(name, _)| *name == "upstream_link") {
                    Some((_, count)) => gone += count,
                    None => return gone,
                }
            }
        };
        let now = 1_900_000_000_000;
        meta.put_links(&repository, &links, now).await.unwrap();
        meta.put_links(&repository, &links, now + 1000).await.unwrap();
        assert_eq!(gone(now + 1).await, 600, "they were noted the first time only");
        meta.put_links(&repository, &links, now).await.unwrap();
        let changed: Vec<_> = (0..10).map(|n| link(n, "a/y")).chain((10..600).map(|n| link(n, "a/x"))).collect();
        meta.put_links(&repository, &changed, now + 1000).await.unwrap();
        assert_eq!(gone(now + 1).await, 590, "what says something else is written");
        meta.put_links(&repository, &links, now + 2 * day_ms).await.unwrap();
        assert_eq!(gone(now + day_ms).await, 0, "after a day they are noted again");
    })
    .await;
}

#[tokio::test]
async fn upstreams_tags_links_and_lists() {
    on_each(async |meta| {
        let repository = name("docker.io/library/nginx");
        let row = TagRow {
            digest: Digest::of(b"1"),
            media_type: MediaType::oci_index(),
            size: None,
            checked_at_ms: 1_900_000_000_000,
        };
        let accept = AcceptSet::current();
        assert_eq!(meta.tag(&repository, &tag("latest"), accept).await.unwrap(), None);
        meta.put_tag(&repository, &tag("latest"), accept, &row, None).await.unwrap();
        let moved = TagRow { digest: Digest::of(b"2"), size: Some(7), ..row };
        meta.put_tag(&repository, &tag("latest"), accept, &moved, None).await.unwrap();
        assert_eq!(meta.tag(&repository, &tag("latest"), accept).await.unwrap(), Some(moved));
        meta.remove_tag(&repository, &tag("latest"), Some(accept)).await.unwrap();
        assert_eq!(meta.tag(&repository, &tag("latest"), accept).await.unwrap(), None);

        let digest = Digest::of(b"layer");
        let link = |kind, media_type: &str, size| Link { digest, kind, media_type: MediaType::new(media_type), size };
        meta.put_links(&repository, &[link(LinkKind::Manifest, "m", Some(5))], 1).await.unwrap();
        meta.put_links(&repository, &[link(LinkKind::Blob, "", None)], 1).await.unwrap();
        assert_eq!(meta.link(&repository, &digest).await.unwrap(), Some(link(LinkKind::Manifest, "m", Some(5))));
        meta.remove_link(&repository, &digest).await.unwrap();
        assert_eq!(meta.link(&repository, &digest).await.unwrap(), None);

        let list = Listing { body: Bytes::from_static(b"a\nb\0c"), checked_at_ms: 5 };
        meta.put_listing(&repository, "tags", &list, None).await.unwrap();
        assert_eq!(meta.listing(&repository, "tags").await.unwrap(), Some(list));
        let uses = [BlobUse { digest, used_at_ms: 9, uses: 3 }];
        meta.put_blob_uses(&uses, &[]).await.unwrap();
        assert_eq!(meta.blob_uses().await.unwrap().into_values().collect::<Vec<_>>(), uses);
        meta.put_blob_uses(&[], &[digest]).await.unwrap();
        assert!(meta.blob_uses().await.unwrap().is_empty());
    })
    .await;
}

/// Names are in the order of their bytes, whatever the database's language.
#[tokio::test]
async fn lists_are_in_the_order_of_bytes() {
    on_each(async |meta| {
        for text in ["b", "a-b", "a/b", "a_b", "ab", "a"] {
            own(&meta, &name(text), 1).await;
        }
        let pulled = qualified(&name("aa"));
        let settings = RepositorySettings::default();
        meta.add_repository(&pulled, Some("u"), &settings, 1).await.unwrap().unwrap();
        let elsewhere = QualifiedName::new("111111111111".parse().unwrap(), name("a"));
        meta.add_repository(&elsewhere, None, &settings, 1).await.unwrap().unwrap();
        assert_eq!(meta.repository(&pulled).await.unwrap(), None);
        assert_eq!(meta.repository_row(&pulled).await.unwrap().unwrap().upstream.as_deref(), Some("u"));
        let turn = meta.list_turn().await.unwrap();
        let names = async |last, limit| {
            let rows = meta.repository_rows(&turn, account(), last, limit).await.unwrap();
            rows.into_iter().map(|row| row.name.to_string()).collect::<Vec<_>>()
        };
        assert_eq!(names(None, 100).await, ["a", "a-b", "a/b", "a_b", "aa", "ab", "b"]);
        assert_eq!(names(Some("a/b"), 2).await, ["a_b", "aa"]);
        let repository = meta.repository(&qualified(&name("a"))).await.unwrap().unwrap();
        assert_eq!(meta.add_repository(&qualified(&name("a")), None, &settings, 2).await.unwrap(), None);
        let tags = tagged(&["v2", "V1", "v10", "_x", "v1.0"], false);
        meta.put_manifest(repository, &manifest("{}", vec![]), &tags, "me", 1).await.unwrap();
        let names = async |last, limit| {
            let tags = meta.tags(&meta.list_turn().await.unwrap(), repository, last, limit).await.unwrap();
            tags.iter().map(|tag| tag.as_str().to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(names(None, 100).await, ["V1", "_x", "v1.0", "v10", "v2"]);
        assert_eq!(names(Some("_x"), 2).await, ["v1.0", "v10"]);
    })
    .await;
}

/// What was pushed counts for the repository and for its account, and what is pulled through for neither.
#[tokio::test]
async fn holdings() {
    on_each(async |meta| {
        let [a, b] = [own(&meta, &name("a"), 1).await, own(&meta, &name("b"), 1).await];
        let pulled = QualifiedName::new(account(), name("u/x"));
        let settings = RepositorySettings::default();
        let pulled = meta.add_repository(&pulled, Some("u"), &settings, 1).await.unwrap().unwrap();
        for repository in [a, b, pulled] {
            bring(&meta, repository, "layer", 1).await;
            meta.put_manifest(repository, &manifest("{}", vec![]), &untagged(), "me", 1).await.unwrap();
        }
        bring(&meta, b, "other", 1).await;
        let of = |repositories, images, bytes| Holdings { repositories, images, bytes };
        assert_eq!(meta.repository_holdings(a).await.unwrap(), of(1, 1, 5 + 2));
        assert_eq!(meta.repository_holdings(b).await.unwrap(), of(1, 1, 5 + 5 + 2));
        assert_eq!(meta.account_holdings(account()).await.unwrap(), of(2, 2, 5 + 5 + 5 + 2 + 2));
        assert_eq!(meta.account_holdings("111111111111".parse().unwrap()).await.unwrap(), Holdings::default());
    })
    .await;
}

#[tokio::test]
async fn a_manifest_comes_whole_or_not_at_all() {
    on_each(async |meta| {
        let repository = own(&meta, &name("a"), 1).await;
        bring(&meta, repository, "here", 1).await;
        let absent = blob("absent");
        let whole = manifest("{1}", vec![blob("here"), absent.clone()]);
        let put = meta.put_manifest(repository, &whole, &tagged(&["x"], false), "me", 2).await.unwrap();
        assert_eq!(put, Put::Missing(vec![absent.digest]));
        let lie = manifest("{2}", vec![Reference { size: 1, ..blob("here") }]);
        let put = meta.put_manifest(repository, &lie, &tagged(&["x"], false), "me", 2).await.unwrap();
        assert_eq!(put, Put::WrongSize { digest: blob("here").digest, size: 4 });
        assert!(meta.tags(&meta.list_turn().await.unwrap(), repository, None, 10).await.unwrap().is_empty());
        let sparse = manifest("{1}", vec![blob("here"), Reference { required: false, ..absent }]);
        let put = meta.put_manifest(repository, &sparse, &tagged(&["x", "y"], true), "me", 3).await.unwrap();
        assert_eq!(put, Put::Stored);
        let other = manifest("{3}", vec![]);
        let put = meta.put_manifest(repository, &other, &tagged(&["new", "x"], true), "me", 4).await.unwrap();
        assert_eq!(put, Put::Immutable(tag("x")));
        assert_eq!(
            meta.tags(&meta.list_turn().await.unwrap(), repository, None, 10).await.unwrap(),
            [tag("x"), tag("y")]
        );
        assert_eq!(meta.manifest(repository, &Named::Digest(other.digest)).await.unwrap(), None);
        let found = meta.manifest(repository, &Named::Tag(tag("x"))).await.unwrap().unwrap();
        assert_eq!((found.digest, &found.content), (sparse.digest, &sparse.content));
    })
    .await;
}

/// A manifest goes only with tags that may go: one that has come since somebody was asked about them keeps it.
#[tokio::test]
async fn t04_a_manifest_takes_no_other_tag_with_it() {
    on_each(async |meta| {
        let repository = own(&meta, &name("a"), 1).await;
        let manifest = manifest("{1}", vec![]);
        meta.put_manifest(repository, &manifest, &tagged(&["a", "b"], false), "me", 1).await.unwrap();
        let digest = &manifest.digest;
        for may_go in [&[][..], &[tag("a")], &[tag("c")]] {
            let others: Vec<_> = ["a", "b"].map(tag).into_iter().filter(|tag| !may_go.contains(tag)).collect();
            let kept = Removed::WouldTake(others);
            assert_eq!(meta.delete_manifest(repository, digest, may_go, "you", 2).await.unwrap(), kept);
            assert_eq!(meta.delete_image(repository, digest, None, may_go, "you", 2).await.unwrap(), kept);
            let image = meta.image(repository, digest).await.unwrap().unwrap();
            assert_eq!(image.tags, [tag("a"), tag("b")], "nothing was changed");
        }
        // One tag goes alone, and takes the manifest with it when it was the last.
        let only = |name| Removed::Gone(vec![tag(name)]);
        assert_eq!(meta.delete_image(repository, digest, Some(&tag("a")), &[], "you", 3).await.unwrap(), only("a"));
        assert_eq!(meta.delete_image(repository, digest, None, &[tag("b")], "you", 4).await.unwrap(), only("b"));
        assert_eq!(meta.image(repository, digest).await.unwrap(), None);
    })
    .await;
}

#[tokio::test]
async fn the_history_of_a_tag() {
    on_each(async |meta| {
        let repository = own(&meta, &name("a"), 1).await;
        let (one, two) = (manifest("{1}", vec![]), manifest("{2}", vec![]));
        for (manifest, now_ms) in [(&one, 1), (&one, 2), (&two, 3)] {
            meta.put_manifest(repository, manifest, &tagged(&["x"], false), "me", now_ms).await.unwrap();
        }
        let gone = meta.delete_manifest(repository, &two.digest, &[tag("x")], "you", 4).await.unwrap();
        assert_eq!(gone, Removed::Gone(vec![tag("x")]));
        let again = meta.delete_manifest(repository, &two.digest, &[tag("x")], "you", 5).await.unwrap();
        assert_eq!(again, Removed::Nothing);
        assert!(!meta.delete_tag(repository, &tag("x"), "you", 6).await.unwrap());
        let moves = meta.tag_history(repository, &tag("x"), 10).await.unwrap();
        let told: Vec<_> =
            moves.iter().map(|one| (one.before, one.after, one.moved_at_ms, one.principal.as_str())).collect();
        let (one, two) = (Some(one.digest), Some(two.digest));
        assert_eq!(told, [(two, None, 4, "you"), (one, two, 3, "me"), (None, one, 1, "me")]);
    })
    .await;
}

#[tokio::test]
async fn referrers_by_pages_and_by_type() {
    on_each(async |meta| {
        let repository = own(&meta, &name("a"), 1).await;
        let subject = Digest::of(b"subject");
        for n in 0..5 {
            let referrer = NewManifest {
                subject: Some(subject),
                artifact_type: Some(if n < 3 { "sig" } else { "sbom" }.to_owned()),
                annotations: BTreeMap::from([("n".to_owned(), n.to_string())]),
                ..manifest(&format!("{{{n}}}"), vec![])
            };
            meta.put_manifest(repository, &referrer, &untagged(), "me", 1).await.unwrap();
        }
        let read = async |artifact_type: Option<&str>, last: Option<&str>, rows, bytes| {
            let turn = meta.list_turn().await.unwrap();
            meta.referrers(&turn, repository, &subject, artifact_type, last, Most { rows, bytes }).await.unwrap()
        };
        let (all, more) = read(None, None, 10, 1 << 20).await;
        assert!(!more);
        assert!(all.len() == 5 && all.is_sorted_by_key(|row| row.digest.to_string()));
        let last = all[1].digest.to_string();
        let (page, more) = read(None, Some(&last), 2, 1 << 20).await;
        assert_eq!((&page[..], more), (&all[2..4], true));
        // T14: pages are cut by their length as well.
        let (page, more) = read(None, Some(&last), 3, 1_200).await;
        assert_eq!((&page[..], more), (&all[2..4], true));
        let (page, more) = read(None, Some(&last), 3, 1).await;
        assert_eq!((&page[..], more), (&all[2..3], true));
        let end = all[4].digest.to_string();
        assert_eq!(read(None, Some(&end), 3, 1).await, (vec![], false));
        let (signatures, _) = read(Some("sig"), None, 10, 1 << 20).await;
        assert!(signatures.len() == 3 && signatures.iter().all(|row| row.annotations.contains("\"n\"")));
    })
    .await;
}

#[tokio::test]
async fn a_blob_goes_only_when_nobody_needs_it() {
    on_each(async |meta| {
        let (one, two) = (own(&meta, &name("a"), 1).await, own(&meta, &name("b"), 1).await);
        for content in ["used", "shared", "lost"] {
            bring(&meta, one, content, 10).await;
        }
        let digest = |content: &str| Digest::of(content.as_bytes());
        assert_eq!(meta.mount_blob(two, &digest("shared"), Some(one), 10).await.unwrap(), Some(6));
        assert_eq!(meta.mount_blob(two, &digest("shared"), Some(two), 10).await.unwrap(), Some(6));
        assert_eq!(meta.mount_blob(two, &digest("nowhere"), None, 10).await.unwrap(), None);
        assert_eq!(meta.mount_blob(one, &digest("lost"), Some(two), 10).await.unwrap(), None);
        meta.put_manifest(one, &manifest("{}", vec![blob("used")]), &untagged(), "me", 10).await.unwrap();
        assert_eq!(meta.unlink_blob(one, &digest("used")).await.unwrap(), Unlinked::InUse);
        meta.want_blob(two, &digest("shared"), 100).await.unwrap();
        let reclaimable = Reclaimable { blobs: 1, bytes: 4, uploads: 0 };
        assert_eq!(meta.reclaimable(50, 50).await.unwrap(), reclaimable);
        assert!(meta.forgotten_links(None, 10, 100).await.unwrap().is_empty(), "everything was wanted just now");
        let first = meta.forgotten_links(None, 50, 1).await.unwrap();
        let second = meta.forgotten_links(first.last(), 50, 100).await.unwrap();
        assert!(first.len() == 1 && second.len() == 1 && first != second);
        assert_eq!(meta.unlink_forgotten(&first, 10).await.unwrap(), 0, "it is looked at again");
        for links in [first, second] {
            assert_eq!(meta.unlink_forgotten(&links, 50).await.unwrap(), 1);
        }
        assert!(meta.forgotten_links(None, 50, 100).await.unwrap().is_empty());
        assert_eq!(meta.blob_link(one, &digest("used")).await.unwrap().map(|link| link.size), Some(4));
        let unneeded = meta.unneeded_blobs(None, 50, 100).await.unwrap();
        assert_eq!(unneeded, [digest("lost")]);
        assert!(meta.unneeded_blobs(Some(&digest("lost")), 50, 100).await.unwrap().is_empty());
        meta.condemn_blobs(&unneeded, 50, 60).await.unwrap();
        let condemned = meta.condemned_blobs(None, 61, 100).await.unwrap();
        assert_eq!(condemned, [Condemned { digest: digest("lost"), size: 4, condemned_at_ms: 60 }]);
        assert!(meta.condemned_blobs(condemned.last(), 61, 100).await.unwrap().is_empty());
        assert!(meta.condemned_blobs(None, 60, 100).await.unwrap().is_empty());

        let claim = meta.blob_link(two, &digest("shared")).await.unwrap().unwrap().claim;
        meta.lose_blob(&digest("shared"), claim, 65).await.unwrap();
        assert_eq!(meta.blob_link(two, &digest("shared")).await.unwrap(), None);
        assert_eq!(meta.mount_blob(one, &digest("shared"), None, 66).await.unwrap(), None);
        let needy = manifest("{needy}", vec![blob("shared")]);
        let put = meta.put_manifest(two, &needy, &untagged(), "me", 66).await.unwrap();
        assert_eq!(put, Put::Missing(vec![digest("shared")]));
        bring(&meta, two, "shared", 67).await;
        assert_eq!(meta.put_manifest(two, &needy, &untagged(), "me", 68).await.unwrap(), Put::Stored);

        // Somebody brings it again: it is no longer condemned.
        bring(&meta, two, "lost", 70).await;
        let never = || async { panic!("it is needed") };
        assert!(!meta.reclaim_blob::<(), _>(&digest("lost"), 61, never).await.unwrap().unwrap());
        assert_eq!(meta.unlink_blob(two, &digest("lost")).await.unwrap(), Unlinked::Gone);
        assert_eq!(meta.unlink_blob(two, &digest("lost")).await.unwrap(), Unlinked::NotThere);
        meta.condemn_blobs(&[digest("lost"), digest("shared"), digest("used")], 80, 90).await.unwrap();
        assert_eq!(meta.condemned_blobs(None, 91, 100).await.unwrap().len(), 1, "only what nobody has");
        let failing = || async { Err("the disk") };
        assert_eq!(meta.reclaim_blob(&digest("lost"), 91, failing).await.unwrap(), Err("the disk"));
        assert!(meta.is_blob(&digest("lost")).await.unwrap(), "it is tried again");
        assert!(meta.reclaim_blob::<(), _>(&digest("lost"), 91, || async { Ok(()) }).await.unwrap().unwrap());
        assert!(!meta.is_blob(&digest("lost")).await.unwrap());
        assert!(!meta.link_blob(one, &digest("lost"), 4, None, 92).await.unwrap(), "it is no longer claimed");
        assert!(meta.is_blob(&digest("shared")).await.unwrap());
    })
    .await;
}

/// Whoever brings a blob waits for whoever is removing it, and brings it after that.
#[tokio::test(flavor = "multi_thread")]
async fn bringing_and_removing_take_turns() {
    on_each(async |meta| {
        let repository = own(&meta, &name("a"), 1).await;
        let digest = Digest::of(b"it");
        for round in 0..50 {
            bring(&meta, repository, "it", 1).await;
            assert_eq!(meta.unlink_blob(repository, &digest).await.unwrap(), Unlinked::Gone);
            meta.condemn_blobs(&[digest], 2, 2).await.unwrap();
            let there = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(true));
            let removing = {
                let (meta, there) = (meta.clone(), there.clone());
                tokio::spawn(async move {
                    let remove = || async {
                        tokio::time::sleep(std::time::Duration::from_micros(fastrand::u64(0..500))).await;
                        there.store(false, std::sync::atomic::Ordering::SeqCst);
                        Ok::<(), ()>(())
                    };
                    meta.reclaim_blob(&digest, 3, remove).await.unwrap().unwrap()
                })
            };
            let bringing = {
                let (meta, there) = (meta.clone(), there.clone());
                tokio::spawn(async move {
                    tokio::time::sleep(std::time::Duration::from_micros(fastrand::u64(0..500))).await;
                    meta.claim_blob(&digest, 2, 100).await.unwrap();
                    there.store(true, std::sync::atomic::Ordering::SeqCst);
                    assert!(meta.link_blob(repository, &digest, 2, None, 100).await.unwrap());
                })
            };
            let removed = removing.await.unwrap();
            bringing.await.unwrap();
            let there = there.load(std::sync::atomic::Ordering::SeqCst);
            assert!(there && meta.is_blob(&digest).await.unwrap(), "round {round}, removed: {removed}");
            meta.unlink_blob(repository, &digest).await.unwrap();
        }
    })
    .await;
}

/// Only the last part of an upload may be short.
#[tokio::test]
async fn short_parts() {
    on_each(async |meta| {
        let repository = own(&meta, &name("a"), 1).await;
        for (at, (parts, refused)) in [
            (&[][..], false),
            (&[true][..], false),
            (&[false, false, true], false),
            (&[false, true, false], true),
            (&[true, true], true),
            (&[true, false, false], true),
        ]
        .into_iter()
        .enumerate()
        {
            let id = format!("upload-{at}");
            let (algorithm, holder) = ("sha256".to_owned(), "me".to_owned());
            let row =
                UploadRow { id: id.clone(), repository, algorithm, holder, touched_at_ms: 1, bytes: 0, digest: None };
            begin(&meta, &row).await;
            for is_short in parts {
                meta.add_part(&id, *is_short).await.unwrap();
            }
            assert_eq!(meta.has_short_part(&id).await.unwrap(), refused, "{parts:?}");
        }
        assert!(!meta.has_short_part("nothing").await.unwrap());
    })
    .await;
}

async fn begin(meta: &Meta, row: &UploadRow) {
    let limits = UploadLimits { of_repository: 100, of_client_there: 100, of_client: 100 };
    assert_eq!(meta.begin_upload(row, "me", limits).await.unwrap(), Begun::Begun);
}

/// T8: uploads under way are limited, for a repository and for a client.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn t08_uploads_under_way_are_limited() {
    on_each(async |meta| {
        let [a, b] = [own(&meta, &name("a"), 1).await, own(&meta, &name("b"), 1).await];
        let begin = |at: usize| {
            let (meta, repository) = (meta.clone(), if at.is_multiple_of(2) { a } else { b });
            let (algorithm, holder) = ("sha256".to_owned(), "here".to_owned());
            let id = format!("{at}");
            let row = UploadRow { id, repository, algorithm, holder, touched_at_ms: 1, bytes: 0, digest: None };
            let limits = UploadLimits { of_repository: 5, of_client_there: 5, of_client: 8 };
            tokio::spawn(async move { meta.begin_upload(&row, "me", limits).await.unwrap() })
        };
        let told = futures_util::future::join_all((0..30).map(begin)).await;
        let begun = told.into_iter().filter(|begun| *begun.as_ref().unwrap() == Begun::Begun).count();
        assert_eq!(begun, 8);
        let all: Vec<String> = (0..30).map(|at| at.to_string()).collect();
        let all: Vec<&str> = all.iter().map(String::as_str).collect();
        let held = meta.uploads_held("here", &all).await.unwrap();
        assert!(held.len() == 8 && meta.uploads_held("there", &all).await.unwrap().is_empty());
        let here = meta.idle_uploads_of(a, "nobody", 2, 100).await.unwrap().len();
        let there = meta.idle_uploads_of(b, "nobody", 2, 100).await.unwrap().len();
        assert!(here <= 5 && there <= 5 && here + there == 8, "{here} {there}");
        assert_eq!(meta.idle_uploads_of(a, "me", 2, 100).await.unwrap().len(), 8);
    })
    .await;
}

/// Whose turn it is to fetch a blob is said for each origin.
#[tokio::test]
async fn h10_nobody_waits_for_another_origins_fetch() {
    on_each(async |meta| {
        let digest = Digest::of(b"popular");
        let fetch = |origin| Fetch { origin: OriginId::of(origin), digest };
        assert!(meta.lease_fetch(fetch("drips"), "one", 10, 20).await.unwrap());
        assert!(!meta.lease_fetch(fetch("drips"), "two", 10, 20).await.unwrap());
        assert!(meta.lease_fetch(fetch("good"), "two", 10, 20).await.unwrap());
        meta.end_fetch(fetch("good"), "two").await.unwrap();
        assert!(!meta.lease_fetch(fetch("drips"), "two", 10, 20).await.unwrap());
        assert!(meta.lease_fetch(fetch("drips"), "two", 21, 30).await.unwrap());
    })
    .await;
}

#[tokio::test]
async fn uploads_expire() {
    on_each(async |meta| {
        let repository = own(&meta, &name("a"), 1).await;
        let row = |id: &str, touched_at_ms| UploadRow {
            id: id.to_owned(),
            repository,
            algorithm: "sha256".to_owned(),
            holder: "me".to_owned(),
            touched_at_ms,
            bytes: 0,
            digest: None,
        };
        for row in [row("one", 10), row("two", 20)] {
            begin(&meta, &row).await;
            assert_eq!(meta.upload(&row.id).await.unwrap(), Some(row));
        }
        assert!(meta.touch_upload("one", 30).await.unwrap() && !meta.touch_upload("three", 30).await.unwrap());
        assert_eq!(meta.idle_uploads(Some("me"), 30, 10).await.unwrap(), ["two"]);
        assert!(meta.idle_uploads(Some("you"), 30, 10).await.unwrap().is_empty());
        let piece = |start, size| PieceRow { start, size, name: format!("{start}") };
        let digest = Digest::of(b"so far");
        assert!(meta.add_piece("two", "me", &piece(0, 5), &digest, 40).await.unwrap());
        assert!(!meta.add_piece("two", "me", &piece(6, 5), &digest, 40).await.unwrap(), "a byte is missing");
        meta.take_over_upload("two", "you", 50).await.unwrap();
        assert!(!meta.add_piece("two", "me", &piece(5, 5), &digest, 60).await.unwrap(), "another goes on");
        assert!(meta.add_piece("two", "you", &piece(5, 2), &digest, 60).await.unwrap());
        assert_eq!(meta.upload_pieces("two").await.unwrap(), [piece(0, 5), piece(5, 2)]);
        let row = meta.upload("two").await.unwrap().unwrap();
        assert_eq!((row.holder.as_str(), row.bytes, row.digest), ("you", 7, Some(digest)));
        assert_eq!(meta.idle_uploads(None, 61, 10).await.unwrap(), ["one", "two"]);
        assert_eq!(meta.end_idle_upload("two", 60).await.unwrap(), None, "somebody goes on with it");
        let mut pieces = meta.end_idle_upload("two", 61).await.unwrap().unwrap();
        pieces.sort();
        assert_eq!(pieces, ["0", "5"]);
        assert!(meta.upload_pieces("two").await.unwrap().is_empty());
        assert!(!meta.end_upload("two").await.unwrap() && meta.end_upload("one").await.unwrap());
        assert_eq!(meta.upload("two").await.unwrap(), None);
    })
    .await;
}

#[tokio::test]
async fn epochs_of_principals() {
    on_each(async |meta| {
        let ann = NewPrincipal {
            account: account(),
            kind: PrincipalKind::User,
            name: "ann".to_owned(),
            declared: false,
            tags: BTreeMap::new(),
        };
        let epoch = async || meta.principal(&account(), PrincipalKind::User, "ann").await.unwrap().unwrap().epoch;
        let first = meta.put_principal(&ann, 1_795_000_000_000).await.unwrap();
        let at_first = epoch().await;
        // Being changed is not being revoked.
        assert_eq!(meta.put_principal(&ann, 1_795_000_000_001).await.unwrap(), first);
        assert_eq!(epoch().await, at_first);
        meta.revoke_tokens(first).await.unwrap();
        let revoked = epoch().await;
        assert!(revoked > at_first);
        // Who made them may know their keys: what stands in the configuration is somebody else.
        meta.put_trust(first, Some("{}")).await.unwrap();
        let declared = NewPrincipal { declared: true, ..ann.clone() };
        assert_eq!(meta.put_principal(&declared, 1_795_000_000_002).await.unwrap(), first);
        let row = meta.principal_by_id(first).await.unwrap().unwrap();
        assert_eq!((row.declared, row.epoch > revoked, row.trust), (true, true, None));
        meta.put_trust(first, Some("{}")).await.unwrap();
        meta.put_principal(&declared, 1_795_000_000_003).await.unwrap();
        let again = meta.principal_by_id(first).await.unwrap().unwrap();
        assert_eq!((again.epoch, again.trust.as_deref()), (row.epoch, Some("{}")), "it was there before");
        let revoked = row.epoch;
        // Who comes later with the same name has none of these.
        assert!(meta.remove_principal(first).await.unwrap());
        meta.put_principal(&ann, 1_795_000_060_000).await.unwrap();
        assert!(epoch().await > revoked);
    })
    .await;
}

/// A repository that is pulled through goes once it has no image, unless it was given something since it was looked at.
#[tokio::test]
async fn a07_repositories_without_images_go() {
    on_each(async |meta| {
        let (first, guarded, young) = (name("up/first"), name("up/guarded"), name("up/young"));
        let settings = RepositorySettings::default();
        let make = async |of: &RepositoryName, at| {
            meta.add_repository(&qualified(of), Some("up"), &settings, at).await.unwrap().unwrap()
        };
        let id = make(&first, 1).await;
        let guarded = make(&guarded, 1).await;
        make(&young, 50).await;
        own(&meta, &name("up/own"), 1).await;
        let image = manifest("{}", vec![]);
        let tags = TagWrites { tags: vec![], is_immutable: std::sync::Arc::new(|_, _| false) };
        let put = meta.put_manifest(id, &image, &tags, "p", 2).await.unwrap();
        assert_eq!(put, Put::Stored);
        let ids = async || {
            let bare = meta.bare_repositories(10, None).await.unwrap();
            bare.iter().map(|bare| bare.id).collect::<Vec<_>>()
        };
        assert_eq!(ids().await, [guarded]);
        meta.trim_pulled_images(100, 0).await.unwrap();
        assert_eq!(ids().await, [id, guarded]);
        let bare = meta.bare_repositories(10, None).await.unwrap();
        assert_eq!(meta.bare_repositories(10, Some(guarded)).await.unwrap(), []);
        meta.change_repository(guarded, &RepositoryColumn::Policy(Some("{}".to_owned()))).await.unwrap();
        for (bare, is_gone) in bare.iter().zip([true, false]) {
            assert_eq!(meta.remove_bare_repository(bare, 10).await.unwrap(), is_gone, "{:?}", bare.name);
        }
        assert_eq!(meta.repository_row(&qualified(&first)).await.unwrap(), None);
        // One that got an image again stays.
        let again = make(&first, 1).await;
        let bare = meta.bare_repositories(10, None).await.unwrap();
        let bare = bare.into_iter().find(|bare| bare.id == again).unwrap();
        meta.put_manifest(again, &image, &tags, "p", 2).await.unwrap();
        assert!(!meta.remove_bare_repository(&bare, 10).await.unwrap());
    })
    .await;
}

#[tokio::test]
async fn a02_lists_of_one_asker_leave_a_place_to_others() {
    use futures_util::FutureExt;

    use crate::turns::Asker;

    let folder = tempfile::tempdir().unwrap();
    let meta = Meta::open(&folder.path().join("x.db")).await.unwrap();
    let (flood, honest) = (meta.on_behalf_of(Asker::work("flood")), meta.on_behalf_of(Asker::work("honest")));
    let mut held = Vec::new();
    while let Some(turn) = flood.list_turn().now_or_never() {
        held.push(turn.unwrap());
    }
    assert_eq!(held.len(), 3);
    assert!(honest.list_turn().now_or_never().is_some());
    tokio::time::pause();
    assert!(matches!(flood.list_turn().await, Err(Error::Busy)));
}
