//! The jobs of this program, and running one without serving.

use std::time::{Duration, SystemTime};

use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::ballast;
use super::build::{self, Core};
use super::error::Error;
use super::existing::Existing;
use crate::config::Settings;
use crate::jobs::{Job, Jobs, Outcome};
use crate::registry::Reclaimed;

/// Removes what nobody needs.
pub const RECLAIM: &str = "gc";

/// Tells what that would come to.
pub const PREVIEW: &str = "gc-dry-run";

/// Reads everything again.
pub const SCRUB: &str = "scrub";

/// Writes down what was used and what repositories hold.
pub const STOCK: &str = "usage";

/// Lets go of uploads that have ended, or gone on, at another replica.
pub const UPLOADS: &str = "uploads";

/// Removes what upstreams said long ago.
pub const TRIM: &str = "trim";

const TRIM_EVERY: Duration = Duration::from_secs(5 * 60);

/// For so long the file of such an upload stays.
const UPLOADS_EVERY: Duration = Duration::from_secs(60);

pub(super) fn jobs(settings: &Settings, core: &Core) -> Jobs {
    let (hosted, cache) = (core.registry.hosted().clone(), core.cache.clone());
    let (rate, every) = (settings.hosted.scrub_rate, settings.hosted.scrub_every);
    let reclaim = {
        let (hosted, cache) = (hosted.clone(), cache.clone());
        move |_, stop| {
            let (hosted, cache) = (hosted.clone(), cache.clone());
            async move {
                cache.trim_bucket().await.map_err(|error| error.to_string())?;
                let reclaimed = hosted.reclaim(&stop).await.map_err(|error| error.to_string())?;
                if reclaimed != Reclaimed::default() {
                    tracing::info!(
                        blobs = reclaimed.blobs,
                        bytes = reclaimed.bytes,
                        uploads = reclaimed.uploads,
                        failed = reclaimed.failed,
                        "what nobody needs was removed"
                    );
                }
                Ok(json!(reclaimed))
            }
        }
    };
    let preview = {
        let hosted = hosted.clone();
        move |_, _| {
            let hosted = hosted.clone();
            async move { hosted.reclaimable().await.map(|found| json!(found)).map_err(|error| error.to_string()) }
        }
    };
    let scrub = move |progress: crate::jobs::Progress, stop| {
        let (hosted, cache) = (hosted.clone(), cache.clone());
        async move {
            progress.expect(cache.count());
            let pushed = hosted.scrub(rate, |blobs, bytes| progress.advance(blobs, bytes), &stop).await;
            let pushed = pushed.map_err(|error| error.to_string())?;
            let (blobs, damaged) = cache
                .scrub(rate, |blobs| progress.advance(blobs, 0), &stop)
                .await
                .map_err(|error| error.to_string())?;
            Ok(json!({ "pushed": pushed, "cached": { "blobs": blobs, "damaged": damaged } }))
        }
    };
    let (meter, meta) = (core.meter.clone(), core.meta.clone());
    let stock = move |_, stop| {
        let (meter, meta) = (meter.clone(), meta.clone());
        async move {
            let stock = meter.take_stock(&meta, SystemTime::now(), &stop).await;
            stock.map(|stock| json!(stock)).map_err(|error| error.to_string())
        }
    };
    let uploads = {
        let (hosted, data, reserve) = (core.registry.hosted().clone(), settings.data.clone(), build::reserve(settings));
        move |_, _| {
            let (hosted, data) = (hosted.clone(), data.clone());
            async move {
                if reserve > 0 {
                    let put_by = tokio::task::spawn_blocking(move || ballast::put_by(&data, reserve));
                    put_by.await.map_err(|error| error.to_string())?;
                }
                let gone = hosted.let_go_of_uploads().await.map_err(|error| error.to_string())?;
                Ok(json!({ "uploads": gone }))
            }
        }
    };
    let trim = {
        let registry = core.registry.clone();
        move |_, stop: CancellationToken| {
            let registry = registry.clone();
            async move {
                let rows = registry.trim_upstreams(&stop).await.map_err(|error| error.to_string())?;
                Ok(json!({ "rows": rows }))
            }
        }
    };
    Jobs::new(vec![
        Job::new(UPLOADS, Some(UPLOADS_EVERY), uploads),
        Job::new(TRIM, Some(TRIM_EVERY), trim),
        Job::new(RECLAIM, Some(settings.hosted.reclaim_every), reclaim),
        Job::new(PREVIEW, None, preview),
        Job::new(SCRUB, Some(every).filter(|every| *every > Duration::ZERO), scrub),
        Job::new(STOCK, None, stock),
    ])
}

/// Runs one job on data that no process serves.
pub async fn run_job(existing: &Existing, name: &str) -> Result<Outcome, Error> {
    existing.all_there().await?;
    let settings = existing.settings();
    let core = build::core(settings).await?;
    let outcome = jobs(settings, &core).run_now(name).await;
    core.registry.close().await;
    core.cache.close().await;
    core.meta.close().await;
    Ok(outcome.unwrap_or_else(|| Err(format!("there is no job {name}"))))
}
