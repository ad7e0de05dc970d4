//! `entrepot gc` and `entrepot scrub`: by the process that serves the data, if there is one; else by this one.

use std::io::{IsTerminal, Write};
use std::time::Duration;

use reqwest::{Client, Method};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::arguments::{Format, Maintenance};
use super::failure::Failure;
use super::healthcheck::reachable;
use super::{existing, output};
use crate::app::{self, Existing, PREVIEW, RECLAIM, SCRUB, SCRUB_CACHE};
use crate::cache::CacheScrubbed;
use crate::config::{Settings, Source};
use crate::registry::{Reclaimed, Scrubbed};

/// Time between two looks at how far it is.
const EVERY: Duration = Duration::from_millis(300);

pub(super) async fn gc(source: &Source, dry_run: bool, wanted: &Maintenance) -> Result<String, Failure> {
    let [result] = run(source, [if dry_run { PREVIEW } else { RECLAIM }], wanted).await?;
    if wanted.output.format == Format::Json {
        return output::json(&result);
    }
    let Reclaimed { blobs, bytes, uploads, failed, .. } = typed(result)?;
    let what = if dry_run { "could be removed" } else { "removed" };
    let trouble = if failed > 0 { format!("; {failed} could not be removed, the log says why") } else { String::new() };
    Ok(format!("{what}: {blobs} blobs of {bytes} bytes, {uploads} uploads{trouble}"))
}

pub(super) async fn scrub(source: &Source, wanted: &Maintenance) -> Result<String, Failure> {
    let [pushed, cached] = run(source, [SCRUB, SCRUB_CACHE], wanted).await?;
    let result = json!({ "pushed": pushed, "cached": cached });
    let (pushed, cached): (Scrubbed, CacheScrubbed) = (typed(pushed)?, typed(cached)?);
    let text = match wanted.output.format {
        Format::Json => output::json(&result)?,
        Format::Text => {
            let mut text = format!(
                "pushed: {} blobs read again, {} damaged, {} missing; {} orphans removed\n\
                 cached: {} blobs read again, {} damaged and forgotten",
                pushed.blobs, pushed.damaged, pushed.missing, pushed.orphans_removed, cached.blobs, cached.damaged,
            );
            let failed = pushed.failed + cached.failed;
            if failed > 0 {
                text += &format!("\n{failed} could not be read or removed; the log says why");
            }
            for digest in &pushed.named {
                text += &format!("\npush again: {digest}");
            }
            text
        }
    };
    let lost = pushed.damaged + pushed.missing;
    if lost > 0 {
        // What was pushed here cannot be had from elsewhere.
        output::print(&text)?;
        return Err(Failure::Runtime(format!("{lost} pushed blobs are lost until they are pushed again")));
    }
    Ok(text)
}

fn typed<T: DeserializeOwned>(result: Value) -> Result<T, Failure> {
    serde_json::from_value(result).map_err(|error| {
        Failure::Runtime(format!("the service is of another version, and what it tells cannot be read: {error}"))
    })
}

/// Runs jobs one after the other, by the service if there is one.
async fn run<const N: usize>(source: &Source, jobs: [&str; N], wanted: &Maintenance) -> Result<[Value; N], Failure> {
    let settings = existing::settings(source)?;
    let mut results = [const { Value::Null }; N];
    for (job, result) in jobs.iter().zip(&mut results) {
        match by_the_service(&settings, job, wanted).await? {
            Some(told) => *result = told,
            None => return without_service(existing::find(settings, source)?, jobs).await,
        }
    }
    Ok(results)
}

async fn without_service<const N: usize>(registry: Existing, jobs: [&str; N]) -> Result<[Value; N], Failure> {
    let states = app::run_jobs(&registry, &jobs).await.map_err(|error| Failure::Runtime(error.to_string()))?;
    let mut results = [const { Value::Null }; N];
    for (state, result) in states.into_iter().zip(&mut results) {
        if let Some(error) = state.error {
            return Err(Failure::Runtime(error));
        }
        *result = state.result.unwrap_or_default();
    }
    Ok(results)
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
