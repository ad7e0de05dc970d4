//! What an operator meets: whole files, whole environments.

mod any;
mod certificates;
mod environment;
mod good;
mod reload;
mod schema;
mod show;
mod wrong;

use std::path::Path;

use super::{ConfigErrors, Settings, Source};

fn variables(pairs: &[(&str, &str)]) -> impl Iterator<Item = (String, String)> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect::<Vec<_>>().into_iter()
}

/// Loads `text` from a file in `folder`.
fn load_in(folder: &Path, text: &str, pairs: &[(&str, &str)]) -> Result<Settings, ConfigErrors> {
    let file = folder.join("entrepot.toml");
    std::fs::write(&file, text).unwrap();
    let result = Source::new(Some(&file), variables(pairs)).load();
    if result.is_ok() && !pairs.iter().any(|(name, _)| name.starts_with("ENTREPOT_")) {
        schema::assert_takes(text);
    }
    result
}

/// Reads a text. A good one is good by the schema, too.
fn parse(text: &str) -> Result<Settings, ConfigErrors> {
    let result = super::parse(text);
    if result.is_ok() {
        schema::assert_takes(text);
    }
    result
}

/// A self-signed certificate and its key.
fn certificate() -> (String, String) {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    (made.cert.pem(), made.signing_key.serialize_pem())
}
