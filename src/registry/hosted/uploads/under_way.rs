//! How many uploads may be under way, and letting go of those that have gone on elsewhere.

use std::time::Duration;

use super::super::{Hosted, Repository};
use crate::auth::{Identity, Who};
use crate::meta::{Begun, UploadLimits, UploadRow, now_ms};
use crate::oci::UploadId;
use crate::registry::Error;

/// Where there are too many, one that nobody has gone on with for so long is given up.
const IDLE: Duration = Duration::from_secs(60 * 60);

/// Uploads that are looked at, or given up, in one step.
const STEP: u32 = 200;

/// The client of an upload, as uploads are counted.
#[derive(Clone, Copy)]
pub(in crate::registry) struct Client<'a> {
    /// The name of a user, or of a role for all its sessions.
    name: &'a str,
    /// Not everybody without a name.
    is_one: bool,
}

impl<'a> Client<'a> {
    pub fn of(identity: &'a Identity, name: &'a str) -> Self {
        Self { name, is_one: matches!(identity.who, Who::Known(_)) }
    }
}

impl Hosted {
    /// Writes an upload down. The row goes first: a file without one is a stray.
    pub(super) async fn begin_upload(
        &self,
        repository: &Repository,
        row: &UploadRow,
        client: Client<'_>,
    ) -> Result<(), Error> {
        let (meta, settings) = (&self.meta, &self.inner.settings);
        let of_repository = settings.max_uploads;
        // Whoever it is, others can push as well.
        let of_client_there = if client.is_one { (of_repository / 2).max(1) } else { of_repository };
        let limits = UploadLimits { of_repository, of_client_there, of_client: settings.max_uploads_by_client };
        let principal = client.name;
        let mut begun = meta.begin_upload(row, principal, limits, now_ms()).await?;
        if matches!(begun, Begun::TooManyInRepository | Begun::TooManyOfClientThere | Begun::TooManyOfClient) {
            let before = now_ms() - i64::try_from(IDLE.as_millis()).unwrap_or(i64::MAX);
            let idle = meta.idle_uploads_of(row.repository, principal, before, STEP).await?;
            for id in idle.iter().filter_map(|id| id.parse::<UploadId>().ok()) {
                self.discard(&id).await;
            }
            begun = meta.begin_upload(row, principal, limits, now_ms()).await?;
        }
        match begun {
            Begun::Begun => Ok(()),
            Begun::NoRepository => Err(crate::registry::NameError::Unknown(repository.qualified()).into()),
            Begun::TooManyInRepository => Err(Error::TooManyUploads {
                what: format!("repository {}", repository.name),
                limit: limits.of_repository,
                key: "hosted.max_uploads",
            }),
            Begun::TooManyOfClientThere => Err(Error::TooManyUploads {
                what: format!(
                    "{principal} in repository {}, of whose places one client may have half,",
                    repository.name
                ),
                limit: limits.of_client_there,
                key: "hosted.max_uploads",
            }),
            Begun::TooManyOfClient => Err(Error::TooManyUploads {
                what: principal.to_owned(),
                limit: limits.of_client,
                key: "hosted.max_uploads_by_client",
            }),
        }
    }

    /// Lets go of uploads that have ended, or gone on, at another replica, with their files. Returns how many.
    pub async fn let_go_of_uploads(&self) -> Result<u64, Error> {
        let (depot, meta) = (&self.inner.depot, &self.meta);
        let mut gone = 0;
        for ids in self.inner.uploads.idle().chunks(STEP as usize) {
            let names: Vec<&str> = ids.iter().map(UploadId::as_str).collect();
            let ours = meta.uploads_held(depot.holder(), &names).await?;
            for id in ids.iter().filter(|id| !ours.contains(id.as_str())) {
                // A request may have come for it since, and know better.
                if self.inner.uploads.remove_idle(id) {
                    depot.remove_upload(id.as_str()).await?;
                    gone += 1;
                }
            }
        }
        Ok(gone)
    }
}
