//! Keys: each is declared once, as a static that knows its name, the kind of its value, its default and its meaning.

use std::ops::Deref;

use serde::ser::SerializeMap;

use super::kind::Kind;
use super::part::Part;
use super::reader::Reader;
use super::section::{Declaration, Fallback};

/// A value that follows from other keys. `None` says that the problem has been told.
pub type WorkedOut<T> = fn(&Reader<'_>) -> Option<T>;

/// A key that always has a value: it must be written, or has a default.
pub struct Key<T: 'static> {
    declared: Declaration,
    kind: Kind<T>,
    /// Works out the value that follows from other keys.
    follows: Option<WorkedOut<T>>,
}

/// A key that may be absent.
pub struct Optional<T: 'static> {
    declared: Declaration,
    kind: Kind<T>,
}

impl<T> Key<T> {
    pub const fn required(name: &'static str, kind: Kind<T>, meaning: &'static str) -> Self {
        Self::new(name, kind, Fallback::Required, None, meaning)
    }

    /// `usual` is the default, in TOML without the quotes of a text.
    pub const fn usual(name: &'static str, kind: Kind<T>, usual: &'static str, meaning: &'static str) -> Self {
        Self::new(name, kind, Fallback::Value(usual), None, meaning)
    }

    /// The default follows from other keys: in words, and worked out.
    pub const fn follows(
        name: &'static str,
        kind: Kind<T>,
        words: &'static str,
        follows: WorkedOut<T>,
        meaning: &'static str,
    ) -> Self {
        Self::new(name, kind, Fallback::Follows(words), Some(follows), meaning)
    }

    const fn new(
        name: &'static str,
        kind: Kind<T>,
        fallback: Fallback,
        follows: Option<WorkedOut<T>>,
        meaning: &'static str,
    ) -> Self {
        Self { declared: Declaration::new(name, kind.shape, fallback, meaning), kind, follows }
    }

    pub const fn declared(&self) -> &Declaration {
        &self.declared
    }
}

impl<T> Optional<T> {
    pub const fn new(name: &'static str, kind: Kind<T>, meaning: &'static str) -> Self {
        Self { declared: Declaration::new(name, kind.shape, Fallback::Unset, meaning), kind }
    }

    /// Absent it means something; what, in words.
    pub const fn follows(name: &'static str, kind: Kind<T>, words: &'static str, meaning: &'static str) -> Self {
        Self { declared: Declaration::new(name, kind.shape, Fallback::Follows(words), meaning), kind }
    }

    /// A variable for this key removes `keys` from the file.
    pub const fn displacing(self, keys: &'static [&'static str]) -> Self {
        Self { declared: self.declared.displacing(keys), ..self }
    }

    pub const fn declared(&self) -> &Declaration {
        &self.declared
    }
}

impl<T> Part<T> for Key<T> {
    fn read(&self, reader: &Reader<'_>) -> Option<T> {
        match (reader.find(self), self.follows) {
            (Some(node), _) => self.kind.read(reader, self, &node),
            (None, Some(follows)) => follows(reader),
            (None, None) => {
                reader.report(self, format!("is missing: {}", self.meaning));
                None
            }
        }
    }

    fn write<M: SerializeMap>(&self, value: &T, map: &mut M) -> Result<(), M::Error> {
        self.kind.write(value).add(self.name, map)
    }
}

impl<T> Part<Option<T>> for Optional<T> {
    fn read(&self, reader: &Reader<'_>) -> Option<Option<T>> {
        match reader.written(self) {
            Some(node) => self.kind.read(reader, self, node).map(Some),
            None => Some(None),
        }
    }

    fn write<M: SerializeMap>(&self, value: &Option<T>, map: &mut M) -> Result<(), M::Error> {
        match value {
            Some(value) => self.kind.write(value).add(self.name, map),
            None => Ok(()),
        }
    }
}

impl<T> Deref for Key<T> {
    type Target = Declaration;

    fn deref(&self) -> &Declaration {
        &self.declared
    }
}

impl<T> Deref for Optional<T> {
    type Target = Declaration;

    fn deref(&self) -> &Declaration {
        &self.declared
    }
}
