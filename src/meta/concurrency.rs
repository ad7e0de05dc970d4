//! Facts that span rows hold when many write at once, on SQLite and on PostgreSQL alike.
//!
//! Every test races writers for many rounds and looks at what they were told and at what is there: no acknowledged change is lost,
//! and no two acknowledged changes contradict each other.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::join_all;
use tokio::sync::Semaphore;

use super::scope::Scope;
use super::tests::{account, blob, bring, manifest, name, on_each, own, tag, tagged, untagged};
use super::*;
use crate::oci::{Digest, QualifiedName, Reference as Named};
use crate::storage::OriginId;
use crate::turns::Asker;

/// Rounds of each race.
const ROUNDS: usize = 40;

/// Writers of each race.
const WRITERS: usize = 8;

/// Runs the futures in tasks of their own, so that they really run at once.
async fn at_once<T: Send + 'static>(
    work: impl IntoIterator<Item = impl Future<Output = T> + Send + 'static>,
) -> Vec<T> {
    let tasks: Vec<_> = work.into_iter().map(tokio::spawn).collect();
    join_all(tasks).await.into_iter().map(|ended| ended.expect("no panic")).collect()
}

/// T12: of several manifests for one new immutable tag, one is acknowledged, and the tag never moves.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn t12_an_immutable_tag_is_given_once() {
    on_each(async |meta| {
        let repository = own(&meta, &name("a"), 1).await;
        for round in 0..ROUNDS {
            let text = format!("v{round}");
            let put = |writer: usize| {
                let (meta, text) = (meta.clone(), text.clone());
                async move {
                    let manifest = manifest(&format!("{{\"{writer}\":{round}}}"), vec![]);
                    let put = meta.put_manifest(repository, &manifest, &tagged(&[&text], true), "me", 1).await.unwrap();
                    (put, manifest.digest)
                }
            };
            let told = at_once((0..WRITERS).map(put)).await;
            let stored: Vec<_> =
                told.iter().filter(|(put, _)| *put == Put::Stored).map(|(_, digest)| *digest).collect();
            assert_eq!(stored.len(), 1, "round {round}: {told:?}");
            let found = meta.manifest(repository, &Named::Tag(tag(&text))).await.unwrap().unwrap();
            assert_eq!(found.digest, stored[0]);
            assert_eq!(meta.tag_history(repository, &tag(&text), 10).await.unwrap().len(), 1);
        }
    })
    .await;
}

/// The history of a tag that moves is a chain: each move begins where the one before it ended.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn t12_moves_of_a_tag_follow_one_another() {
    on_each(async |meta| {
        let repository = own(&meta, &name("a"), 1).await;
        for round in 0..ROUNDS / 4 {
            let text = format!("v{round}");
            let put = |writer: usize| {
                let (meta, text) = (meta.clone(), text.clone());
                async move {
                    let manifest = manifest(&format!("{{\"{writer}\":{round}}}"), vec![]);
                    meta.put_manifest(repository, &manifest, &tagged(&[&text], false), "me", 1).await.unwrap()
                }
            };
            assert!(at_once((0..WRITERS).map(put)).await.iter().all(|put| *put == Put::Stored));
            let mut moves = meta.tag_history(repository, &tag(&text), 100).await.unwrap();
            moves.reverse();
            assert_eq!(moves.len(), WRITERS);
            assert_eq!(moves[0].before, None);
            assert!(moves.windows(2).all(|pair| pair[0].after == pair[1].before), "{moves:?}");
        }
    })
    .await;
}

/// T12: a blob is deleted, or a manifest that refers to it is stored; never both.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn t12_a_layer_is_not_deleted_under_a_push() {
    on_each(async |meta| {
        let repository = own(&meta, &name("a"), 1).await;
        for round in 0..ROUNDS * 3 {
            let layer = format!("layer {round}");
            bring(&meta, repository, &layer, 1).await;
            let digest = Digest::of(layer.as_bytes());
            let pushing = {
                let (meta, layer) = (meta.clone(), layer.clone());
                async move {
                    let manifest = manifest(&format!("{{\"{round}\":1}}"), vec![blob(&layer)]);
                    meta.put_manifest(repository, &manifest, &untagged(), "me", 1).await.unwrap() == Put::Stored
                }
            };
            let deleting = {
                let meta = meta.clone();
                async move { meta.unlink_blob(repository, &digest).await.unwrap() == Unlinked::Gone }
            };
            let forgetting = {
                let meta = meta.clone();
                let link = ForgottenLink { repository, digest };
                async move { meta.unlink_forgotten(&[link], 100).await.unwrap() > 0 }
            };
            let (pushed, deleted, forgotten) =
                tokio::join!(tokio::spawn(pushing), tokio::spawn(deleting), tokio::spawn(forgetting));
            let (pushed, gone) = (pushed.unwrap(), deleted.unwrap() || forgotten.unwrap());
            assert_ne!(pushed, gone, "round {round}");
            assert_eq!(meta.blob_link(repository, &digest).await.unwrap().is_some(), pushed, "round {round}");
        }
    })
    .await;
}

