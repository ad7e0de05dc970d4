//! The audit log: a record for each change, each session that is given out, and each request that was refused.
//!
//! A record is an [`Entry`], made when it is decided whether somebody may, and written when it is dropped: whatever becomes of the request,
//! its client or its task, it cannot leave unwritten. Records are never dropped: where the disk is slow, requests wait. They go to a file, or
//! to standard error among the log's lines, whatever `log.level` says.

use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use serde::Serialize;
use tracing_appender::non_blocking::{NonBlocking, NonBlockingBuilder, WorkerGuard};

use crate::config::LogFormat;

/// Lines that may wait to be written.
const MAX_WAITING_LINES: usize = 16_384;

/// The fault of an operation of which nobody said how it ended: it was cut off, or it panicked.
const UNFINISHED: &str = "Unfinished";

/// Cheap to clone. The last clone that is dropped writes out what waits.
#[derive(Clone)]
pub struct Audit(Arc<Output>);

struct Output {
    writer: NonBlocking,
    _worker: WorkerGuard,
    form: Form,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// A line is the record, as an object.
    File,
    /// A line is one of the log's, with the record in it.
    Log(LogFormat),
}

/// The caller of an operation.
#[derive(Clone, Debug)]
pub struct Caller {
    pub request_id: String,
    pub source: String,
    pub principal: String,
    /// How the principal was proven.
    pub means: &'static str,
}

/// A record that is written when it is dropped. There is no room in it for a secret.
#[must_use]
pub struct Entry {
    audit: Audit,
    caller: Caller,
    action: String,
    resource: String,
    because: Arc<str>,
    is_denied: bool,
    fault: Option<String>,
    is_withdrawn: bool,
}

/// As it is written.
#[derive(Debug, Serialize)]
struct Record<'a> {
    /// RFC 3339, in UTC.
    at: &'a str,
    request_id: &'a str,
    source: &'a str,
    principal: &'a str,
    means: &'a str,
    action: &'a str,
    resource: &'a str,
    /// `allowed` or `denied`.
    decision: &'a str,
    /// The statement that decided, or what was missing.
    because: &'a str,
    /// The name of the fault of an operation that was allowed and failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    fault: Option<&'a str>,
}

/// A line of the log in JSON.
#[derive(Serialize)]
struct LogLine<'a> {
    timestamp: &'a str,
    level: &'a str,
    message: &'a str,
    audit: &'a Record<'a>,
}

impl Audit {
    /// Appends to the file, which only its owner may read.
    pub fn to_file(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().append(true).create(true).mode(0o600).open(path)?;
        Ok(Self::to(file, Form::File))
    }

    /// Writes among the lines of the log, on standard error.
    pub fn to_log(format: LogFormat) -> Self {
        Self::to(io::stderr(), Form::Log(format))
    }

    fn to(output: impl io::Write + Send + 'static, form: Form) -> Self {
        let builder = NonBlockingBuilder::default().buffered_lines_limit(MAX_WAITING_LINES).lossy(false);
        let (writer, worker) = builder.finish(output);
        Self(Arc::new(Output { writer, _worker: worker, form }))
    }

    /// A record of an operation that is allowed. Until it is said how it ended, it did not.
    pub fn allowed(&self, caller: Caller, action: &str, resource: String, because: &Arc<str>) -> Entry {
        Entry {
            audit: self.clone(),
            caller,
            action: action.to_owned(),
            resource,
            because: because.clone(),
            is_denied: false,
            fault: Some(UNFINISHED.to_owned()),
            is_withdrawn: false,
        }
    }

    /// Writes that an operation was refused.
    pub fn denied(&self, caller: Caller, action: &str, resource: String, why: &str) {
        let mut entry = self.allowed(caller, action, resource, &Arc::from(why));
        entry.is_denied = true;
        entry.fault = None;
    }

    fn write(&self, record: &Record<'_>) {
        let Some(mut line) = line(record, self.0.form) else { return };
        line.push('\n');
        // It only queues.
        let _ = io::Write::write_all(&mut self.0.writer.clone(), line.as_bytes());
    }
}

impl Entry {
    pub fn done(mut self) {
        self.fault = None;
    }

    pub fn failed(mut self, fault: &str) {
        self.fault = Some(fault.to_owned());
    }

    /// It was refused after all, by something that came to light only while it was carried out.
    pub fn refused(mut self, fault: &str, why: &str) {
        self.is_denied = true;
        self.because = why.into();
        self.fault = Some(fault.to_owned());
    }

    /// Nothing came of it, and it is decided about again: that gets a record of its own.
    pub fn withdraw(mut self) {
        self.is_withdrawn = true;
    }

    /// Another principal than it seemed at first.
    pub fn is_by(&mut self, principal: &str) {
        self.caller.principal = principal.to_owned();
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        if self.is_withdrawn {
            return;
        }
        let Caller { request_id, source, principal, means } = &self.caller;
        self.audit.write(&Record {
            at: &rfc_3339(SystemTime::now()),
            request_id,
            source,
            principal,
            means,
            action: &self.action,
            resource: &self.resource,
            decision: if self.is_denied { "denied" } else { "allowed" },
            because: &self.because,
            fault: self.fault.as_deref(),
        });
    }
}

