//! One of the two processes: this program, serving on a free port of loopback.

use std::fs::{self, File};
use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use reqwest::Url;
use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};

use crate::cli::transfer::{Access, Error, Registry};

/// What the proxy calls the registry.
pub(super) const UPSTREAM: &str = "origin";

const START_WITHIN: Duration = Duration::from_secs(30);
const STOP_WITHIN: Duration = Duration::from_secs(10);
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// Of the log of a process that does not start, so many lines are told.
const LOG_LINES: usize = 5;

pub(super) struct Service {
    name: &'static str,
    folder: PathBuf,
    url: Url,
    child: Option<Child>,
}

impl Service {
    /// Written, but not started. With an upstream it is a proxy.
    pub(super) fn write(folder: &Path, name: &'static str, upstream: Option<&Url>) -> Result<Self, Error> {
        let port = free_port().map_err(|error| Error::broken(name, format!("there is no free port: {error}")))?;
        let address = format!("127.0.0.1:{port}");
        let data = folder.join(format!("{name}-data"));
        let mut text =
            format!("listen = [{address:?}]\ndata = {data:?}\nwell_known_upstreams = false\n\n[admin]\nlisten = []\n");
        if let Some(upstream) = upstream {
            // Its tags are asked for each time, so that it shows what happens when nobody answers.
            text.push_str(&format!(
                "\n[[upstream]]\nname = {UPSTREAM:?}\nurl = [{:?}]\ntag_ttl = \"0s\"\nstale_while_revalidate = \"0s\"\n",
                upstream.as_str().trim_end_matches('/')
            ));
        }
        let service = Self { name, folder: folder.to_owned(), url: url(&address)?, child: None };
        let path = service.file("toml");
        fs::write(&path, text)
            .map_err(|error| Error::broken(name, format!("{} cannot be written: {error}", path.display())))?;
        Ok(service)
    }

    pub(super) fn url(&self) -> &Url {
        &self.url
    }

    pub(super) fn client(&self) -> Result<Registry, Error> {
        Access::of(self.url.clone()).open()
    }

    /// Returns when it answers.
    pub(super) async fn start(&mut self) -> Result<(), Error> {
        let child = self.spawn().map_err(|error| Error::broken(self.name, format!("it cannot be started: {error}")))?;
        let child = self.child.insert(child);
        let client = Access::of(self.url.clone()).open()?;
        let start = Instant::now();
        loop {
            if client.answers().await.is_ok() {
                return Ok(());
            }
            let ended = child.try_wait().ok().flatten();
            if ended.is_some() || start.elapsed() > START_WITHIN {
                return Err(Error::broken(self.name, format!("it does not start; its log ends with:\n{}", self.log())));
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// SIGTERM, and SIGKILL to a process that does not end of it.
    pub(super) async fn stop(&mut self) {
        let Some(mut child) = self.child.take() else { return };
        let id = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        if let Some(id) = id {
            // It may have ended by the same Ctrl-C.
            let _ = kill_process(id, Signal::TERM);
        }
        if tokio::time::timeout(STOP_WITHIN, child.wait()).await.is_err() {
            let _ = child.kill().await;
        }
    }

    fn spawn(&self) -> io::Result<Child> {
        let log = File::options().create(true).append(true).open(self.file("log"))?;
        let mut command = Command::new(std::env::current_exe()?);
        command
            .arg("serve")
            .arg("--config")
            .arg(self.file("toml"))
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .kill_on_drop(true);
        for (name, _) in std::env::vars_os() {
            let text = name.to_string_lossy().to_ascii_lowercase();
            // Settings of the real service, and a proxy that would have to find our loopback.
            if text.starts_with("entrepot_") || text.ends_with("_proxy") || text == "notify_socket" {
                command.env_remove(name);
            }
        }
        command.spawn()
    }

    fn log(&self) -> String {
        let text = fs::read_to_string(self.file("log")).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines.get(lines.len().saturating_sub(LOG_LINES)..).unwrap_or_default().join("\n")
    }

    fn file(&self, ending: &str) -> PathBuf {
        self.folder.join(format!("{}.{ending}", self.name))
    }
}

fn url(address: &str) -> Result<Url, Error> {
    let text = format!("http://{address}/");
    text.parse().map_err(|error| Error::Usage(format!("{text} is no URL: {error}")))
}

/// It is free until somebody else takes it before us, which hardly ever happens.
fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}
