//! Keys with several values.

use std::ops::Deref;

use serde::ser::SerializeMap;

use super::key::WorkedOut;
use super::kind::Kind;
use super::part::Part;
use super::problem::Place;
use super::reader::Reader;
use super::section::{Declaration, Fallback};
use super::tree::Value;
use super::written::Written;

/// A key with several values. A single one may be written without the list.
pub struct List<T: 'static> {
    declared: Declaration,
    element: Kind<T>,
    /// Works out the values that follow from other keys.
    follows: Option<WorkedOut<Vec<T>>>,
    /// Not printed while it is empty.
    quiet: bool,
}

/// Elements of a list. Nobody writes that many by hand.
pub const MAX_ELEMENTS: usize = 1000;

impl<T> List<T> {
    /// Empty where nobody wrote it.
    pub const fn new(name: &'static str, element: Kind<T>, meaning: &'static str) -> Self {
        Self {
            declared: Declaration::new(name, element.shape, Fallback::Unset, meaning),
            element,
            follows: None,
            quiet: false,
        }
    }

    pub const fn required(name: &'static str, element: Kind<T>, meaning: &'static str) -> Self {
        Self {
            declared: Declaration::new(name, element.shape, Fallback::Required, meaning),
            element,
            follows: None,
            quiet: false,
        }
    }

    /// `usual` is the default, a list in TOML.
    pub const fn usual(name: &'static str, element: Kind<T>, usual: &'static str, meaning: &'static str) -> Self {
        Self {
            declared: Declaration::new(name, element.shape, Fallback::Value(usual), meaning),
            element,
            follows: None,
            quiet: false,
        }
    }

    /// The default follows from other keys: in words, and worked out.
    pub const fn follows(
        name: &'static str,
        element: Kind<T>,
        words: &'static str,
        follows: WorkedOut<Vec<T>>,
        meaning: &'static str,
    ) -> Self {
        let declared = Declaration::new(name, element.shape, Fallback::Follows(words), meaning);
        Self { declared, element, follows: Some(follows), quiet: false }
    }

    /// Not printed while it is empty.
    pub const fn quiet(self) -> Self {
        Self { quiet: true, ..self }
    }

    pub const fn declared(&self) -> &Declaration {
        &self.declared
    }

    /// Every element, each with its place. The inner `None` is a list that nobody wrote and that has no default.
    #[expect(clippy::option_option, reason = "a problem is not the same as nothing given")]
    pub fn elements(&self, reader: &Reader<'_>) -> Option<Option<Vec<(Place, T)>>> {
        let Some(node) = reader.find(self) else { return Some(None) };
        let nodes = match &node.value {
            Value::List(nodes) if nodes.len() > MAX_ELEMENTS => {
                reader.report(self, format!("has more than {MAX_ELEMENTS} elements"));
                return None;
            }
            Value::List(nodes) => nodes.as_slice(),
            _ => std::slice::from_ref(node.as_ref()),
        };
        let read_all: Vec<_> =
            nodes.iter().map(|node| Some((node.place.clone(), self.element.read(reader, self, node)?))).collect();
        read_all.into_iter().collect::<Option<Vec<_>>>().map(Some)
    }
}

impl<T> Part<Vec<T>> for List<T> {
    fn read(&self, reader: &Reader<'_>) -> Option<Vec<T>> {
        match (self.elements(reader)?, self.follows) {
            (Some(elements), _) => Some(elements.into_iter().map(|(_, element)| element).collect()),
            (None, Some(follows)) => follows(reader),
            (None, None) => Some(Vec::new()),
        }
    }

    fn write<M: SerializeMap>(&self, values: &Vec<T>, map: &mut M) -> Result<(), M::Error> {
        if self.quiet && values.is_empty() {
            return Ok(());
        }
        Written::List(values.iter().map(|value| self.element.write(value)).collect()).add(self.name, map)
    }
}

impl<T> Deref for List<T> {
    type Target = Declaration;

    fn deref(&self) -> &Declaration {
        &self.declared
    }
}
