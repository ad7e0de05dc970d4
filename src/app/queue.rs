//! The queue of jobs, looked at and changed by operators whether the program serves or not.

use super::error::Error;
use super::existing::Existing;
use super::users;
use crate::config::Settings;
use crate::meta::{JobFilter, JobId, JobRow, Meta};

/// The queue of a registry that has served before. Whoever serves sees what was changed within seconds.
pub struct JobQueue {
    meta: Meta,
    settings: Settings,
}

impl JobQueue {
    pub async fn open(existing: &Existing) -> Result<Self, Error> {
        Ok(Self { meta: existing.meta().await?, settings: existing.settings().clone() })
    }

    /// In the order of their ids.
    pub async fn list(&self, filter: &JobFilter, after: Option<i64>, limit: u32) -> Result<Vec<JobRow>, Error> {
        Ok(self.meta.jobs(filter, after.map(JobId), limit).await?)
    }

    pub async fn find(&self, id: i64) -> Result<Option<JobRow>, Error> {
        Ok(self.meta.job(JobId(id)).await?)
    }

    /// False if there is none that does not run.
    pub async fn retry(&self, id: i64) -> Result<bool, Error> {
        let record = users::record(&self.settings, "entrepot:RetryJob", format!("job {id}"))?;
        let is_done = self.meta.retry_job(JobId(id)).await?;
        if is_done {
            record.done()
        } else {
            record.failed("NoJob")
        }
        Ok(is_done)
    }

    pub async fn retry_dead(&self, queue: &str) -> Result<u64, Error> {
        let record = users::record(&self.settings, "entrepot:RetryJob", format!("queue {queue}"))?;
        let retried = self.meta.retry_dead(queue).await?;
        record.done();
        Ok(retried)
    }

    /// False if there is none that does not run.
    pub async fn drop_job(&self, id: i64) -> Result<bool, Error> {
        let record = users::record(&self.settings, "entrepot:DropJob", format!("job {id}"))?;
        let is_done = self.meta.drop_job(JobId(id)).await?;
        if is_done {
            record.done()
        } else {
            record.failed("NoJob")
        }
        Ok(is_done)
    }

    pub async fn close(&self) {
        self.meta.close().await;
    }
}
