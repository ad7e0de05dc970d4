//! Writing the files instead of printing them: for a container without a shell that sets up its node.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::guide::{File, Guide};
use crate::cli::failure::Failure;

/// Writes every file under `root`. Nothing is written if one is there that differs, unless `force`.
pub(super) fn below(root: &Path, guide: &Guide, force: bool) -> Result<String, Failure> {
    let targets: Vec<(PathBuf, &File)> =
        guide.files.iter().map(|file| (root.join(file.path.trim_start_matches('/')), file)).collect();
    if !force {
        for (target, file) in &targets {
            refuse_if_different(target, file)?;
        }
    }
    let mut report = String::new();
    for (target, file) in targets {
        write(&target, &file.content)
            .map_err(|error| Failure::Runtime(format!("{} cannot be written: {error}", target.display())))?;
        report.push_str(&format!("wrote {}\n", target.display()));
    }
    Ok(report)
}

fn refuse_if_different(target: &Path, file: &File) -> Result<(), Failure> {
    match fs::read(target) {
        Ok(there) if there == file.content.as_bytes() => Ok(()),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Ok(_) => Err(Failure::Runtime(format!(
            "{} is there with other content; merge by hand what is printed without --root, or overwrite with --force",
            target.display()
        ))),
        Err(error) => Err(Failure::Runtime(format!("{} cannot be read: {error}", target.display()))),
    }
}

/// By rename, because the client may read at any moment.
fn write(target: &Path, content: &str) -> std::io::Result<()> {
    if let Some(folder) = target.parent() {
        fs::create_dir_all(folder)?;
    }
    let mut name = target.file_name().unwrap_or_default().to_owned();
    name.push(".entrepot-new");
    let new = target.with_file_name(name);
    fs::write(&new, content)?;
    fs::rename(&new, target)
}
