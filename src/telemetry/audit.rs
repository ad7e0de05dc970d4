//! The audit log: a record for each change, each session that is given out, and each request that was refused.
//!
//! A record is an [`Entry`], made when it is decided whether somebody may, and written when it is dropped: whatever becomes of the request,
//! its client or its task, it cannot leave unwritten. Where the disk is slow, requests wait. They go to a file, or to standard error among
//! the log's lines, whatever `log.level` says.

use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use serde::Serialize;

use super::audit_file::{Output, Writer};
use super::metrics::Metrics;
use crate::config::LogFormat;

/// The fault of an operation of which nobody said how it ended: it was cut off, or it panicked.
const UNFINISHED: &str = "Unfinished";

/// Of one thing that a record says besides.
const MAX_DETAIL_CHARS: usize = 1_000;

/// Cheap to clone. The last clone that is dropped writes out what waits.
#[derive(Clone)]
pub struct Audit(Arc<Inner>);

struct Inner {
    writer: Writer,
    form: Form,
    metrics: Metrics,
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
    because: Reason,
    is_denied: bool,
    fault: Option<String>,
    detail: Option<String>,
    is_withdrawn: bool,
}

/// A record of something that may come about while a request is carried out.
#[derive(Clone)]
pub struct Draft {
    audit: Audit,
    caller: Caller,
    action: String,
    resource: String,
    because: Arc<str>,
}

/// The reason in a record that is not written yet. Cheap to clone.
#[derive(Clone)]
pub struct Reason(Arc<Mutex<Arc<str>>>);

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
    /// What of the resource: a tag and a digest, the name of a policy, the id of a key.
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<&'a str>,
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
    /// Appends to the file, which only its owner may read. One that is made here is of the owner of `data`.
    pub fn to_file(path: &Path, data: &Path, metrics: Metrics) -> io::Result<Self> {
        Self::to(Output::file(path, data)?, Form::File, metrics)
    }

    /// Writes among the lines of the log, on standard error.
    pub fn to_log(format: LogFormat, metrics: Metrics) -> io::Result<Self> {
        Self::to(Output::Log(io::stderr()), Form::Log(format), metrics)
    }

    fn to(output: Output, form: Form, metrics: Metrics) -> io::Result<Self> {
        Ok(Self(Arc::new(Inner { writer: Writer::start(output, metrics.clone())?, form, metrics })))
    }

    /// After a rotation, the file is another.
    pub fn reopen(&self) {
        self.0.writer.reopen();
    }

    /// Counts a refusal of somebody unknown that gets no record: their address has had as many as it gets in a while.
    pub fn left_out(&self) {
        self.0.metrics.audit_left_out.inc();
    }

    /// A record of an operation that is allowed. Until it is said how it ended, it did not.
    pub fn allowed(&self, caller: Caller, action: &str, resource: String, because: &Arc<str>) -> Entry {
        Entry {
            audit: self.clone(),
            caller,
            action: action.to_owned(),
            resource,
            because: Reason(Arc::new(Mutex::new(because.clone()))),
            is_denied: false,
            fault: Some(UNFINISHED.to_owned()),
            detail: None,
            is_withdrawn: false,
        }
    }

    /// A record that nobody has to write.
    pub fn draft(&self, caller: Caller, action: &str, resource: String, because: Arc<str>) -> Draft {
        Draft { audit: self.clone(), caller, action: action.to_owned(), resource, because }
    }

    /// Writes that an operation was refused.
    pub fn denied(&self, caller: Caller, action: &str, resource: String, why: &str) {
        self.denied_with(caller, action, resource, why, None);
    }

    /// With what of the resource it was.
    pub fn denied_with(&self, caller: Caller, action: &str, resource: String, why: &str, detail: Option<&str>) {
        let mut entry = self.allowed(caller, action, resource, &Arc::from(why));
        entry.is_denied = true;
        entry.fault = None;
        if let Some(detail) = detail {
            entry.says(detail);
        }
    }

    fn write(&self, record: &Record<'_>) {
        let Some(mut line) = line(record, self.0.form) else { return };
        line.push('\n');
        self.0.writer.push(line);
    }
}

