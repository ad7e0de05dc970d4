//! Files name each other in one direction: no circle among them but those that are listed, and the list may only shrink.
//!
//! A path is followed through the doors (`pub use` in a `mod.rs`) to the file that has the thing. Not counted are tests, and
//! what a door names behind itself.

use std::collections::{BTreeMap, BTreeSet};

use super::{Source, assert_none, is_root, sources, tokens};

/// Circles that are still there, each by its files. A circle may lose files; take its line out when it is gone; add none.
const CIRCLES: &[&[&str]] = &[
    &["auth/authenticator.rs", "auth/certificates.rs", "auth/passwords.rs"],
    &["cache/blob.rs", "cache/blob_cache.rs", "cache/filler.rs"],
    &["cli/transfer/layout/archive.rs", "cli/transfer/layout/blob_writer.rs"],
    &["ecr/input/item.rs", "ecr/input/members.rs"],
    &["http/address.rs", "http/gate.rs", "http/oci/error.rs"],
    &["http/transport/body.rs", "http/transport/file_body.rs"],
    &["iam/input.rs", "iam/operation.rs"],
    &[
        "meta/accounts.rs",
        "meta/database.rs",
        "meta/hosted/repositories.rs",
        "meta/identities.rs",
        "meta/registry.rs",
        "meta/scope.rs",
    ],
    &["meta/hosted/manifests.rs", "meta/hosted/references.rs"],
    &["oci/digest.rs", "oci/hash.rs"],
    &["policy/authorizer.rs", "policy/permit.rs", "policy/viewer.rs"],
    &[
        "policy/iam/action_set.rs",
        "policy/iam/arn.rs",
        "policy/iam/condition/mod.rs",
        "policy/iam/document.rs",
        "policy/iam/error.rs",
        "policy/iam/grantee_set.rs",
        "policy/iam/json.rs",
        "policy/iam/principal.rs",
        "policy/iam/question.rs",
        "policy/iam/resource_set.rs",
        "policy/iam/statement.rs",
        "policy/iam/variables.rs",
    ],
    &["registry/control/images/get.rs", "registry/control/images/pull.rs"],
    &[
        "registry/error.rs",
        "registry/hosted/mod.rs",
        "registry/hosted/mutability.rs",
        "registry/hosted/quota.rs",
        "registry/templates.rs",
    ],
    &["storage/bucket.rs", "storage/sending.rs"],
    &["storage/published.rs", "storage/staged.rs"],
    &["upstream/credential.rs", "upstream/docker_config.rs", "upstream/helper.rs"],
    &["upstream/document.rs", "upstream/manifest.rs"],
    &[
        "upstream/endpoint.rs",
        "upstream/extent.rs",
        "upstream/pass.rs",
        "upstream/remote.rs",
        "upstream/request.rs",
        "upstream/source.rs",
        "upstream/stream.rs",
    ],
];

/// From the crate's root: `config`, `reading`, `key`.
type Path = Vec<String>;

struct Module {
    file: String,
    /// Names that come from elsewhere, with where from.
    used: BTreeMap<String, Path>,
    /// Every path that the file names.
    named: Vec<Path>,
}

#[test]
fn files_form_no_circle_but_those_listed() {
    assert_none(wrong_circles(&circles(&sources()), CIRCLES));
}

