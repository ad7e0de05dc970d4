//! `entrepot config init`.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write};
use std::path::Path;

use super::arguments::ConfigInit;
use super::failure::Failure;
use crate::config::starter_file;

pub(super) fn run(init: &ConfigInit) -> Result<String, Failure> {
    let Some(file) = &init.file else { return Ok(starter_file()) };
    match write(file, init.force) {
        Ok(()) => Ok(format!("wrote {0}; serve with it: entrepot serve --config {0}", file.display())),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            Err(Failure::Runtime(format!("{} is there already; --force overwrites it", file.display())))
        }
        Err(error) => Err(Failure::Runtime(format!("{} cannot be written: {error}", file.display()))),
    }
}

fn write(file: &Path, force: bool) -> std::io::Result<()> {
    let mut options = OpenOptions::new();
    if force {
        options.create(true).truncate(true)
    } else {
        options.create_new(true)
    };
    options.write(true).open(file)?.write_all(starter_file().as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_does_not_overwrite_unless_told_to() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("entrepot.toml");
        let init = |force| run(&ConfigInit { file: Some(file.clone()), force });
        assert!(init(false).is_ok());
        std::fs::write(&file, "mine").unwrap();
        assert!(init(false).unwrap_err().to_string().contains("--force"));
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "mine");
        assert!(init(true).is_ok());
        assert_eq!(std::fs::read_to_string(&file).unwrap(), starter_file());
    }
}
