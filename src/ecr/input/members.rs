//! The members of a JSON object, taken out one by one.

use serde_json::{Map, Value};

use super::super::fault::Fault;
use super::item::Item;

pub struct Members {
    /// Of the object within the body, with a dot after it; empty for the body itself.
    path: String,
    values: Map<String, Value>,
}

impl Members {
    /// An empty body is an empty object. How deep a body may nest is limited by the JSON reader.
    pub fn of_body(body: &[u8]) -> Result<Self, Fault> {
        let values = if body.trim_ascii().is_empty() {
            Map::new()
        } else {
            match serde_json::from_slice(body) {
                Ok(Value::Object(values)) => values,
                Ok(_) => return Err(Fault::serialization("The body of the request must be a JSON object")),
                Err(error) => {
                    return Err(Fault::serialization(format!("The body of the request is not JSON: {error}")));
                }
            }
        };
        Ok(Self { path: String::new(), values })
    }

    pub(super) const fn nested(path: String, values: Map<String, Value>) -> Self {
        Self { path, values }
    }

    /// `None` for a member that is absent or `null`.
    pub fn optional<T>(&mut self, name: &str, read: impl FnOnce(Item) -> Result<T, Fault>) -> Result<Option<T>, Fault> {
        match self.values.remove(name) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => read(Item::new(self.path_of(name), value)).map(Some),
        }
    }

    pub fn required<T>(&mut self, name: &str, read: impl FnOnce(Item) -> Result<T, Fault>) -> Result<T, Fault> {
        match self.optional(name, read)? {
            Some(value) => Ok(value),
            None => Err(self.refuse(name, "Member must not be null")),
        }
    }

    pub fn flag(&mut self, name: &str) -> Result<bool, Fault> {
        Ok(self.optional(name, Item::flag)?.unwrap_or_default())
    }

    pub fn refuse(&self, name: &str, detail: &str) -> Fault {
        Fault::invalid_parameter(&self.path_of(name), detail)
    }

    fn path_of(&self, name: &str) -> String {
        format!("{}{name}", self.path)
    }
}