/// T12: a manifest is deleted as ECR deletes it, or an index that has it as a child is stored; never both.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn t12_a_child_is_not_deleted_under_the_push_of_its_index() {
    on_each(async |meta| {
        let repository = own(&meta, &name("a"), 1).await;
        for round in 0..ROUNDS * 2 {
            let child = manifest(&format!("{{\"child\":{round}}}"), vec![]);
            meta.put_manifest(repository, &child, &untagged(), "me", 1).await.unwrap();
            let size = child.content.len() as u64;
            let reference = Reference { digest: child.digest, size, kind: ReferenceKind::Manifest, required: true };
            let index = manifest(&format!("{{\"index\":{round}}}"), vec![reference]);
            let pushing = {
                let meta = meta.clone();
                async move { meta.put_manifest(repository, &index, &untagged(), "me", 1).await.unwrap() == Put::Stored }
            };
            let deleting = {
                let meta = meta.clone();
                async move {
                    let removed = meta.delete_image(repository, &child.digest, None, &[], "me", 1).await.unwrap();
                    matches!(removed, crate::meta::Removed::Gone(_))
                }
            };
            let (pushed, deleted) = tokio::join!(tokio::spawn(pushing), tokio::spawn(deleting));
            assert_ne!(pushed.unwrap(), deleted.unwrap(), "round {round}");
        }
    })
    .await;
}

/// A blob that is mounted while it is being removed is there, or was never mounted.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn t12_mounting_and_reclaiming_take_turns() {
    on_each(async |meta| {
        let (one, two) = (own(&meta, &name("a"), 1).await, own(&meta, &name("b"), 1).await);
        for round in 0..ROUNDS {
            let content = format!("blob {round}");
            let digest = Digest::of(content.as_bytes());
            bring(&meta, one, &content, 1).await;
            let mounting = {
                let meta = meta.clone();
                async move { meta.mount_blob(two, &digest, Some(one), 5).await.unwrap().is_some() }
            };
            let reclaiming = {
                let meta = meta.clone();
                async move {
                    meta.unlink_forgotten(&[ForgottenLink { repository: one, digest }], 3).await.unwrap();
                    meta.condemn_blobs(&[digest], 3, 3).await.unwrap();
                    meta.reclaim_blob::<(), _>(&digest, 4, || async { Ok(()) }).await.unwrap().unwrap()
                }
            };
            let (mounted, reclaimed) = tokio::join!(tokio::spawn(mounting), tokio::spawn(reclaiming));
            let (mounted, reclaimed) = (mounted.unwrap(), reclaimed.unwrap());
            assert_ne!(mounted, reclaimed, "round {round}");
            assert_eq!(meta.is_blob(&digest).await.unwrap(), mounted);
        }
    })
    .await;
}

/// F8: manifests that name the same layers in other orders are all stored.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn f08_the_order_of_references_does_not_matter() {
    on_each(async |meta| {
        let repository = own(&meta, &name("a"), 1).await;
        let contents: Vec<_> = (0..30).map(|n| format!("layer {n}")).collect();
        for content in &contents {
            bring(&meta, repository, content, 1).await;
        }
        let references: Vec<_> = contents.iter().map(|content| blob(content)).collect();
        for round in 0..ROUNDS / 4 {
            let put = |writer: usize| {
                let (meta, mut references) = (meta.clone(), references.clone());
                if writer.is_multiple_of(2) {
                    references.reverse();
                }
                async move {
                    let manifest = manifest(&format!("{{\"{writer}\":{round}}}"), references);
                    meta.put_manifest(repository, &manifest, &untagged(), "me", 5).await
                }
            };
            for put in at_once((0..WRITERS).map(put)).await {
                assert_eq!(put.unwrap(), Put::Stored, "round {round}");
            }
        }
    })
    .await;
}

/// F8: uses of the same blobs, pulls of the same images and usage come from several replicas in any order.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn f08_uses_and_pulls_from_several_replicas() {
    on_each(async |meta| {
        let repository = own(&meta, &name("a"), 1).await;
        let digests: Vec<_> = (0..100).map(|n| Digest::of(format!("{n}").as_bytes())).collect();
        for round in 0..ROUNDS / 4 {
            let write = |writer: usize| {
                let (meta, mut digests) = (meta.clone(), digests.clone());
                if writer.is_multiple_of(2) {
                    digests.reverse();
                }
                async move {
                    let at = i64::try_from(round).unwrap();
                    let uses: Vec<_> =
                        digests.iter().map(|digest| BlobUse { digest: *digest, used_at_ms: at, uses: 1 }).collect();
                    meta.put_blob_uses(&uses, &digests[..10]).await?;
                    let pulls: Vec<_> = digests.iter().map(|digest| (repository, *digest, at)).collect();
                    meta.put_pulls(&pulls).await?;
                    meta.use_pulled_blobs(&digests, at).await
                }
            };
            for written in at_once((0..WRITERS).map(write)).await {
                written.unwrap();
            }
        }
        assert_eq!(meta.blob_uses().await.unwrap().len(), 90);
    })
    .await;
}

