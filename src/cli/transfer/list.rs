//! `--list`: names of images in a file.

use std::path::Path;

use super::error::Error;

/// What was typed, and then what the file names. Empty lines and what follows a `#` are passed over.
pub(super) fn names(typed: &[String], list: Option<&Path>) -> Result<Vec<String>, Error> {
    let mut names = typed.to_vec();
    if let Some(path) = list {
        let text = std::fs::read_to_string(path).map_err(Error::file(path, "read"))?;
        names.extend(lines(&text).map(str::to_owned));
    }
    Ok(names)
}

/// No name has a `#` in it.
fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.lines().map(|line| line.split('#').next().unwrap_or_default().trim()).filter(|line| !line.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_image_a_line() {
        let text = "# all\n\n a:1 # the first\r\n#b:2\nc@sha256:0\n";
        assert_eq!(lines(text).collect::<Vec<_>>(), ["a:1", "c@sha256:0"]);
        let error = names(&[], Some(Path::new("/nowhere/list"))).unwrap_err().to_string();
        assert!(error.contains("/nowhere/list cannot be read"), "{error}");
    }
}
