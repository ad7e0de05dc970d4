//! Reading one table by its keys. A value that is wrong is told and reading goes on, so that an operator sees every
//! problem at once.

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::files::Files;
use super::problem::{Place, Problem, closest};
use super::section::{Declaration, Section, Shape};
use super::tree::{Node, Table, Value};

/// Surroundings of a configuration that is being read, and the problems that are found in it.
pub struct Context {
    /// Relative paths in the file are relative to this folder, the file's own.
    pub folder: PathBuf,
    pub environment: BTreeMap<String, String>,
    pub files: Files,
    /// Every table of the file, to tell where a misplaced key belongs.
    sections: &'static [&'static Section],
    problems: RefCell<Vec<Problem>>,
}

/// A table under its keys. `None` from its functions says that the problem has been told.
pub struct Reader<'a> {
    section: &'static Section,
    path: String,
    place: Place,
    entries: Table,
    context: &'a Context,
}

impl Context {
    pub fn new(folder: PathBuf, environment: BTreeMap<String, String>, sections: &'static [&'static Section]) -> Self {
        Self { folder, environment, files: Files::default(), sections, problems: RefCell::default() }
    }

    pub fn report(&self, place: &Place, key: impl Into<String>, message: impl Into<String>) {
        self.problems.borrow_mut().push(Problem { place: place.clone(), key: key.into(), message: message.into() });
    }

    pub fn finish(self) -> (Vec<Problem>, Files) {
        (self.problems.into_inner(), self.files)
    }

    /// A path of the file is relative to the file, one of a variable to the working directory.
    pub fn resolve(&self, place: &Place, text: &str) -> PathBuf {
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
                context.report(&entry.place, reader.path_of(name), reader.unknown(name));
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

    pub fn has(&self, key: &Declaration) -> bool {
        self.entries.contains_key(key.name)
    }

    /// Where the key stands; where its table begins if nobody wrote it.
    pub fn place(&self, key: &Declaration) -> &Place {
        self.entries.get(key.name).map_or(&self.place, |entry| &entry.place)
    }

    /// Where the table begins.
    pub fn beginning(&self) -> &Place {
        &self.place
    }

    pub fn report(&self, key: &Declaration, message: impl Into<String>) {
        self.context.report(self.place(key), self.key_path(key), message);
    }

    /// The value of a key, as it was written or as its default is written.
    pub fn find(&self, key: &Declaration) -> Option<Cow<'_, Node>> {
        if let Some(entry) = self.entries.get(key.name) {
            return Some(Cow::Borrowed(&entry.node));
        }
        Some(Cow::Owned(Node::new(Place::BuiltIn, key.usual_value()?)))
    }

    /// The value of a key as it was written, not looked at.
    pub fn written(&self, key: &Declaration) -> Option<&Node> {
        Some(&self.entries.get(key.name)?.node)
    }

    /// The table under a key, empty where nobody wrote it.
    pub fn table(&self, key: &Declaration) -> Option<Reader<'a>> {
        let Shape::Table(section) = key.shape else { return None };
        let node = match self.written(key) {
            Some(node) => node.clone(),
            None => Node::new(Place::BuiltIn, Value::Table(Table::new())),
        };
        Reader::of_node(section, self.key_path(key), node, self.context)
    }

    /// The bytes of a file that was named under a key.
    pub fn contents(&self, key: &Declaration, path: &Path) -> Option<Vec<u8>> {
        match self.context.files.read(path) {
            Ok(bytes) => Some(bytes),
            Err(why) => {
                self.report(key, format!("{} cannot be read: {why}", path.display()));
                None
            }
        }
    }

    pub fn key_path(&self, key: &Declaration) -> String {
        self.path_of(key.name)
    }

    fn path_of(&self, name: &str) -> String {
        if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) }
    }

    fn unknown(&self, name: &str) -> String {
        let names = || self.section.keys.iter().map(|key| key.name);
        if let Some(close) = closest(name, names()) {
            return format!("is not a key; did you mean `{close}`?");
        }
        // A list of tables has its own header, and nobody looks for it inside of another table.
        let holds = |section: &&&Section| section.key(name).is_some_and(|key| !matches!(key.shape, Shape::Tables(_)));
        match self.context.sections.iter().find(holds) {
            Some(section) if section.name.is_empty() => {
                "is not a key here; it belongs above the first table of the file".to_owned()
            }
            Some(section) => format!("is not a key here; it belongs into {}", section.header()),
            None => format!("is not a key; the keys here are {}", names().collect::<Vec<_>>().join(", ")),
        }
    }
}