/// Of several who make the same repository one does, and nobody fails.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn repositories_are_made_once() {
    on_each(async |meta| {
        for round in 0..ROUNDS / 4 {
            let make = |_| {
                let meta = meta.clone();
                let name = QualifiedName::new(account(), name(&format!("r{round}")));
                async move { meta.add_repository(&name, None, &RepositorySettings::default(), 1).await.unwrap() }
            };
            let made: BTreeSet<_> = at_once((0..WRITERS).map(make)).await.into_iter().flatten().collect();
            assert_eq!(made.len(), 1);
        }
    })
    .await;
}

/// D3: every acknowledged change of a repository's tags is there.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn d03_tags_of_a_repository_are_all_kept() {
    on_each(async |meta| {
        let id = own(&meta, &name("a"), 1).await;
        for round in 0..ROUNDS / 4 {
            let add = |writer: usize| {
                let meta = meta.clone();
                async move {
                    let change = |tags: &mut BTreeMap<String, String>| {
                        tags.insert(format!("{round} {writer}"), String::new());
                        tags.remove(&format!("{} {writer}", round.wrapping_sub(1)));
                        Ok::<_, ()>(())
                    };
                    meta.change_resource_tags(id, change).await.unwrap().unwrap().unwrap();
                }
            };
            at_once((0..WRITERS).map(add)).await;
            let row = meta.repository_row(&QualifiedName::new(account(), name("a"))).await.unwrap().unwrap();
            let expected: Vec<_> = (0..WRITERS).map(|writer| format!("{round} {writer}")).collect();
            assert_eq!(row.settings.resource_tags.into_keys().collect::<Vec<_>>(), expected);
        }
        assert_eq!(meta.change_resource_tags(id, |_| Err("too many")).await.unwrap(), Some(Err("too many")));
        assert!(meta.remove_repository(id, false).await.unwrap());
        assert_eq!(meta.change_resource_tags(id, |_| Ok::<_, ()>(())).await.unwrap(), None);
    })
    .await;
}

/// D3: every acknowledged change of a template, a rule or another document is there, and one that was deleted stays away.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn d03_documents_are_changed_one_after_the_other() {
    on_each(async |meta| {
        let (account, kind) = (account(), DocumentKind::Template);
        meta.add_document(account, kind, "x", "0", 1).await.unwrap();
        let add = |_| {
            let meta = meta.clone();
            let add = |row: &DocumentRow| Ok::<_, ()>((row.document.parse::<usize>().unwrap() + 1).to_string());
            async move { meta.change_document(account, kind, "x", 2, add).await.unwrap().unwrap().unwrap() }
        };
        let written = at_once((0..ROUNDS).map(add)).await;
        let seen: BTreeSet<_> = written.iter().map(|row| row.document.parse::<usize>().unwrap()).collect();
        assert_eq!(seen, (1..=ROUNDS).collect());
        assert_eq!(meta.document(account, kind, "x").await.unwrap().unwrap().document, ROUNDS.to_string());
        meta.remove_document(account, kind, "x").await.unwrap().unwrap();
        assert_eq!(meta.change_document(account, kind, "x", 2, |_| Ok::<_, ()>(String::new())).await.unwrap(), None);
        assert_eq!(meta.document(account, kind, "x").await.unwrap(), None);
    })
    .await;
}

/// The policy of a registry is put and removed: whoever is told that they removed it had removed one, and each is removed once.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_policy_is_removed_once() {
    on_each(async |meta| {
        let id = own(&meta, &name("a"), 1).await;
        for round in 0..ROUNDS / 4 {
            let text = format!("{{\"round\":{round}}}");
            meta.put_document(account(), DocumentKind::RegistryPolicy, "", &text, 1).await.unwrap();
            meta.change_repository(id, &RepositoryColumn::Policy(Some(text.clone()))).await.unwrap();
            let remove = |_| {
                let meta = meta.clone();
                async move {
                    let of_registry = meta.remove_document(account(), DocumentKind::RegistryPolicy, "").await.unwrap();
                    (of_registry.map(|row| row.document), meta.remove_repository_policy(id).await.unwrap())
                }
            };
            let (of_registry, of_repository): (Vec<_>, Vec<_>) =
                at_once((0..WRITERS).map(remove)).await.into_iter().unzip();
            assert_eq!(of_registry.into_iter().flatten().collect::<Vec<_>>(), std::slice::from_ref(&text));
            assert_eq!(of_repository.into_iter().flatten().collect::<Vec<_>>(), [text]);
        }
    })
    .await;
}

fn user(name: &str) -> NewPrincipal {
    let (account, kind, name) = (account(), PrincipalKind::User, name.to_owned());
    NewPrincipal { account, kind, name, declared: false, tags: BTreeMap::new() }
}

