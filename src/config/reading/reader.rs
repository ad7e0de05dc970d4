//! Reading one table by its keys. A value that is wrong is told and reading goes on, so that an operator sees every
//! problem at once.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::files::Files;
use super::key::{Fallback, Key, Kind, Section};
use super::problem::{Place, Problem, closest};
use super::tree::{self, Entry, Node, Table, Value};

/// What reading needs besides the values, and what it finds.
pub struct Context {
    /// Relative paths in the file are relative to this folder, the file's own.
    pub folder: PathBuf,
    pub environment: BTreeMap<String, String>,
    pub files: Files,
    problems: RefCell<Vec<Problem>>,
}

/// Elements of a list. Nobody writes that many by hand.
pub const MAX_ELEMENTS: usize = 1000;

/// A table under its keys. `None` from its functions says that the problem has been told.
pub struct Reader<'a> {
    section: &'static Section,
    path: String,
    place: Place,
    entries: Table,
    context: &'a Context,
}

impl Context {
    pub fn new(folder: PathBuf, environment: BTreeMap<String, String>) -> Self {
        Self { folder, environment, files: Files::default(), problems: RefCell::default() }
    }

    pub fn report(&self, place: &Place, key: impl Into<String>, message: impl Into<String>) {
        self.problems.borrow_mut().push(Problem { place: place.clone(), key: key.into(), message: message.into() });
    }

    pub fn finish(self) -> (Vec<Problem>, Files) {
        (self.problems.into_inner(), self.files)
    }

    fn resolve(&self, place: &Place, text: &str) -> PathBuf {
        match place {
            Place::Line { .. } => self.folder.join(text),
            _ => PathBuf::from(text),
        }
    }
}

impl<'a> Reader<'a> {
    /// Keys that the section does not have are told here.
    pub fn new(section: &'static Section, path: String, place: Place, entries: Table, context: &'a Context) -> Self {
        let reader = Self { section, path, place, entries, context };
        for (name, entry) in &reader.entries {
            if section.key(name).is_none() {
                context.report(&entry.place, reader.key_path(name), reader.unknown(name));
            }
        }
        reader
    }

    /// Reads a node that must be a table.
    pub fn of_node(section: &'static Section, path: String, node: Node, context: &'a Context) -> Option<Self> {
        match node.value {
            Value::Table(entries) => Some(Self::new(section, path, node.place, entries, context)),
            other => {
                context.report(&node.place, path, format!("is {} where a table is needed", other.words()));
                None
            }
        }
    }

