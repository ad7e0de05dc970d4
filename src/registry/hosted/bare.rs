//! Repositories that a pull made go after their last image: whoever may pull makes one of each name, and nobody would remove them.
//!
//! One that was given a policy or tags stays; those of the template that it was made by do not count.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::{Hosted, templates};
use crate::ecr::AppliedFor;
use crate::meta::{BareRepository, now_ms};
use crate::registry::Error;

/// One that was just made is about to get its first image.
const GRACE: Duration = Duration::from_secs(60 * 60);

impl Hosted {
    /// Removes images that nobody has pulled for long, and repositories that have none. Returns how many of the latter.
    pub(in crate::registry) async fn trim_pulled(&self, stop: &CancellationToken) -> Result<u64, Error> {
        let unused_ms = before_ms(self.inner.settings.pulled_ttl);
        while !stop.is_cancelled() {
            let (_, repositories) = self.meta.trim_pulled_images(unused_ms, 0).await?;
            repositories.iter().for_each(|repository| self.inner.remembered.changed(*repository));
            if repositories.is_empty() {
                break;
            }
        }
        let before_ms = before_ms(GRACE);
        let (mut removed, mut last) = (0, None);
        while !stop.is_cancelled() {
            let some = self.meta.bare_repositories(before_ms, last).await?;
            let Some(end) = some.last().map(|bare| bare.id) else { break };
            last = Some(end);
            for bare in some {
                if self.is_as_made(&bare).await? && self.meta.remove_bare_repository(&bare, before_ms).await? {
                    self.repository_is_gone(bare.id);
                    removed += 1;
                }
            }
        }
        Ok(removed)
    }

    async fn is_as_made(&self, bare: &BareRepository) -> Result<bool, Error> {
        if bare.policy.is_none() && bare.resource_tags.is_empty() {
            return Ok(true);
        }
        let made = templates::settings_for(&self.meta, &bare.name, AppliedFor::PullThroughCache).await?;
        Ok(made.is_some_and(|made| made.policy == bare.policy && made.resource_tags == bare.resource_tags))
    }
}

/// When it was so long ago.
fn before_ms(age: Duration) -> i64 {
    now_ms().saturating_sub(i64::try_from(age.as_millis()).unwrap_or(i64::MAX))
}