/// S9: there are never more access keys, policies, users or documents than the limit says.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn s09_limits_hold() {
    on_each(async |meta| {
        for round in 0..ROUNDS / 4 {
            let made = meta.make_principal(&user(&format!("u{round}")), &RoleColumns::default(), u64::MAX, 1).await;
            let Made::New(id) = made.unwrap() else { panic!("it is new") };
            let add = |writer: usize| {
                let meta = meta.clone();
                async move {
                    let key = AccessKeyRow {
                        id: format!("AKIA{round}X{writer}"),
                        principal: id,
                        sealed: String::new(),
                        created_at_ms: 1,
                        is_active: true,
                    };
                    let key = meta.make_access_key(&key, 2).await.unwrap();
                    let policy = (format!("p{writer}"), String::new());
                    let policy = meta.put_principal_policy(id, &policy, 3).await.unwrap();
                    let document = format!("{round} {writer}");
                    let most = 4 * (round as u64 + 1);
                    let kind = DocumentKind::PullTimeExclusion;
                    let document = meta.make_document(account(), kind, &document, "{}", most, 1).await.unwrap();
                    [key, policy, document]
                }
            };
            let told = at_once((0..WRITERS).map(add)).await;
            let new = |at: usize| told.iter().filter(|made| made[at] == Made::New(())).count();
            assert_eq!([new(0), new(1), new(2)], [2, 3, 4], "{told:?}");
            assert_eq!(meta.access_keys(id).await.unwrap().len(), 2);
            assert_eq!(meta.principal_policies(id).await.unwrap().len(), 3);
        }
        let there = ROUNDS / 4;
        let make = |writer: usize| {
            let meta = meta.clone();
            async move {
                let most = there as u64 + 3;
                meta.make_principal(&user(&format!("more{writer}")), &RoleColumns::default(), most, 1).await.unwrap()
            }
        };
        let made = at_once((0..WRITERS).map(make)).await;
        assert_eq!(made.iter().filter(|made| matches!(made, Made::New(_))).count(), 3, "{made:?}");
    })
    .await;
}

/// S9: a user who gets a key, a password or a policy is not removed as one who has nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn s09_a_user_who_has_something_is_not_removed() {
    on_each(async |meta| {
        for round in 0..ROUNDS {
            let made = meta.make_principal(&user(&format!("u{round}")), &RoleColumns::default(), u64::MAX, 1).await;
            let Made::New(id) = made.unwrap() else { panic!("it is new") };
            let key = AccessKeyRow {
                id: format!("AKIA{round}"),
                principal: id,
                sealed: String::new(),
                created_at_ms: 1,
                is_active: true,
            };
            let giving = {
                let meta = meta.clone();
                async move { meta.make_access_key(&key, 2).await.unwrap() == Made::New(()) }
            };
            let removing = {
                let meta = meta.clone();
                async move { meta.remove_bare_principal(id).await.unwrap().is_ok() }
            };
            let (given, removed) = tokio::join!(tokio::spawn(giving), tokio::spawn(removing));
            assert_ne!(given.unwrap(), removed.unwrap(), "round {round}");
        }
    })
    .await;
}

/// A tag that was made immutable does not move: whether it may is decided where nobody changes that in between.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn t12_a_tag_stays_once_its_repository_says_so() {
    on_each(async |meta| {
        for round in 0..ROUNDS {
            let repository = own(&meta, &name(&format!("r{round}")), 1).await;
            let is_immutable = std::sync::Arc::new(|set: Option<&str>, _: &crate::oci::Tag| set.is_some());
            let tags = TagWrites { tags: vec![tag("x")], is_immutable };
            meta.put_manifest(repository, &manifest("{1}", vec![]), &tags, "me", 1).await.unwrap();
            let moving = {
                let meta = meta.clone();
                async move { meta.put_manifest(repository, &manifest("{2}", vec![]), &tags, "me", 1).await.unwrap() }
            };
            let setting = {
                let meta = meta.clone();
                async move {
                    meta.change_repository(repository, &RepositoryColumn::Mutability(Some("{}".to_owned())))
                        .await
                        .unwrap();
                    meta.manifest(repository, &Named::Tag(tag("x"))).await.unwrap().unwrap().digest
                }
            };
            let (moved, seen) = tokio::join!(tokio::spawn(moving), tokio::spawn(setting));
            let now = meta.manifest(repository, &Named::Tag(tag("x"))).await.unwrap().unwrap().digest;
            assert_eq!(seen.unwrap(), now, "round {round}: {:?}", moved.unwrap());
        }
    })
    .await;
}

/// A manifest that is pushed while its repository is deleted is stored and deleted with it, or told that there is none.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_push_to_a_repository_that_is_deleted() {
    on_each(async |meta| {
        for round in 0..ROUNDS / 2 {
            let repository = own(&meta, &name(&format!("r{round}")), 1).await;
            bring(&meta, repository, "layer", 1).await;
            let pushing = {
                let meta = meta.clone();
                let manifest = manifest("{1}", vec![blob("layer")]);
                async move { meta.put_manifest(repository, &manifest, &tagged(&["x"], false), "me", 1).await.unwrap() }
            };
            let deleting = {
                let meta = meta.clone();
                async move { meta.remove_repository(repository, false).await.unwrap() }
            };
            let (pushed, deleted) = tokio::join!(tokio::spawn(pushing), tokio::spawn(deleting));
            let (pushed, deleted) = (pushed.unwrap(), deleted.unwrap());
            assert_ne!(pushed == Put::Stored, deleted, "round {round}: {pushed:?}");
        }
    })
    .await;
}

