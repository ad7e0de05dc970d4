//! Keys whose values are tables, and lists of tables.

use std::ops::Deref;

use serde::Serialize;
use serde::ser::SerializeMap;

use super::key::WorkedOut;
use super::list::MAX_ELEMENTS;
use super::part::Part;
use super::problem::Place;
use super::reader::Reader;
use super::section::{Declaration, Fallback, Section, Shape};
use super::tree::{Node, Value};

/// A key whose value is a table of its own.
pub struct TableKey<T: 'static> {
    declared: Declaration,
    read: WorkedOut<T>,
}

/// A list of tables.
pub struct TablesKey {
    declared: Declaration,
    most: usize,
}

impl<T> TableKey<T> {
    pub const fn new(name: &'static str, section: &'static Section, read: WorkedOut<T>, meaning: &'static str) -> Self {
        Self { declared: Declaration::new(name, Shape::Table(section), Fallback::Unset, meaning), read }
    }

    pub const fn declared(&self) -> &Declaration {
        &self.declared
    }
}

impl TablesKey {
    pub const fn new(name: &'static str, section: &'static Section, meaning: &'static str) -> Self {
        Self { declared: Declaration::new(name, Shape::Tables(section), Fallback::Unset, meaning), most: MAX_ELEMENTS }
    }

    pub const fn at_most(self, most: usize) -> Self {
        Self { most, ..self }
    }

    pub const fn declared(&self) -> &Declaration {
        &self.declared
    }

    /// Every table, read by `read`. All of them are read, so that every problem is told.
    pub fn read<T>(&self, reader: &Reader<'_>, mut read: impl FnMut(&Reader<'_>) -> Option<T>) -> Option<Vec<T>> {
        let Shape::Tables(section) = self.shape else { return None };
        let nodes = self.nodes(reader)?;
        let tables: Vec<Option<T>> = nodes
            .iter()
            .enumerate()
            .map(|(index, node)| {
                let path = format!("{}[{index}]", self.name);
                read(&Reader::of_node(section, path, node.clone(), reader.context())?)
            })
            .collect();
        tables.into_iter().collect()
    }

    /// Where the first table begins, if there is one.
    pub fn first<'r>(&self, reader: &'r Reader<'_>) -> Option<&'r Place> {
        match &reader.written(self)?.value {
            Value::List(nodes) => nodes.first().map(|node| &node.place),
            _ => None,
        }
    }

    pub fn write<T: Serialize, M: SerializeMap>(&self, tables: &[T], map: &mut M) -> Result<(), M::Error> {
        if tables.is_empty() { Ok(()) } else { map.serialize_entry(self.name, tables) }
    }

    fn nodes<'r>(&self, reader: &'r Reader<'_>) -> Option<&'r [Node]> {
        let Some(node) = reader.written(self) else { return Some(&[]) };
        let name = self.name;
        match &node.value {
            Value::List(nodes) if nodes.len() <= self.most => Some(nodes),
            Value::List(_) => {
                reader.report(self, format!("has more than {} elements", self.most));
                None
            }
            Value::Table(_) => {
                let message = format!("is one table where a list is needed: write [[{name}]], with two brackets");
                reader.report(self, message);
                None
            }
            other => {
                let message = format!("is {} where a list of tables is needed: write [[{name}]]", other.words());
                reader.report(self, message);
                None
            }
        }
    }
}

/// A table that nobody wrote is one with every default.
impl<T: Serialize> Part<T> for TableKey<T> {
    fn read(&self, reader: &Reader<'_>) -> Option<T> {
        (self.read)(&reader.table(self)?)
    }

    fn write<M: SerializeMap>(&self, value: &T, map: &mut M) -> Result<(), M::Error> {
        map.serialize_entry(self.name, value)
    }
}

/// A table that nobody wrote is none.
impl<T: Serialize> Part<Option<T>> for TableKey<T> {
    fn read(&self, reader: &Reader<'_>) -> Option<Option<T>> {
        if reader.has(self) { Part::<T>::read(self, reader).map(Some) } else { Some(None) }
    }

    fn write<M: SerializeMap>(&self, value: &Option<T>, map: &mut M) -> Result<(), M::Error> {
        value.as_ref().map_or(Ok(()), |value| Part::<T>::write(self, value, map))
    }
}

impl<T> Deref for TableKey<T> {
    type Target = Declaration;

    fn deref(&self) -> &Declaration {
        &self.declared
    }
}

impl Deref for TablesKey {
    type Target = Declaration;

    fn deref(&self) -> &Declaration {
        &self.declared
    }
}
