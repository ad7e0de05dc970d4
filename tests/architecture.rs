//! The plan of the house, checked: the rooms are an order, a room names only rooms above it, and what is cited is there.
//!
//! A new room or a new edge between rooms is a reviewed line in this file. The check reads the sources as tokens, with
//! comments and literals taken out, so that a `crate::` path counts wherever it stands: in a `use`, in a group, in an
//! expression, or behind a chain of `super`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

#[path = "architecture/citations.rs"]
mod citations;
#[path = "architecture/files.rs"]
mod files;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// In the order of ARCHITECTURE.md: a room names only rooms above it.
const ROOMS: [&str; 22] = [
    "oci",
    "ecr",
    "iam",
    "lifecycle",
    "action",
    "turns",
    "config",
    "telemetry",
    "memory",
    "storage",
    "meta",
    "metering",
    "upstream",
    "cache",
    "auth",
    "policy",
    "accounts",
    "registry",
    "jobs",
    "http",
    "app",
    "cli",
];

/// The only files that may say `unsafe`, each with the reason.
const UNSAFE: [(&str, &str); 2] = [
    ("app/memory.rs", "asks the allocator to give free memory back"),
    ("http/transport/mapping.rs", "maps parts of files, and asks the kernel which of their pages are in memory"),
];

/// A path below `src/`, with `/` between its parts, and what the file says.
type Source = (String, String);

#[test]
fn rooms_name_only_rooms_above_them() {
    assert_none(wrong_edges(&sources()));
}

#[test]
fn rooms_form_no_circle() {
    assert_eq!(circle(&edges(&sources())), None);
}

#[test]
fn every_module_is_a_room() {
    assert_none(strangers(&sources()));
}

#[test]
fn unsafe_is_only_where_it_is_listed() {
    assert_none(unlisted_unsafe(&sources(), &UNSAFE.map(|(path, _)| path)));
    for (path, _) in UNSAFE {
        let has_it = sources().iter().any(|(name, text)| name == path && tokens(text).contains(&"unsafe".to_owned()));
        assert!(has_it, "{path} needs no line in the list of unsafe files");
    }
}

#[test]
fn every_door_says_what_is_never_there() {
    assert_none(silent_doors(&sources()));
}

#[test]
fn violations_are_found() {
    let file = |path: &str, text: &str| (path.to_owned(), text.to_owned());
    for (path, text, named) in [
        ("oci/name.rs", "use crate::cache::Fill;", "cache"),
        ("oci/name.rs", "use crate::{oci::Tag, http};", "http"),
        ("oci/name.rs", "use crate::{\n    // a comment\n    config::{A, B}, oci::Tag,\n};", "config"),
        ("storage/mod.rs", "pub(in crate::storage) fn f() { crate :: meta::g(); }", "meta"),
        ("storage/mod.rs", "fn f() { super::meta::g() }", "meta"),
        ("storage/disk.rs", "use super::super::meta::g;", "meta"),
        ("storage/mod.rs", "mod inner { use super::super::{http, oci}; }", "http"),
        ("action.rs", "macro_rules! m { () => { $crate::policy::Permit } }", "policy"),
        (
            "cache/mod.rs",
            "const A: &str = r#\"quoted \"}\"#; const B: char = '\"'; use crate::registry::X;",
            "registry",
        ),
    ] {
        let room = room_of(path);
        assert_eq!(
            wrong_edges(&[file(path, text)]),
            [format!("src/{path}: {room} names {named}, which is not above it")],
            "{text}"
        );
    }
    for (path, text) in [
        ("cache/fill.rs", "use crate::{oci::Digest, storage::{self, Staged}}; use crate::cache::Tier;"),
        ("cache/fill.rs", "// crate::http\n/* /* crate::cli */ */ const A: &str = \"crate::app\"; use super::http::X;"),
        ("cache/mod.rs", "mod inner { use super::http; } fn f<'a>(x: &'a str) {}"),
        ("lib.rs", "pub use crate::cli::run;"),
    ] {
        assert_none(wrong_edges(&[file(path, text)]));
    }
    assert_eq!(strangers(&[file("util.rs", ""), file("misc/a.rs", ""), file("oci/a.rs", "")]), ["misc", "util"]);
    assert_eq!(
        unlisted_unsafe(&[file("oci/a.rs", "unsafe {}"), file("oci/b.rs", "// unsafe\nunsafe {}")], &["oci/b.rs"]),
        ["src/oci/a.rs"]
    );
    let silent = [
        file("oci/mod.rs", "//! The words.\n//! *Never* here: IO."),
        file("cache/mod.rs", "//! Bytes.\nconst A: &str = \"*Never*\";"),
    ];
    assert_eq!(silent_doors(&silent), ["src/cache/mod.rs"]);
    let ring = [file("oci/a.rs", "use crate::meta::X;"), file("meta/a.rs", "use crate::oci::Y;")];
    assert!(circle(&edges(&ring)).is_some());
}