/// T27: a blob that was found damaged, or of which no row knew, is set aside before somebody brings it anew, or stays.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn t27_scrubbing_and_healing_take_turns() {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};
    on_each(async |meta| {
        let repository = own(&meta, &name("a"), 1).await;
        for round in 0..ROUNDS {
            let content = format!("blob {round}");
            let (digest, size) = (Digest::of(content.as_bytes()), content.len() as u64);
            let is_orphan = round % 2 == 0;
            if !is_orphan {
                bring(&meta, repository, &content, 1).await;
            }
            // Bytes lie there, and they are wrong, or no row knows them.
            let (there, good) = (Arc::new(AtomicBool::new(true)), Arc::new(AtomicBool::new(is_orphan)));
            let healing = {
                let (meta, there, good) = (meta.clone(), there.clone(), good.clone());
                async move {
                    meta.claim_blob(&digest, size, 1).await.unwrap();
                    there.store(true, Ordering::SeqCst);
                    good.store(true, Ordering::SeqCst);
                    tokio::task::yield_now().await;
                    meta.link_blob(repository, &digest, size, None, 1).await.unwrap()
                }
            };
            let scrubbing = {
                let (meta, there) = (meta.clone(), there.clone());
                let found = meta.blob_link(repository, &digest).await.unwrap();
                async move {
                    let remove = async || {
                        there.store(false, Ordering::SeqCst);
                        Ok::<_, ()>(())
                    };
                    match found {
                        Some(link) => meta.set_blob_aside(&digest, link.claim, 5, remove).await.unwrap().unwrap(),
                        None => meta.remove_orphan(&digest, remove).await.unwrap().unwrap(),
                    }
                }
            };
            let (healed, scrubbed) = tokio::join!(tokio::spawn(healing), tokio::spawn(scrubbing));
            assert!(healed.unwrap());
            let told = meta.blob_link(repository, &digest).await.unwrap();
            assert!(told.is_some(), "round {round}: what was acknowledged is not lost, {scrubbed:?}");
            assert!(there.load(Ordering::SeqCst) && good.load(Ordering::SeqCst), "round {round}: {scrubbed:?}");
        }
    })
    .await;
}

/// Connections for reading do not write.
#[tokio::test]
async fn whoever_reads_does_not_write() {
    on_each(async |meta| {
        let refused = sqlx::query("DELETE FROM blob").execute(&meta.pool).await;
        assert!(refused.is_err());
    })
    .await;
}

/// F1: where the disk is full a write fails, and the next one that fits is written.
#[tokio::test]
async fn f01_a_full_disk_ends_no_connection_for_good() {
    let folder = tempfile::tempdir().unwrap();
    let meta = Meta::open(&folder.path().join("x.db")).await.unwrap();
    let put =
        async |bytes: usize| meta.put_document(account(), DocumentKind::Template, "x", &"x".repeat(bytes), 1).await;
    put(10).await.unwrap();
    // As when there is no room for more pages; it holds for this connection.
    meta.execute("PRAGMA max_page_count = 1".to_owned()).await.unwrap();
    let full = put(10 << 20).await.unwrap_err();
    assert!(full.is_full(), "{full}");
    put(20).await.unwrap();
    put(30).await.unwrap();
}

/// T17: reading waits for nobody who writes; and a push that is refused takes nobody's turn.
#[tokio::test]
async fn t17_reads_do_not_wait_for_writers() {
    on_each(async |meta| {
        let repository = own(&meta, &name("a"), 1).await;
        meta.put_manifest(repository, &manifest("{}", vec![]), &tagged(&["x"], false), "me", 1).await.unwrap();
        // As many as there are connections for writing.
        let writers = if meta.is_shared() { i64::from(Connections::default().writes) } else { 1 };
        let mut writing = Vec::new();
        for id in 0..writers {
            // One asker alone is left without the last.
            let meta = meta.on_behalf_of(Asker::work(&id.to_string()));
            writing.push(meta.write(Scope::Repository(RepositoryId::for_tests(id))).await.unwrap());
        }
        assert!(meta.manifest(repository, &Named::Tag(tag("x"))).await.unwrap().is_some());
        let refused = manifest("{1}", vec![blob("missing")]);
        let put = meta.put_manifest(repository, &refused, &untagged(), "me", 1).await.unwrap();
        assert_eq!(put, Put::Missing(vec![Digest::of(b"missing")]));
        drop(writing);
    })
    .await;
}

