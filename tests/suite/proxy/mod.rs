//! The real binary as a child process, with a configuration and a data folder of its own.
//!
//! A [`Setup`] is the configuration as a table of keys; [`Setup::start`] writes it, runs `entrepot serve` and waits until
//! `/readyz` says 200. The child is killed with the test; when a test fails, its log is printed.
//!
//! *Never* here: waiting without a bound, or looking into the program's memory.

mod data;
mod disk;
mod metrics;
mod setup;

pub use disk::SmallDisk;
pub use metrics::Metrics;
pub use setup::Setup;

use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};

use rustix::process::{Pid, Resource, Rlimit, Signal};
use tempfile::TempDir;
use tokio::process::{Child, Command};

use crate::bound::{until, until_async, within};
use crate::client::{Answer, Client};
use crate::upstream::FakeUpstream;

/// The upstream's name in tests that need but one.
pub const HUB: &str = "hub.test";

pub struct Proxy {
    pub setup: Setup,
    folder: TempDir,
    child: Option<Child>,
    address: SocketAddr,
    admin: SocketAddr,
    starts: u32,
    /// A file system of its own for the data.
    disk: Option<SmallDisk>,
}

/// Path of a blob of the upstream [`HUB`].
pub fn blob(repository: &str, digest: &str) -> String {
    format!("/v2/{HUB}/{repository}/blobs/{digest}")
}

/// Path of a manifest of the upstream [`HUB`], by tag or digest.
pub fn manifest(repository: &str, reference: &str) -> String {
    format!("/v2/{HUB}/{repository}/manifests/{reference}")
}

impl Proxy {
    /// In front of one upstream, with the defaults.
    pub async fn of(upstream: &FakeUpstream) -> Self {
        Setup::of(upstream).start().await
    }

    fn new(setup: Setup) -> Self {
        let (address, admin) = setup.addresses();
        let folder = tempfile::tempdir().expect("a temporary folder");
        Self { setup, folder, child: None, address, admin, starts: 0, disk: None }
    }

