//! Usage, told whether the program serves or not.

use super::error::Error;
use super::existing::Existing;
use crate::metering::{Question, Report, report};

/// What the database says, whoever writes to it at the same time.
pub async fn usage(existing: &Existing, question: &Question) -> Result<Report, Error> {
    let meta = existing.meta().await?;
    let told = report(&meta, question).await;
    meta.close().await;
    Ok(told?)
}