/// T17: a thousand references, each several times, are looked up and written down.
#[tokio::test]
async fn t17_a_thousand_references() {
    on_each(async |meta| {
        let repository = own(&meta, &name("a"), 1).await;
        let contents: Vec<_> = (0..1_000).map(|n| format!("layer {n}")).collect();
        for content in &contents {
            bring(&meta, repository, content, 1).await;
        }
        let references: Vec<_> = contents.iter().chain(&contents).map(|content| blob(content)).collect();
        let whole = manifest("{1}", references.clone());
        assert_eq!(meta.put_manifest(repository, &whole, &untagged(), "me", 9).await.unwrap(), Put::Stored);
        let last = Digest::of(b"layer 999");
        assert_eq!(meta.blob_link(repository, &last).await.unwrap().unwrap().wanted_at_ms, 9);
        assert!(meta.is_referred_to(repository, &last).await.unwrap());
        let torn = manifest("{2}", [references, vec![blob("missing"), blob("missing")]].concat());
        let put = meta.put_manifest(repository, &torn, &untagged(), "me", 9).await.unwrap();
        assert_eq!(put, Put::Missing(vec![Digest::of(b"missing")]));
    })
    .await;
}

/// A password is made once, and changed or taken away only where there is one.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn s09_a_password_is_made_once() {
    on_each(async |meta| {
        let made = meta.make_principal(&user("ann"), &RoleColumns::default(), u64::MAX, 1).await;
        let Made::New(id) = made.unwrap() else { panic!("it is new") };
        assert!(!meta.put_password(id, Some("x"), PasswordNow::Is).await.unwrap());
        for _ in 0..ROUNDS / 4 {
            let make = |_| {
                let meta = meta.clone();
                async move { meta.put_password(id, Some("x"), PasswordNow::IsNot).await.unwrap() }
            };
            assert_eq!(at_once((0..WRITERS).map(make)).await.into_iter().filter(|made| *made).count(), 1);
            let remove = |_| {
                let meta = meta.clone();
                async move { meta.put_password(id, None, PasswordNow::Is).await.unwrap() }
            };
            assert_eq!(at_once((0..WRITERS).map(remove)).await.into_iter().filter(|gone| *gone).count(), 1);
        }
    })
    .await;
}

/// A rule is made, or a repository below its prefix is; never both, or the rule would hide what is pushed.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn t12_a_rule_or_a_repository_below_it_is_made() {
    on_each(async |meta| {
        for round in 0..ROUNDS {
            let prefix = format!("p_{round}");
            let below = QualifiedName::new(account(), name(&format!("{prefix}/a")));
            let beside = QualifiedName::new(account(), name(&format!("pa{round}/a")));
            assert!(meta.add_repository(&beside, None, &RepositorySettings::default(), 1).await.unwrap().is_some());
            let making = {
                let (meta, below) = (meta.clone(), below.clone());
                async move {
                    meta.add_repository(&below, None, &RepositorySettings::default(), 1).await.unwrap().is_some()
                }
            };
            let ruling = {
                let (meta, prefix) = (meta.clone(), prefix.clone());
                async move {
                    let path = Some(prefix.as_str());
                    let new = NewRule { account: account(), name: &prefix, path, upstream: &prefix, document: "{}" };
                    meta.make_rule(new, u64::MAX, 1).await.unwrap()
                }
            };
            let (made, ruled) = tokio::join!(tokio::spawn(making), tokio::spawn(ruling));
            let (made, ruled) = (made.unwrap(), ruled.unwrap());
            let hidden = Hidden { repository: below.name.to_string(), upstream: None };
            let expected = if made { MadeRule::Hides(hidden) } else { MadeRule::New };
            assert_eq!(ruled, expected, "round {round}");
            assert_eq!(meta.repository(&below).await.unwrap().is_some(), made);
        }
    })
    .await;
}

/// A repository does not become another upstream's.
#[tokio::test(flavor = "multi_thread")]
async fn a12_a_rule_takes_no_repository_of_another_upstream() {
    on_each(async |meta| {
        let pulled = QualifiedName::new(account(), name("hub/library/nginx"));
        let made = meta.add_repository(&pulled, Some("good"), &RepositorySettings::default(), 1).await.unwrap();
        assert!(made.is_some());
        let rule = async |prefix: &str, upstream: &str| {
            let new = NewRule { account: account(), name: prefix, path: Some(prefix), upstream, document: "{}" };
            meta.make_rule(new, u64::MAX, 1).await.unwrap()
        };
        let hidden = Hidden { repository: "hub/library/nginx".to_owned(), upstream: Some("good".to_owned()) };
        assert_eq!(rule("hub", "evil").await, MadeRule::Hides(hidden.clone()));
        assert_eq!(rule("hub/library", "evil").await, MadeRule::Hides(hidden));
        assert_eq!(rule("hub/librar", "evil").await, MadeRule::New);
        assert_eq!(rule("hub", "good").await, MadeRule::New);
        assert_eq!(rule("hub/library", "good").await, MadeRule::Below("hub".to_owned()));
        assert_eq!(rule("hub", "good").await, MadeRule::IsThere);
    })
    .await;
}