    /// A client of the first listener.
    pub fn client(&self) -> Client {
        Client::new(self.address)
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// A client of the admin listener.
    pub fn admin(&self) -> Client {
        Client::new(self.admin)
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.client().get(path).await
    }

    pub async fn head(&self, path: &str) -> Answer {
        self.client().head(path).await
    }

    pub async fn metrics(&self) -> Metrics {
        let answer = self.admin().get("/metrics").await;
        answer.assert_status(200);
        Metrics::parse(&answer.text())
    }

    /// From the next start on the data is on a file system of so many MiB.
    pub fn on_a_small_disk(&mut self, mib: u32) {
        self.disk = Some(SmallDisk::mount(&self.data_folder(), mib));
    }

    pub fn disk(&self) -> &SmallDisk {
        self.disk.as_ref().expect("a small disk")
    }

    /// Starts the process and waits until it is ready.
    pub async fn start(&mut self) {
        let mut attempts = 0;
        loop {
            self.spawn();
            attempts += 1;
            match self.try_ready().await {
                Ok(()) => return,
                // Another child that is being started may hold our ports for a moment.
                Err(ended) if ended.contains("Address already in use") && attempts < 100 => {
                    tokio::time::sleep(std::time::Duration::from_millis(20)).await;
                }
                Err(ended) => panic!("{ended}"),
            }
        }
    }

    /// Sets a variable of the next process.
    pub fn environment(&mut self, name: &str, value: &str) {
        self.setup.environment.insert(name.to_owned(), value.to_owned());
    }

    /// Starts the process and does not wait.
    pub fn spawn(&mut self) {
        self.write_config();
        self.starts += 1;
        let log = File::create(self.log_path(self.starts)).expect("a log file");
        // A full disk is played with a limit of file sizes, of which the kernel tells by a signal that must be ignored.
        let mut command = Command::new("/bin/sh");
        command
            .args(["-c", r#"trap "" XFSZ; exec "$@""#, "sh"])
            .args(self.disk.iter().flat_map(SmallDisk::enter))
            .args([env!("CARGO_BIN_EXE_entrepot"), "serve", "--config"])
            .arg(self.config_path())
            .current_dir(self.folder.path())
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a second handle"))
            .stderr(log)
            .kill_on_drop(true);
        for (name, _) in std::env::vars_os() {
            let text = name.to_string_lossy().to_ascii_lowercase();
            if text.starts_with("entrepot_") || text.ends_with("_proxy") || text.starts_with("rust_") {
                command.env_remove(name);
            }
        }
        command.envs(self.setup.environment.iter().map(|(name, value)| (name.clone(), value.clone())));
        self.child = Some(command.spawn().expect("the binary runs"));
    }

    /// Waits until `/readyz` answers 200. An error is the log of a process that has ended before.
    async fn try_ready(&mut self) -> Result<(), String> {
        let admin = self.admin();
        let start = std::time::Instant::now();
        loop {
            if let Ok(mut exchange) = admin.try_open("GET", "/readyz", &[]).await
                && exchange.head().await.status == 200
            {
                return Ok(());
            }
            let child = self.child.as_mut().expect("a child");
            if let Some(status) = child.try_wait().expect("the child's state") {
                return Err(format!("the process ended at its start: {status}\n{}", self.log()));
            }
            assert!(start.elapsed() < crate::bound::BOUND, "never ready\n{}", self.log());
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    }

    /// Waits until the blob lies in its place; a client may have its last byte before.
    pub async fn kept(&self, digest: &str) {
        until("the blob is kept", || self.is_kept(digest)).await;
    }

    /// SIGKILL; returns when the process is gone.
    pub async fn kill(&mut self) {
        let mut child = self.child.take().expect("a child");
        child.start_kill().expect("the signal is sent");
        within("the end of a killed process", child.wait()).await.expect("the child's state");
    }

    /// SIGTERM; returns when the process has ended.
    pub async fn terminate(&mut self) -> ExitStatus {
        self.signal(Signal::TERM);
        self.wait().await
    }

    /// Waits for the process to end by itself.
    pub async fn wait(&mut self) -> ExitStatus {
        let mut child = self.child.take().expect("a child");
        within("the end of the process", child.wait()).await.expect("the child's state")
    }

    pub fn signal(&self, signal: Signal) {
        rustix::process::kill_process(self.pid(), signal).expect("the signal is sent");
    }

    /// SIGTERM, and a new process on the same data.
    pub async fn restart(&mut self) {
        assert!(self.terminate().await.success(), "{}", self.log());
        self.start().await;
    }

    /// Writes the setup to the file and sends SIGHUP; returns when the process says that it has read it.
    pub async fn reload(&mut self) {
        let before = self.metrics().await.sum("entrepot_config_reloads_total");
        self.write_config();
        self.signal(Signal::HUP);
        until_async("the configuration is read again", async || {
            self.metrics().await.sum("entrepot_config_reloads_total") > before
        })
        .await;
    }

    /// From now on no file of the process may grow beyond so many bytes: writing fails as on a full disk. `None` lifts it.
    pub fn limit_file_size(&self, bytes: Option<u64>) {
        let limit = Rlimit { current: bytes, maximum: None };
        rustix::process::prlimit(Some(self.pid()), Resource::Fsize, limit).expect("the limit is set");
    }

    /// What the running process has written so far, log and standard output.
    pub fn log(&self) -> String {
        fs::read_to_string(self.log_path(self.starts)).unwrap_or_default()
    }

    /// Of memory, now.
    pub fn resident_bytes(&self) -> u64 {
        self.status_bytes("VmRSS:")
    }

    /// Of memory, at the most since it was started.
    pub fn most_resident_bytes(&self) -> u64 {
        self.status_bytes("VmHWM:")
    }

    /// Of addresses, now.
    pub fn address_bytes(&self) -> u64 {
        self.status_bytes("VmSize:")
    }

    fn status_bytes(&self, name: &str) -> u64 {
        let id = self.pid().as_raw_nonzero();
        let status = fs::read_to_string(format!("/proc/{id}/status")).expect("the process's state");
        let line = status.lines().find_map(|line| line.strip_prefix(name)).expect("its memory");
        line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") << 10
    }

    pub fn config_path(&self) -> PathBuf {
        self.folder.path().join("entrepot.toml")
    }

    pub fn write_config(&self) {
        fs::write(self.config_path(), self.setup.text(&self.data_folder())).expect("the configuration is written");
    }

    fn log_path(&self, start: u32) -> PathBuf {
        self.folder.path().join(format!("log-{start}"))
    }

    /// Of the running process.
    pub fn pid(&self) -> Pid {
        let id = self.child.as_ref().and_then(Child::id).expect("a running child");
        Pid::from_raw(id.cast_signed()).expect("a process id")
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = self.log();
            let tail: Vec<_> = log.lines().rev().take(60).collect();
            eprintln!("the log of the process:");
            for line in tail.iter().rev() {
                eprintln!("    {line}");
            }
        }
    }
}