fn line(record: &Record<'_>, form: Form) -> Option<String> {
    match form {
        Form::File => serde_json::to_string(record).ok(),
        Form::Log(LogFormat::Json) => {
            let line = LogLine { timestamp: record.at, level: "INFO", message: "audit", audit: record };
            serde_json::to_string(&line).ok()
        }
        Form::Log(LogFormat::Text) => {
            let mut text = format!("{}  INFO audit", record.at);
            for (key, value) in record.pairs() {
                text += &match is_word(value) {
                    true => format!(" {key}={value}"),
                    false => format!(" {key}={}", serde_json::Value::from(value)),
                };
            }
            Some(text)
        }
    }
}

/// Text that needs no quotes in a line of `key=value`.
fn is_word(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|c| c.is_ascii_graphic() && !matches!(c, b'"' | b'\\' | b'='))
}

impl<'a> Record<'a> {
    /// All but the time.
    fn pairs(&self) -> impl Iterator<Item = (&'static str, &'a str)> {
        let pairs = [
            ("request_id", self.request_id),
            ("source", self.source),
            ("principal", self.principal),
            ("means", self.means),
            ("action", self.action),
            ("resource", self.resource),
            ("decision", self.decision),
            ("because", self.because),
        ];
        pairs.into_iter().chain(self.fault.map(|fault| ("fault", fault)))
    }
}

/// The time, as lines have it.
pub fn rfc_3339(at: SystemTime) -> String {
    let since = at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let seconds = i64::try_from(since.as_secs()).unwrap_or_default();
    let Ok(time) = time::OffsetDateTime::from_unix_timestamp(seconds) else { return String::new() };
    let (year, month, day) = (time.year(), u8::from(time.month()), time.day());
    let (hour, minute, second) = time.to_hms();
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{:03}Z", since.subsec_millis())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn caller() -> Caller {
        let (request_id, source) = ("1".to_owned(), "::1".to_owned());
        Caller { request_id, source, principal: "a\nb c".to_owned(), means: "nothing" }
    }

    #[test]
    fn lines_are_whole_and_appended() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit");
        for _ in 0..2 {
            let audit = Audit::to_file(&path).unwrap();
            audit.denied(caller(), "ecr:PutImage", "*".to_owned(), "no");
        }
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(text.lines().count(), 2);
        let first: serde_json::Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
        assert_eq!((first["principal"].as_str(), first["decision"].as_str()), (Some("a\nb c"), Some("denied")));
        assert_eq!(
            rfc_3339(SystemTime::UNIX_EPOCH + Duration::from_millis(951_782_400_001)),
            "2000-02-29T00:00:00.001Z"
        );
    }

    /// Whatever becomes of an operation, its record is written once, and says so.
    #[test]
    fn an_entry_cannot_leave_unwritten() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit");
        let audit = Audit::to_file(&path).unwrap();
        let entry = |action: &str| audit.allowed(caller(), action, "*".to_owned(), &Arc::from("it may"));
        entry("done").done();
        entry("failed").failed("Fault");
        entry("refused").refused("Denied", "it may not");
        drop(entry("dropped"));
        let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let _entry = entry("panicked");
            panic!("on purpose");
        }));
        assert!(panicked.is_err());
        drop(audit);
        let text = std::fs::read_to_string(&path).unwrap();
        let lines: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let said: Vec<_> = lines
            .iter()
            .map(|line| {
                let text = |key: &str| line[key].as_str().unwrap_or_default();
                (text("action"), text("decision"), text("fault"))
            })
            .collect();
        let expected = [
            ("done", "allowed", ""),
            ("failed", "allowed", "Fault"),
            ("refused", "denied", "Denied"),
            ("dropped", "allowed", "Unfinished"),
            ("panicked", "allowed", "Unfinished"),
        ];
        assert_eq!(said, expected);
    }

    #[test]
    fn nm8_lines_of_the_log() {
        let record = Record {
            at: "2000-02-29T00:00:00.001Z",
            request_id: "1",
            source: "::1",
            principal: "a\nb \"c\"",
            means: "nothing",
            action: "ecr:PutImage",
            resource: "*",
            decision: "allowed",
            because: "",
            fault: None,
        };
        let json: serde_json::Value =
            serde_json::from_str(&line(&record, Form::Log(LogFormat::Json)).unwrap()).unwrap();
        assert_eq!(
            (json["message"].as_str(), json["audit"]["principal"].as_str()),
            (Some("audit"), Some("a\nb \"c\""))
        );
        assert_eq!(
            line(&record, Form::Log(LogFormat::Text)).unwrap(),
            "2000-02-29T00:00:00.001Z  INFO audit request_id=1 source=::1 principal=\"a\\nb \\\"c\\\"\" means=nothing \
             action=ecr:PutImage resource=* decision=allowed because=\"\""
        );
    }
}