/// T22: what upstream confirms again while old rows are removed is there afterwards, and so is its repository.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn t22_a_trim_takes_nothing_that_was_just_noted() {
    on_each(async |meta| {
        let origin = OriginId::of("o");
        let limits = UpstreamLimits { before_ms: 100, rows: 1000, list_bytes: 1000 };
        for round in 0..ROUNDS * 2 {
            let (repository, digest) = (name(&format!("u/r{round}")), Digest::of(&round.to_le_bytes()));
            // In every other round nothing else is left of the repository, which may be removed while something is noted of it.
            if round % 2 == 0 {
                meta.put_right(&repository, &digest, LinkKind::Blob, origin, true, 1).await.unwrap();
            } else {
                meta.put_listing(&repository, "tags", &Listing { body: "x".into(), checked_at_ms: 1 }, None)
                    .await
                    .unwrap();
            }
            let noting = {
                let (meta, repository) = (meta.clone(), repository.clone());
                async move { meta.put_right(&repository, &digest, LinkKind::Blob, origin, true, 200).await.unwrap() }
            };
            let trimming = |_| {
                let meta = meta.clone();
                async move { meta.trim_upstreams(limits).await.map(drop).unwrap() }
            };
            let (noted, trimmed) = tokio::join!(tokio::spawn(noting), at_once((0..3).map(trimming)));
            noted.unwrap();
            assert_eq!(trimmed.len(), 3);
            assert!(meta.has_right(&repository, &digest, LinkKind::Blob, origin).await.unwrap(), "round {round}");
            assert!(meta.has_sent(origin, &digest).await.unwrap(), "round {round}");
        }
    })
    .await;
}

/// However many writes of one client wait, somebody else's waits for one of them; with several connections, for none.
#[tokio::test]
async fn a_flood_of_writes_delays_others_by_one() {
    on_each(async |meta| {
        let handle = |name| meta.on_behalf_of(Asker::work(name));
        let held = handle("flood").write(Scope::Rows).await.unwrap();
        let (order, gate) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Semaphore::new(0)));
        let write = |name: &'static str| {
            let (meta, order, gate) = (handle(name), order.clone(), gate.clone());
            tokio::spawn(async move {
                let writing = meta.write(Scope::Rows).await.unwrap();
                order.lock().unwrap().push(name);
                drop(gate.acquire().await.unwrap());
                writing.commit().await.unwrap();
            })
        };
        let mut writes: Vec<_> = (0..100).map(|_| write("flood")).collect();
        // As many as may run do so, and the others have come to wait.
        let running = if meta.is_shared() { 2 } else { 0 };
        while order.lock().unwrap().len() < running {
            tokio::task::yield_now().await;
        }
        for _ in 0..1000 {
            tokio::task::yield_now().await;
        }
        assert_eq!(order.lock().unwrap().len(), running, "a place is left for others");
        writes.push(write("honest"));
        tokio::task::yield_now().await;
        // Where a place was left, it has that; it only has to connect.
        while meta.is_shared() && order.lock().unwrap().len() == running && !writes.iter().any(|one| one.is_finished())
        {
            tokio::task::yield_now().await;
        }
        drop(held);
        gate.add_permits(1000);
        for ended in join_all(writes).await {
            ended.unwrap();
        }
        let order = order.lock().unwrap();
        let turn = order.iter().position(|name| *name == "honest");
        assert!(turn.is_some_and(|turn| turn <= running + 1), "{turn:?}");
    })
    .await;
}

const QUEUE: &str = "race";

fn taking(lease: Duration) -> Taking<'static> {
    Taking { queue: QUEUE, lanes: &[("/", 3)], lease, max_attempts: u32::MAX, by: "me" }
}

fn done() -> Ending<'static> {
    Ending::Done { result: "{}", next: &[] }
}

/// Many workers take jobs while others enqueue: each job is done once, and nobody takes one under another's live lease.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_job_is_taken_by_two() {
    on_each(async |meta| {
        let jobs = 400;
        let enqueue = |writer: usize| {
            let meta = meta.clone();
            async move {
                for n in (writer..jobs).step_by(WRITERS) {
                    meta.enqueue(&[NewJob::new(QUEUE, n.to_string())]).await.unwrap();
                }
            }
        };
        let work = |_: usize| {
            let meta = meta.clone();
            async move {
                let mut taken = Vec::new();
                let mut idle = 0;
                while idle < 200 {
                    let some = meta.take(&taking(Duration::from_secs(600))).await.unwrap();
                    idle = if some.is_empty() { idle + 1 } else { 0 };
                    if some.is_empty() {
                        tokio::time::sleep(Duration::from_millis(1)).await;
                    }
                    for job in some {
                        taken.push(job.key.clone());
                        assert!(meta.end_job(job.lease, &done(), &JobProgress::default()).await.unwrap());
                    }
                }
                taken
            }
        };
        let enqueueing: Vec<_> = (0..WRITERS).map(enqueue).collect();
        let enqueueing = tokio::spawn(at_once(enqueueing));
        let taken = at_once((0..WRITERS).map(work)).await;
        enqueueing.await.unwrap();
        let mut all: Vec<_> = taken.into_iter().flatten().collect();
        all.sort();
        let whole = all.len();
        all.dedup();
        assert_eq!((whole, all.len()), (jobs, jobs));
        assert_eq!(meta.jobs(&JobFilter::default(), None, 10).await.unwrap(), []);
    })
    .await;
}

