//! Variables of the environment, laid over what the file says.
//!
//! `ENTREPOT_CACHE__DISK` is `cache.disk`. An upstream is named by its place in the file or by its name:
//! `ENTREPOT_UPSTREAM__0__URL`, `ENTREPOT_UPSTREAM__DOCKER_IO__PASSWORD_FILE`. Lists are separated by commas. A
//! variable that is no setting is a problem, so that a slip of the pen does not stay unnoticed.

use std::collections::BTreeMap;

use crate::config::reading::{Context, Declaration, Entry, Node, Place, Section, Shape, Table, Value, closest};
use crate::config::sections::upstream::{self, name_of};
use crate::config::settings::{SECTION, UPSTREAM};

const PREFIX: &str = "ENTREPOT_";
const SEPARATOR: &str = "__";

/// Names that are no settings. Cargo sets the commit for programs that it starts.
const OTHER_VARIABLES: [&str; 2] = ["ENTREPOT_CONFIG", "ENTREPOT_COMMIT"];

/// The variables that have not found their key yet.
pub struct Overlay {
    rest: Vec<Variable>,
}

struct Variable {
    name: String,
    /// The name without the prefix.
    path: String,
    text: String,
}

enum Outcome {
    Done,
    Unknown,
    Refused(String),
}

impl Overlay {
    pub fn of(environment: &BTreeMap<String, String>) -> Self {
        let mut rest: Vec<Variable> = environment
            .iter()
            .filter(|(name, _)| !OTHER_VARIABLES.contains(&name.as_str()) && !is_service_link(name))
            .filter_map(|(name, text)| {
                let path = name.strip_prefix(PREFIX)?.to_owned();
                Some(Variable { name: name.clone(), path, text: text.clone() })
            })
            .collect();
        // Elements are appended in the order of their numbers: 9 before 10.
        rest.sort_by_key(|variable| first_number(&variable.path));
        Self { rest }
    }

    /// Everything but upstreams by name.
    pub fn apply(&mut self, table: &mut Table, context: &Context) {
        self.rest.retain(|variable| match assign(&SECTION, table, &variable.path, variable) {
            Outcome::Done => false,
            Outcome::Unknown => true,
            Outcome::Refused(message) => {
                variable.report(context, message);
                false
            }
        });
    }

    /// Upstreams by name, among them the well-known ones that the file does not mention.
    pub fn apply_to_named_upstreams(&mut self, table: &mut Table, context: &Context) {
        let Some(Entry { node: Node { value: Value::List(nodes), .. }, .. }) = table.get_mut(UPSTREAM.name) else {
            return;
        };
        self.rest.retain(|variable| {
            let Some(path) = variable.path.strip_prefix("UPSTREAM__") else { return true };
            let outcome = match named_element(nodes, path) {
                Named::One(element, key) => assign(&upstream::SECTION, element, key, variable),
                Named::Several => Outcome::Refused("fits several upstreams: name it by its number".to_owned()),
                Named::None => Outcome::Unknown,
            };
            match outcome {
                Outcome::Done => false,
                Outcome::Unknown => true,
                Outcome::Refused(message) => {
                    variable.report(context, message);
                    false
                }
            }
        });
    }

    /// Tells of what is left, except for variables that hold a password for some `password_env`.
    pub fn report_rest(self, table: &Table, context: &Context) {
        let upstreams = match table.get(UPSTREAM.name).map(|entry| &entry.node.value) {
            Some(Value::List(nodes)) => nodes.as_slice(),
            _ => &[],
        };
        let names = known_names(upstreams);
        for variable in self.rest {
            if upstreams.iter().any(|node| holds_password_of(node, &variable.name)) {
                continue;
            }
            let message = match closest(&variable.path, names.iter().map(String::as_str)) {
                Some(path) => format!("is not a setting; did you mean {PREFIX}{path}?"),
                None if variable.path.starts_with("UPSTREAM__") => format!(
                    "is not a setting; upstreams are named {}",
                    upstreams.iter().filter_map(name_of).map(variable_name).collect::<Vec<_>>().join(", ")
                ),
                None => "is not a setting; remove it, or see docs/configuration.md for the names".to_owned(),
            };
            variable.report(context, message);
        }
    }
}

impl Variable {
    fn place(&self) -> Place {
        Place::Variable(self.name.clone())
    }

    fn report(&self, context: &Context, message: String) {
        context.report(&self.place(), "", message);
    }
}

/// Kubernetes sets variables for every service of a namespace; a service called `entrepot` makes these.
fn is_service_link(name: &str) -> bool {
    let Some(rest) = name.strip_prefix(PREFIX) else { return false };
    if rest.contains(SEPARATOR) {
        return false;
    }
    let word = format!("_{rest}");
    word.ends_with("_SERVICE_HOST")
        || word.contains("_SERVICE_PORT")
        || word.ends_with("_PORT")
        || word.contains("_PORT_") && ["_TCP", "_UDP", "_SCTP"].iter().any(|protocol| word.contains(protocol))
}

fn first_number(path: &str) -> u64 {
    path.split(SEPARATOR).find_map(|part| part.parse().ok()).unwrap_or(0)
}

fn assign(section: &'static Section, table: &mut Table, path: &str, variable: &Variable) -> Outcome {
    for key in section.keys {
        let upper = key.name.to_ascii_uppercase();
        if path == upper {
            return assign_key(key, table, variable);
        }
        let Some(rest) = path.strip_prefix(&upper).and_then(|rest| rest.strip_prefix(SEPARATOR)) else { continue };
        match key.shape {
            Shape::Table(inner) => return assign_inside(key, inner, table, rest, variable),
            Shape::Tables(inner) | Shape::Listeners(inner) => {
                return assign_element(key, inner, table, rest, variable);
            }
            _ => {}
        }
    }
    Outcome::Unknown
}

