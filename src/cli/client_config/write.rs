//! Writing the files instead of printing them: for a container without a shell that sets up its node.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::guide::{File, Guide};
use crate::cli::failure::Failure;
use crate::cli::output;

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

/// Removes every file under `root` that is as it would be written, or any that is there if `force`; and its folder, if that is
/// empty then. Others are told, and are a failure.
pub(super) fn remove(root: &Path, guide: &Guide, force: bool) -> Result<String, Failure> {
    let (mut report, mut kept) = (String::new(), Vec::new());
    for file in &guide.files {
        let target = root.join(file.path.trim_start_matches('/'));
        let failed = |error| Failure::Runtime(format!("{} cannot be removed: {error}", target.display()));
        match fs::read(&target) {
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            Err(error) => return Err(failed(error)),
            Ok(there) if there != file.content.as_bytes() && !force => {
                kept.push(target.display().to_string());
                continue;
            }
            Ok(_) => fs::remove_file(&target).map_err(failed)?,
        }
        report.push_str(&format!("removed {}\n", target.display()));
        if let Some(folder) = target.parent() {
            // It stays where something else is in it.
            let _ = fs::remove_dir(folder);
        }
    }
    if kept.is_empty() {
        return Ok(if report.is_empty() { "nothing was there\n".to_owned() } else { report });
    }
    output::print(&report)?;
    Err(Failure::Runtime(format!(
        "left alone, because the content is another; --force removes it: {}",
        kept.join(", ")
    )))
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