/// Leases that end at once: many hold the same job in turn, and one ending counts for each lease that was the last.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_holders_the_last_one_ends_a_job() {
    on_each(async |meta| {
        for round in 0..ROUNDS {
            meta.enqueue(&[NewJob::new(QUEUE, round.to_string())]).await.unwrap();
            let hold = |_: usize| {
                let meta = meta.clone();
                async move {
                    let job = meta.take(&taking(Duration::ZERO)).await.unwrap().pop();
                    tokio::task::yield_now().await;
                    match job {
                        Some(job) => meta.end_job(job.lease, &done(), &JobProgress::default()).await.unwrap(),
                        None => false,
                    }
                }
            };
            let ended = at_once((0..WRITERS).map(hold)).await;
            let mut ends = ended.into_iter().filter(|ended| *ended).count();
            // The last holder may have been one whose lease had ended when another took it, and that one another.
            while let Some(job) = meta.take(&taking(Duration::ZERO)).await.unwrap().pop() {
                ends += usize::from(meta.end_job(job.lease, &done(), &JobProgress::default()).await.unwrap());
            }
            assert_eq!(ends, 1, "round {round}");
        }
    })
    .await;
}

/// A fact is written with its job, again and again, while workers do that job: each fact is seen by a run that begins after it.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_fact_is_enqueued_in_vain() {
    use std::sync::atomic::{AtomicU64, Ordering};
    on_each(async |meta| {
        let (written, runs) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
        let fact = |_: usize| {
            let (meta, written) = (meta.clone(), written.clone());
            async move {
                for _ in 0..ROUNDS {
                    // The fact is a number that only grows, written in the transaction that enqueues.
                    let mut writing = meta.write(scope::Scope::Principals(account())).await.unwrap();
                    let next = written.load(Ordering::SeqCst) + 1;
                    let put = "INSERT INTO registry_document (account, kind, name, document, created_at_ms, updated_at_ms) \
                               VALUES ('000000000000', 'fact', 'x', $1, 1, 1) \
                               ON CONFLICT (account, kind, name) DO UPDATE SET document = excluded.document";
                    let put = sqlx::query(put).bind(next.to_string()).execute(writing.connection()).await;
                    put.unwrap();
                    writing.enqueue(&[NewJob::new(QUEUE, "one")]).await.unwrap();
                    written.store(next, Ordering::SeqCst);
                    writing.commit().await.unwrap();
                }
            }
        };
        let seen = Arc::new(AtomicU64::new(0));
        let stop = tokio_util::sync::CancellationToken::new();
        let work = |_: usize| {
            let (meta, seen, runs, stop) = (meta.clone(), seen.clone(), runs.clone(), stop.clone());
            async move {
                while !stop.is_cancelled() {
                    for job in meta.take(&taking(Duration::from_secs(600))).await.unwrap() {
                        let now: String = sqlx::query_scalar("SELECT document FROM registry_document WHERE kind = 'fact'")
                            .fetch_one(&meta.pool)
                            .await
                            .unwrap();
                        tokio::task::yield_now().await;
                        seen.fetch_max(now.parse().unwrap(), Ordering::SeqCst);
                        runs.fetch_add(1, Ordering::SeqCst);
                        assert!(meta.end_job(job.lease, &done(), &JobProgress::default()).await.unwrap());
                    }
                }
            }
        };
        let working: Vec<_> = (0..2).map(work).collect();
        let working = tokio::spawn(at_once(working));
        at_once((0..WRITERS).map(fact)).await;
        let facts = (WRITERS * ROUNDS) as u64;
        while !meta.jobs(&JobFilter::default(), None, 10).await.unwrap().is_empty() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        stop.cancel();
        working.await.unwrap();
        assert_eq!(seen.load(Ordering::SeqCst), facts, "the last fact was seen");
        assert!(runs.load(Ordering::SeqCst) <= facts, "{runs:?} runs for {facts} facts");
    })
    .await;
}

/// Enqueues of one key at once are one job, and those of several keys in any order wait for nobody in a circle.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn coalescing_under_races() {
    on_each(async |meta| {
        for round in 0..ROUNDS {
            let enqueue = |writer: usize| {
                let meta = meta.clone();
                async move {
                    let mut jobs: Vec<_> = (0..20).map(|n| NewJob::new(QUEUE, format!("{round} {n}"))).collect();
                    jobs.rotate_left(writer);
                    if writer.is_multiple_of(2) {
                        jobs.reverse();
                    }
                    meta.enqueue(&jobs).await.unwrap();
                }
            };
            at_once((0..WRITERS).map(enqueue)).await;
        }
        let jobs = meta.jobs(&JobFilter::default(), None, 10_000).await.unwrap();
        assert_eq!(jobs.len(), ROUNDS * 20);
    })
    .await;
}
