//! Lets go of uploads that have ended, or gone on, at another replica, and keeps room on the disk for the database.

use std::path::PathBuf;

use serde::Serialize;

use super::super::ballast;
use super::failed;
use crate::jobs::{Failure, Policy, Run, Work};
use crate::registry::Hosted;

pub(super) struct Uploads {
    pub(super) hosted: Hosted,
    pub(super) data: PathBuf,
    /// Bytes of the disk for the database.
    pub(super) reserve: u64,
}

#[derive(Serialize)]
pub(super) struct LetGo {
    uploads: u64,
    /// Files that could not be removed.
    failed: u64,
}

impl Work for Uploads {
    type Done = LetGo;

    fn queue(&self) -> &'static str {
        "uploads"
    }

    fn policy(&self) -> Policy {
        Policy::round()
    }

    async fn run(&self, _: &Run) -> Result<LetGo, Failure> {
        if self.reserve > 0 {
            let (data, reserve) = (self.data.clone(), self.reserve);
            tokio::task::spawn_blocking(move || ballast::put_by(&data, reserve)).await.map_err(failed)?;
        }
        let uploads = self.hosted.let_go_of_uploads().await.map_err(failed)?;
        let failed = self.hosted.remove_stray_files().await.map_err(failed)?;
        Ok(LetGo { uploads, failed })
    }
}
