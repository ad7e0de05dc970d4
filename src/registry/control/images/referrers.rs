//! `ListImageReferrers`: the same list as the data plane's, in ECR's form.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use super::paging;
use crate::action;
use crate::ecr::{Fault, ImageReferrer, ImageStatus, ListImageReferrers, ListImageReferrersOutput, Output};
use crate::oci::{Digest, MediaType};
use crate::registry::Body;
use crate::registry::control::{Control, unexpected};
use crate::registry::hosted::Repository;

/// The data plane's answer, as far as it is needed here.
#[derive(Deserialize)]
struct Index {
    manifests: Vec<Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    digest: String,
    media_type: String,
    size: u64,
    artifact_type: Option<String>,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
}

impl Control<'_> {
    pub(in crate::registry::control) async fn list_image_referrers(
        &self,
        input: ListImageReferrers,
    ) -> Result<Output, Fault> {
        let repository = self.repository(&input.repository.name).await?;
        let last = paging::after(&input.page, |key| key.parse::<Digest>().ok())?;
        let mut found = BTreeMap::new();
        if paging::includes_active(input.artifact_status) {
            let types: Vec<Option<&str>> = match &*input.artifact_types {
                [] => vec![None],
                types => types.iter().map(|wanted| Some(wanted.as_str())).collect(),
            };
            // The first of all types are among the first of each.
            for wanted in types {
                let page = action::Page { n: Some(paging::rows(&input.page)), last: last.map(|last| last.to_string()) };
                found.extend(self.referrers(&repository, input.subject, wanted, &page).await?);
            }
        }
        let (referrers, next_token) =
            paging::cut(found.into_values().collect(), &input.page, |referrer: &ImageReferrer| {
                referrer.digest.to_string()
            });
        Ok(Output::ListImageReferrers(ListImageReferrersOutput { referrers, next_token }))
    }

    /// By their digests, in order.
    async fn referrers(
        &self,
        repository: &Repository,
        subject: Digest,
        artifact_type: Option<&str>,
        page: &action::Page,
    ) -> Result<BTreeMap<String, ImageReferrer>, Fault> {
        let mut found = BTreeMap::new();
        let mut page = page.clone();
        loop {
            let listed = self.hosted.list_referrers(repository, subject, artifact_type, &page).await;
            let Body::Referrers { index, next, .. } = listed.map_err(|error| unexpected(&error))?.body else {
                return Err(Fault::server("an answer of another kind"));
            };
            found.extend(read(&index));
            // A page of the data plane may end early, when its entries are long.
            match next {
                Some(next) if page.n.is_none_or(|wanted| found.len() < wanted as usize) => {
                    page.last = Some(next.to_string());
                }
                _ => return Ok(found),
            }
        }
    }
}

/// What clients have noted under a fallback tag may be anything: what is no descriptor is passed over.
fn read(index: &[u8]) -> BTreeMap<String, ImageReferrer> {
    let Ok(Index { manifests }) = serde_json::from_slice(index) else { return BTreeMap::new() };
    let referrer = |entry: Value| {
        let entry: Entry = serde_json::from_value(entry).ok()?;
        let referrer = ImageReferrer {
            digest: entry.digest.parse().ok()?,
            media_type: MediaType::new(&entry.media_type),
            artifact_type: entry.artifact_type,
            size: entry.size,
            annotations: entry.annotations,
            artifact_status: ImageStatus::Active,
        };
        Some((entry.digest, referrer))
    };
    manifests.into_iter().filter_map(referrer).collect()
}
