//! `entrepot config show`.

use super::arguments::Format;
use super::failure::Failure;
use crate::config::Source;

pub(super) fn run(source: &Source, format: Format) -> Result<String, Failure> {
    let settings = source.load().map_err(Failure::Configuration)?;
    let text = match format {
        Format::Text => settings.to_toml().map_err(|error| error.to_string()),
        Format::Json => settings.to_json().map_err(|error| error.to_string()),
    };
    text.map_err(|error| Failure::Runtime(format!("the settings cannot be shown: {error}")))
}