#[test]
fn circles_are_found() {
    let file = |path: &str, text: &str| (path.to_owned(), text.to_owned());
    let door = file("a/mod.rs", "mod x; mod y; pub use x::{X, Other as Renamed}; pub use y::Y;");
    for (x, y, is_circle) in [
        ("use super::y::Y;", "use super::x::X;", true),
        ("use super::Y;", "fn f() -> crate::a::X {}", true),
        ("use crate::{a::{self, y}};", "use crate::a::Renamed;", true),
        ("macro_rules! m { () => { $crate::a::Y } }", "use super::{X};", true),
        ("use super::y::Y;", "// use super::x::X;\nconst A: &str = \"crate::a::x\";", false),
        ("use super::y::Y;", "#[cfg(test)]\nmod tests { use super::super::x::X; }", false),
        ("use super::y::Y;", "mod inner { use super::super::super::a::x::X; }", true),
        ("use super::y::Y;", "use super::super::b::B;", false),
    ] {
        let found = circles(&[door.clone(), file("a/x.rs", x), file("a/y.rs", y), file("b.rs", "struct B;")]);
        let expected: Vec<Vec<String>> =
            if is_circle { vec![vec!["a/x.rs".to_owned(), "a/y.rs".to_owned()]] } else { Vec::new() };
        assert_eq!(found, expected, "{x} {y}");
    }
    let found = [vec!["a/x.rs".to_owned(), "a/y.rs".to_owned()]];
    assert!(wrong_circles(&found, &[&["a/x.rs", "a/y.rs"]]).is_empty());
    assert!(wrong_circles(&found, &[&["a/x.rs", "a/y.rs", "a/z.rs"]]).is_empty(), "it has lost a file");
    assert_eq!(wrong_circles(&found, &[]), ["a circle: a/x.rs, a/y.rs"]);
    assert_eq!(
        wrong_circles(&[], &[&["a/x.rs", "a/y.rs"]]),
        ["is no circle any more; take its line out: a/x.rs, a/y.rs"]
    );
}

fn wrong_circles(found: &[Vec<String>], listed: &[&[&str]]) -> Vec<String> {
    let is_part = |circle: &[String], listed: &[&str]| circle.iter().all(|file| listed.contains(&file.as_str()));
    let is_new = |circle: &&Vec<String>| !listed.iter().any(|listed| is_part(circle, listed));
    let is_gone = |listed: &&&[&str]| !found.iter().any(|circle| is_part(circle, listed));
    let new = found.iter().filter(is_new).map(|circle| format!("a circle: {}", circle.join(", ")));
    let gone = listed.iter().filter(is_gone);
    new.chain(gone.map(|listed| format!("is no circle any more; take its line out: {}", listed.join(", ")))).collect()
}

/// The files that lead back to themselves, in groups that lead to each other.
fn circles(sources: &[Source]) -> Vec<Vec<String>> {
    let modules = modules(sources);
    let edges: BTreeMap<&str, BTreeSet<&str>> =
        modules.iter().map(|(path, module)| (module.file.as_str(), named_files(path, module, &modules))).collect();
    let reached: BTreeMap<&str, BTreeSet<&str>> = edges.keys().map(|file| (*file, reach(file, &edges))).collect();
    let mut found = BTreeSet::new();
    for (file, all) in &reached {
        let circle: Vec<String> =
            all.iter().filter(|other| reached[*other].contains(file)).map(|other| (*other).to_owned()).collect();
        if circle.len() > 1 {
            found.insert(circle);
        }
    }
    found.into_iter().collect()
}

fn reach<'s>(from: &str, edges: &BTreeMap<&'s str, BTreeSet<&'s str>>) -> BTreeSet<&'s str> {
    let mut reached = BTreeSet::new();
    let mut left = vec![from];
    while let Some(file) = left.pop() {
        for next in edges.get(file).into_iter().flatten() {
            if reached.insert(*next) {
                left.push(next);
            }
        }
    }
    reached
}

fn named_files<'m>(path: &Path, module: &Module, modules: &'m BTreeMap<Path, Module>) -> BTreeSet<&'m str> {
    let found = module.named.iter().filter_map(|named| file_of(named, modules, 0));
    let is_behind = |other: &Path| other.len() > path.len() && other.starts_with(path);
    found.filter(|(other, _)| *other != path && !is_behind(other)).map(|(_, file)| file).collect()
}

/// The module that has the last name of a path. Doors lead on, a few times at most.
fn file_of<'m>(path: &[String], modules: &'m BTreeMap<Path, Module>, doors: usize) -> Option<(&'m Path, &'m str)> {
    let len = (1..=path.len()).rev().find(|len| modules.contains_key(&path[..*len]))?;
    let (found, module) = modules.get_key_value(&path[..len])?;
    match path.get(len).and_then(|name| module.used.get(name)) {
        Some(elsewhere) if doors < 8 => file_of(elsewhere, modules, doors + 1),
        _ => Some((found, &module.file)),
    }
}

