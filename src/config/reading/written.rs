//! A value as it is written out again.

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

/// A value to be written, or `Nothing` where the key is left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Written {
    Nothing,
    Text(String),
    Number(u64),
    Flag(bool),
    List(Vec<Self>),
    Table(Vec<(&'static str, Self)>),
}

impl Written {
    pub fn text(text: impl std::fmt::Display) -> Self {
        Self::Text(text.to_string())
    }

    pub fn texts<T: std::fmt::Display>(texts: &[T]) -> Self {
        Self::List(texts.iter().map(|text| Self::Text(text.to_string())).collect())
    }

    /// Writes the value under its key into a table that is being written.
    pub fn add<M: SerializeMap>(&self, key: &str, map: &mut M) -> Result<(), M::Error> {
        match self {
            Self::Nothing => Ok(()),
            written => map.serialize_entry(key, written),
        }
    }
}

impl Serialize for Written {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Nothing => serializer.serialize_none(),
            Self::Text(text) => serializer.serialize_str(text),
            Self::Number(number) => serializer.serialize_u64(*number),
            Self::Flag(flag) => serializer.serialize_bool(*flag),
            Self::List(values) => serializer.collect_seq(values),
            Self::Table(entries) => serializer.collect_map(entries.iter().map(|(key, value)| (key, value))),
        }
    }
}
