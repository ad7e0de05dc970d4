//! Where settings come from, kept so that they can be read again.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::environment::Overlay;
use crate::config::reading::{self, ConfigErrors, Context, Entry, Node, Place, Problem, Seen, Table, Value};
use crate::config::sections::upstream;
use crate::config::settings::{self, SECTIONS, Settings, UPSTREAM, WELL_KNOWN_UPSTREAMS};

/// A file, if there is one, and the environment as it was at start.
#[derive(Clone, Debug)]
pub struct Source {
    file: Option<PathBuf>,
    environment: BTreeMap<String, String>,
}

/// What reading gave, and the files that it depends on.
pub struct Loaded {
    pub result: Result<Settings, ConfigErrors>,
    pub seen: Vec<Seen>,
}

/// Reads `file`, or the one that `ENTREPOT_CONFIG` names, or only defaults, under the variables of `environment`.
pub fn load(
    file: Option<&Path>,
    environment: impl Iterator<Item = (String, String)>,
) -> Result<Settings, ConfigErrors> {
    Source::new(file, environment).load()
}

/// Reads a text as if it were a file in the working directory, without an environment.
pub fn parse(text: &str) -> Result<Settings, ConfigErrors> {
    let context = Context::new(PathBuf::new(), BTreeMap::new(), SECTIONS);
    finish(read_text(text, &context), context, None).result
}

impl Source {
    pub fn new(file: Option<&Path>, environment: impl Iterator<Item = (String, String)>) -> Self {
        let environment: BTreeMap<String, String> = environment.collect();
        let named = || environment.get("ENTREPOT_CONFIG").filter(|path| !path.is_empty()).map(PathBuf::from);
        Self { file: file.map(Path::to_owned).or_else(named), environment }
    }

    /// With the environment of this process. What is not UTF-8 in it is replaced.
    pub fn of_process(file: Option<&Path>) -> Self {
        let text = |text: std::ffi::OsString| text.to_string_lossy().into_owned();
        Self::new(file, std::env::vars_os().map(|(name, value)| (text(name), text(value))))
    }

    pub fn file(&self) -> Option<&Path> {
        self.file.as_deref()
    }

    pub fn load(&self) -> Result<Settings, ConfigErrors> {
        self.read().result
    }

    pub fn read(&self) -> Loaded {
        let folder = self.file.as_deref().and_then(Path::parent).unwrap_or(Path::new("")).to_owned();
        let context = Context::new(folder, self.environment.clone(), SECTIONS);
        let text = match &self.file {
            Some(file) => read_file(file, &context),
            None => Some(String::new()),
        };
        let settings = text.and_then(|text| read_text(&text, &context));
        finish(settings, context, self.file.clone())
    }
}

fn read_file(file: &Path, context: &Context) -> Option<String> {
    match context.files.read_file_or_pipe(file) {
        Ok(bytes) => match String::from_utf8(bytes) {
            Ok(text) => Some(text),
            Err(_) => {
                context.report(&Place::File, "", "is not UTF-8 text");
                None
            }
        },
        Err(why) => {
            context.report(&Place::File, "", format!("cannot be read: {why}"));
            None
        }
    }
}

fn read_text(text: &str, context: &Context) -> Option<Settings> {
    let (mut table, malformed) = reading::parse(text);
    for problem in malformed.problems {
        context.report(&problem.place, problem.key, problem.message);
    }
    if !malformed.readable {
        return None;
    }
    let mut overlay = Overlay::of(&context.environment);
    overlay.apply(&mut table, context);
    complete_upstreams(&mut table);
    overlay.apply_to_named_upstreams(&mut table, context);
    overlay.report_rest(&table, context);
    settings::read(table, context)
}

fn complete_upstreams(table: &mut Table) {
    let none_written = match table.get(UPSTREAM.name).map(|entry| &entry.node.value) {
        Some(Value::List(nodes)) => nodes.is_empty(),
        Some(_) => return,
        None => true,
    };
    let all = match table.get(WELL_KNOWN_UPSTREAMS.name).map(|entry| &entry.node.value) {
        Some(Value::Flag(flag)) => *flag,
        _ => none_written,
    };
    let entry = table
        .entry(UPSTREAM.name.to_owned())
        .or_insert_with(|| Entry::new(Place::BuiltIn, Value::List(Vec::<Node>::new())));
    if let Value::List(nodes) = &mut entry.node.value {
        upstream::complete(nodes, all);
    }
}

fn finish(settings: Option<Settings>, context: Context, file: Option<PathBuf>) -> Loaded {
    let (mut problems, files) = context.finish();
    let result = match settings {
        Some(settings) if problems.is_empty() => Ok(settings),
        _ => {
            if problems.is_empty() {
                problems.push(Problem {
                    place: Place::File,
                    key: String::new(),
                    message: "cannot be used, for a reason that reading did not tell; this is a bug of entrepot".into(),
                });
            }
            Err(ConfigErrors::new(file, problems))
        }
    };
    Loaded { result, seen: files.into_seen() }
}
