//! Operators' commands beside the service: which registry they are about, and that they make none.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Output, Stdio};

use tokio::process::Command;

use crate::bound::{until, within};
use crate::bucket::{a_database, server};
use crate::proxy::Setup;
use crate::upstream::FakeUpstream;

/// Commands that work on a registry that has served before.
const COMMANDS: [&[&str]; 8] = [
    &["iam", "create-user", "alice", "--policy", "FullAccess"],
    &["iam", "list"],
    &["iam", "delete-access-key", "AKIANOBONOBONOBONOBO"],
    &["policy", "explain", "--principal", "anonymous", "--action", "ecr:PutImage", "--repository", "team/app"],
    &["usage"],
    &["gc"],
    &["gc", "--dry-run", "-o", "json"],
    &["scrub"],
];

pub async fn run(arguments: &[&str], folder: &Path, environment: &[(&str, &str)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_entrepot"));
    command.args(arguments).current_dir(folder).stdin(Stdio::null()).kill_on_drop(true);
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy().to_ascii_lowercase();
        if text.starts_with("entrepot_") || text.ends_with("_proxy") {
            command.env_remove(name);
        }
    }
    command.envs(environment.iter().copied());
    within("a command", command.output()).await.expect("the binary runs")
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn entries(folder: &Path) -> usize {
    std::fs::read_dir(folder).unwrap().count()
}

/// A command that is typed in another folder, or without `--config`, says so instead of answering from a registry of its own.
#[tokio::test]
async fn nh4_commands_make_no_registry() {
    let folder = tempfile::tempdir().unwrap();
    // Nobody serves here, whatever listens on the usual port.
    let nobody = [("ENTREPOT_ADMIN__LISTEN", "")];
    for arguments in COMMANDS {
        let output = run(arguments, folder.path(), &nobody).await;
        let said = said(&output);
        assert_eq!((output.status.code(), output.stdout.len()), (Some(1), 0), "{arguments:?}: {said}");
        let data = folder.path().canonicalize().unwrap().join("entrepot-data");
        assert!(said.contains(&format!("there is no {}", data.join("entrepot.db").display())), "{said}");
        assert!(said.contains("--config /etc/entrepot/entrepot.toml"), "{said}");
        assert!(said.contains("configuration: none") && said.contains(&format!("data: {}", data.display())), "{said}");
        assert_eq!(entries(folder.path()), 0, "{arguments:?}");
    }
    // A folder that is there and holds no registry is not made one.
    let data = folder.path().join("data");
    std::fs::create_dir(&data).unwrap();
    let file = folder.path().join("entrepot.toml");
    std::fs::write(&file, "data = \"data\"\n[admin]\nlisten = []\n").unwrap();
    for arguments in COMMANDS {
        let output = run(&[arguments, &["--config", file.to_str().unwrap()]].concat(), folder.path(), &[]).await;
        let said = said(&output);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {said}");
        assert!(said.contains("entrepot.toml says so; is it the file of the service?"), "{said}");
        assert_eq!(entries(&data), 0, "{arguments:?}");
    }
    // What cannot be looked at is not told as missing.
    std::fs::write(&file, "data = \"entrepot.toml/data\"\n[admin]\nlisten = []\n").unwrap();
    let output = run(&["iam", "list", "--config", file.to_str().unwrap()], folder.path(), &[]).await;
    assert!(said(&output).contains("cannot be looked at"), "{}", said(&output));
    std::fs::write(&file, "data = \"data\"\n[admin]\nlisten = []\n").unwrap();
    // An empty file is no database that anything served from.
    std::fs::write(data.join("entrepot.db"), "").unwrap();
    std::fs::write(data.join("keys"), "").unwrap();
    for arguments in COMMANDS {
        let output = run(&[arguments, &["--config", file.to_str().unwrap()]].concat(), folder.path(), &[]).await;
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {}", said(&output));
        assert_eq!(std::fs::metadata(data.join("entrepot.db")).unwrap().len(), 0, "{arguments:?}");
    }
}

#[tokio::test]
async fn nh4_commands_make_no_schema_in_postgres() {
    let Some(server) = server("TEST_POSTGRES_URL") else { return };
    let database = a_database(&server).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("entrepot.toml");
    std::fs::write(&file, format!("[admin]\nlisten = []\n[meta]\nurl = {database:?}\n")).unwrap();
    for arguments in COMMANDS {
        let output = run(&[arguments, &["--config", file.to_str().unwrap()]].concat(), folder.path(), &[]).await;
        let said = said(&output);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {said}");
        assert!(said.contains("PostgreSQL") && !said.contains("secret"), "{said}");
    }
    let pool = sqlx::AnyPool::connect(&database).await.unwrap();
    let tables: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM pg_class WHERE relkind = 'r' AND relname NOT LIKE 'pg_%' AND relname NOT LIKE 'sql_%'",
    )
    .fetch_one(&pool)
    .await
    .unwrap();
    assert_eq!(tables, 0);
    assert_eq!(entries(folder.path()), 1);
}

