//! `entrepot gc` and `entrepot scrub`: by the process that serves the data, if there is one; else by this one.

use std::io::{IsTerminal, Write};
use std::time::Duration;

use reqwest::{Client, Method};
use serde_json::Value;

use super::arguments::{Format, Maintenance};
use super::failure::Failure;
use super::healthcheck::reachable;
use super::{existing, output};
use crate::app::{self, PREVIEW, RECLAIM, SCRUB};
use crate::config::{Settings, Source};

/// Time between two looks at how far it is.
const EVERY: Duration = Duration::from_millis(300);

pub(super) async fn gc(source: &Source, dry_run: bool, wanted: &Maintenance) -> Result<String, Failure> {
    let result = run(source, if dry_run { PREVIEW } else { RECLAIM }, wanted).await?;
    if wanted.output.format == Format::Json {
        return output::json(&result);
    }
    let count = |name: &str| result.get(name).and_then(Value::as_u64).unwrap_or_default();
    let what = if dry_run { "could be removed" } else { "removed" };
    let (blobs, bytes, uploads, failed) = (count("blobs"), count("bytes"), count("uploads"), count("failed"));
    let trouble = if failed > 0 { format!("; {failed} could not be removed, the log says why") } else { String::new() };
    Ok(format!("{what}: {blobs} blobs of {bytes} bytes, {uploads} uploads{trouble}"))
}

pub(super) async fn scrub(source: &Source, wanted: &Maintenance) -> Result<String, Failure> {
    let result = run(source, SCRUB, wanted).await?;
    let count = |path: &str| result.pointer(path).and_then(Value::as_u64).unwrap_or_default();
    let (damaged, missing) = (count("/pushed/damaged"), count("/pushed/missing"));
    let text = match wanted.output.format {
        Format::Json => output::json(&result)?,
        Format::Text => {
            let mut text = format!(
                "pushed: {} blobs read again, {damaged} damaged, {missing} missing; {} orphans removed\n\
                 cached: {} blobs read again, {} damaged and forgotten",
                count("/pushed/blobs"),
                count("/pushed/orphans_removed"),
                count("/cached/blobs"),
                count("/cached/damaged"),
            );
            for digest in result.pointer("/pushed/named").and_then(Value::as_array).into_iter().flatten() {
                text += &format!("\npush again: {}", digest.as_str().unwrap_or_default());
            }
            text
        }
    };
    if damaged + missing > 0 {
        // What was pushed here cannot be had from elsewhere.
        output::print(&text)?;
        return Err(Failure::Runtime(format!(
            "{} pushed blobs are lost until they are pushed again",
            damaged + missing
        )));
    }
    Ok(text)
}

async fn run(source: &Source, job: &str, wanted: &Maintenance) -> Result<Value, Failure> {
    let settings = existing::settings(source)?;
    match by_the_service(&settings, job, wanted).await? {
        Some(result) => Ok(result),
        None => {
            let registry = existing::find(settings, source)?;
            let outcome = app::run_job(&registry, job).await.map_err(|error| Failure::Runtime(error.to_string()))?;
            outcome.map_err(Failure::Runtime)
        }
    }
}

/// `None` when nobody serves.
async fn by_the_service(settings: &Settings, job: &str, wanted: &Maintenance) -> Result<Option<Value>, Failure> {
    let Some(address) = settings.admin.listen.first() else { return Ok(None) };
    let url = format!("http://{}/jobs/{job}", reachable(*address));
    let runtime = |error: reqwest::Error| Failure::Runtime(format!("the service at {url} does not answer: {error}"));
    let client = Client::builder().no_proxy().connect_timeout(Duration::from_secs(3)).build().map_err(runtime)?;
    let ask = async |method: Method| {
        let answer = client.request(method, &url).send().await?.error_for_status()?;
        let text = answer.text().await?;
        Ok::<Value, reqwest::Error>(serde_json::from_str(&text).unwrap_or_default())
    };
    let mut state = match ask(Method::POST).await {
        Ok(state) => state,
        Err(error) if error.is_connect() => return Ok(None),
        Err(error) => return Err(runtime(error)),
    };
    let shows = wanted.output.format == Format::Text && std::io::stderr().is_terminal();
    while state.get("running").and_then(Value::as_bool) == Some(true) {
        if shows {
            let count = |name: &str| state.get(name).and_then(Value::as_u64).unwrap_or_default();
            // Where standard error is closed, the work goes on all the same.
            let _ = write!(std::io::stderr(), "\r{job}: {} blobs, {} bytes ", count("done"), count("bytes"));
        }
        tokio::time::sleep(EVERY).await;
        state = ask(Method::GET).await.map_err(runtime)?;
    }
    if shows {
        let _ = writeln!(std::io::stderr());
    }
    match (state.get("result"), state.get("error").and_then(Value::as_str)) {
        (_, Some(error)) => Err(Failure::Runtime(error.to_owned())),
        (Some(result), None) => Ok(Some(result.clone())),
        (None, None) => Err(Failure::Runtime(format!("the service says nothing of {job}: {state}"))),
    }
}
