//! `entrepot lifecycle`: policies, looked at before they are given to a registry.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use super::arguments::Lifecycle;
use super::failure::Failure;
use crate::lifecycle::{Dialect, MAX_CHARS, Policy};

/// Bytes that are read: more than any policy may have, so that one that is too long is told so.
const MAX_BYTES: u64 = 4 * MAX_CHARS as u64 + 1;

pub(super) fn run(command: &Lifecycle) -> Result<String, Failure> {
    let Lifecycle::Check { file, extensions } = command;
    let text = read(file).map_err(|error| Failure::Runtime(format!("{} cannot be read: {error}", file.display())))?;
    let dialect = if *extensions { Dialect::Extended } else { Dialect::Ecr };
    match Policy::parse(&text, dialect) {
        Ok(_) => Ok("the lifecycle policy is good".to_owned()),
        Err(error) => Err(Failure::Runtime(format!("{}: {error}", file.display()))),
    }
}

fn read(file: &Path) -> io::Result<String> {
    let mut text = String::new();
    if file == Path::new("-") {
        io::stdin().lock().take(MAX_BYTES).read_to_string(&mut text)?;
    } else {
        File::open(file)?.take(MAX_BYTES).read_to_string(&mut text)?;
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, extensions: bool) -> Result<String, String> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        run(&Lifecycle::Check { file: file.path().to_owned(), extensions }).map_err(|failure| failure.to_string())
    }

    #[test]
    fn policies_are_checked() {
        let rule = r#"{"rulePriority": 1, "selection": {"tagStatus": "untagged", "countType": "sinceImagePushed", "countUnit": "days",
            "countNumber": 14}, "action": {"type": "expire"}}"#;
        let good = format!(r#"{{"rules": [{rule}]}}"#);
        assert!(check(&good, false).is_ok());
        let wrong = check(&good.replace("untagged", "untaged"), false).unwrap_err();
        assert!(wrong.contains("Lifecycle policy validation failure") && wrong.contains("untaged"), "{wrong}");
        let pulled = good
            .replace("sinceImagePushed", "sinceImagePulled")
            .replace(r#"{"rules""#, r#"{"entrepot": {"version": 1}, "rules""#);
        assert!(check(&pulled, false).is_err());
        assert!(check(&pulled, true).is_ok());
        let long = check(&format!("{good}{}", " ".repeat(MAX_CHARS)), false).unwrap_err();
        assert!(long.contains("more than 30720 characters"), "{long}");
        let missing = run(&Lifecycle::Check { file: "/no/such/file".into(), extensions: false }).unwrap_err();
        assert!(missing.to_string().contains("cannot be read"));
    }
}