    pub fn context(&self) -> &'a Context {
        self.context
    }

    pub fn has(&self, name: &str) -> bool {
        self.entries.contains_key(name)
    }

    /// Where the key stands; where its table begins if nobody wrote it.
    pub fn place(&self, name: &str) -> &Place {
        self.entries.get(name).map_or(&self.place, |entry| &entry.place)
    }

    pub fn report(&self, name: &str, message: impl Into<String>) {
        self.context.report(self.place(name), self.key_path(name), message);
    }

    /// Takes a table or list out as it was written.
    pub fn take(&mut self, name: &str) -> Option<Entry> {
        self.entries.remove(name)
    }

    /// The text under `name`, if there is one; nothing is told.
    pub fn peek(&self, name: &str) -> Option<String> {
        match &self.entries.get(name)?.node.value {
            Value::Text(text) => Some(text.clone()),
            _ => None,
        }
    }

    /// The texts under `name` with their places, if it is there at all; nothing is told.
    pub fn peek_list(&self, name: &str) -> Option<Vec<(Place, String)>> {
        let node = &self.entries.get(name)?.node;
        let nodes = match &node.value {
            Value::List(nodes) => nodes.as_slice(),
            _ => std::slice::from_ref(node),
        };
        let texts = nodes.iter().filter_map(|node| match &node.value {
            Value::Text(text) => Some((node.place.clone(), text.clone())),
            _ => None,
        });
        Some(texts.collect())
    }

    /// The value under `name` as it was written, not looked at.
    pub fn written(&self, name: &str) -> Option<&Value> {
        Some(&self.entries.get(name)?.node.value)
    }

    /// The table under `name`, empty where nobody wrote it.
    pub fn table(&mut self, name: &str, section: &'static Section) -> Option<Reader<'a>> {
        match self.entries.remove(name) {
            Some(entry) => Reader::of_node(section, self.key_path(name), entry.node, self.context),
            None => Some(Reader::new(section, self.key_path(name), Place::BuiltIn, BTreeMap::new(), self.context)),
        }
    }

    /// A key that has a default or is required.
    pub fn get<T>(&self, name: &str, read: impl Fn(&Key, &Value) -> Result<T, String>) -> Option<T> {
        match self.optional(name, read)? {
            Some(value) => Some(value),
            None => {
                self.report(name, format!("is missing: {}", self.meaning(name)));
                None
            }
        }
    }

    /// A key that may be absent.
    pub fn optional<T>(&self, name: &str, read: impl Fn(&Key, &Value) -> Result<T, String>) -> Option<Option<T>> {
        let key = self.key(name)?;
        let (place, value) = match (self.entries.get(name), &key.fallback) {
            (Some(entry), _) => (&entry.node.place, entry.node.value.clone()),
            (None, Fallback::Value(text)) => (&Place::BuiltIn, tree::parse_value(text)?),
            (None, _) => return Some(None),
        };
        match read(key, &value) {
            Ok(value) => Some(Some(value)),
            Err(message) => {
                self.context.report(place, self.key_path(name), message);
                None
            }
        }
    }

    /// Every element, each with its place. A single value counts as a list of one.
    pub fn list<T>(
        &self,
        name: &str,
        read: impl Fn(&Key, &Node) -> Result<T, String>,
    ) -> Option<Option<Vec<(Place, T)>>> {
        let key = self.key(name)?;
        let node = match (self.entries.get(name), &key.fallback) {
            (Some(entry), _) => entry.node.clone(),
            (None, Fallback::Value(text)) => Node::new(Place::BuiltIn, tree::parse_value(text)?),
            (None, _) => return Some(None),
        };
        let nodes = match node.value {
            Value::List(nodes) if nodes.len() > MAX_ELEMENTS => {
                self.report(name, format!("has more than {MAX_ELEMENTS} elements"));
                return None;
            }
            Value::List(nodes) => nodes,
            value => vec![Node::new(node.place, value)],
        };
        let read_all: Vec<_> = nodes
            .into_iter()
            .map(|node| match read(key, &node) {
                Ok(value) => Some((node.place, value)),
                Err(message) => {
                    self.context.report(&node.place, self.key_path(name), message);
                    None
                }
            })
            .collect();
        read_all.into_iter().collect::<Option<Vec<_>>>().map(Some)
    }

    /// A path, not yet looked at.
    pub fn path(&self, name: &str) -> Option<Option<PathBuf>> {
        let text = self.optional(name, super::value::text)?;
        let place = self.entries.get(name).map_or(&Place::BuiltIn, |entry| &entry.node.place);
        Some(text.map(|text| self.context.resolve(place, &text)))
    }

    /// The bytes of a file that was named under `name`.
    pub fn contents(&self, name: &str, path: &Path) -> Option<Vec<u8>> {
        match self.context.files.read(path) {
            Ok(bytes) => Some(bytes),
            Err(why) => {
                self.report(name, format!("{} cannot be read: {why}", path.display()));
                None
            }
        }
    }

    pub fn key_path(&self, name: &str) -> String {
        if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) }
    }

    fn key(&self, name: &str) -> Option<&'static Key> {
        let key = self.section.key(name);
        debug_assert!(key.is_some(), "{name} is not in the table of keys of [{}]", self.section.name);
        key
    }

    fn meaning(&self, name: &str) -> &'static str {
        self.section.key(name).map_or("", |key| key.meaning)
    }

    fn unknown(&self, name: &str) -> String {
        let names = || self.section.keys.iter().map(|key| key.name);
        if let Some(close) = closest(name, names()) {
            return format!("is not a key; did you mean `{close}`?");
        }
        // A list of tables has its own header, and nobody looks for it inside of another table.
        let holds = |section: &&Section| section.key(name).is_some_and(|key| !matches!(key.kind, Kind::Tables(_)));
        let elsewhere = crate::config::settings::sections().find(holds);
        match elsewhere {
            Some(section) if section.name.is_empty() => {
                "is not a key here; it belongs above the first table of the file".to_owned()
            }
            Some(section) => format!("is not a key here; it belongs into {}", section.header()),
            None => format!("is not a key; the keys here are {}", names().collect::<Vec<_>>().join(", ")),
        }
    }
}
