//! One JSON value of a request with its path, which becomes what an operation wants or a fault that names the path.
//!
//! A value of another JSON type is a `SerializationException`, as nothing can be made of it; a value that breaks a
//! limit is an `InvalidParameterException`. Lengths of text count characters.

use std::ops::RangeInclusive;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde_json::Value;

use super::super::fault::Fault;
use super::super::words::Word;
use super::members::Members;

pub struct Item {
    path: String,
    value: Value,
}

impl Item {
    pub(super) const fn new(path: String, value: Value) -> Self {
        Self { path, value }
    }

    pub fn path(&self) -> &str {
        &self.path
    }

    pub fn refuse(&self, detail: &str) -> Fault {
        Fault::invalid_parameter(&self.path, detail)
    }

    /// Text of any length.
    pub fn text(self) -> Result<String, Fault> {
        match self.value {
            Value::String(text) => Ok(text),
            ref other => Err(self.not("a string", other)),
        }
    }

    /// Text of so many characters.
    pub fn text_within(self, chars: RangeInclusive<usize>) -> Result<String, Fault> {
        self.check_text(&chars)?;
        self.text()
    }

    /// Text of so many characters that `read` makes something of. `pattern` tells the client what it should look like.
    pub fn read<T>(
        self,
        chars: RangeInclusive<usize>,
        pattern: &str,
        read: impl FnOnce(&str) -> Option<T>,
    ) -> Result<T, Fault> {
        let text = self.check_text(&chars)?;
        read(text).ok_or_else(|| self.refuse(&format!("Member must satisfy regular expression pattern: {pattern}")))
    }

    pub fn word<W: Word>(self) -> Result<W, Fault> {
        let text = self.check_text(&(0..=usize::MAX))?;
        W::from_word(text).ok_or_else(|| {
            let all: Vec<_> = W::ALL.iter().map(|word| word.word()).collect();
            self.refuse(&format!("Member must satisfy enum value set: [{}]", all.join(", ")))
        })
    }

    pub fn flag(self) -> Result<bool, Fault> {
        match self.value {
            Value::Bool(flag) => Ok(flag),
            ref other => Err(self.not("a boolean", other)),
        }
    }

    pub fn integer(self, range: RangeInclusive<i64>) -> Result<i64, Fault> {
        let Some(number) = self.value.as_i64() else { return Err(self.not("an integer", &self.value)) };
        if number < *range.start() {
            Err(self.refuse(&format!("Member must have value greater than or equal to {}", range.start())))
        } else if number > *range.end() {
            Err(self.refuse(&format!("Member must have value less than or equal to {}", range.end())))
        } else {
            Ok(number)
        }
    }

    /// Base64 of at most so many bytes.
    pub fn blob(self, max_bytes: usize) -> Result<Bytes, Fault> {
        let text = self.check_text(&(0..=usize::MAX))?;
        // Four characters for three bytes: more of them are not worth decoding.
        let too_long = || self.refuse(&format!("Member must have length less than or equal to {max_bytes}"));
        if text.len() / 4 > max_bytes.div_ceil(3) {
            return Err(too_long());
        }
        let bytes = STANDARD
            .decode(text)
            .map_err(|_| Fault::serialization(format!("The member '{}' must be base64", self.path)))?;
        if bytes.len() > max_bytes { Err(too_long()) } else { Ok(bytes.into()) }
    }

    pub fn list<T>(
        self,
        size: RangeInclusive<usize>,
        mut read: impl FnMut(Item) -> Result<T, Fault>,
    ) -> Result<Vec<T>, Fault> {
        let Self { path, value } = self;
        let Value::Array(values) = value else { return Err(Self { path, value: Value::Null }.not("a list", &value)) };
        check_length(&path, values.len(), &size)?;
        // Members of a list count from 1 in AWS's paths.
        let items = values.into_iter().zip(1_usize..);
        items.map(|(value, at)| read(Self { path: format!("{path}.{at}.member"), value })).collect()
    }

    pub fn object(self) -> Result<Members, Fault> {
        match self.value {
            Value::Object(values) => Ok(Members::nested(format!("{}.", self.path), values)),
            ref other => Err(self.not("an object", other)),
        }
    }

    fn check_text(&self, chars: &RangeInclusive<usize>) -> Result<&str, Fault> {
        let Some(text) = self.value.as_str() else { return Err(self.not("a string", &self.value)) };
        if *chars != (0..=usize::MAX) {
            check_length(&self.path, text.chars().count(), chars)?;
        }
        Ok(text)
    }

    fn not(&self, wanted: &str, found: &Value) -> Fault {
        let found = match found {
            Value::Null => "null",
            Value::Bool(_) => "a boolean",
            Value::Number(_) => "a number",
            Value::String(_) => "a string",
            Value::Array(_) => "a list",
            Value::Object(_) => "an object",
        };
        Fault::serialization(format!("The member '{}' must be {wanted}, not {found}", self.path))
    }
}

fn check_length(path: &str, length: usize, range: &RangeInclusive<usize>) -> Result<(), Fault> {
    if length < *range.start() {
        let detail = format!("Member must have length greater than or equal to {}", range.start());
        Err(Fault::invalid_parameter(path, &detail))
    } else if length > *range.end() {
        let detail = format!("Member must have length less than or equal to {}", range.end());
        Err(Fault::invalid_parameter(path, &detail))
    } else {
        Ok(())
    }
}
