//! The work of this program, and running some of it without serving.
//!
//! This list is the schedule:
//!
//! | work | when | who |
//! |---|---|---|
//! | `gc` | every `hosted.reclaim_every` | one replica |
//! | `scrub` | every `hosted.scrub_every` | one replica |
//! | `scrub-cache` | every `hosted.scrub_every` | each replica, for its own disk |
//! | `usage` | in each hour | one replica |
//! | `trim` | every 5 minutes | one replica |
//! | `uploads` | every minute | each process, for what it has in memory |
//! | `uses`, `pulls`, `counts` | every 30 s | each process, for what it has in memory |
//! | `gc-dry-run` | when asked | the process that is asked |

mod counts;
mod preview;
mod pulls;
mod reclaim;
mod scrub;
mod scrub_cache;
mod stock;
mod trim;
mod uploads;
mod uses;

use std::time::Duration;

use super::build::{self, Core};
use super::error::Error;
use super::existing::Existing;
use crate::config::Settings;
use crate::jobs::{Failure, Jobs, Listed, State, When};

pub use preview::PREVIEW;
pub use reclaim::RECLAIM;
pub use scrub::SCRUB;
pub use scrub_cache::SCRUB_CACHE;

/// For so long the file of an upload that has gone on elsewhere stays.
const UPLOADS_EVERY: Duration = Duration::from_secs(60);

/// Time between writes of when blobs were used, and how much.
const FLUSH_EVERY: Duration = Duration::from_secs(30);

/// Time between two rounds of removing what upstreams said long ago.
const TRIM_EVERY: Duration = Duration::from_secs(5 * 60);

const HOUR: Duration = Duration::from_secs(60 * 60);

pub(super) fn jobs(settings: &Settings, core: &Core) -> Jobs {
    let (hosted, cache, meta) = (core.registry.hosted().clone(), core.cache.clone(), core.meta.clone());
    let (rate, every) = (settings.hosted.scrub_rate, settings.hosted.scrub_every);
    let scrub_when = Some(When::Every(every)).filter(|_| every > Duration::ZERO);
    let reclaim =
        reclaim::Reclaim { hosted: hosted.clone(), cache: cache.clone(), meta: meta.clone(), scrub_every: every };
    let (data, reserve) = (settings.data.clone(), build::reserve(settings));
    let uploads = uploads::Uploads { hosted: hosted.clone(), data, reserve };
    let listed = vec![
        Listed::once_for_all(reclaim, Some(When::Every(settings.hosted.reclaim_every))),
        Listed::by_this_process(preview::Preview { hosted: hosted.clone() }, None),
        Listed::once_for_all(scrub::Scrub { hosted: hosted.clone(), rate }, scrub_when),
        Listed::by_each_replica(scrub_cache::ScrubCache { cache: cache.clone(), rate }, scrub_when),
        Listed::once_for_all(
            stock::TakeStock { meter: core.meter.clone(), meta: meta.clone() },
            Some(When::InEach(HOUR)),
        )
        .asks_for(counts::COUNTS),
        Listed::once_for_all(trim::Trim { registry: core.registry.clone() }, Some(When::Every(TRIM_EVERY))),
        Listed::by_this_process(uploads, Some(UPLOADS_EVERY)),
        Listed::by_this_process(uses::Uses { cache, meta: meta.clone() }, Some(FLUSH_EVERY)),
        Listed::by_this_process(pulls::Pulls { hosted }, Some(FLUSH_EVERY)),
        Listed::by_this_process(counts::Counts::new(core.meter.clone(), meta.clone()), Some(FLUSH_EVERY)),
    ];
    Jobs::new(meta, &core.replica, core.metrics.clone(), listed)
}

/// Runs jobs on data that no process serves, one after the other.
pub async fn run_jobs(existing: &Existing, names: &[&str]) -> Result<Vec<State>, Error> {
    existing.all_there().await?;
    let settings = existing.settings();
    let core = build::core(settings).await?;
    let jobs = jobs(settings, &core);
    let mut states = Vec::new();
    for name in names {
        states.extend(jobs.run_now(name).await?);
    }
    jobs.close().await;
    core.registry.close().await;
    core.cache.close().await;
    core.meta.close().await;
    Ok(states)
}

/// The words of a failure that another try may mend.
fn failed(error: impl std::fmt::Display) -> Failure {
    Failure::Failed(error.to_string())
}
