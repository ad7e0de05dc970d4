//! The queue of jobs, looked at and changed by operators whether the program serves or not.

use super::error::Error;
use super::existing::Existing;
use crate::meta::{JobFilter, JobId, JobRow, Meta};

/// The queue of a registry that has served before. Whoever serves sees what was changed within seconds.
pub struct JobQueue(Meta);

impl JobQueue {
    pub async fn open(existing: &Existing) -> Result<Self, Error> {
        Ok(Self(existing.meta().await?))
    }

    /// In the order of their ids.
    pub async fn list(&self, filter: &JobFilter, after: Option<i64>, limit: u32) -> Result<Vec<JobRow>, Error> {
        Ok(self.0.jobs(filter, after.map(JobId), limit).await?)
    }

    pub async fn find(&self, id: i64) -> Result<Option<JobRow>, Error> {
        Ok(self.0.job(JobId(id)).await?)
    }

    /// False if there is none that does not run.
    pub async fn retry(&self, id: i64) -> Result<bool, Error> {
        Ok(self.0.retry_job(JobId(id)).await?)
    }

    pub async fn retry_dead(&self, queue: &str) -> Result<u64, Error> {
        Ok(self.0.retry_dead(queue).await?)
    }

    /// False if there is none that does not run.
    pub async fn drop_job(&self, id: i64) -> Result<bool, Error> {
        Ok(self.0.drop_job(JobId(id)).await?)
    }

    pub async fn close(&self) {
        self.0.close().await;
    }
}
