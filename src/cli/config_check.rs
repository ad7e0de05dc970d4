//! `entrepot config check`.

use serde_json::json;

use super::arguments::Format;
use super::failure::Failure;
use super::output;
use crate::app::check_policies;
use crate::config::Source;

pub(super) fn run(source: &Source, format: Format) -> Result<String, Failure> {
    let file = source.file().map(|file| file.display().to_string());
    let loaded = source.load().and_then(|settings| {
        check_policies(&settings, source.file())?;
        Ok(settings)
    });
    match (loaded, format) {
        (Ok(settings), Format::Text) => {
            let file = file.unwrap_or_else(|| "no file, only defaults and environment".to_owned());
            let names: Vec<_> = settings.upstreams.iter().map(|upstream| upstream.name.as_str()).collect();
            Ok(format!("{file}: good; upstreams: {}", if names.is_empty() { "none".into() } else { names.join(", ") }))
        }
        (Ok(_), Format::Json) => output::json(&json!({ "ok": true, "file": file, "problems": [] })),
        (Err(errors), Format::Text) => Err(Failure::Configuration(errors)),
        (Err(errors), Format::Json) => {
            let data = output::json(&json!({ "ok": false, "file": file, "problems": errors.records() }))?;
            Err(Failure::ConfigurationAsData(data))
        }
    }
}
