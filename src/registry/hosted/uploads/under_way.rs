//! How many uploads may be under way, giving up those that nobody goes on with, and letting go of those that have gone on elsewhere.
//!
//! That a request writes to an upload is seen in this process by its session, and everywhere by its row, which is touched now and then
//! meanwhile. Nobody ends an upload as idle whose row was touched since.

use std::convert::Infallible;
use std::time::Duration;

use super::super::{Hosted, Repository};
use super::{Upload, gone};
use crate::auth::{Identity, Who};
use crate::meta::{Begun, UploadLimits, UploadRow, now_ms};
use crate::oci::UploadId;
use crate::registry::Error;

/// Where there are too many, one that nobody has gone on with for so long is given up.
const IDLE: Duration = Duration::from_secs(60 * 60);

/// An upload under way is noted as such no more often.
const LEAST_TOUCH: Duration = Duration::from_millis(100);

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
        let mut begun = meta.begin_upload(row, principal, limits).await?;
        if matches!(begun, Begun::TooManyInRepository | Begun::TooManyOfClientThere | Begun::TooManyOfClient) {
            let before = now_ms() - milliseconds(IDLE);
            let idle = meta.idle_uploads_of(row.repository, principal, before, STEP).await?;
            for id in idle.iter().filter_map(|id| id.parse::<UploadId>().ok()) {
                self.give_up_idle(&id, before).await;
            }
            begun = meta.begin_upload(row, principal, limits).await?;
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

    /// Notes that a request goes on with the upload, where that was not noted lately.
    pub(super) async fn go_on_with(&self, upload: &Upload, row: &UploadRow) -> Result<(), Error> {
        let now_ms = now_ms();
        let was_lately = now_ms.saturating_sub(row.touched_at_ms) < milliseconds(self.touch_every());
        if was_lately || self.meta.touch_upload(upload.id.as_str(), now_ms).await? {
            return Ok(());
        }
        Err(gone(upload))
    }

    /// Does `work` for a request that goes on with the upload: while it lasts, no replica takes the upload for an idle one.
    pub(super) async fn in_use<T>(&self, id: &UploadId, work: impl Future<Output = T>) -> T {
        tokio::select! {
            done = work => done,
            never = self.keep_in_use(id) => match never {},
        }
    }

    async fn keep_in_use(&self, id: &UploadId) -> Infallible {
        loop {
            tokio::time::sleep(self.touch_every()).await;
            if let Err(error) = self.meta.touch_upload(id.as_str(), now_ms()).await {
                tracing::warn!(%error, upload = %id, "it was not noted that an upload goes on");
            }
        }
    }

    /// Several times before another may take an upload for an idle one.
    fn touch_every(&self) -> Duration {
        (IDLE.min(self.inner.settings.upload_ttl) / 4).max(LEAST_TOUCH)
    }

    /// Ends an upload that nobody has gone on with since. `None` where somebody has, or does; false where something of it cannot be removed,
    /// which is done when it is found to belong to nobody.
    pub(in crate::registry::hosted) async fn give_up_idle(&self, id: &UploadId, before_ms: i64) -> Option<bool> {
        let session = self.inner.uploads.get(id);
        let mut place = None;
        if let Some(session) = &session {
            place = Some(session.take_idle()?);
        }
        let given_up = async {
            let Some(pieces) = self.meta.end_idle_upload(id.as_str(), before_ms).await? else { return Ok(None) };
            if let Some(place) = &mut place {
                place.take();
            }
            self.inner.uploads.remove(id);
            self.inner.depot.remove_upload(id.as_str()).await?;
            for piece in pieces {
                self.inner.depot.remove_piece(id.as_str(), &piece).await?;
            }
            Ok::<_, Error>(Some(true))
        };
        given_up.await.unwrap_or_else(|error| {
            tracing::warn!(%error, upload = %id, "what is left of an upload cannot be removed");
            Some(false)
        })
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

fn milliseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