fn modules(sources: &[Source]) -> BTreeMap<Path, Module> {
    let is_test = |path: &str| path.ends_with("/tests.rs") || path.split('/').any(|part| part == "tests");
    let sources = sources.iter().filter(|(path, _)| !is_root(path) && !is_test(path));
    sources.map(|(file, text)| (path_of(file), module(file, text))).collect()
}

fn path_of(file: &str) -> Path {
    file.trim_end_matches(".rs").trim_end_matches("/mod").split('/').map(str::to_owned).collect()
}

fn module(file: &str, text: &str) -> Module {
    let tokens = without_tests(tokens(text));
    let token = |at: usize| tokens.get(at).map_or("", String::as_str);
    let mut module = Module { file: file.to_owned(), used: BTreeMap::new(), named: Vec::new() };
    let mut here = path_of(file);
    let mut depth_of_inline = Vec::new();
    let (mut at, mut depth) = (0, 0);
    while at < tokens.len() {
        match token(at) {
            "{" => {
                depth += 1;
                if at >= 2 && token(at - 2) == "mod" {
                    here.push(token(at - 1).to_owned());
                    depth_of_inline.push(depth);
                }
            }
            "}" => {
                if depth_of_inline.last() == Some(&depth) {
                    depth_of_inline.pop();
                    here.pop();
                }
                depth -= 1;
            }
            // In a file that is a door, what it uses without a prefix is behind it.
            "use" if !matches!(token(at + 1), "crate" | "super" | "self" | "::") => {
                let mut leaves = Vec::new();
                at = tree(&tokens, at + 1, here.clone(), &mut leaves);
                module.used.extend(leaves);
                continue;
            }
            "crate" | "super" | "self" if at == 0 || token(at - 1) != "::" => {
                let is_use = at > 0 && token(at - 1) == "use";
                let mut base = if token(at) == "crate" { Vec::new() } else { here.clone() };
                while token(at) == "super" {
                    base.pop();
                    at += if token(at + 1) == "::" && token(at + 2) == "super" { 2 } else { 1 };
                }
                at += usize::from(matches!(token(at), "crate" | "self"));
                if token(at) != "::" {
                    continue;
                }
                let mut leaves = Vec::new();
                at = tree(&tokens, at + 1, base, &mut leaves);
                module.named.extend(leaves.iter().map(|(_, path)| path.clone()));
                if is_use {
                    module.used.extend(leaves);
                }
                continue;
            }
            _ => {}
        }
        at += 1;
    }
    module
}

/// Reads a path, or a group of them, from `at` on; each with the name that it goes by. Gives where it ends.
fn tree(tokens: &[String], mut at: usize, mut path: Path, leaves: &mut Vec<(String, Path)>) -> usize {
    let token = |at: usize| tokens.get(at).map_or("", String::as_str);
    loop {
        match token(at) {
            "{" => {
                at += 1;
                while !matches!(token(at), "}" | "") {
                    at = tree(tokens, at, path.clone(), leaves);
                    at += usize::from(token(at) == ",");
                }
                return at + 1;
            }
            "self" => {}
            name if name.starts_with(|c: char| c == '_' || c.is_alphanumeric()) => path.push(name.to_owned()),
            _ => return at + 1,
        }
        at += 1;
        if token(at) != "::" {
            break;
        }
        at += 1;
    }
    let mut name = path.last().cloned().unwrap_or_default();
    if token(at) == "as" {
        token(at + 1).clone_into(&mut name);
        at += 2;
    }
    leaves.push((name, path));
    at
}

/// Takes out what follows `#[cfg(test)]`, to the end of its braces or its line.
fn without_tests(tokens: Vec<String>) -> Vec<String> {
    const MARK: [&str; 7] = ["#", "[", "cfg", "(", "test", ")", "]"];
    let mut kept = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        if tokens[at..].iter().map(String::as_str).take(MARK.len()).eq(MARK) {
            let mut depth = 0;
            while let Some(token) = tokens.get(at) {
                at += 1;
                match token.as_str() {
                    "{" => depth += 1,
                    "}" => depth -= 1,
                    _ => {}
                }
                if depth == 0 && matches!(token.as_str(), "}" | ";") {
                    break;
                }
            }
        } else {
            kept.push(tokens[at].clone());
            at += 1;
        }
    }
    kept
}
