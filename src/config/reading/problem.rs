//! Problems of a configuration: where each is, and what to write instead.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::Serialize;

/// Where a value was written. The order is the order in which problems are told.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// The file as a whole.
    File,
    /// In the file; both count from 1, columns in characters.
    Line { line: usize, column: usize },
    /// In an environment variable of this name.
    Variable(String),
    /// Nobody wrote it: it is a default.
    BuiltIn,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    pub place: Place,
    /// The key as a path: `cache.disk`, `upstream[0].url`. Empty where the problem is of no single key.
    pub key: String,
    /// The mistake, and what to write instead. Never repeats a secret.
    pub message: String,
}

/// Every problem of one configuration, in the order of the file, then of the environment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigErrors {
    pub file: Option<PathBuf>,
    pub problems: Vec<Problem>,
}

/// A problem as data, for `config check --output json`.
#[derive(Serialize)]
pub struct ProblemRecord<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<&'a Path>,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    column: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    variable: Option<&'a str>,
    key: &'a str,
    message: &'a str,
}

/// A file that is no configuration at all would otherwise fill the screen.
const MAX_PROBLEMS: usize = 100;

impl ConfigErrors {
    pub fn new(file: Option<PathBuf>, mut problems: Vec<Problem>) -> Self {
        problems.sort_by(|a, b| a.place.cmp(&b.place).then_with(|| a.key.cmp(&b.key)));
        problems.dedup();
        if problems.len() > MAX_PROBLEMS {
            let more = problems.len() - MAX_PROBLEMS;
            problems.truncate(MAX_PROBLEMS);
            let message = format!("has {more} more problems");
            problems.push(Problem { place: Place::File, key: String::new(), message });
        }
        Self { file, problems }
    }

    pub fn records(&self) -> Vec<ProblemRecord<'_>> {
        self.problems.iter().map(|problem| problem.record(self.file.as_deref())).collect()
    }
}

impl Problem {
    fn record<'a>(&'a self, file: Option<&'a Path>) -> ProblemRecord<'a> {
        let (file, line, column, variable) = match &self.place {
            Place::File => (file, None, None, None),
            Place::Line { line, column } => (file, Some(*line), Some(*column), None),
            Place::Variable(name) => (None, None, None, Some(name.as_str())),
            Place::BuiltIn => (None, None, None, None),
        };
        ProblemRecord { file, line, column, variable, key: &self.key, message: &self.message }
    }
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let file = self.file.as_deref().unwrap_or(Path::new("configuration"));
        for (index, problem) in self.problems.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            match &problem.place {
                Place::File => write!(f, "{}: ", file.display())?,
                Place::Line { line, column } => write!(f, "{}:{line}:{column}: ", file.display())?,
                Place::Variable(name) => write!(f, "{name}: ")?,
                Place::BuiltIn => f.write_str("built-in: ")?,
            }
            if !problem.key.is_empty() {
                write!(f, "{}: ", problem.key)?;
            }
            f.write_str(&problem.message)?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigErrors {}

/// The candidate that a writer of `word` most likely meant.
pub fn closest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    candidates
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(word, candidate), candidate))
        .filter(|(distance, candidate)| *distance <= candidate.len().min(word.len()).div_ceil(3))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}
