//! What is cited is there: files that ARCHITECTURE.md and comments name, rows of docs/cases.md, and the tests in them.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Every Rust file of the repository, with its path below it.
fn sources() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    let mut folders: Vec<PathBuf> = ["src", "tests", "benches", "fuzz"].map(|name| root.join(name)).to_vec();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()) {
            if entry.is_dir() && entry.file_name().is_some_and(|name| name != "target") {
                folders.push(entry);
            } else if entry.extension().is_some_and(|extension| extension == "rs") {
                let name = entry.strip_prefix(root).unwrap().display().to_string();
                found.push((name, fs::read_to_string(&entry).unwrap()));
            }
        }
    }
    found
}

fn document(name: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).unwrap()
}

/// Lines that are comments, with where they stand.
fn comments(sources: &[(String, String)]) -> impl Iterator<Item = (String, &str)> {
    sources.iter().flat_map(|(path, text)| {
        let comments = text.lines().enumerate().filter(|(_, line)| line.trim_start().starts_with("//"));
        comments.map(move |(at, line)| (format!("{path}:{}", at + 1), line))
    })
}

fn words<'a>(text: &'a str, others: &'a str) -> impl Iterator<Item = &'a str> {
    let words = text.split(move |c: char| !c.is_ascii_alphanumeric() && !others.contains(c));
    words.map(|word| word.trim_matches(['.', '/'])).filter(|word| !word.is_empty())
}

/// `C31` is 31.
fn row(word: &str) -> Option<u32> {
    let digits = word.strip_prefix('C')?;
    (digits.len() <= 3 && digits.bytes().all(|c| c.is_ascii_digit())).then(|| digits.parse().ok()).flatten()
}

/// `c08_a_broken_body` and `c8_c9_upstream_breaks_off` are of rows.
fn rows_of_test(name: &str) -> impl Iterator<Item = u32> {
    let numbers = name.split('_').map_while(|part| part.strip_prefix('c')?.parse().ok());
    numbers.collect::<Vec<_>>().into_iter()
}

fn functions(sources: &[(String, String)]) -> BTreeSet<String> {
    let name = |line: &str| {
        let (_, rest) = line.split_once("fn ")?;
        words(rest, "_").next().map(str::to_owned)
    };
    sources.iter().flat_map(|(_, text)| text.lines()).filter_map(name).collect()
}

/// The first column of each row, and the tests in the last.
fn cases() -> Vec<(u32, Vec<String>)> {
    let text = document("docs/cases.md");
    let read = |line: &str| {
        let columns: Vec<&str> = line.trim_matches(['|', ' ']).split(" | ").collect();
        let tests = columns.last()?.split('`').skip(1).step_by(2).map(str::to_owned).collect();
        Some((row(columns.first()?.trim())?, tests))
    };
    text.lines().filter_map(read).collect()
}

fn assert_none(wrong: Vec<String>) {
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn y06_files_that_the_map_names_are_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut wrong = Vec::new();
    for line in document("ARCHITECTURE.md").lines() {
        let quoted: Vec<&str> = line.split('`').skip(1).step_by(2).collect();
        // In a row of the table of rooms, paths are below the room.
        let room = line.strip_prefix("| `").and_then(|rest| rest.split('`').next()).filter(|room| room.ends_with('/'));
        for path in quoted.iter().filter(|path| path.ends_with(".rs") || path.ends_with('/')) {
            let places = [format!("src/{path}"), format!("src/{}{path}", room.unwrap_or_default()), (*path).to_owned()];
            if !places.iter().any(|place| root.join(place).exists()) {
                wrong.push(format!(
                    "ARCHITECTURE.md names {path}, which is neither below src/ nor below the room of its line"
                ));
            }
        }
    }
    assert_none(wrong);
}

#[test]
fn y06_files_that_comments_name_are_there() {
    let sources = sources();
    let documents = ["README.md", "ARCHITECTURE.md"];
    let is_there = |word: &str| {
        let ends = |path: &str| path == word || path.ends_with(&format!("/{word}"));
        if word.ends_with(".rs") { sources.iter().any(|(path, _)| ends(path)) } else { documents.contains(&word) }
    };
    let is_path = |word: &&str| {
        // Documents in capitals are the project's own; others are of specifications.
        let is_ours = word.strip_suffix(".md").is_some_and(|name| name.bytes().all(|c| c.is_ascii_uppercase()));
        is_ours || (word.ends_with(".rs") && *word != "docs.rs")
    };
    let mut wrong = Vec::new();
    for (place, line) in comments(&sources) {
        let missing = words(line, "_./-").filter(is_path).filter(|word| !is_there(word));
        wrong.extend(missing.map(|word| format!("{place}: {word} is not there")));
    }
    assert_none(wrong);
}

#[test]
fn y06_rows_that_are_named_are_in_the_cases() {
    let sources = sources();
    let cases = cases();
    let numbers: Vec<u32> = cases.iter().map(|(number, _)| *number).collect();
    assert_eq!(numbers, (1..=u32::try_from(cases.len()).unwrap()).collect::<Vec<_>>(), "the rows are numbered");
    let functions = functions(&sources);
    let mut wrong = Vec::new();
    for (place, line) in comments(&sources) {
        let unknown = words(line, "_").filter_map(row).filter(|number| !numbers.contains(number));
        wrong.extend(unknown.map(|number| format!("{place}: docs/cases.md has no C{number}")));
    }
    for name in &functions {
        let unknown = rows_of_test(name).filter(|number| !numbers.contains(number));
        wrong.extend(unknown.map(|number| format!("{name}: docs/cases.md has no C{number}")));
    }
    for (number, tests) in &cases {
        if tests.is_empty() {
            wrong.push(format!("docs/cases.md: C{number} has no test"));
        }
        let missing = tests.iter().filter(|test| !functions.contains(*test));
        wrong.extend(missing.map(|test| format!("docs/cases.md: C{number} names {test}, which is no test")));
    }
    assert_none(wrong);
}

#[test]
fn what_is_wrong_is_found() {
    assert_eq!(["C31", "C7", "C", "C1a", "C2048", "X1"].map(row), [Some(31), Some(7), None, None, None, None]);
    assert_eq!(rows_of_test("c8_c09_upstream_breaks_off").collect::<Vec<_>>(), [8, 9]);
    assert_eq!(rows_of_test("closest").count(), 0);
    assert_eq!(
        words("see a/b.rs, and (C31): it's", "_./-").collect::<Vec<_>>(),
        ["see", "a/b.rs", "and", "C31", "it", "s"]
    );
}
