//! The audit log: one JSON object a line for each change through the control plane and for each request that was refused.
//!
//! Lines are never dropped: where the disk is slow, requests wait.

use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use serde::Serialize;
use tracing_appender::non_blocking::{NonBlocking, NonBlockingBuilder, WorkerGuard};

/// Lines that may wait to be written.
const MAX_WAITING_LINES: usize = 16_384;

/// Cheap to clone. The last clone that is dropped writes out what waits.
#[derive(Clone, Default)]
pub struct Audit {
    /// `None` writes to the log.
    file: Option<Arc<(NonBlocking, WorkerGuard)>>,
}

/// What is written of a request. There is no room in it for a secret.
#[derive(Debug, Serialize)]
pub struct AuditLine<'a> {
    /// RFC 3339, in UTC.
    pub at: String,
    pub request_id: &'a str,
    pub source: String,
    pub principal: &'a str,
    /// How it was proven who asks.
    pub means: &'static str,
    pub action: &'a str,
    pub resource: &'a str,
    /// `allowed` or `denied`.
    pub decision: &'static str,
    /// The statement that decided, or what was missing.
    pub because: &'a str,
    /// The name of the fault of an operation that was allowed and failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fault: Option<&'a str>,
}

impl Audit {
    /// Appends to the file, which only its owner may read.
    pub fn to_file(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().append(true).create(true).mode(0o600).open(path)?;
        let writer = NonBlockingBuilder::default().buffered_lines_limit(MAX_WAITING_LINES).lossy(false).finish(file);
        Ok(Self { file: Some(Arc::new(writer)) })
    }

    pub fn write(&self, line: &AuditLine<'_>) {
        let Ok(mut text) = serde_json::to_string(line) else { return };
        match &self.file {
            Some(file) => {
                text.push('\n');
                // It only queues.
                let _ = io::Write::write_all(&mut file.0.clone(), text.as_bytes());
            }
            None => tracing::info!(audit = text, "audit"),
        }
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

    #[test]
    fn lines_are_whole_and_appended() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit");
        for n in 0..2 {
            let audit = Audit::to_file(&path).unwrap();
            let line = AuditLine {
                at: rfc_3339(SystemTime::UNIX_EPOCH + Duration::from_millis(951_782_400_001 + n)),
                request_id: "1",
                source: "::1".to_owned(),
                principal: "a\nb",
                means: "nothing",
                action: "ecr:PutImage",
                resource: "*",
                decision: "denied",
                because: "",
                fault: None,
            };
            audit.write(&line);
        }
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(text.lines().count(), 2);
        let first: serde_json::Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
        assert_eq!(
            (first["at"].as_str(), first["principal"].as_str()),
            (Some("2000-02-29T00:00:00.001Z"), Some("a\nb"))
        );
    }
}
