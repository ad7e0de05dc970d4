//! Previews: steps of a plan as `GetLifecyclePolicyPreview` answers them, with their summary.
//!
//! Taking tags away is an extension, which ECR has no word for: such a line has the action `UNTAG` and the tags that
//! go.

use serde::Serialize;

use super::image::StorageClass;
use super::plan::{Deed, Plan, Step};

/// `LifecyclePolicyPreviewResult` of the API.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PreviewLine<'i> {
    pub image_tags: Vec<&'i str>,
    pub image_digest: &'i str,
    /// Seconds since 1970.
    pub image_pushed_at: f64,
    pub action: PreviewAction,
    pub applied_rule_priority: u32,
    /// Class before the action.
    pub storage_class: &'static str,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PreviewAction {
    pub r#type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target_storage_class: Option<&'static str>,
}

/// `LifecyclePolicyPreviewSummary` of the API.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PreviewSummary {
    pub expiring_image_total_count: usize,
    /// Empty where no image is to be archived.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub transitioning_image_total_counts: Vec<TransitioningImages>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TransitioningImages {
    pub target_storage_class: &'static str,
    pub image_total_count: usize,
}

const ARCHIVE: &str = "ARCHIVE";

impl<'i> Plan<'i> {
    /// All lines, the oldest first.
    pub fn preview_lines(&self) -> impl Iterator<Item = PreviewLine<'i>> {
        self.preview().iter().map(PreviewLine::of)
    }

    /// Totals over all lines, of which the API answers so many at a time.
    pub fn preview_summary(&self) -> PreviewSummary {
        let count = |deed: &Deed<'_>| self.preview().iter().filter(|step| step.deed == *deed).count();
        let transitioning =
            TransitioningImages { target_storage_class: ARCHIVE, image_total_count: count(&Deed::Archive) };
        PreviewSummary {
            expiring_image_total_count: count(&Deed::Expire),
            transitioning_image_total_counts: Some(transitioning)
                .filter(|images| images.image_total_count > 0)
                .into_iter()
                .collect(),
        }
    }
}

impl<'i> PreviewLine<'i> {
    fn of(step: &Step<'i>) -> Self {
        let image = step.image;
        let action = |r#type, target_storage_class| PreviewAction { r#type, target_storage_class };
        let (action, image_tags) = match &step.deed {
            Deed::Expire => (action("EXPIRE", None), image.tag_names().collect()),
            Deed::Archive => (action("TRANSITION", Some(ARCHIVE)), image.tag_names().collect()),
            Deed::Untag(names) => (action("UNTAG", None), names.clone()),
        };
        Self {
            image_tags,
            image_digest: &image.digest,
            image_pushed_at: image.pushed_at_ms as f64 / 1000.0,
            action,
            applied_rule_priority: step.rule_priority,
            storage_class: match image.storage_class {
                StorageClass::Standard => "STANDARD",
                StorageClass::Archive => ARCHIVE,
            },
        }
    }
}