fn assign_key(key: &Declaration, table: &mut Table, variable: &Variable) -> Outcome {
    if matches!(key.shape, Shape::Table(_) | Shape::Tables(_)) {
        return Outcome::Refused(format!("is a whole table; set its keys one by one: {}__...", variable.name));
    }
    for other in key.displaces {
        let in_file = |entry: &Entry| !matches!(entry.place, Place::Variable(_));
        if table.get(*other).is_some_and(in_file) {
            table.remove(*other);
        }
    }
    table.insert(key.name.to_owned(), Entry::new(variable.place(), value_of(key, variable)));
    Outcome::Done
}

fn value_of(key: &Declaration, variable: &Variable) -> Value {
    let text = variable.text.as_str();
    match key.shape {
        Shape::Flag => text.parse().map_or_else(|_| Value::text(text), Value::Flag),
        Shape::Size { .. } | Shape::Count { .. } => text.parse().map_or_else(|_| Value::text(text), Value::Integer),
        _ if key.shape.is_list() => {
            let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
            Value::List(parts.map(|part| Node::new(variable.place(), Value::text(part))).collect())
        }
        _ => Value::text(text),
    }
}

fn assign_inside(
    key: &Declaration,
    inner: &'static Section,
    table: &mut Table,
    rest: &str,
    variable: &Variable,
) -> Outcome {
    let entry =
        table.entry(key.name.to_owned()).or_insert_with(|| Entry::new(variable.place(), Value::Table(Table::new())));
    match &mut entry.node.value {
        Value::Table(table) => assign(inner, table, rest, variable),
        // The file has something wrong here, which is told when it is read.
        _ => Outcome::Done,
    }
}

fn assign_element(
    key: &Declaration,
    inner: &'static Section,
    table: &mut Table,
    rest: &str,
    variable: &Variable,
) -> Outcome {
    let Some((index, rest)) = rest.split_once(SEPARATOR) else { return Outcome::Unknown };
    let Ok(index) = index.parse::<usize>() else { return Outcome::Unknown };
    let entry =
        table.entry(key.name.to_owned()).or_insert_with(|| Entry::new(variable.place(), Value::List(Vec::new())));
    let Value::List(nodes) = &mut entry.node.value else { return Outcome::Done };
    if index > nodes.len() {
        let count = nodes.len();
        return Outcome::Refused(format!("there are {count} before it: the next number is {count}"));
    }
    if index == nodes.len() {
        nodes.push(Node::new(variable.place(), Value::Table(Table::new())));
    }
    let Some(node) = nodes.get_mut(index) else { return Outcome::Unknown };
    if let Value::Text(address) = &node.value {
        let address = Entry::new(node.place.clone(), Value::text(address));
        node.value = Value::Table(Table::from([("address".to_owned(), address)]));
    }
    match &mut node.value {
        Value::Table(table) => assign(inner, table, rest, variable),
        _ => Outcome::Done,
    }
}

enum Named<'n, 'p> {
    /// The element, and what of the path is its key.
    One(&'n mut Table, &'p str),
    Several,
    None,
}

/// The upstream whose name begins `path`; where several do, the one with the longest name.
fn named_element<'n, 'p>(nodes: &'n mut [Node], path: &'p str) -> Named<'n, 'p> {
    let mut found: Option<(usize, &str)> = None;
    let mut several = false;
    for (index, node) in nodes.iter().enumerate() {
        let Some(name) = name_of(node).map(variable_name) else { continue };
        let Some(rest) = path.strip_prefix(&name).and_then(|rest| rest.strip_prefix(SEPARATOR)) else { continue };
        match found {
            Some((_, other)) if rest.len() > other.len() => {}
            Some((_, other)) if rest.len() == other.len() => several = true,
            _ => {
                several = false;
                found = Some((index, rest));
            }
        }
    }
    match found {
        Some(_) if several => Named::Several,
        Some((index, rest)) => match nodes.get_mut(index).map(|node| &mut node.value) {
            Some(Value::Table(table)) => Named::One(table, rest),
            _ => Named::None,
        },
        None => Named::None,
    }
}

/// `docker.io` is `DOCKER_IO`.
fn variable_name(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' }).collect()
}

/// The paths of every variable that would be understood.
fn known_names(upstreams: &[Node]) -> Vec<String> {
    let mut names = Vec::new();
    add_names(&SECTION, "", &mut names);
    for name in upstreams.iter().filter_map(name_of) {
        add_names(&upstream::SECTION, &format!("UPSTREAM__{}__", variable_name(name)), &mut names);
    }
    names.push("CONFIG".to_owned());
    names
}

fn add_names(section: &Section, prefix: &str, names: &mut Vec<String>) {
    for key in section.keys {
        let name = format!("{prefix}{}", key.name.to_ascii_uppercase());
        match key.shape {
            Shape::Table(inner) => add_names(inner, &format!("{name}{SEPARATOR}"), names),
            Shape::Tables(inner) => add_names(inner, &format!("{name}{SEPARATOR}0{SEPARATOR}"), names),
            Shape::Listeners(inner) => {
                add_names(inner, &format!("{name}{SEPARATOR}0{SEPARATOR}"), names);
                names.push(name);
            }
            _ => names.push(name),
        }
    }
}

fn holds_password_of(upstream: &Node, variable: &str) -> bool {
    let Value::Table(table) = &upstream.value else { return false };
    matches!(table.get("password_env").map(|entry| &entry.node.value), Some(Value::Text(name)) if name == variable)
}
