//! A fault, and how it is written.

use serde_json::{Map, Value};

use super::exception::Exception;

#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{exception}: {message}")]
pub struct Fault {
    exception: Exception,
    message: String,
    /// Members beside the message, which two exceptions have.
    extra: Vec<(&'static str, Value)>,
    /// What went wrong inside, for the log alone.
    cause: Option<String>,
}

impl Fault {
    /// Where no constructor says it better.
    pub fn new(exception: Exception, message: impl Into<String>) -> Self {
        Self { exception, message: message.into(), extra: Vec::new(), cause: None }
    }

    pub(super) fn with(mut self, member: &'static str, value: impl Into<Value>) -> Self {
        self.extra.push((member, value.into()));
        self
    }

    pub fn because(mut self, cause: impl std::fmt::Display) -> Self {
        self.cause = Some(cause.to_string());
        self
    }

    /// For the log.
    pub fn logged(&self) -> String {
        match &self.cause {
            Some(cause) => format!("{}: {cause}", self.exception),
            None => self.to_string(),
        }
    }

    pub const fn exception(&self) -> Exception {
        self.exception
    }

    /// As in `__type`.
    pub const fn name(&self) -> &'static str {
        self.exception.as_str()
    }

    pub fn message(&self) -> &str {
        &self.message
    }

    pub const fn status(&self) -> u16 {
        self.exception.status()
    }

    /// The body of the response.
    pub fn to_json(&self) -> Vec<u8> {
        let mut members = Map::new();
        members.insert("__type".to_owned(), self.name().into());
        members.insert("message".to_owned(), self.message.as_str().into());
        for (member, value) in &self.extra {
            members.insert((*member).to_owned(), value.clone());
        }
        Value::Object(members).to_string().into_bytes()
    }
}