impl Draft {
    /// It comes about now. Until it is said how it ended, it did not.
    pub fn begin(&self) -> Entry {
        self.audit.allowed(self.caller.clone(), &self.action, self.resource.clone(), &self.because)
    }
}

impl Entry {
    /// Adds what the record should say besides. There must be no secret in it.
    pub fn says(&mut self, detail: &str) {
        let detail: String = detail.chars().filter(|c| !c.is_control()).take(MAX_DETAIL_CHARS).collect();
        match &mut self.detail {
            Some(said) => *said = format!("{said}; {detail}"),
            none => *none = Some(detail),
        }
    }

    pub fn done(mut self) {
        self.fault = None;
    }

    pub fn failed(mut self, fault: &str) {
        self.fault = Some(fault.to_owned());
    }

    /// It was refused after all, by something that came to light only while it was carried out.
    pub fn refused(mut self, fault: &str, why: &str) {
        self.is_denied = true;
        self.because.is_now(why.into());
        self.fault = Some(fault.to_owned());
    }

    /// For whoever decides about the operation again before it is carried out.
    pub fn reason(&self) -> Reason {
        self.because.clone()
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

impl Reason {
    /// It was decided again, by another statement maybe.
    pub fn is_now(&self, because: Arc<str>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = because;
    }

    fn text(&self) -> Arc<str> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
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
            because: &self.because.text(),
            fault: self.fault.as_deref(),
            detail: self.detail.as_deref(),
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
        let optional = [("fault", self.fault), ("detail", self.detail)];
        pairs.into_iter().chain(optional.into_iter().filter_map(|(key, value)| Some((key, value?))))
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
            let audit = Audit::to_file(&path, folder.path(), Metrics::new().unwrap()).unwrap();
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
        let audit = Audit::to_file(&path, folder.path(), Metrics::new().unwrap()).unwrap();
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

    /// What cannot be written is counted and kept, and it is written when that is possible again.
    #[test]
    fn g07_lines_that_cannot_be_written_are_told_and_kept() {
        let (folder, metrics) = (tempfile::tempdir().unwrap(), Metrics::new().unwrap());
        let (path, link) = (folder.path().join("audit"), folder.path().join("link"));
        std::os::unix::fs::symlink("/dev/full", &link).unwrap();
        let audit = Audit::to_file(&link, folder.path(), metrics.clone()).unwrap();
        audit.denied(caller(), "first", "*".to_owned(), "no");
        while metrics.audit_failures.get() == 0 {
            std::thread::yield_now();
        }
        std::fs::remove_file(&link).unwrap();
        std::os::unix::fs::symlink(&path, &link).unwrap();
        audit.reopen();
        audit.denied(caller(), "second", "*".to_owned(), "no");
        drop(audit);
        assert_eq!(metrics.audit_lost.get(), 0);
        let text = std::fs::read_to_string(&path).unwrap();
        let actions: Vec<_> =
            text.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()).collect();
        assert_eq!(
            actions.iter().map(|line| line["action"].as_str().unwrap()).collect::<Vec<_>>(),
            ["first", "second"]
        );
        // At the end, what still cannot be written is lost, and counted.
        let audit = Audit::to_file(Path::new("/dev/full"), folder.path(), metrics.clone()).unwrap();
        audit.denied(caller(), "third", "*".to_owned(), "no");
        drop(audit);
        assert_eq!(metrics.audit_lost.get(), 1);
    }

    #[test]
    fn g08_a_rotated_file_is_opened_again() {
        let folder = tempfile::tempdir().unwrap();
        let (path, old) = (folder.path().join("audit"), folder.path().join("audit.1"));
        let audit = Audit::to_file(&path, folder.path(), Metrics::new().unwrap()).unwrap();
        audit.denied(caller(), "first", "*".to_owned(), "no");
        while std::fs::metadata(&path).unwrap().len() == 0 {
            std::thread::yield_now();
        }
        std::fs::rename(&path, &old).unwrap();
        audit.reopen();
        audit.denied(caller(), "second", "*".to_owned(), "no");
        drop(audit);
        assert!(std::fs::read_to_string(&old).unwrap().contains("first"));
        let new = std::fs::read_to_string(&path).unwrap();
        assert!(new.contains("second") && new.lines().count() == 1, "{new}");
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
            detail: None,
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