/// With the service's file they work from any folder, while it serves and when it does not, and say what they work on.
#[tokio::test]
async fn nh4_commands_work_on_the_registry_of_the_file() {
    let upstream = FakeUpstream::start().await;
    let mut proxy = Setup::of(&upstream).start().await;
    let elsewhere = tempfile::tempdir().unwrap();
    let file = proxy.config_path();
    for is_serving in [true, false] {
        if !is_serving {
            proxy.terminate().await;
        }
        for arguments in COMMANDS.iter().filter(|command| !command.contains(&"delete-access-key")) {
            let arguments = [arguments, ["--config", file.to_str().unwrap()].as_slice()].concat();
            let arguments: Vec<_> =
                arguments.iter().map(|word| if *word == "alice" && !is_serving { "bob" } else { word }).collect();
            let output = run(&arguments, elsewhere.path(), &[]).await;
            let said = said(&output);
            assert!(output.status.success(), "{arguments:?}: {said}");
            let told = format!("configuration: {}; data: {}", file.display(), proxy.data_path().display());
            assert!(said.contains(&told), "{said}");
        }
    }
    assert_eq!(entries(elsewhere.path()), 0);
}

/// Other users of the machine read neither images nor the database.
#[tokio::test]
async fn d4_the_data_folder_is_for_its_owner() {
    let upstream = FakeUpstream::start().await;
    let mut setup = Setup::of(&upstream);
    setup.cache.text("disk", "900TiB");
    let proxy = setup.start().await;
    assert_eq!(std::fs::metadata(proxy.data_path()).unwrap().permissions().mode() & 0o777, 0o700);
    // Lines are written behind what they tell.
    let told = ["cache.disk is more than the whole file system holds", "opened the data folder", "admin=127."];
    until("the log has it", || told.iter().all(|line| proxy.log().contains(line))).await;
}

/// A second instance says which key makes it meet the first.
#[tokio::test]
async fn y09_a_second_instance_is_told_what_to_change() {
    let upstream = FakeUpstream::start().await;
    let proxy = Setup::of(&upstream).start().await;
    let folder = tempfile::tempdir().unwrap();
    let (_, admin) = proxy.setup.addresses();
    let file = folder.path().join("entrepot.toml");
    let text = format!("listen = \"127.0.0.1:0\"\ndata = \"data\"\n[admin]\nlisten = \"{admin}\"\n");
    std::fs::write(&file, text).unwrap();
    let output = run(&["serve", "--config", file.to_str().unwrap()], folder.path(), &[]).await;
    let said = said(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains(&format!("cannot listen on {admin} (admin.listen)")), "{said}");
    assert!(said.contains("needs its own `listen` and `[admin] listen`"), "{said}");
}

/// A second `create-user` gives no second key behind anybody's back.
#[tokio::test]
async fn nm14_a_user_is_made_once() {
    let upstream = FakeUpstream::start().await;
    let proxy = Setup::of(&upstream).start().await;
    let file = proxy.config_path();
    let iam = async |arguments: &[&str]| {
        run(&[&["iam"], arguments, &["--config", file.to_str().unwrap()]].concat(), Path::new("/"), &[]).await
    };
    assert!(iam(&["create-user", "alice"]).await.status.success());
    let output = iam(&["create-user", "alice", "--policy", "FullAccess"]).await;
    assert_eq!((output.status.code(), output.stdout.len()), (Some(1), 0));
    let said = said(&output);
    assert!(said.contains("user alice is there already") && said.contains("create-access-key alice"), "{said}");
    let list: serde_json::Value = serde_json::from_slice(&iam(&["list", "-o", "json"]).await.stdout).unwrap();
    let alice = list.as_array().unwrap().iter().find(|user| user["arn"].as_str().unwrap().ends_with("/alice")).unwrap();
    assert_eq!((alice["access_keys"].as_array().unwrap().len(), &alice["policies"]), (1, &serde_json::json!([])));
}