#[track_caller]
fn assert_none(found: Vec<String>) {
    assert!(found.is_empty(), "\n{}", found.join("\n"));
}

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("a folder of sources") {
            let path: PathBuf = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path.strip_prefix(&root).expect("below src").to_string_lossy().replace('\\', "/");
                found.push((name, fs::read_to_string(&path).expect("a source in UTF-8")));
            }
        }
    }
    assert!(found.len() > 10, "the sources are there");
    found.sort();
    found
}

/// The first part of the path: a folder, or a file without its ending. The crate's roots are no rooms.
fn room_of(path: &str) -> &str {
    let first = path.split('/').next().unwrap_or_default();
    first.strip_suffix(".rs").unwrap_or(first)
}

fn is_root(path: &str) -> bool {
    matches!(path, "lib.rs" | "main.rs")
}

fn strangers(sources: &[Source]) -> Vec<String> {
    let rooms: BTreeSet<_> = sources.iter().filter(|(path, _)| !is_root(path)).map(|(path, _)| room_of(path)).collect();
    rooms.into_iter().filter(|room| !ROOMS.contains(room)).map(str::to_owned).collect()
}

fn wrong_edges(sources: &[Source]) -> Vec<String> {
    let place = |room: &str| ROOMS.iter().position(|name| *name == room);
    let mut wrong = Vec::new();
    for (path, text) in sources.iter().filter(|(path, _)| !is_root(path)) {
        let room = room_of(path);
        for named in named_rooms(path, text) {
            if named != room && place(&named) > place(room) {
                wrong.push(format!("src/{path}: {room} names {named}, which is not above it"));
            }
        }
    }
    wrong
}

fn edges(sources: &[Source]) -> BTreeMap<String, BTreeSet<String>> {
    let mut edges: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (path, text) in sources.iter().filter(|(path, _)| !is_root(path)) {
        let room = room_of(path);
        edges.entry(room.to_owned()).or_default().extend(named_rooms(path, text).into_iter().filter(|it| it != room));
    }
    edges
}

/// Rooms that are left when those that name nothing that is left are taken away, again and again.
fn circle(edges: &BTreeMap<String, BTreeSet<String>>) -> Option<Vec<String>> {
    let mut left = edges.clone();
    loop {
        let names: BTreeSet<_> = left.keys().cloned().collect();
        let before = left.len();
        left.retain(|_, named| named.iter().any(|room| names.contains(room)));
        if left.is_empty() {
            return None;
        }
        if left.len() == before {
            return Some(left.into_keys().collect());
        }
    }
}

fn unlisted_unsafe(sources: &[Source], listed: &[&str]) -> Vec<String> {
    sources
        .iter()
        .filter(|(path, text)| !listed.contains(&path.as_str()) && tokens(text).contains(&"unsafe".to_owned()))
        .map(|(path, _)| format!("src/{path}"))
        .collect()
}

fn silent_doors(sources: &[Source]) -> Vec<String> {
    sources
        .iter()
        .filter(|(path, _)| !is_root(path) && (path.ends_with("/mod.rs") || !path.contains('/')))
        .filter(|(path, _)| path.matches('/').count() <= 1)
        .filter(|(_, text)| !text.lines().any(|line| line.trim_start().starts_with("//!") && line.contains("*Never*")))
        .map(|(path, _)| format!("src/{path}"))
        .collect()
}

