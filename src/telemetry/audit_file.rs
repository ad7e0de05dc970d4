//! Where the audit log's lines go: a thread of its own writes them, one after the other, and keeps those that cannot be written.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, fchown};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::metrics::Metrics;

/// Lines that may wait to be written.
const MAX_WAITING_LINES: usize = 16_384;

/// A line that could not be written is tried again after this.
const AGAIN: Duration = Duration::from_secs(1);

/// How often the log says that lines cannot be written.
const TOLD_EVERY: Duration = Duration::from_secs(60);

/// Bits of a file's mode that let others write to it.
const WRITTEN_BY_OTHERS: u32 = 0o022;

pub(super) enum Output {
    File { path: PathBuf, file: File },
    Log(io::Stderr),
}

/// Dropped, it writes out what waits; what cannot be written then is lost, and told.
pub(super) struct Writer {
    sender: Option<SyncSender<String>>,
    thread: Option<JoinHandle<()>>,
    state: Arc<State>,
}

struct State {
    is_failing: AtomicBool,
    /// The file is another now.
    is_rotated: AtomicBool,
    is_closing: AtomicBool,
    metrics: Metrics,
}

impl Output {
    /// Appends to the file, which only its owner may read. One that is made here is given to the owner of `data`, who serves.
    pub(super) fn file(path: &Path, data: &Path) -> io::Result<Self> {
        let file = match OpenOptions::new().append(true).create_new(true).mode(0o600).open(path) {
            Ok(file) => {
                give(&file, path, data);
                file
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => open(path)?,
            Err(error) => return Err(error),
        };
        let mode = file.metadata()?.mode();
        if mode & WRITTEN_BY_OTHERS != 0 && file.metadata()?.is_file() {
            tracing::warn!(path = %path.display(), "others may write to the audit log: chmod 600");
        }
        Ok(Self::File { path: path.to_owned(), file })
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::File { file, .. } => file.write(bytes),
            Self::Log(log) => log.write(bytes),
        }
    }

    /// After a rotation: whatever lies under the path now.
    fn reopen(&mut self) {
        if let Self::File { path, file } = self {
            match OpenOptions::new().append(true).create(true).mode(0o600).open(path.as_path()) {
                Ok(new) => *file = new,
                Err(error) => {
                    tracing::error!(%error, path = %path.display(), "the audit log cannot be opened again: lines go on to the old file");
                }
            }
        }
    }
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).open(path)
}

/// An operator's command, typed as root, may be the first to write.
fn give(file: &File, path: &Path, data: &Path) {
    let given = fs::metadata(data).and_then(|data| {
        let is = file.metadata()?;
        if (is.uid(), is.gid()) == (data.uid(), data.gid()) {
            return Ok(());
        }
        fchown(file, Some(data.uid()), Some(data.gid()))
    });
    if let Err(error) = given {
        tracing::warn!(%error, path = %path.display(), "the audit log cannot be given to the owner of the data folder");
    }
}

impl Writer {
    pub(super) fn start(output: Output, metrics: Metrics) -> io::Result<Self> {
        let (sender, receiver) = sync_channel(MAX_WAITING_LINES);
        let [is_failing, is_rotated, is_closing] = [false; 3].map(AtomicBool::new);
        let state = Arc::new(State { is_failing, is_rotated, is_closing, metrics });
        let of_thread = state.clone();
        let thread =
            thread::Builder::new().name("audit".to_owned()).spawn(move || of_thread.write(output, &receiver))?;
        Ok(Self { sender: Some(sender), thread: Some(thread), state })
    }

    /// Queues the line. Where the disk is slow, this waits; where it fails and the room for what waits is taken, the line is lost and
    /// counted: all else would stand still.
    pub(super) fn push(&self, mut line: String) {
        let Some(sender) = &self.sender else { return };
        loop {
            match sender.try_send(line) {
                Ok(()) => return,
                Err(TrySendError::Full(back)) if !self.state.is_failing.load(Ordering::Acquire) => {
                    line = back;
                    thread::sleep(Duration::from_millis(1));
                }
                Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {
                    self.state.metrics.audit_lost.inc();
                    return;
                }
            }
        }
    }

    pub(super) fn reopen(&self) {
        self.state.is_rotated.store(true, Ordering::Release);
        self.wake();
    }

    fn wake(&self) {
        if let Some(thread) = &self.thread {
            thread.thread().unpark();
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.state.is_closing.store(true, Ordering::Release);
        self.sender = None;
        self.wake();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl State {
    fn write(&self, mut output: Output, receiver: &Receiver<String>) {
        let (mut told, mut lost) = (None, 0_u64);
        while let Ok(line) = receiver.recv() {
            lost += u64::from(!self.write_line(&mut output, line.as_bytes(), &mut told));
        }
        if lost > 0 {
            tracing::error!(lines = lost, "the audit log could not be written to its end: lines are lost");
        }
    }

    /// False when the process ends and the line cannot be written.
    fn write_line(&self, output: &mut Output, whole: &[u8], told: &mut Option<Instant>) -> bool {
        let mut line = whole;
        while !line.is_empty() {
            if self.is_rotated.swap(false, Ordering::AcqRel) {
                output.reopen();
                line = whole;
            }
            let error = match output.write(line) {
                Ok(0) => io::ErrorKind::WriteZero.into(),
                Ok(count) => {
                    line = line.get(count..).unwrap_or_default();
                    continue;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => error,
            };
            self.is_failing.store(true, Ordering::Release);
            self.metrics.audit_failures.inc();
            if told.is_none_or(|at| at.elapsed() >= TOLD_EVERY) {
                *told = Some(Instant::now());
                tracing::error!(%error, "the audit log cannot be written: its lines are kept, up to {MAX_WAITING_LINES}, and tried again");
            }
            if self.is_closing.load(Ordering::Acquire) {
                self.metrics.audit_lost.inc();
                return false;
            }
            thread::park_timeout(AGAIN);
        }
        if self.is_failing.swap(false, Ordering::AcqRel) {
            *told = None;
            tracing::info!("the audit log can be written again");
        }
        true
    }
}
