//! Users that operators make, and what others on the machine see of the registry.

use std::io::Write as _;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::process::{Output, Stdio};

use crate::edge::{USERS, as_user};
use crate::proxy::{Proxy, Setup, blob};
use crate::upstream::{FakeUpstream, sha256};

/// `entrepot iam …` on the data of this registry.
pub fn iam(proxy: &Proxy, arguments: &[&str], input: &str) -> Output {
    let mut child = std::process::Command::new(env!("CARGO_BIN_EXE_entrepot"))
        .arg("iam")
        .args(arguments)
        .arg("--config")
        .arg(proxy.config_path())
        .current_dir(proxy.data_path().parent().unwrap())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

fn refusal(output: &Output) -> String {
    assert!(!output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    String::from_utf8_lossy(&output.stderr).into_owned()
}

async fn start(upstream: &FakeUpstream, more: String) -> Proxy {
    let mut setup = Setup::of(upstream);
    setup.more = more;
    setup.start().await
}

/// Who makes a user of a name that is taken is told so, and gets no key of somebody else's.
#[tokio::test]
async fn nm14_a_user_is_made_once() {
    let upstream = FakeUpstream::start().await;
    let proxy = start(&upstream, USERS.to_owned()).await;
    assert!(iam(&proxy, &["create-user", "alice", "--policy", "PullOnly"], "").status.success());
    let again = refusal(&iam(&proxy, &["create-user", "alice", "--policy", "FullAccess"], ""));
    assert!(again.contains("EntityAlreadyExists") && again.contains("create-access-key alice"), "{again}");
    let list = String::from_utf8(iam(&proxy, &["list"], "").stdout).unwrap();
    let alice = list.lines().find(|line| line.contains("user/alice")).unwrap();
    let (policies, keys) = alice.split_once("keys: ").unwrap();
    assert!(policies.ends_with("policies: PullOnly  ") && !keys.contains(','), "{alice}");
    // One that cannot be made whole is not left behind.
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("bad.json");
    std::fs::write(&file, "{}").unwrap();
    refusal(&iam(&proxy, &["create-user", "bob", "--policy", file.to_str().unwrap()], ""));
    assert!(iam(&proxy, &["create-user", "bob", "--policy", "PullOnly"], "").status.success());
}

/// Nor by the command, nor through the API, does a user get a password that is guessed at once.
#[tokio::test]
async fn s08_passwords_have_a_length() {
    let upstream = FakeUpstream::start().await;
    let proxy = start(&upstream, USERS.to_owned()).await;
    assert!(iam(&proxy, &["create-user", "alice"], "").status.success());
    let short = refusal(&iam(&proxy, &["set-password", "alice"], "seven77"));
    assert!(short.contains("Password should have a minimum length of 8"), "{short}");
    assert!(iam(&proxy, &["set-password", "alice"], "eight888").status.success());
    let mut setup = Setup::of(&upstream);
    setup.more = format!("{USERS}\n[auth]\npassword_min_length = 12\n");
    let proxy = setup.start().await;
    assert!(iam(&proxy, &["create-user", "alice"], "").status.success());
    assert!(refusal(&iam(&proxy, &["set-password", "alice"], "eight888")).contains("minimum length of 12"));
}

/// Other users of the machine read neither the database nor images.
#[tokio::test]
async fn t29_s10_the_data_folder_is_for_nobody_else() {
    let upstream = FakeUpstream::start().await;
    let digest = upstream.blob("team/app", "a layer");
    assert_eq!(digest, sha256(b"a layer"));
    let mut proxy = start(&upstream, USERS.to_owned()).await;
    as_user(&proxy, "reader", "GET", &blob("team/app", &digest)).await.assert_status(200);
    proxy.kept(&digest).await;
    let mode = |path: &std::path::Path| std::fs::metadata(path).unwrap().mode() & 0o777;
    let data = proxy.data_path();
    assert_eq!(mode(&data), 0o700);
    for path in [data.join("entrepot.db"), data.join("keys"), proxy.blob_path(&digest), data.join("blobs")] {
        assert_eq!(mode(&path) & 0o007, 0, "{path:?} {:o}", mode(&path));
    }
    // As an earlier version made it; what a group may is the operator's affair.
    std::fs::set_permissions(&data, std::fs::Permissions::from_mode(0o755)).unwrap();
    proxy.restart().await;
    assert_eq!(mode(&data), 0o750);
    assert!(proxy.log().contains("was open to every user of this machine"), "{}", proxy.log());
}
