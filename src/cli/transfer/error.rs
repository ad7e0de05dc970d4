//! Why an image did not arrive, told with the object that it is about.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::cli::failure::Failure;

#[derive(Debug, thiserror::Error)]
pub(in crate::cli) enum Error {
    /// What was typed makes no sense together.
    #[error("{0}")]
    Usage(String),
    /// No answer, or one that broke off.
    #[error("{object}: {detail}")]
    Broken { object: String, detail: String },
    #[error("{object}: {answer}")]
    Refused { object: String, answer: Box<Answer> },
    /// Bytes or answers that are not what they should be. Nothing of them is kept.
    #[error("{object}: {detail}")]
    Wrong { object: String, detail: String },
    /// The layout lacks something, or says what cannot be.
    #[error("{}: {detail}", .path.display())]
    Layout { path: PathBuf, detail: String },
    /// Some images failed, and the others are done.
    #[error("{} of {of} images failed:\n  {}", failed.len(), failed.join("\n  "))]
    Some { of: usize, failed: Vec<String> },
    #[error("{} cannot be {doing}: {source}", .path.display())]
    File { path: PathBuf, doing: &'static str, source: std::io::Error },
}

/// What a registry said instead of what was asked for.
#[derive(Debug)]
pub(in crate::cli) struct Answer {
    pub(super) status: u16,
    /// Of the first error in the body (distribution-spec, "Error codes").
    pub(super) code: String,
    pub(super) message: String,
    pub(super) retry_after: Option<Duration>,
    /// The request carried a login.
    pub(super) had_login: bool,
}

impl Error {
    pub(in crate::cli) fn broken(object: &str, detail: impl Into<String>) -> Self {
        Self::Broken { object: object.to_owned(), detail: detail.into() }
    }

    pub(in crate::cli) fn wrong(object: impl ToString, detail: impl Into<String>) -> Self {
        Self::Wrong { object: object.to_string(), detail: detail.into() }
    }

    pub(super) fn layout(path: &Path, detail: impl Into<String>) -> Self {
        Self::Layout { path: path.to_owned(), detail: detail.into() }
    }

    /// For `map_err`: what could not be done to the file.
    pub(super) fn file(path: &Path, doing: &'static str) -> impl FnOnce(std::io::Error) -> Self {
        move |source| Self::File { path: path.to_owned(), doing, source }
    }

    /// The status that a registry refused with.
    pub(super) fn status(&self) -> Option<u16> {
        match self {
            Self::Refused { answer, .. } => Some(answer.status),
            _ => None,
        }
    }

    pub(in crate::cli) fn into_failure(self) -> Failure {
        match self {
            Self::Usage(text) => Failure::Usage(text),
            error => Failure::Runtime(error.to_string()),
        }
    }
}

impl std::fmt::Display for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "the registry answered {}", self.status)?;
        for part in [&self.code, &self.message] {
            if !part.is_empty() {
                write!(f, " {part}")?;
            }
        }
        match (self.status, self.code.as_str()) {
            (_, "MANIFEST_BLOB_UNKNOWN") => f.write_str(
                "; the layout holds only some platforms of this index: a registry takes that where it does not insist on all \
                 of them, entrepot with `require_references = false` in [hosted]",
            ),
            (401, _) if self.had_login => f.write_str("; the name or the password is wrong"),
            (401, _) => f.write_str(
                "; give --username and --password-file, or let --url name an entrepot, which logs in upstream by itself",
            ),
            (404, _) => f.write_str("; is the name right, and does --url name the registry that has it?"),
            (405, _) => f.write_str(
                "; names under an upstream are read-only, and so is a listener without push: --to gives the images another name",
            ),
            _ => Ok(()),
        }
    }
}
