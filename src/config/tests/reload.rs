//! Changes while the program runs.

use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::Duration;

use super::super::{Settings, Source, Watch};
use super::{certificate, parse, variables};

const INTERVAL: Duration = Duration::from_millis(10);

fn watch(file: &Path) -> (Watch, Settings) {
    let (watch, settings) = Watch::start(Source::new(Some(file), variables(&[])), INTERVAL);
    (watch, settings.unwrap())
}

async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(10), future).await.expect("nothing was noticed within ten seconds")
}

async fn nothing_comes_of(watch: &mut Watch) {
    assert!(tokio::time::timeout(INTERVAL * 10, watch.next()).await.is_err(), "something was noticed");
}

#[tokio::test]
async fn a_changed_file_is_read_and_a_bad_one_is_told_once() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("entrepot.toml");
    std::fs::write(&file, "[cache]\ndisk = \"1GiB\"\n").unwrap();
    let (mut watch, first) = watch(&file);
    assert_eq!(first.cache.disk, 1 << 30);
    nothing_comes_of(&mut watch).await;

    std::fs::write(&file, "[cache]\ndisk = \"2GiB\"\n").unwrap();
    assert_eq!(soon(watch.next()).await.unwrap().cache.disk, 2 << 30);
    assert_eq!(watch.changed_files(), [file.as_path()]);

    std::fs::write(&file, "[cache]\ndisk = \"2 gigs\"\n").unwrap();
    assert!(soon(watch.next()).await.is_err());
    nothing_comes_of(&mut watch).await;

    std::fs::remove_file(&file).unwrap();
    assert!(soon(watch.next()).await.is_err());
    std::fs::write(&file, "").unwrap();
    assert_eq!(soon(watch.next()).await.unwrap().cache.disk, 50 << 30);
}

/// Kubernetes mounts `entrepot.toml -> ..data/entrepot.toml` and `..data -> ..1`, and swaps `..data` by rename.
#[tokio::test]
async fn a_config_map_is_swapped() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    for (version, disk) in [("..1", "1GiB"), ("..2", "2GiB")] {
        std::fs::create_dir(path(version)).unwrap();
        std::fs::write(path(version).join("entrepot.toml"), format!("[cache]\ndisk = \"{disk}\"\n")).unwrap();
    }
    symlink("..1", path("..data")).unwrap();
    symlink("..data/entrepot.toml", path("entrepot.toml")).unwrap();
    let (mut watch, first) = watch(&path("entrepot.toml"));
    assert_eq!(first.cache.disk, 1 << 30);

    symlink("..2", path("..data_tmp")).unwrap();
    std::fs::rename(path("..data_tmp"), path("..data")).unwrap();
    assert_eq!(soon(watch.next()).await.unwrap().cache.disk, 2 << 30);
}

#[tokio::test]
async fn files_that_the_file_names_count() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    std::fs::write(path("ca.pem"), certificate().0).unwrap();
    std::fs::write(path("password"), "one").unwrap();
    let text = "[[upstream]]\nname = \"a\"\nurl = \"https://a\"\nca = \"ca.pem\"\nusername = \"me\"\n\
                password_file = \"password\"\n";
    std::fs::write(path("entrepot.toml"), text).unwrap();
    let (mut watch, first) = watch(&path("entrepot.toml"));

    std::fs::write(path("password"), "two").unwrap();
    let second = soon(watch.next()).await.unwrap();
    assert_ne!(first, second);

    std::fs::write(path("ca.pem"), certificate().0).unwrap();
    assert_eq!(soon(watch.next()).await.unwrap(), second);
    assert_eq!(watch.changed_files(), [path("ca.pem")]);

    std::fs::remove_file(path("ca.pem")).unwrap();
    assert!(soon(watch.next()).await.is_err());
    std::fs::write(path("ca.pem"), certificate().0).unwrap();
    assert!(soon(watch.next()).await.is_ok());
}

#[tokio::test]
async fn a_trigger_reads_although_nothing_has_changed() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("entrepot.toml");
    std::fs::write(&file, "").unwrap();
    let (mut watch, first) = watch(&file);
    watch.trigger().fire();
    assert_eq!(soon(watch.next()).await.unwrap(), first);
    nothing_comes_of(&mut watch).await;
}

#[tokio::test]
async fn a_trigger_survives_a_dropped_call() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("entrepot.toml");
    std::fs::write(&file, "").unwrap();
    let (mut watch, _) = watch(&file);
    // One poll takes the trigger and starts to read; then the call is dropped. Reading may be over before the poll is: then again.
    let mut was_dropped = false;
    for _ in 0..100 {
        watch.trigger().fire();
        let mut next = Box::pin(watch.next());
        let poll = std::future::poll_fn(|cx| std::task::Poll::Ready(next.as_mut().poll(cx).is_ready()));
        was_dropped = !poll.await;
        if was_dropped {
            break;
        }
    }
    assert!(was_dropped);
    assert!(soon(watch.next()).await.is_ok());
}

#[test]
fn what_needs_a_restart() {
    let old = parse("").unwrap();
    let live = parse("[cache]\ndisk = \"1GiB\"\n[[upstream]]\nname = \"ghcr.io\"\n").unwrap();
    assert!(old.needs_restart(&live).is_empty());
    let text = "listen = \"127.0.0.1:1\"\ndata = \"x\"\n[cache]\nremembered = \"1MiB\"\n[http]\nidle_timeout = \"1s\"\n[admin]\nlisten = []\n[log]\nlevel = \"warn\"\n";
    let new = parse(text).unwrap();
    assert_eq!(
        old.needs_restart(&new),
        ["listen", "data", "admin.listen", "log.level", "http.idle_timeout", "cache.remembered"]
    );
}