/// The rooms that paths from the crate's root name.
fn named_rooms(path: &str, text: &str) -> BTreeSet<String> {
    let tokens = tokens(text);
    let token = |at: usize| tokens.get(at).map_or("", String::as_str);
    // How many modules lie between this place and the root: one for each part of the path, and the inline ones.
    let parts = path.trim_end_matches(".rs").trim_end_matches("/mod").split('/').count();
    let mut inline: Vec<bool> = Vec::new();
    let mut named = BTreeSet::new();
    let mut at = 0;
    while at < tokens.len() {
        match token(at) {
            "{" => inline.push(at >= 2 && token(at - 2) == "mod"),
            "}" => {
                inline.pop();
            }
            "crate" if token(at + 1) == "::" => names_at(&tokens, at + 2, &mut named),
            "super" if at == 0 || token(at - 1) != "::" => {
                let mut count = 1;
                while token(at + 1) == "::" && token(at + 2) == "super" {
                    count += 1;
                    at += 2;
                }
                let depth = parts + inline.iter().filter(|is_module| **is_module).count();
                if count == depth && token(at + 1) == "::" {
                    names_at(&tokens, at + 2, &mut named);
                }
            }
            _ => {}
        }
        at += 1;
    }
    named.retain(|name| ROOMS.contains(&name.as_str()));
    named
}

/// The name at `at`, or the first name of each item of the group that begins there.
fn names_at(tokens: &[String], at: usize, named: &mut BTreeSet<String>) {
    if tokens.get(at).is_none_or(|token| token != "{") {
        named.extend(tokens.get(at).cloned());
        return;
    }
    let mut depth = 0;
    let mut before = "";
    for token in &tokens[at..] {
        match token.as_str() {
            "{" => depth += 1,
            "}" => depth -= 1,
            name if depth == 1 && matches!(before, "{" | ",") => {
                named.insert(name.to_owned());
            }
            _ => {}
        }
        if depth == 0 {
            return;
        }
        before = token;
    }
}

/// Names, `::` and single signs; without comments, strings and characters.
fn tokens(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let skipped = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            block_comment(rest)
        } else if let Some(len) = raw_string(rest) {
            len
        } else if first == '"' {
            quoted(rest)
        } else if let Some(len) = character(rest) {
            len
        } else if first == '_' || first.is_alphanumeric() {
            let end = rest.find(|c: char| c != '_' && !c.is_alphanumeric()).unwrap_or(rest.len());
            found.push(rest[..end].to_owned());
            end
        } else if rest.starts_with("::") {
            found.push("::".to_owned());
            2
        } else {
            if !first.is_whitespace() {
                found.push(first.to_string());
            }
            first.len_utf8()
        };
        rest = &rest[skipped..];
    }
    found
}

/// Block comments nest.
fn block_comment(text: &str) -> usize {
    let mut depth = 0;
    let mut at = 0;
    while at < text.len() {
        if text[at..].starts_with("/*") {
            depth += 1;
            at += 2;
        } else if text[at..].starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += text[at..].chars().next().map_or(1, char::len_utf8);
        }
    }
    text.len()
}

/// `r"..."`, `br#"..."#` and so on.
fn raw_string(text: &str) -> Option<usize> {
    let after = text.strip_prefix("br").or_else(|| text.strip_prefix('r'))?;
    let hashes = after.len() - after.trim_start_matches('#').len();
    let body = after[hashes..].strip_prefix('"')?;
    let end = format!("\"{}", "#".repeat(hashes));
    let len = body.find(&end).map_or(body.len(), |at| at + end.len());
    Some(text.len() - body.len() + len)
}

fn quoted(text: &str) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            '"' if !escaped => return at + 1,
            '\\' => escaped = !escaped,
            _ => escaped = false,
        }
    }
    text.len()
}

/// A character, as opposed to a lifetime.
fn character(text: &str) -> Option<usize> {
    let mut chars = text.strip_prefix('\'')?.chars();
    match chars.next()? {
        '\\' => text[3..].find('\'').map(|at| at + 4),
        c => (chars.next() == Some('\'')).then(|| c.len_utf8() + 2),
    }
}
