//! Noticing that the configuration has changed.
//!
//! The content of the file, and of the files that it names, is hashed every few seconds. Kubernetes changes a mounted
//! ConfigMap by swapping a symbolic link far up the path; watching for events misses that, looking at the content does
//! not. A change is taken up once it has held still for a moment, so that a file that is being written is not read
//! half.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep};

use super::source::{Loaded, Source};
use crate::config::reading::{ConfigErrors, Content, Seen, look};
use crate::config::settings::Settings;

/// How long a changed file must stay the same before it is read, at most.
const SETTLE: Duration = Duration::from_millis(200);

pub struct Watch {
    source: Source,
    interval: Duration,
    trigger: Trigger,
    /// A trigger was seen whose reading has not finished.
    due: bool,
    seen: Vec<Seen>,
    changed: Vec<PathBuf>,
}

/// Asks a [`Watch`] to read at once, whether or not something has changed: SIGHUP.
#[derive(Clone, Default)]
pub struct Trigger(Arc<Notify>);

impl Trigger {
    pub fn fire(&self) {
        self.0.notify_one();
    }
}

impl Watch {
    /// How often the files are looked at, unless a test wants it otherwise.
    pub const USUAL_INTERVAL: Duration = Duration::from_secs(2);

    /// Reads `source` for the first time and remembers what it saw.
    pub fn start(source: Source, interval: Duration) -> (Self, Result<Settings, ConfigErrors>) {
        let Loaded { result, seen } = source.read();
        let trigger = Trigger::default();
        (Self { source, interval, trigger, due: false, seen, changed: Vec::new() }, result)
    }

    pub fn trigger(&self) -> Trigger {
        self.trigger.clone()
    }

    /// Waits for the next change or trigger and reads everything anew. A bad configuration is told once; the old
    /// settings stay right. It may be dropped and called again at any time.
    pub async fn next(&mut self) -> Result<Settings, ConfigErrors> {
        if !self.due {
            self.wait().await;
        }
        let source = self.source.clone();
        let loaded = loop {
            let source = source.clone();
            match tokio::task::spawn_blocking(move || source.read()).await {
                Ok(loaded) => break loaded,
                // Only a runtime that is shutting down or a panic leads here; there is nothing to tell.
                Err(_) => sleep(self.interval).await,
            }
        };
        self.due = false;
        self.changed = differences(&self.seen, &loaded.seen);
        self.seen = loaded.seen;
        loaded.result
    }

    /// The files whose content was another at the last [`Watch::next`] than before. Settings name certificates by their
    /// path, so that equal settings may stand for new certificates.
    pub fn changed_files(&self) -> &[PathBuf] {
        &self.changed
    }

    async fn wait(&mut self) {
        let interval = self.interval.max(Duration::from_millis(1));
        let mut ticks = interval_at(Instant::now() + interval, interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = self.trigger.0.notified() => break,
                _ = ticks.tick() => {
                    let before = self.look().await;
                    if differences(&self.seen, &before).is_empty() {
                        continue;
                    }
                    sleep(SETTLE.min(self.interval)).await;
                    if self.look().await == before {
                        break;
                    }
                }
            }
        }
        self.due = true;
    }

    async fn look(&self) -> Vec<Seen> {
        let paths: Vec<PathBuf> = self.seen.iter().map(|(path, _)| path.clone()).collect();
        let unchanged = self.seen.clone();
        let look_at_all = move || paths.into_iter().map(|path| (path.clone(), look(&path))).collect();
        tokio::task::spawn_blocking(look_at_all).await.unwrap_or(unchanged)
    }
}

fn differences(before: &[Seen], now: &[Seen]) -> Vec<PathBuf> {
    let content = |seen: &[Seen], path: &Path| -> Option<Content> {
        seen.iter().find(|(other, _)| other == path).map(|(_, content)| content.clone())
    };
    now.iter().filter(|(path, now)| content(before, path).as_ref() != Some(now)).map(|(path, _)| path.clone()).collect()
}
